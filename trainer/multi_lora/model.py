"""Several adapters of one base trained in one process: one copy of the weights, one tokenised data set, shared passes.

Rows are laid end to end without padding, whoever they belong to, and cut into passes of at most `PASS_TOKENS` tokens.
Each run's loss is the mean over all answer tokens of its step, so neither the cut nor its neighbours change what it
learns: a curve is the run's own up to the order of floating-point sums.

The base must be frozen, unquantized, with a linear head (`why_alone`); everything else trains through TRL
(`trainer.trl_loop.trainer`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from engines import own_threads
from trainer.data.examples import Example
from trainer.data.token_rows import Rows
from trainer.experiment.schema import Experiment
from trainer.multi_lora.assembly import assembled
from trainer.multi_lora.cross_entropy import answer_cross_entropy, has_linear_head
from trainer.multi_lora.linear import layers_for
from trainer.multi_lora.packing import Pass, pack, passes, split_across_cores
from trainer.multi_lora.run_state import Trainee
from trainer.multi_lora.short_attention import is_short
from trainer.multi_lora.weights import Adapter, GradientBuffer, new_adapter
from trainer.planning import sharing
from trainer.planning.pass_limits import PASS_TOKENS, tokens_of_a_pass
from trainer.runs.progress import Step

T = TypeVar("T")


def why_alone(experiment: Experiment, model: nn.Module) -> str:
    """Say why this module cannot train such variants of the model; the empty string where it can."""
    weight = next(model.parameters())
    dtype = str(weight.dtype).removeprefix("torch.")
    if reason := sharing.why_alone(experiment.training, experiment.lora, dtype, weight.is_cuda):
        return reason
    return "" if has_linear_head(model) else "the model's head is more than a linear map"


class SharedBase:
    """A frozen base made ready for the adapters of several runs. Not for two threads at once."""

    def __init__(
        self,
        model: nn.Module,
        examples: Sequence[Example],
        validation: Sequence[Example],
        pass_tokens: int = PASS_TOKENS,
    ) -> None:
        self.model = cast(Any, model)
        self.train = Rows(examples)
        self.validation = Rows(validation)
        self._pass_tokens = pass_tokens
        self._routing = assembled(model)
        self._body: Any = self.model.get_decoder()
        self._head: Any = self.model.get_output_embeddings()
        self._weight = next(model.parameters())
        self._device, self._dtype = self._weight.device, self._weight.dtype
        self.dtype = str(self._dtype).removeprefix("torch.")
        """The base's dtype: bfloat16, float32, …"""

    def adapter(self, experiment: Experiment) -> Adapter:
        """A fresh adapter as an experiment describes it. Raises ValueError when its target names no layer."""
        lora = experiment.lora
        layers = layers_for(self.model, lora.target)
        if not layers:
            known = sorted({name.rpartition(".")[2] for name in layers_for(self.model, "all-linear")})
            raise ValueError(f"lora.target {lora.target!r} names no linear layer; there are {', '.join(known)}")
        return new_adapter(
            layers,
            lora.rank,
            lora.effective_alpha,
            rslora=lora.rslora,
            dropout=lora.dropout,
            seed=experiment.training.seed,
        )

    def step(self, trainees: Sequence[Trainee]) -> list[Step]:
        """One optimizer step of every trainee. A loss that is not finite leaves its run's weights as they were."""
        began = time.monotonic()
        rows = [trainee.order.rows(trainee.progress.step) for trainee in trainees]
        counts = [sum(self.train.trained[row] for row in of_run) for of_run in rows]
        self._cast_adapters(trainees)
        weights = [1 / max(1, count) for count in counts]
        parts = self._parts(self.train, rows)
        buffers = [
            {number: trainees[number].adapter.gradient_buffer() for number, own in enumerate(part) if own}
            for part in parts
        ]

        def learn(place: int, batch: Pass) -> Sequence[Tensor]:
            total, of_tokens = self._forward(self.train, batch, buffers[place], weights)
            total.backward()  # type: ignore[no-untyped-call]
            return of_tokens

        try:
            losses = self._sums(self.train, parts, learn)
        finally:
            for trainee in trainees:
                trainee.adapter.reduce_gradients()
        tokens = [sum(self.train.lengths[row] for row in of_run) for of_run in rows]
        steps = []
        for number, trainee in enumerate(trainees):
            loss = losses[number] / max(1, counts[number])
            if math.isfinite(loss):
                rate, norm = trainee.update()
            else:
                rate, norm = trainee.learning_rate(), math.nan
                trainee.adapter.forget_gradients()
            trainee.progress.tokens_seen += tokens[number]
            steps.append((loss, rate, norm, tokens[number]))
        seconds = time.monotonic() - began
        return [Step(*step, seconds * step[3] / sum(tokens)) for step in steps]

    def validate(self, trainees: Sequence[Trainee]) -> list[tuple[float, float]]:
        """Each trainee's (nats per answer token, bits per byte of answer) over the validation rows."""
        rows = [list(range(len(self.validation.lengths))) for _ in trainees]
        self._cast_adapters(trainees)
        buffers = {number: trainee.adapter.own for number, trainee in enumerate(trainees)}

        @torch.no_grad()
        def look(_: int, batch: Pass) -> Sequence[Tensor]:
            return self._forward(self.validation, batch, buffers, [1.0] * len(trainees), training=False)[1]

        sums = self._sums(self.validation, self._parts(self.validation, rows), look)
        tokens, size = max(1, sum(self.validation.trained)), max(1, sum(self.validation.answer_bytes))
        return [(nats / tokens, nats / math.log(2) / size) for nats in sums]

    def _parts(self, rows: Rows, chosen: Sequence[Sequence[int]]) -> list[list[list[int]]]:
        """Each run's rows in as many parts as are computed at the same time: on a CPU, one for each core.

        What is in a part does not depend on the clock, so neither do sums.
        """
        return split_across_cores(chosen, rows.lengths, torch.get_num_threads() if self._device.type == "cpu" else 1)

    def _sums(
        self, rows: Rows, parts: Sequence[Sequence[Sequence[int]]], work: Callable[[int, Pass], Sequence[Tensor]]
    ) -> list[float]:
        """The losses of each run's answer tokens, summed.

        `work` computes a pass of the part with that number and returns the losses of its units.
        """
        most = tokens_of_a_pass(len(parts), self._pass_tokens)

        def of(place: int) -> list[tuple[int, float]]:
            return [
                (number, float(losses.sum()))
                for batch in passes(parts[place], rows.lengths, most)
                for (number, _), losses in zip(batch.units, work(place, batch), strict=True)
            ]

        sums = [0.0] * len(parts[0])
        for number, loss in chain.from_iterable(_at_once([partial(of, place) for place in range(len(parts))])):
            sums[number] += loss
        return sums

    def _forward(
        self,
        rows: Rows,
        batch: Pass,
        buffers: Mapping[int, GradientBuffer],
        weights: Sequence[float],
        training: bool = True,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The pass's weighted loss, and the losses of each unit's answer tokens."""
        longest = max(rows.lengths[row] for _, row in batch.units)
        able = is_short(self._weight, longest)
        # dropout draws anew for each row, so its rows have no common beginning
        sharing = {number for number, _ in batch.units if able and not (training and buffers[number].adapter.dropout)}
        packed = pack(rows, batch, sharing)
        self._routing.training = training
        self._routing.spans = [(buffers[number], start, stop) for number, start, stop in packed.spans]
        each = torch.cat([torch.full((stop - start,), weights[number]) for number, start, stop in packed.spans])
        hidden = self._body(
            input_ids=packed.ids[None].to(self._device),
            position_ids=packed.positions[None].to(self._device),
            use_cache=False,
            segments=packed.segments,
        ).last_hidden_state
        total, of_tokens = answer_cross_entropy(
            hidden[0], packed.labels.to(self._device), each.to(self._device), self._head
        )
        return total, torch.split(of_tokens, [rows.trained[row] for _, row in batch.units])

    def _cast_adapters(self, trainees: Sequence[Trainee]) -> None:
        _at_once([partial(trainee.adapter.cast, self._dtype) for trainee in trainees])


def _at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Results of calls that run at the same time; each has its part of torch's threads."""
    if len(calls) < 2:
        return [call() for call in calls]
    cores = torch.get_num_threads()
    at_once = min(len(calls), cores)
    try:
        with ThreadPoolExecutor(at_once, initializer=own_threads, initargs=(cores // at_once,)) as pool:
            return [future.result() for future in [pool.submit(call) for call in calls]]
    finally:
        torch.set_num_threads(cores)  # threads to come take over what the last one set
