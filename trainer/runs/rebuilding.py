"""Models whose files are gone, built again from their runs' checkpoints; what comes out otherwise is thrown away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from engines import adapter_sha256, folder_sha256
from results import Form, Model, Run, Store, Workspace
from trainer.bases.loading import base_tokenizer
from trainer.errors import BaseUnavailable
from trainer.runs import checkpoints
from trainer.runs.registration import put_in_place, written

LEFT_BY_TRAINING: tuple[Form, ...] = ("adapter", "merged")


def rebuild(runs: Sequence[Run], store: Store, workspace: Workspace) -> list[str]:
    """Rebuild what finished runs left in `models/` where files of it are missing; a sentence about each such model.

    What is there but changed is left as it is: opening it says so. Raises: OSError where nothing can be written.
    """
    finished = {run.id for run in runs if run.status == "finished"}
    said = []
    for model in store.models.list():
        own = model.run_id in finished and model.form in LEFT_BY_TRAINING and "source" not in model.details
        if own and not model.archived and not _whole(workspace.resolve(model.path)):
            said.append(f"{model.name}: {_rebuilt(model, workspace)}")
    return said


def _whole(folder: Path) -> bool:
    return (folder / "adapter_model.safetensors").is_file() or any(folder.glob("model*.safetensors"))


def _rebuilt(model: Model, workspace: Workspace) -> str:
    folder = workspace.path / "runs" / str(model.run_id)
    gone = "its files are gone"
    step = model.details.get("best_step")
    best = next((one for one in checkpoints.complete(folder / "best")[0] if checkpoints.step_of(one) == step), None)
    if best is None:
        return f"{gone}, and no whole checkpoint of step {step} is in {folder / 'best'}: put them back"
    try:
        made = written(best, base_tokenizer(model.base), workspace, str(model.run_id))
    except BaseUnavailable as error:
        return f"{gone} and cannot be rebuilt: {error}"
    if model.form == "adapter":
        same = adapter_sha256(made) == model.adapter_sha256
    else:
        same = folder_sha256(made) == model.weights_sha256
    if not same:
        shutil.rmtree(made)
        return f"{gone}, and {best} does not make what was measured: put them back, or archive the model"
    put_in_place(made, workspace.resolve(model.path))
    return f"{gone}; rebuilt from {best.relative_to(workspace.path)}, the same by SHA-256"
