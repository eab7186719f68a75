"""Model records of what a training leaves: the base, and each run's adapter with the best validation loss."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import adapter_sha256, folder_sha256, model_id
from results import Form, Model, digest
from trainer.bases.loading import Base
from trainer.bases.templates import PLAIN_TEMPLATE
from trainer.bases.tokenizer import Tokenizer
from trainer.runs.session import Session


@dataclass(frozen=True)
class Trained:
    """What a finished run left, to be registered as a model."""

    run_id: str
    name: str
    base: Base
    best: Path
    """Folder of the weights with the best validation loss."""
    details: dict[str, Any]
    """What the model's record says besides: best step, validation loss, steps, dtype, notes."""


def register_base(base: Base, session: Session) -> Model:
    """Register the untouched base under its own name. A GGUF base keeps the path of the GGUF."""
    path = Path(base.path)
    template = template_sha256(base.tokenizer)
    identity = digest({"weights": base.identity, "adapter": "", "template": template, "form": "base"})
    # A base that brings no template is spoken to in ours, and so are its exports.
    ours = {"chat_template": PLAIN_TEMPLATE} if base.tokenizer.chat_template == PLAIN_TEMPLATE else {}
    return session.store.models.add(
        Model(
            id=model_id(base.name, identity),
            name=_short_name(base.name),
            form="base",
            base=base.name,
            identity=identity,
            bytes=size_bytes(path),
            path=session.workspace.relative(path),
            weights_sha256=base.identity,
            template_sha256=template,
            details={
                "parameters": base.parameters,
                "context_length": base.context_length,
                **ours,
            },
        )
    )


def register_adapter(trained: Trained, session: Session) -> Model:
    """Copy a run's best adapter, with the tokenizer, to `models/<run id>` and register it."""
    base, folder = trained.base, _published(trained, session)
    adapter = adapter_sha256(folder)
    template = template_sha256(base.tokenizer)
    identity = digest({"weights": base.identity, "adapter": adapter, "template": template, "form": "adapter"})
    return session.store.models.add(
        Model(
            id=model_id(trained.name, identity),
            name=trained.name,
            form="adapter",
            base=base.name,
            identity=identity,
            bytes=size_bytes(Path(base.path)) + size_bytes(folder / "adapter_model.safetensors"),
            path=session.workspace.relative(folder),
            run_id=trained.run_id,
            base_path=session.workspace.relative(base.path),
            weights_sha256=base.identity,
            adapter_sha256=adapter,
            template_sha256=template,
            details=trained.details,
        )
    )


def register_whole(trained: Trained, session: Session) -> Model:
    """Copy the weights of a full fine-tuning to `models/<run id>` and register them as a merged model."""
    base, folder = trained.base, _published(trained, session)
    weights, template, form = folder_sha256(folder), template_sha256(base.tokenizer), "merged"
    identity = digest({"weights": weights, "adapter": "", "template": template, "form": form})
    whole: Form = "merged"
    return session.store.models.add(
        Model(
            id=model_id(trained.name, identity),
            name=trained.name,
            form=whole,
            base=base.name,
            identity=identity,
            bytes=size_bytes(folder),
            path=session.workspace.relative(folder),
            run_id=trained.run_id,
            weights_sha256=weights,
            template_sha256=template,
            details=trained.details,
        )
    )


def template_sha256(tokenizer: Tokenizer) -> str:
    """Compute the SHA-256 of the chat template's text."""
    return hashlib.sha256(str(tokenizer.chat_template or "").encode()).hexdigest()


def size_bytes(path: Path) -> int:
    """Count the bytes of a file, or of all files of a model folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _published(trained: Trained, session: Session) -> Path:
    """A copy of a checkpoint's model files with the tokenizer beside them; renamed into place when whole."""
    target = session.workspace.folder("models") / trained.run_id
    temporary = target.with_name(f".writing-{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(trained.best, temporary, ignore=shutil.ignore_patterns("COMPLETE", "state.json", "optimizer*"))
    trained.base.tokenizer.save_pretrained(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    return target


def _short_name(base: str) -> str:
    """A model's name from a base's: paths lose their folders, Hub ids their owner and GGUF files their ending."""
    return base.rstrip("/").rpartition("/")[2].removesuffix(".gguf")
