"""Figures that are reused are said to be of other files where a model's files have changed since."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from engines import base_sha256, model_id
from evaluator import of_other_files
from results import Evaluation, Model, Score, Workspace, this_machine


def test_a_model_that_was_trained_anew_in_its_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text(name)
    place, sha = Workspace(tmp_path / "workspace"), base_sha256(folder)
    with place.store() as store:
        store.machines.add(this_machine())
        model = Model(model_id("mine", sha), "mine", "merged", "base", sha, 1, path=str(folder), weights_sha256=sha)
        model = store.models.add(model)
        wanted = Evaluation("e" * 24, model.id, "heldout", {}, this_machine().id)
        store.evaluations.begin(wanted)
        store.evaluations.finish(wanted.id, [Score("bits_per_byte", 1.0, None, None, 3)])
        found = store.evaluations.list()
        assert of_other_files(found, store, place) == []
        (folder / "model.safetensors").write_text("other weights")
        long_ago = [dataclasses.replace(one, started_at=datetime(2000, 1, 1, tzinfo=UTC)) for one in found]
        (line,) = of_other_files(long_ago, store, place)
        assert line.startswith("mine: these figures are of the files that it had then.") and "bakeoff add" in line
        imported = [dataclasses.replace(one, origin="imported") for one in long_ago]
        assert of_other_files(imported, store, place) == []
