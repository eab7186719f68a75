"""Model records of what a training leaves: the base, and each run's adapter with the best validation loss."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import Files, record
from results import Model, Workspace
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
    # A base that brings no template is spoken to in ours, and so are its exports.
    ours = {"chat_template": PLAIN_TEMPLATE} if base.tokenizer.chat_template == PLAIN_TEMPLATE else {}
    files = Files("base", Path(base.path), base.name, base_sha256=base.identity)
    details = {"parameters": base.parameters, "context_length": base.context_length, **ours}
    return session.store.models.add(
        record(base.name, files, template_of(base.tokenizer), session.workspace, details=details)
    )


def register_adapter(trained: Trained, session: Session) -> Model:
    """Copy a run's best adapter, with the tokenizer, to `models/<run id>` and register it."""
    base = trained.base
    files = Files("adapter", _published(trained, session), base.name, Path(base.path), base.identity)
    return _registered(trained, files, session)


def register_whole(trained: Trained, session: Session) -> Model:
    """Copy the weights of a full fine-tuning to `models/<run id>` and register them as a merged model."""
    return _registered(trained, Files("merged", _published(trained, session), trained.base.name), session)


def _registered(trained: Trained, files: Files, session: Session) -> Model:
    template = template_of(trained.base.tokenizer)
    found = record(trained.name, files, template, session.workspace, trained.run_id, trained.details)
    return session.store.models.add(found)


def template_of(tokenizer: Tokenizer) -> str:
    """The chat template's text; "" without one."""
    return str(tokenizer.chat_template or "")


def _published(trained: Trained, session: Session) -> Path:
    """A copy of a checkpoint's model files with the tokenizer beside them; renamed into place when whole."""
    made = written(trained.best, trained.base.tokenizer, session.workspace, trained.run_id)
    return put_in_place(made, session.workspace.path / "models" / trained.run_id)


def written(best: Path, tokenizer: Tokenizer, workspace: Workspace, run_id: str) -> Path:
    """A hidden folder in `models/` with a checkpoint's model files and the tokenizer beside them."""
    made = workspace.folder("models") / f".writing-{run_id}"
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(best, made, ignore=shutil.ignore_patterns("COMPLETE", "state.json", "optimizer*"))
    tokenizer.save_pretrained(made)
    return made


def put_in_place(made: Path, target: Path) -> Path:
    """Rename a whole folder over whatever lies at its place; returns that place."""
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    return target
