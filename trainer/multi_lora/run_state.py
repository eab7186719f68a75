"""One run while it trains: adapter, optimizer, schedule, data position; how all of it is written down and read back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.data.order import RowOrder
from trainer.errors import CheckpointInvalid
from trainer.experiment.schema import Lora, Training
from trainer.multi_lora.weights import Adapter, layer_and_part, peft_name
from trainer.runs.progress import RunProgress

ADAPTER = "adapter_model.safetensors"
STATE = "state.json"
OPTIMIZER = "optimizer.safetensors"


@dataclass
class Trainee:
    """A run's whole state. What `save` writes and `load` reads makes every later step equal, bit for bit on a CPU."""

    run_id: str
    name: str
    base: str
    lora: Lora
    settings: Training
    adapter: Adapter
    order: RowOrder
    total_steps: int
    optimizer: torch.optim.Optimizer = field(init=False)
    progress: RunProgress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = RunProgress(self.settings.early_stopping)
        self.optimizer = torch.optim.AdamW(
            self.adapter.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )

    @property
    def done(self) -> bool:
        """All steps taken, or stopped early."""
        return self.progress.step >= self.total_steps or self.progress.stopped_early

    def learning_rate(self) -> float:
        """The learning rate of the step to come."""
        return self.settings.learning_rate * rate_factor(self.progress.step, self.total_steps, self.settings)

    def update(self) -> tuple[float, float]:
        """Clip, step, forget the gradients. Returns (learning rate, gradient norm before clipping)."""
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm, most = self.adapter.gradient_norm(), self.settings.max_gradient_norm
        if norm > most:
            self.adapter.scale_gradients(most / (norm + 1e-6))  # as clip_grad_norm_ does, which multiplies by 1 too
        self.optimizer.step()
        self.adapter.forget_gradients()
        self.progress.step += 1
        return rate, norm

    def save(self, folder: Path) -> None:
        """Write everything into a folder; the adapter in PEFT's form."""
        save_adapter(self.adapter, self.lora, self.base, folder)
        moments: dict[str, Tensor] = {}
        for number, weight in enumerate(self.adapter.parameters()):
            for key, value in self.optimizer.state.get(weight, {}).items():
                moments[f"{number}.{key}"] = value.detach().cpu().contiguous()
        moments["dropout_draws"] = self.adapter.dropout_draws.get_state()
        save_file(moments, folder / OPTIMIZER)
        (folder / STATE).write_text(json.dumps(self.progress.as_json()), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take the state of a checkpoint whose identity was verified.

        Raises: CheckpointInvalid when the adapter has other layers or shapes.
        """
        load_adapter(self.adapter, folder)
        moments = load_file(folder / OPTIMIZER)
        self.adapter.dropout_draws.set_state(moments.pop("dropout_draws"))
        for number, weight in enumerate(self.adapter.parameters()):
            own = {key.partition(".")[2]: value for key, value in moments.items() if key.startswith(f"{number}.")}
            if own:
                device = {key: "cpu" if key == "step" and weight.device.type == "cpu" else weight.device for key in own}
                self.optimizer.state[weight] = {key: value.to(device[key]) for key, value in own.items()}
        self.progress.restore(json.loads((folder / STATE).read_text(encoding="utf-8")))


def rate_factor(step: int, total_steps: int, settings: Training) -> float:
    """Share of the peak learning rate at a step counted from 0, as transformers' schedules have it."""
    warmup = math.ceil(settings.warmup * total_steps) if settings.warmup < 1 else int(settings.warmup)
    if step < warmup:
        return step / max(1, warmup)
    if settings.schedule == "constant":
        return 1.0
    gone = (step - warmup) / max(1, total_steps - warmup)
    return max(0.0, 1 - gone) if settings.schedule == "linear" else max(0.0, 0.5 * (1 + math.cos(math.pi * gone)))


def save_adapter(adapter: Adapter, lora: Lora, base: str, folder: Path) -> None:
    """A PEFT adapter folder: `PeftModel.from_pretrained` reads it."""
    tensors = {}
    for layer, (a, b) in adapter.pairs.items():
        tensors[peft_name(layer, "lora_A")] = a.detach().cpu().contiguous()
        tensors[peft_name(layer, "lora_B")] = b.detach().cpu().contiguous()
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": adapter.rank,
        "lora_alpha": lora.effective_alpha,
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rslora,
        "target_modules": sorted({name.rpartition(".")[2] for name in adapter.pairs}),
        "bias": "none",
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def load_adapter(adapter: Adapter, folder: Path) -> None:
    """Copy a PEFT folder's weights into an adapter.

    Raises: CheckpointInvalid when layers or shapes differ: nothing is left at its initial value in silence.
    """
    tensors = load_file(folder / ADAPTER)
    expected = {peft_name(layer, part) for layer in adapter.pairs for part in ("lora_A", "lora_B")}
    if set(tensors) != expected:
        odd = sorted(set(tensors) ^ expected)[0]
        raise CheckpointInvalid(f"{folder} has an adapter of other layers: {odd} is on one side only")
    for key, value in tensors.items():
        layer, part = layer_and_part(key)
        weight = adapter.pairs[layer][0 if part == "lora_A" else 1]
        if weight.shape != value.shape:
            raise CheckpointInvalid(
                f"{folder} has {key} of shape {tuple(value.shape)}, this run needs {tuple(weight.shape)}: another rank?"
            )
        with torch.no_grad():
            weight.copy_(value)
