"""Publishing a model on the Hugging Face Hub: its files and a card filled from the store, in one commit.

The token comes from HF_TOKEN or `hf auth login`, never from an experiment file.

Try: bakeoff push demo-rank8 your-name/demo-rank8 --dry-run
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from results import Model, Store, Workspace
from trainer.errors import PublishRefused
from trainer.hub.card import model_card, public_name

LEFT_OUT = (".bin", ".pt", ".pth", ".pkl", ".pickle")
"""Pickles are never published: they run code where they are loaded."""


@dataclass(frozen=True)
class Upload:
    """A model's files and its card, ready to be pushed to a repository."""

    repository: str
    files: Mapping[str, Path | bytes]
    """Name in the repository → the file, or the content of what is made for the Hub (README.md)."""
    kind: Literal["model", "space"] = "model"
    """A space is a page."""
    earlier: str = ""
    """How names look that an earlier page's files had, a pattern: those that this has not go. Empty: none goes."""
    sdk: Literal["static", "docker"] = "static"
    """What a space runs: nothing, or the image that its Dockerfile builds."""

    @property
    def card(self) -> str:
        """The text of README.md."""
        card = self.files["README.md"]
        return card.decode("utf-8") if isinstance(card, bytes) else card.read_text(encoding="utf-8")

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes, by its name."""
        return {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in self.files.items()
        }


def upload_of(model: Model, repository: str, store: Store, workspace: Workspace) -> Upload:
    """The card and files of a model, nothing sent yet.

    Raises: PublishRefused when the model has no files here.
    """
    if model.form in ("base", "remote"):
        raise PublishRefused(f"{model.name} is a {model.form} model: there is nothing of yours to publish")
    path = workspace.resolve(model.path)
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and file.suffix not in LEFT_OUT]
        files = [file for file in files if file.name != "README.md" and not file.name.startswith(".")]
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise PublishRefused(f"The files of {model.name} are not at {path}: was the workspace moved?")
    sent: dict[str, Path | bytes] = {file.name: file for file in files}
    if "adapter_config.json" in sent:
        sent["adapter_config.json"] = _public_config(files, model)
    return Upload(repository, {"README.md": model_card(model, store, repository).encode("utf-8"), **sent})


def _public_config(files: Sequence[Path], model: Model) -> bytes:
    """The adapter's configuration with the base's public name: a path of this machine would load nowhere else."""
    path = next(file for file in files if file.name == "adapter_config.json")
    config = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps({**config, "base_model_name_or_path": public_name(model.base)}, indent=2).encode("utf-8")


def push(upload: Upload, private: bool = True) -> str:
    """Create the repository or Space where it is missing, send its files in one commit; the commit's URL.

    Sent again, unchanged files are not sent twice. Raises: PublishRefused with the remedy.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    operations: list[Any] = [
        CommitOperationAdd(name, file if isinstance(file, bytes) else str(file)) for name, file in upload.files.items()
    ]
    api = HfApi()
    try:
        sdk = upload.sdk if upload.kind == "space" else None
        api.create_repo(upload.repository, private=private, exist_ok=True, repo_type=upload.kind, space_sdk=sdk)
        if upload.earlier:
            there = api.list_repo_files(upload.repository, repo_type=upload.kind)
            left = [name for name in there if name not in upload.files and re.fullmatch(upload.earlier, name)]
            operations += [CommitOperationDelete(name) for name in left]
        commit: Any = api.create_commit(
            upload.repository,
            operations,
            repo_type=upload.kind,
            commit_message=f"{Path(upload.repository).name}, by Bakeoff",
        )
    except Exception as error:
        raise PublishRefused(_remedy(upload.repository, error)) from error
    return str(commit.commit_url)


def _remedy(repository: str, error: Exception) -> str:
    """Say what to do, by what the Hub answered."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    said = " ".join(str(error).split())[:200]
    if kind == "HFValidationError":
        return f"{repository!r} is no repository name: it should be user/name, of letters, digits, dots and dashes"
    if kind == "LocalTokenNotFoundError" or status == 401:
        return f"The Hub does not know who pushes to {repository}: set HF_TOKEN to a token that may write"
    if status in (403, 404):
        return f"The token may not write to {repository}: put your own name before the slash, and let the token write"
    if kind in ("OfflineModeIsEnabled", "ConnectError", "ConnectionError", "ConnectTimeout"):
        return "The Hub cannot be reached: go online, and unset HF_HUB_OFFLINE where it is set"
    return f"The Hub refused {repository} ({kind}: {said})"
