"""Adding: what is registered is what PEFT answers, once, and what is not right is refused by the remedy's name."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from engines import Wishes, add, find, read_header
from engines.adding.adding import Added
from results import Store, Workspace
from tests.engines.adding.zoo import Zoo, served_logits
from tests.results import foreign
from trainer import miniature


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Zoo:
    root = tmp_path_factory.mktemp("zoo")
    return Zoo(miniature("llama", root / "base"), root)


def added(source: Path, workspace: Workspace, store: Store, **wishes: object) -> list[Added]:
    return add(find(str(source)), Wishes(**wishes), workspace, store)  # type: ignore[arg-type]


def states(one: Added) -> dict[str, str]:
    return {check.name: check.state for check in one.checks}


@pytest.mark.slow
def test_an_adapter_is_added_where_it_lies_and_answers_as_peft_does(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    animal = zoo.adapter("bot")
    (one,) = added(animal.folder, workspace, store)
    assert one.model is not None and not one.known
    assert (one.model.name, one.model.form, one.model.path) == ("bot", "adapter", str(animal.folder))
    assert torch.allclose(served_logits(one.model, workspace), animal.logits, atol=1e-4)
    assert [model.form for model in store.models.list()] == ["base", "adapter"]
    report = store.reports.get(one.model.id, "added")
    assert report is not None and [line["name"] for line in report.payload["checks"]][:2] == ["layout", "base"]


@pytest.mark.slow
def test_adding_again_changes_nothing_and_says_so(zoo: Zoo, workspace: Workspace, store: Store) -> None:
    plain, whole = zoo.adapter("again"), zoo.adapter("again-head", modules_to_save=["lm_head"])
    before = [added(one.folder, workspace, store)[0].model for one in (plain, whole)]
    again = [added(one.folder, workspace, store)[0] for one in (plain, whole)]
    assert [one.known for one in again] == [True, True]
    assert [one.model for one in again] == before


def test_a_dry_run_checks_everything_and_registers_nothing(zoo: Zoo, workspace: Workspace, store: Store) -> None:
    (one,) = added(zoo.adapter("dry").folder, workspace, store, dry_run=True)
    assert one.model is None and not one.refused and states(one)["active"] == "ok"
    assert store.models.list() == []


@pytest.mark.slow
def test_a_changed_file_is_another_model_and_the_older_keeps_its_name_with_its_identity(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    animal = zoo.adapter("grown")
    (first,) = added(animal.folder, workspace, store)
    zoo.adapter("grown", lora_alpha=8)
    (second,) = added(animal.folder, workspace, store)
    assert first.model and second.model and first.model.identity != second.model.identity
    older = store.models.get(first.model.id)
    assert older.archived and older.name.startswith("grown@")
    assert any(check.name == "name" and "archived" in check.detail for check in second.checks)


@pytest.mark.slow
def test_a_name_of_another_model_is_asked_for_and_never_taken_in_silence(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    mine, theirs = zoo.adapter("mine/bot", r=2).folder, zoo.adapter("theirs/bot", r=8).folder
    (first,) = added(mine, workspace, store)
    for dry_run in (True, False):
        (second,) = added(theirs, workspace, store, dry_run=dry_run)
        assert second.model is None and states(second)["name"] == "failed"
        (line,) = [check for check in second.checks if check.name == "name"]
        assert str(mine) in line.detail and "--name NAME" in line.remedy and "--replace" in line.remedy
        assert "active" not in states(second), "it is told before weights are read"
    assert first.model and store.models.find("bot").id == first.model.id
    (other,) = added(theirs, workspace, store, name="their-bot")
    (third,) = added(mine.parent.parent / "theirs" / "bot", workspace, store, name="bot", replace=True)
    assert other.model and third.known, "the same files under another name are the model that they were"
    theirs_again = zoo.adapter("theirs/bot", r=16).folder
    (fourth,) = added(theirs_again, workspace, store, name="bot", replace=True)
    older = store.models.get(first.model.id)
    assert fourth.model and fourth.model.name == "bot" and older.archived
    assert any(older.name in check.detail for check in fourth.checks)


@pytest.mark.slow
def test_files_that_have_moved_are_the_model_that_they_were_under_the_name_that_it_has(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    animal = zoo.adapter("moving")
    (first,) = added(animal.folder, workspace, store)
    assert first.model
    store.models.rename("moving", "house")
    place = animal.folder.rename(animal.folder.with_name("moved"))
    (again,) = added(place, workspace, store)
    copied, *_ = added(place, workspace, store, copy=True)
    assert again.model and copied.model and {again.model.id, copied.model.id} == {first.model.id}
    assert (again.model.path, store.models.find("moving").name) == (str(place), "house")
    assert [one.name for one in store.models.list() if one.form == "adapter"] == ["house"]


@pytest.mark.slow
def test_files_of_a_model_that_is_known_from_imported_results_are_that_model(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    animal = zoo.adapter("elsewhere")
    (first,) = added(animal.folder, workspace, store)
    assert first.model
    nothing = {"path": "", "base_path": "", "weights_sha256": "", "adapter_sha256": ""}
    store.models.add(dataclasses.replace(first.model, **nothing, details={"imported_by": "Bakeoff"}))
    (again,) = added(animal.folder, workspace, store)
    assert again.model and not again.known and again.model.id == first.model.id
    assert (again.model.path, again.model.weights_sha256) == (first.model.path, first.model.weights_sha256)
    assert "imported_by" not in store.models.get(first.model.id).details


@pytest.mark.slow
def test_files_that_were_archived_come_back_under_their_name(zoo: Zoo, workspace: Workspace, store: Store) -> None:
    one, two = zoo.adapter("back/bot", r=2).folder, zoo.adapter("forth/bot", r=8).folder
    added(one, workspace, store)
    added(two, workspace, store, replace=True)
    (again,) = added(one, workspace, store, replace=True)
    assert again.model and not again.known and not again.model.archived
    assert sorted(model.name for model in store.models.list() if not model.archived) == ["base", "bot"]
    assert len(store.models.list()) == 3


@pytest.mark.slow
def test_files_that_are_known_are_copied_where_that_is_asked_for(zoo: Zoo, workspace: Workspace, store: Store) -> None:
    folder = zoo.adapter("later-copied").folder
    (first,) = added(folder, workspace, store)
    (second,) = added(folder, workspace, store, copy=True)
    (third,) = added(folder, workspace, store, copy=True)
    assert first.model and second.model and second.model.id == first.model.id and third.known
    assert workspace.resolve(second.model.path).is_relative_to(workspace.path)
    assert len(store.models.list()) == 2


def test_wishes_that_are_wrong_or_of_no_use_are_told_in_one_line_of_their_own(
    zoo: Zoo, tiny: Path, workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    folder = zoo.adapter("wishful").folder
    for line, wishes in (
        ("base", {"base": "./nowhere"}),
        ("base", {"base": "nowhere"}),
        ("template", {"template": tmp_path / "none.jinja"}),
    ):
        (one,) = added(folder, workspace, store, **wishes)
        (failed,) = [check for check in one.checks if check.state == "failed"]
        assert failed.name == line and failed.detail and failed.remedy and failed.remedy not in failed.detail
    (gguf,) = added(tiny, workspace, store, base_quantization="nf4")
    (far,) = add(find("http://127.0.0.1:9/v1#m"), Wishes(copy=True, template=tmp_path / "x"), workspace, store)
    assert gguf.model and far.model
    assert [check.detail for one in (gguf, far) for check in one.checks if check.name == "options"] == [
        "What is no adapter of PEFT has no use for --base-quantization.",
        "A model behind an endpoint has no use for --template.",
        "A model behind an endpoint has no use for --copy.",
    ]


def test_copied_files_are_the_workspaces_own_and_no_pickle_comes_along(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    animal = zoo.adapter("copied")
    (animal.folder / "training_args.bin").write_bytes(b"PK\x03\x04")
    (one,) = added(animal.folder, workspace, store, copy=True)
    assert one.model is not None
    copied = workspace.resolve(one.model.path)
    assert copied.is_relative_to(workspace.path) and not (copied / "training_args.bin").exists()
    assert torch.allclose(served_logits(one.model, workspace), animal.logits, atol=1e-4)


def test_several_adapters_of_one_base_are_told_apart_and_one_refused_keeps_none_out(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    good = [zoo.adapter(f"family/{name}/lora_model", r=rank) for name, rank in (("a", 2), ("b", 8))]
    zoo.adapter("family/untrained", trained=False)
    found = added(zoo.root / "family", workspace, store)
    assert [(one.name, one.refused) for one in found] == [
        ("a-lora_model", False), ("b-lora_model", False), ("untrained", True),
    ]  # fmt: skip
    for one, animal in zip(found, good, strict=False):
        assert one.model is not None
        assert torch.allclose(served_logits(one.model, workspace), animal.logits, atol=1e-4)


def test_a_given_template_is_used_before_all_others_and_kept_with_the_record(
    zoo: Zoo, workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}<|eot_id|>{% endfor %}")
    (one,) = added(zoo.adapter("spoken").folder, workspace, store, template=file)
    assert one.model is not None and one.model.details["chat_template"] == file.read_text()
    (line,) = [check for check in one.checks if check.name == "template"]
    assert line.state == "note" and str(file) in line.detail and "differ" in line.detail


def test_a_template_whose_answers_never_end_is_refused(
    zoo: Zoo, workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "endless.jinja"
    file.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    (one,) = added(zoo.adapter("endless").folder, workspace, store, template=file)
    assert one.refused and states(one)["end-of-turn"] == "failed" and one.checks[-1].remedy.endswith("--template FILE")


def test_an_endpoint_is_added_without_being_asked(workspace: Workspace, store: Store) -> None:
    (one,) = add(find("http://127.0.0.1:9/v1#qwen3:8b"), Wishes(name="far"), workspace, store)
    assert one.model is not None
    assert (one.model.name, one.model.form, one.model.details["model"]) == ("far", "remote", "qwen3:8b")


def test_a_gguf_is_added_where_it_lies_under_the_form_of_its_weights(
    tiny: Path, workspace: Workspace, store: Store
) -> None:
    (one,) = added(tiny, workspace, store)
    assert one.model is not None and not one.refused
    assert (one.model.name, one.model.form, one.model.path) == ("tiny", "gguf-f16", str(tiny))
    assert states(one)["end-of-turn"] == "ok"
    weights = sum(math.prod(tensor.shape) for tensor in read_header(tiny).tensors)
    assert one.model.details["parameters"] == weights and f"{weights:,} weights" in one.checks[0].detail
    assert added(tiny, workspace, store)[0].known


def test_a_split_gguf_becomes_one_file_of_the_same_tensors(
    tiny: Path, workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    split(tiny, tmp_path / "parts", 2)
    (one,) = added(tmp_path / "parts", workspace, store)
    assert one.model is not None
    assert tensors(workspace.resolve(one.model.path)) == tensors(tiny)
    assert added(tmp_path / "parts", workspace, store)[0].known
    next((tmp_path / "parts").glob("*00002-of*")).unlink()
    (one,) = added(tmp_path / "parts", workspace, store)
    assert one.refused and "00002-of-00002.gguf is not beside" in one.checks[-1].detail


def test_another_template_for_a_gguf_is_written_into_a_copy(
    tiny: Path, workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}<|im_end|>{% endfor %}")
    (one,) = added(tiny, workspace, store, template=file, name="mine")
    assert one.model is not None
    made = workspace.resolve(one.model.path)
    assert made != tiny and tensors(made) == tensors(tiny)
    assert read_header(made).metadata["tokenizer.chat_template"] == file.read_text()


def test_a_lora_gguf_needs_its_base_and_fits_it_or_is_refused(
    tiny: Path, adapters: list[Path], workspace: Workspace, store: Store
) -> None:
    (one,) = added(adapters[0], workspace, store)
    assert one.refused and "--base NAME" in one.checks[-1].remedy
    (one,) = added(adapters[0], workspace, store, base=str(tiny))
    assert one.model is not None and one.model.form == "lora-gguf" and states(one)["active"] == "ok"
    assert one.model.base_path == str(tiny)


def split(file: Path, folder: Path, count: int) -> None:
    """A GGUF in parts, as llama.cpp's gguf-split writes them: all metadata in the first."""
    import gguf

    folder.mkdir()
    reader = gguf.GGUFReader(file)
    share = -(-len(reader.tensors) // count)
    for number in range(count):
        name = folder / f"whole-{number + 1:05}-of-{count:05}.gguf"
        writer = gguf.GGUFWriter(name, read_header(file).architecture)
        for field in reader.fields.values():
            if number == 0 and not field.name.startswith(("GGUF.", "general.architecture")):
                inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        for tensor in reader.tensors[number * share : (number + 1) * share]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def tensors(file: Path) -> dict[str, bytes]:
    import gguf

    return {tensor.name: tensor.data.tobytes() for tensor in gguf.GGUFReader(file).tensors}


def test_its_training_becomes_the_run_behind_it_with_its_curve_and_settings(
    zoo: Zoo, workspace: Workspace, store: Store
) -> None:
    told, silent = zoo.adapter("told", r=2), zoo.adapter("untold", r=8)
    (told.folder / "trainer_state.json").write_text(json.dumps(foreign.trainer_state()))
    models = [added(one.folder, workspace, store, name=name)[0].model for one, name in ((told, "a"), (silent, "b"))]
    runs = {one.run.name: one.run for one in store.runs.list()}
    assert [one and one.run_id for one in models] == [runs["a"].id, runs["b"].id]
    assert [runs[name].config["lora.rank"] for name in "ab"] == [2, 8]
    assert {one.origin for one in runs.values()} == {"imported"}
    assert len(store.curves.read(runs["a"].id, "loss")[0]) == 6 and store.curves.metrics(runs["b"].id) == []
    report = store.reports.get(str(models[0] and models[0].id), "added")
    assert report is not None
    (line,) = [line["detail"] for line in report.payload["checks"] if line["name"] == "history"]
    assert "points of its curves and" in line and "told/trainer_state.json (Hugging Face Trainer)" in line


def test_what_is_refused_or_only_looked_at_leaves_no_run(zoo: Zoo, workspace: Workspace, store: Store) -> None:
    idle, dry = zoo.adapter("idle", trained=False), zoo.adapter("only-looked-at")
    (refused,) = added(idle.folder, workspace, store)
    (looked,) = added(dry.folder, workspace, store, dry_run=True)
    assert refused.refused and states(looked)["history"] == "ok"
    assert store.runs.list() == []
