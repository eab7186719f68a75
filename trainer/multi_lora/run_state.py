"""One run while it trains: adapter, optimizer, schedule, data position; how all of it is written down and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.data.order import RowOrder
from trainer.errors import CheckpointInvalid
from trainer.experiment.schema import Lora, Training
from trainer.multi_lora.weights import Adapter, layer_and_part, peft_name

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
    step: int = 0
    """Optimizer steps done."""
    tokens_seen: int = 0
    """Tokens trained on so far, prompts included."""
    elapsed_seconds: float = 0.0
    """Of training, this run's share where several train together; validation and saving apart."""
    best_step: int = 0
    """The step of the best validation loss; 0 before the first validation."""
    best_loss: float = math.inf
    without_better: int = 0
    """Validations since the best one."""

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(
            self.adapter.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )

    @property
    def done(self) -> bool:
        """All steps taken, or stopped early."""
        return self.step >= self.total_steps or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """No better validation loss for as long as `early_stopping` allows."""
        patience = self.settings.early_stopping
        return patience is not None and self.without_better >= patience

    def learning_rate(self) -> float:
        """Of the step to come."""
        return self.settings.learning_rate * rate_factor(self.step, self.total_steps, self.settings)

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
        self.step += 1
        return rate, norm

    def validated(self, loss: float) -> None:
        """Take note of a validation loss of the present step."""
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.without_better = loss, self.step, 0
        else:
            self.without_better += 1

    def save(self, folder: Path) -> None:
        """Write everything into a folder; the adapter in PEFT's form."""
        save_adapter(self.adapter, self.lora, self.base, folder)
        moments: dict[str, Tensor] = {}
        for number, weight in enumerate(self.adapter.parameters()):
            for key, value in self.optimizer.state.get(weight, {}).items():
                moments[f"{number}.{key}"] = value.detach().cpu().contiguous()
        moments["dropout_draws"] = self.adapter.dropout_draws.get_state()
        save_file(moments, folder / OPTIMIZER)
        state = {
            "step": self.step,
            "tokens_seen": self.tokens_seen,
            "elapsed_seconds": self.elapsed_seconds,
            "best_step": self.best_step,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "without_better": self.without_better,
        }
        (folder / STATE).write_text(json.dumps(state), encoding="utf-8")

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
        state: Mapping[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        self.step = state["step"]
        self.tokens_seen = state["tokens_seen"]
        self.elapsed_seconds = state["elapsed_seconds"]
        self.best_step = state["best_step"]
        self.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
        self.without_better = state["without_better"]


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
