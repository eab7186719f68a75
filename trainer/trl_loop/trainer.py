"""One run at a time through TRL's `SFTTrainer`: what cannot share a base, and what its callbacks bring.

Everything on a GPU; on a CPU full fine-tuning, QLoRA (nf4), DoRA, gradient checkpointing, `report_to`. Data order,
checkpoints, validation and curves are ours, so that a run resumes as those of `trainer.multi_lora.loop` do; the step
itself is TRL's.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import nn
from torch.utils.data import Sampler, SequentialSampler
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from engines import free_bytes, this_device
from trainer.bases.loading import LoadedBase
from trainer.data.examples import Example
from trainer.data.order import RowOrder
from trainer.data.token_rows import Rows
from trainer.experiment.lora_targets import TARGETS
from trainer.experiment.schema import Experiment, Training
from trainer.runs import checkpoints, trackers
from trainer.runs.ended import Ended
from trainer.runs.progress import RunProgress
from trainer.trl_loop import validation
from trainer.trl_loop.callback import Watch
from trainer.trl_loop.division import Division, out_of_memory
from trainer.trl_loop.first_pass import first_pass
from trainer.trl_loop.supervision import Supervision


class Alone(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with rows in a fixed order, token-weighted validation, and our own checkpoints."""

    def __init__(self, folder: Path, identity: dict[str, Any], keep: int, validation: Rows, **options: Any) -> None:
        super().__init__(**options)
        self.remove_callback(PrinterCallback)  # a library prints nothing
        self.folder = folder
        self.identity = identity
        self.keep = keep
        self.validation = validation
        self.before_save: Callable[[], Any] = bool
        self.remembered: Callable[[], dict[str, Any]] = dict
        self._validation_tokens = 0
        self.mirror: checkpoints.Mirror | None = None
        self.dtype = ""
        self.careful = False
        """Whether the largest pass is tried before the first step."""
        self.best: Path | None = None
        """The weights of the best validation so far, for the mirror: whole, as this process wrote or checked them."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """The data set is in the order of training already, so nothing is drawn and nothing has to be restored."""
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Nats per answer token and bits per byte over all validation rows, each token with the same weight."""
        model, rows = self.model, self.validation
        training = model.training
        model.eval()
        nats = 0.0
        waiting = deque(self._validation_batches())
        while waiting:
            part = waiting.popleft()
            try:
                nats -= self._log_likelihood(part)
                continue
            except RuntimeError as error:
                if len(part) == 1 or not out_of_memory(error):
                    raise
            self._validation_tokens //= 2
            torch.cuda.empty_cache()
            waiting.extendleft([part[len(part) // 2 :], part[: len(part) // 2]])
        model.train(training)
        metrics = {
            "eval_loss": nats / max(1, sum(rows.trained)),
            "eval_bits_per_byte": nats / math.log(2) / max(1, sum(rows.answer_bytes)),
        }
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_batches(self) -> list[list[int]]:
        """Rows of each validation pass: in the rows' order and as many as a training pass has on a CPU; on a GPU as
        many as its free memory holds, rows of like length together."""
        lengths = self.validation.lengths
        if self.args.device.type != "cuda":
            each = self.args.per_device_eval_batch_size
            return [list(range(start, min(start + each, len(lengths)))) for start in range(0, len(lengths), each)]
        if not self._validation_tokens:
            width = 4 if self.model.dtype == torch.float32 else 2
            free = free_bytes(this_device(str(self.args.device)))
            self._validation_tokens = validation.tokens_of_a_pass(free, self.model.config, width)
        return validation.batches(lengths, self._validation_tokens)

    def _log_likelihood(self, part: Sequence[int]) -> float:
        """The log-likelihood of all answer tokens of these validation rows together, in nats."""
        batch = self.data_collator([self.eval_dataset[index] for index in part])
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = self.model(**self._prepare_inputs(batch), use_cache=False, fused_lm_head=True)
        return float(outputs.log_probs.float().sum())

    def _save_checkpoint(self, *_: Any) -> None:
        self.before_save()
        path = checkpoints.save(self.folder, self.state.global_step, self.identity, self._write)
        if self.mirror:
            self.mirror.keep(path, self.best)
        checkpoints.prune(self.folder, self.keep)

    def _save_weights(self, folder: Path) -> None:
        """The model's files, the same bytes in every process: PEFT writes a set in the order of its hashes."""
        self.save_model(str(folder), _internal_call=True)
        config = folder / "adapter_config.json"
        if config.is_file():
            known = json.loads(config.read_text(encoding="utf-8"))
            if isinstance(known.get("target_modules"), list):
                known["target_modules"].sort()
            config.write_text(json.dumps(known, indent=2, sort_keys=True), encoding="utf-8")

    def _write(self, folder: Path) -> None:
        self._save_weights(folder)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))
        self.state.save_to_json(str(folder / "trainer_state.json"))
        (folder / "state.json").write_text(json.dumps(self.remembered()), encoding="utf-8")

    def save_best(self) -> None:
        """Keep the present weights as the best ones so far."""
        best = self.folder / "best"
        self.best = path = checkpoints.save(best, self.state.global_step, self.identity, self._save_weights)
        for older in best.glob("step-*"):
            if older != path:
                shutil.rmtree(older, ignore_errors=True)


def train_alone(run_id: str, trl: Alone, supervision: Supervision, training: Training) -> Ended:
    """Train to the supervision's `until`, from the newest whole checkpoint where there is one, here or at the mirror.

    The caller holds the folder's lock.
    Raises: CheckpointInvalid when the folder belongs to another training, or cannot be written; TooLarge and
    TrainingFailed as `first_pass` does, where the caller asked for one.
    """
    fetched: list[str] = []
    if training.mirror:
        trl.mirror = checkpoints.Mirror(training.mirror, run_id, fetched)
        trl.mirror.bring_back(trl.folder)
        trl.best = next(iter(checkpoints.complete(trl.folder / "best")[0]), None)
    good, skipped = checkpoints.complete(trl.folder)
    notes = [*fetched, *skipped]
    run_progress = RunProgress(training.early_stopping)
    if good:
        checkpoints.verify_identity(good[0], trl.identity)
        run_progress.restore(json.loads((good[0] / "state.json").read_text(encoding="utf-8")))
        notes.append(f"goes on from step {checkpoints.step_of(good[0])}")
    curves, until = supervision.curves, supervision.until
    curves.truncate(run_id, checkpoints.step_of(good[0]) if good else 0)
    with curves.writer(run_id) as writer:
        watch = Watch(trl.save_best, writer, supervision, run_progress)
        trl.before_save, trl.remembered = writer.flush, run_progress.as_json
        watch.lengths, watch.dtype = _step_lengths(trl), trl.dtype
        watch.before_first = partial(first_pass, trl, trl.dtype) if trl.careful else bool
        trl.add_callback(watch)
        if not good or checkpoints.step_of(good[0]) < until:
            try:
                trl.train(resume_from_checkpoint=str(good[0]) if good else None)
            finally:
                trackers.finish(training.report_to)
    best = trl.folder / "best" / f"step-{run_progress.best_step:08d}"
    details = {
        "best_step": run_progress.best_step,
        "validation_loss": run_progress.best_loss,
        "steps": trl.state.global_step,
    }
    if trl.args.device.type == "cuda":
        details["peak_gpu_bytes"] = torch.cuda.max_memory_allocated(trl.args.device)
    if watch.diverged:
        return Ended("diverged", watch.diverged, None, details, notes)
    if watch.interrupted:
        return Ended("stopped", f"interrupted after step {trl.state.global_step}", None, details, notes)
    if until < trl.args.max_steps and not run_progress.stopped_early:
        return Ended("stopped", f"cut at step {until} of {trl.args.max_steps}", None, details, notes)
    return Ended("finished", "", best if best.is_dir() else None, details, notes)


def _step_lengths(trl: Alone) -> list[int]:
    """Tokens of each optimizer step."""
    each = trl.args.per_device_train_batch_size * trl.args.gradient_accumulation_steps
    lengths = [len(ids) for ids in trl.train_dataset["input_ids"]]
    return [sum(lengths[start : start + each]) for start in range(0, len(lengths), each)]


@dataclass(frozen=True)
class Material:
    """What a run trains on and where it keeps what it learns."""

    base: LoadedBase
    train: Sequence[Example]
    validation: Sequence[Example]
    folder: Path
    identity: dict[str, Any]
    """What its checkpoints must have in common with it."""


def build(
    experiment: Experiment, material: Material, order: RowOrder, steps: int, division: Division, careful: bool = False
) -> Alone:
    """TRL's trainer for a variant, with its rows laid out for all steps.

    `careful`: the largest pass is tried before the first step.
    """
    base, training = material.base, experiment.training
    rows = laid_out(order, steps * training.batch_size * training.gradient_accumulation)
    if experiment.lora.method == "full":
        base.model.float().requires_grad_(True)  # bf16 weights would lose small updates; autocast does the products
    with warnings.catch_warnings():
        # PEFT 0.21 still asks for a property that transformers 5.23 has renamed; there is nothing a person could do.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        trl = Alone(
            folder=material.folder,
            identity=material.identity,
            keep=training.save_total_limit,
            validation=Rows(material.validation),
            model=base.model,
            args=_arguments(experiment, base, material.folder, steps, division),
            train_dataset=_dataset(material.train).select(rows),
            eval_dataset=_dataset(material.validation),
            processing_class=base.tokenizer,
            peft_config=_peft_config(experiment),
        )
    _steady(trl.model)
    trl.dtype, trl.careful = base.dtype, careful
    return trl


def _steady(model: nn.Module) -> None:
    """Let a fresh run compute as a resumed one does.

    TRL casts the adapters of a quantized base to bf16, which loses small updates; loaded ones are fp32, and fp16's loss
    scaling needs that too. bitsandbytes repacks 4-bit weights at the first validation on a CPU, for a product that
    rounds otherwise. The base comes in evaluation mode, which the first validation ends.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    model.train()


def laid_out(order: RowOrder, count: int) -> list[int]:
    """The first so many rows of the order."""
    rows: list[int] = []
    step = 0
    while len(rows) < count:
        rows += order.rows(step)
        step += 1
    return rows[:count]


def _arguments(experiment: Experiment, base: LoadedBase, folder: Path, steps: int, division: Division) -> SFTConfig:
    training = experiment.training
    schedule = {"constant": "constant_with_warmup"}.get(training.schedule, training.schedule)
    # On a GPU the adapters stay fp32 and autocast computes with them in bf16; a CPU casts slower than it multiplies.
    bf16 = base.dtype == "bfloat16" and (base.device.startswith("cuda") or experiment.lora.method == "full")
    ampere = (this_device(base.device).capability or (0, 0)) >= (8, 0)
    return SFTConfig(
        output_dir=str(folder / "trl"),
        max_steps=steps,
        per_device_train_batch_size=division.rows,
        per_device_eval_batch_size=training.batch_size,
        gradient_accumulation_steps=division.passes,
        learning_rate=training.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_gradient_norm,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=training.eval_steps or max(1, steps // 10),
        save_strategy="steps",
        save_steps=training.save_steps,
        activation_checkpointing=division.checkpointing,
        bf16=bf16,
        tf32=True if bf16 and ampere else None,
        fp16=base.dtype == "float16",
        use_cpu=base.device == "cpu",
        report_to=list(training.report_to) or "none",
        run_name=folder.name,
        project=experiment.name,
        seed=training.seed,
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def _peft_config(experiment: Experiment) -> LoraConfig | None:
    lora = experiment.lora
    if lora.method == "full":
        return None
    groups = {word: list(names) for word, names in TARGETS.items()}
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.effective_alpha,
        lora_dropout=lora.dropout,
        target_modules=groups.get(lora.target, lora.target) if isinstance(lora.target, str) else list(lora.target),
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        task_type="CAUSAL_LM",
    )


def _dataset(examples: Sequence[Example]) -> Dataset:
    return Dataset.from_list([{"input_ids": example.input_ids, "labels": example.labels} for example in examples])
