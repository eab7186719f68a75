"""Several adapters of one base trained in one process: one copy of the weights, one tokenised data set, shared passes.

Rows are laid end to end without padding, whoever they belong to, and cut into passes of at most `PASS_TOKENS` tokens.
Each run's loss is the mean over all answer tokens of its step, so neither the cut nor its neighbours change what it
learns: a curve is the run's own up to the order of floating-point sums.

The base must be frozen, unquantized, with a linear head (`trains_together`); everything else trains through TRL
(`trainer.alone`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from trainer.answer_loss import answer_loss, supports
from trainer.attention import use_row_attention
from trainer.data import Example
from trainer.experiment import Experiment
from trainer.lean_norm import use_lean_norms
from trainer.rows import Rows
from trainer.shared_linear import Adapter, layers_for, new_adapter, share
from trainer.trainee import Trainee

PASS_TOKENS = 1024
"""Tokens a forward and backward pass holds activations for, about 0.5 MB each for a 135M model. From a few hundred
tokens on, a CPU's matrix units are full, so larger passes cost memory and bring nothing."""


def trains_together(experiment: Experiment, model: nn.Module) -> str:
    """Empty when this module can train such variants of the model, else the reason why not."""
    lora, training = experiment.lora, experiment.training
    if lora.method == "full":
        return "full fine-tuning changes the base"
    if lora.dora:
        return "DoRA rescales the base's own weights"
    if training.quantization != "none":
        return "the base is quantized"
    if next(model.parameters()).dtype == torch.float16:
        return "fp16 needs loss scaling"
    if training.report_to:
        return f"report_to {', '.join(training.report_to)} goes through transformers' callbacks"
    if training.gradient_checkpointing:
        return "gradient checkpointing is asked for"
    if not supports(model):
        return "the model's head is more than a linear map"
    return ""


@dataclass(frozen=True)
class Step:
    """What one optimizer step of one run showed."""

    loss: float
    """Mean over the answer tokens of the step, in nats, before the update."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    tokens: int
    seconds: float
    """This run's share of the time by tokens."""


@dataclass
class _Pass:
    """Rows of one forward pass: (number of the run, row), runs in order."""

    units: list[tuple[int, int]]
    tokens: int


class Together:
    """A base made ready for adapters. Not for two threads at once."""

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
        self._routing = share(model)
        use_row_attention(model)
        use_lean_norms(model)
        self._body: Any = self.model.get_decoder()
        self._head: Any = self.model.get_output_embeddings()
        self._device = next(model.parameters()).device

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
        rows = [trainee.order.rows(trainee.step) for trainee in trainees]
        counts = [sum(self.train.trained[row] for row in of_run) for of_run in rows]
        losses = [0.0] * len(trainees)
        for batch in _passes(rows, self.train.lengths, self._pass_tokens):
            total, of_tokens = self._forward(self.train, batch, trainees, [1 / max(1, count) for count in counts])
            total.backward()  # type: ignore[no-untyped-call]
            for (number, _), part in zip(batch.units, of_tokens, strict=True):
                losses[number] += float(part.sum())
        tokens = [sum(self.train.lengths[row] for row in of_run) for of_run in rows]
        steps = []
        for number, trainee in enumerate(trainees):
            loss = losses[number] / max(1, counts[number])
            if math.isfinite(loss):
                rate, norm = trainee.update()
            else:
                rate, norm = trainee.learning_rate(), math.nan
                trainee.optimizer.zero_grad(set_to_none=True)
            trainee.tokens_seen += tokens[number]
            steps.append((loss, rate, norm, tokens[number]))
        seconds = time.monotonic() - began
        return [Step(*step, seconds * step[3] / sum(tokens)) for step in steps]

    @torch.no_grad()
    def validate(self, trainees: Sequence[Trainee]) -> list[tuple[float, float]]:
        """Each trainee's (nats per answer token, bits per byte of answer) over the validation rows."""
        rows = [list(range(len(self.validation.lengths))) for _ in trainees]
        sums = [0.0] * len(trainees)
        self._routing.training = False
        try:
            for batch in _passes(rows, self.validation.lengths, self._pass_tokens):
                _, of_tokens = self._forward(self.validation, batch, trainees, [1.0] * len(trainees))
                for (number, _), part in zip(batch.units, of_tokens, strict=True):
                    sums[number] += float(part.sum())
        finally:
            self._routing.training = True
        tokens, size = max(1, sum(self.validation.trained)), max(1, sum(self.validation.answer_bytes))
        return [(nats / tokens, nats / math.log(2) / size) for nats in sums]

    def _forward(
        self, rows: Rows, batch: _Pass, trainees: Sequence[Trainee], weights: Sequence[float]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The pass's weighted loss, and the losses of each unit's answer tokens."""
        lengths = [rows.lengths[row] for _, row in batch.units]
        self._routing.spans = _spans(batch, lengths, trainees)
        ids = torch.cat([rows.ids[row] for _, row in batch.units]).to(self._device)
        labels = torch.cat([rows.labels[row] for _, row in batch.units]).to(self._device)
        shares = torch.tensor([weights[number] for number, _ in batch.units])
        each = shares.repeat_interleave(torch.tensor(lengths)).to(self._device)
        positions = torch.cat([torch.arange(length) for length in lengths]).to(self._device)
        hidden = self._body(
            input_ids=ids[None], position_ids=positions[None], use_cache=False, row_lengths=lengths
        ).last_hidden_state
        total, of_tokens = answer_loss(hidden[0], labels, each, self._head)
        return total, torch.split(of_tokens, [rows.trained[row] for _, row in batch.units])


def _passes(rows: Sequence[Sequence[int]], lengths: Sequence[int], most: int) -> Iterator[_Pass]:
    """Units in order, cut where the next row would go over `most` tokens; a longer row has a pass of its own."""
    batch = _Pass([], 0)
    for number, of_run in enumerate(rows):
        for row in of_run:
            if batch.units and batch.tokens + lengths[row] > most:
                yield batch
                batch = _Pass([], 0)
            batch.units.append((number, row))
            batch.tokens += lengths[row]
    if batch.units:
        yield batch


def _spans(batch: _Pass, lengths: Sequence[int], trainees: Sequence[Trainee]) -> list[tuple[Adapter, int, int]]:
    spans: list[tuple[Adapter, int, int]] = []
    start = 0
    for (number, _), length in zip(batch.units, lengths, strict=True):
        adapter = trainees[number].adapter
        if spans and spans[-1][0] is adapter:
            spans[-1] = (adapter, spans[-1][1], start + length)
        else:
            spans.append((adapter, start, start + length))
        start += length
    return spans
