"""How fast a GPU is on models of real shapes, and what the plan had said: parts of `benchmarks/gpu.py`.

Weights are random, made on the device from the shape's config; the tokenizer is a miniature's, its vocabulary padded.
The rows are as long as the settings allow, so a step's tokens are known. What is trained and answered means nothing;
time and memory are those of the real model.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu import tell
from gpu_checks import random_adapter

WORDS = (
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "and",
    "says",
    "in",
    "many",
    "words",
    "what",
    "was",
    "asked",
)
STEPS = 6
WARM = 2
"""Steps that are left out of the median: the first ones also compile, allocate and tune."""


@dataclass(frozen=True)
class Size:
    """How much is done."""

    batch_size: int
    accumulation: int
    row_tokens: int
    rows: int
    answers: int
    prompt_tokens: int
    answer_tokens: int
    one_by_one: int
    """Answers of transformers' `generate`, one prompt at a time."""


FULL = Size(2, 2, 1024, 40, 64, 200, 128, 2)
TINY = Size(2, 2, 64, 40, 8, 24, 12, 2)


def size_of(miniature: bool) -> Size:
    """Full on a GPU; tiny where only the way is tried."""
    return TINY if miniature else FULL


def made(folder: Path, miniature: bool, name: str) -> Path:
    """A folder with random weights of a base's shape, made on the device at first use."""
    import torch
    import transformers

    from engines import this_device
    from trainer.bases.miniature_tokenizers import miniature_tokenizer
    from trainer.bases.miniatures import ARCHITECTURES, SHAPE
    from trainer.bases.registry import base_entry as entry_of

    place = folder / f"shape-{name}"
    if (place / "config.json").exists():
        return place
    entry = entry_of(f"{name}-instruct")
    assert entry is not None, name
    shape = entry.shape
    config_class, style, more = ARCHITECTURES[shape.architecture]
    tokenizer = miniature_tokenizer(style)
    sizes = {
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "head_dim": shape.head,
        "vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied, "max_position_embeddings": 4096,
    }  # fmt: skip
    if miniature:
        sizes = {**SHAPE, "vocab_size": len(tokenizer) + 64, "tie_word_embeddings": shape.tied}
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    config = getattr(transformers, config_class)(**{**more, **sizes, **ids})
    here = this_device()
    torch.manual_seed(0)
    with torch.device(here.name):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, here.dtype))
    began = time.monotonic()
    model.save_pretrained(str(place))
    tokenizer.save_pretrained(str(place))
    tell(parameters=model.num_parameters(), written_seconds=time.monotonic() - began)
    return place


def settings(folder: Path, miniature: bool, name: str, quantization: str) -> Any:
    """The experiment that is trained by us and, with the same settings, by TRL."""
    from trainer import load_experiment

    size = size_of(miniature)
    rows = folder / f"rows-{size.row_tokens}.jsonl"
    if not rows.exists():
        text = " ".join(WORDS[place % len(WORDS)] for place in range(size.row_tokens))
        rows.write_text(
            "".join(
                json.dumps({"prompt": f"Case {n}: say many words.", "completion": f"{n} {text}"}) + "\n"
                for n in range(size.rows)
            ),
            encoding="utf-8",
        )
    raw = {
        "name": f"{name}-{quantization}".replace(".", "-"),
        "bases": [str(made(folder, miniature, name))],
        "data": {
            "sources": [{"name": str(rows)}], "decontaminate": [], "validation_fraction": 0.2, "validation_limit": 2,
            "quality": {"near_duplicates": None, "max_repetition": None},
        },
        "training": {
            "quantization": quantization, "max_steps": STEPS, "batch_size": size.batch_size, "save_steps": 1000,
            "gradient_accumulation": size.accumulation, "max_length": size.row_tokens, "eval_steps": STEPS,
        },
        "lora": {"rank": 16},
        "evaluate": {"heldout": None},
    }  # fmt: skip
    file = folder / f"{raw['name']}.yaml"
    file.write_text(json.dumps(raw), encoding="utf-8")
    return load_experiment(file)


def train(folder: Path, miniature: bool, name: str, quantization: str) -> None:
    """Our way: a run in a process of its own. Its curve against what the plan said before it began."""
    import trainer
    from engines import places, this_device, this_gpus
    from results import Workspace

    experiment = settings(folder, miniature, name, quantization)
    place = Workspace(folder / "ours" / experiment.name)
    here = this_device()
    [where, *_] = this_gpus() or places(here.dtype)
    [group] = trainer.plan(experiment, place, named=(where,)).groups
    [need] = group.needs
    tell(planned_peak_bytes=int(need.memory_bytes), checkpointing=need.checkpointing, dtype=need.dtype)
    began = time.monotonic()
    with place.store() as store:
        [run] = trainer.train(experiment, store, place, lambda *_: None)
        assert run.status == "finished", f"{run.status}: {run.reason}"
        whole = time.monotonic() - began
        curves = {metric: store.curves.read(run.id, metric)[1] for metric in store.curves.metrics(run.id)}
        report = store.reports.get(run.id, "training")
        details = next(model.details for model in store.models.list() if model.run_id == run.id)
    speed = statistics.median(float(value) for value in curves["tokens_per_second"][WARM:])
    tokens = float(curves["tokens_seen"][-1]) / STEPS
    tell(tokens_per_second=speed, seconds_a_step=tokens / speed, whole_run_seconds=whole)
    tell(planned_seconds=need.seconds, planned_over_taken=need.seconds / whole)
    tell(utilisation=utilisation(group.shape, speed, where.flops))
    if peak := details.get("peak_gpu_bytes"):
        tell(peak_bytes=int(peak), planned_over_peak=(need.memory_bytes - OVERHEAD) / peak)
    tell(notes=list(report.payload["notes"]) if report else [])


OVERHEAD = 0.6e9
"""CUDA's own bytes: in the plan, and in no allocator's count (`trainer.planning.estimates.OVERHEAD_BYTES`)."""


def utilisation(shape: Any, tokens_per_second: float, flops: float) -> float:
    """Share of the peak that the model's own operations take: 4 a weight and token where the weights are frozen."""
    return float(4 * (shape.linear_parameters + shape.vocabulary * shape.hidden) * tokens_per_second / flops)


def train_by_trl(folder: Path, miniature: bool, name: str, quantization: str) -> None:
    """TRL's plain `SFTTrainer` in the same settings on the same rows, recomputing where the plan says we do."""
    import torch

    import trainer
    from engines import places, this_device, this_gpus
    from results import Workspace
    from trainer.bases.loading import base_tokenizer

    experiment = settings(folder, miniature, name, quantization)
    place, training = Workspace(folder / "trl"), experiment.training
    here = this_device()
    [where, *_] = this_gpus() or places(here.dtype)
    [group] = trainer.plan(experiment, place, named=(where,)).groups
    tokenizer = base_tokenizer(experiment.bases[0])
    prepared = trainer.prepare(experiment.data, tokenizer, training.max_length, place)
    trl, clock = _sft(experiment, here, tokenizer, prepared, group.needs[0].checkpointing, folder)
    if here.is_cuda:
        torch.cuda.reset_peak_memory_stats(here.name)
    trl.train()
    each = training.batch_size * training.gradient_accumulation
    tokens = sum(len(example.input_ids) for example in prepared.train) / len(prepared.train) * each
    seconds = statistics.median(clock.seconds[WARM:])
    tell(seconds_a_step=seconds, tokens_per_second=tokens / seconds)
    tell(utilisation=utilisation(group.shape, tokens / seconds, where.flops))
    if here.is_cuda:
        peak = int(torch.cuda.max_memory_allocated(here.name))
        tell(peak_bytes=peak, planned_over_peak=(group.needs[0].memory_bytes - OVERHEAD) / peak)
    began = time.monotonic()
    trl.evaluate()
    tell(validation_seconds=time.monotonic() - began)


def _sft(experiment: Any, here: Any, tokenizer: Any, prepared: Any, checkpointing: bool, folder: Path) -> Any:
    """(trainer, its clock)."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.began = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = _now(here)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(_now(here) - self.began)

    training, dtype = experiment.training, getattr(torch, here.dtype)
    packed = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    more = {"quantization_config": packed} if training.quantization == "nf4" else {}
    model = AutoModelForCausalLM.from_pretrained(experiment.bases[0], dtype=dtype, device_map={"": here.name}, **more)
    rows = [{"input_ids": one.input_ids, "labels": one.labels} for one in prepared.train]
    held = [{"input_ids": one.input_ids, "labels": one.labels} for one in prepared.validation]
    arguments = SFTConfig(
        output_dir=str(folder / "trl-out"), max_steps=training.max_steps, max_length=None, seed=training.seed,
        per_device_train_batch_size=training.batch_size, per_device_eval_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation, learning_rate=training.learning_rate,
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False, report_to="none",
        save_strategy="no", logging_steps=1, disable_tqdm=True, activation_checkpointing=checkpointing,
        bf16=here.dtype == "bfloat16", fp16=here.dtype == "float16", use_cpu=not here.is_cuda,
    )  # fmt: skip
    lora = LoraConfig(
        r=experiment.lora.rank, lora_alpha=experiment.lora.effective_alpha, lora_dropout=experiment.lora.dropout,
        target_modules="all-linear", task_type="CAUSAL_LM",
    )  # fmt: skip
    clock = Clock()
    trl = SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), eval_dataset=Dataset.from_list(held),
        processing_class=tokenizer, peft_config=lora, callbacks=[clock],
    )  # fmt: skip
    return trl, clock


def _now(here: Any) -> float:
    """Seconds, when the device has done what it was given."""
    import torch

    if here.is_cuda:
        torch.cuda.synchronize(here.name)
    return time.monotonic()


def generate(folder: Path, miniature: bool, name: str, _quantization: str) -> None:
    """Tokens a second of the engine of evaluation, base and adapter, against `generate` one prompt at a time."""
    from engines import HuggingFaceEngine, Request, Sampling, this_device

    size, here = size_of(miniature), this_device()
    weights = made(folder, miniature, name)
    adapter = random_adapter(folder, weights)
    began = time.monotonic()
    engine = HuggingFaceEngine(str(weights), {"tuned": adapter})
    tell(loading_seconds=time.monotonic() - began)
    prompts = [_prompt(engine, number, size.prompt_tokens) for number in range(size.answers)]
    sampling = Sampling(size.answer_tokens, ignore_end=True)
    list(engine.answers([Request(prompts[0], Sampling(4, ignore_end=True), "tuned")]))
    chosen = engine.decoders.choice
    for decoder in dict.fromkeys((chosen, "batched")):  # on a GPU transformers' continuous batching, then our loop
        engine.decoders.choice = decoder
        for who in ("", "tuned"):
            began = _now(here)
            answers = engine.answers([Request(ids, sampling, who) for ids in prompts])
            tokens = sum(answer.tokens for _, answer in answers)
            key = f"tokens_per_second_of_{who or 'base'}" + ("" if decoder == chosen else "_by_our_loop")
            tell(**{key: tokens / (_now(here) - began)})
    tell(engine=engine.details())
    began = _now(here)
    rows = [list(ids) for ids in prompts]
    engine.token_losses(rows, "tuned")
    tell(read_tokens_per_second=sum(map(len, rows)) / (_now(here) - began))
    engine.close()
    tell(generate_one_by_one_tokens_per_second=_one_by_one(weights, adapter, here, prompts[: size.one_by_one], size))


def _prompt(engine: Any, number: int, tokens: int) -> tuple[int, ...]:
    text = " ".join([str(number), *(WORDS[(number + place) % len(WORDS)] for place in range(tokens))])
    return tuple(engine.encode(text)[:tokens])


def _one_by_one(weights: Path, adapter: Path, here: Any, prompts: Sequence[Sequence[int]], size: Size) -> float:
    """transformers and PEFT, as their documentation has it."""
    import gc

    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    gc.collect()
    if here.is_cuda:
        torch.cuda.empty_cache()
    dtype = getattr(torch, here.dtype)
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=dtype, device_map={"": here.name})
    tuned = PeftModel.from_pretrained(model, str(adapter)).eval()
    tokens, began = 0, _now(here)
    for ids in prompts:
        asked = torch.tensor([list(ids)], device=here.name)
        new = {"max_new_tokens": size.answer_tokens, "min_new_tokens": size.answer_tokens, "do_sample": False}
        with torch.no_grad():
            tokens += tuned.generate(input_ids=asked, **new).shape[1] - len(ids)
    return tokens / (_now(here) - began)
