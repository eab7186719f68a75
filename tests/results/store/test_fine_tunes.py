"""One name a fine-tune: its formats by it, renamed everywhere, found by earlier names, and never another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from results import Evaluation, Form, Model, NameTaken, NotFound, Run, Store, contenders, digest, format_name
from results.analysis.comparison import formats_compared
from results.migrations import VERSION_TABLE, migrate
from results.schema.database import Database
from results.store.merge import merge

FORMATS: tuple[tuple[Form, int], ...] = (("gguf-q8_0", 500), ("gguf-q4_0", 300), ("merged", 200))


def add(store: Store, name: str, form: Form, *, size: int = 100, weights: str = "", **more: Any) -> Model:
    identity = digest([name, form, weights])
    slug = f"{name.replace('@', '-')}-{identity[:8]}"
    return store.models.add(Model(slug, name, form, "base", identity, size, "x", **more))


def family(store: Store, name: str = "bot", run_id: str | None = None, weights: str = "") -> list[Model]:
    """An adapter and three formats of it."""
    made = [add(store, name, "adapter", size=900, weights=weights, run_id=run_id)]
    for form, size in FORMATS:
        full = format_name(name, form)
        made.append(add(store, full, form, size=size, fine_tune=name, weights=weights, run_id=run_id))
    return made


def names(store: Store) -> set[str]:
    return {model.name for model in store.models.list() if not model.archived}


def test_a_format_is_named_behind_the_fine_tune_and_the_smallest_gguf_ships(store: Store) -> None:
    root, *_ = family(store)
    assert root.fine_tune == "bot" and store.models.find("bot") == root
    for text in ("bot@q4_0", "bot@gguf-q4_0"):
        assert store.models.find(text).form == "gguf-q4_0"
    assert store.models.find("bot@adapter") == root
    assert [one.form for one in store.models.formats("bot")] == ["gguf-q4_0", "gguf-q8_0", "merged", "adapter"]
    assert [one.form for one in store.models.formats("bot@q8_0")] == ["gguf-q8_0"]
    for text in ("bot@f16", "bot@", "@q4_0", "@" * 5000, "nobody@q4_0"):
        with pytest.raises(NotFound):
            store.models.find(text)


def test_what_a_run_left_is_archived_for_as_long_as_the_run_is(store: Store, run: Run) -> None:
    store.runs.add(run)
    family(store, run_id=run.id)
    other = add(store, "other", "adapter")
    store.runs.edit(run.id, archived=True)
    assert names(store) == {"other"} and store.models.find("bot@q4_0").archived
    assert not any(one.archived for one in store.models.list(as_stored=True))
    assert contenders(store) == [store.models.get(other.id)]
    store.runs.edit(run.id, archived=False)
    assert names(store) == {"bot", "bot@q8_0", "bot@q4_0", "bot@merged", "other"}


def test_a_lora_over_an_exported_base_is_found_by_both_its_words(store: Store) -> None:
    add(store, "bot", "adapter")
    made = add(store, "bot@lora-q8_0", "lora-gguf", fine_tune="bot", details={"over_form": "gguf-q8_0"})
    assert store.models.find("bot@lora") == store.models.find("bot@lora-q8_0") == made


def test_renaming_renames_every_format_and_the_run_and_earlier_names_find_them(store: Store, run: object) -> None:
    run_id = store.runs.list()[0].run.id
    family(store, run_id=run_id)
    root = store.models.rename("bot@q4_0", "shop")
    assert (root.name, store.runs.get(run_id).name) == ("shop@q4_0", "shop")
    assert names(store) == {"shop", "shop@q8_0", "shop@q4_0", "shop@merged"}
    assert store.models.find("bot").name == "shop" and store.models.find("bot@q8_0").name == "shop@q8_0"
    store.runs.edit(run_id, name="till")
    assert store.models.find("bot@merged").name == store.models.find("shop@merged").name == "till@merged"
    store.models.rename("till", "bot")  # back again
    assert names(store) == {"bot", "bot@q8_0", "bot@q4_0", "bot@merged"} and store.models.find("till").name == "bot"


def test_a_name_that_is_taken_or_none_is_refused_and_nothing_is_renamed(store: Store) -> None:
    family(store)
    family(store, "other")
    for wrong in ("other", "", "  ", "bot@2"):
        with pytest.raises(NameTaken):
            store.models.rename("bot", wrong)
    assert {"bot", "bot@q4_0", "other", "other@q4_0"} <= names(store)


def test_what_people_renamed_keeps_their_name_when_it_is_registered_again(store: Store) -> None:
    root, *_ = family(store)
    store.models.rename("bot", "shop")
    again = store.models.add(root)  # as a resumed run does
    assert again.name == "shop" and "bot" not in names(store)
    other = add(store, "bot", "adapter", weights="others")  # trained anew under the old name: another fine-tune
    assert store.models.find("bot") == other and store.models.find("shop").id == root.id


def test_a_new_fine_tune_of_a_name_takes_none_of_the_older_ones_formats(store: Store) -> None:
    older = family(store)
    newer = add(store, "bot", "adapter", weights="others")
    assert store.models.formats("bot") == [newer]
    aside = {store.models.get(one.id).name for one in older}
    mark = older[0].identity[:8]
    assert aside == {f"bot@{mark}", f"bot@{mark}@q8_0", f"bot@{mark}@q4_0", f"bot@{mark}@merged"}
    assert all(store.models.get(one.id).archived for one in older)


def test_merged_stores_keep_two_fine_tunes_of_one_name_apart(store: Store, tmp_path: Path) -> None:
    family(store)
    with Store(f"sqlite:///{tmp_path}/other.db") as other:
        theirs = family(other, weights="others")
        report = merge(store, other)
    mark = theirs[0].identity[:8]
    assert len(store.models.formats("bot")) == 4
    assert {f"bot@{mark}", f"bot@{mark}@q4_0"} <= names(store) and len(report.differences) == 4
    assert store.models.get(theirs[2].id).fine_tune == f"bot@{mark}"


def test_a_comparison_takes_the_format_that_ships_if_both_were_measured_in_it(store: Store) -> None:
    family(store)
    family(store, "shop")

    def measure(name: str) -> None:
        model = store.models.find(name)
        store.evaluations.begin(Evaluation(f"e-{model.id}", model.id, "humaneval", {}, "m"))
        store.evaluations.finish(f"e-{model.id}", [])

    def forms() -> list[str]:
        return [one.form for one in formats_compared(store, "bot", "shop")]

    assert forms() == ["gguf-q4_0", "gguf-q4_0"]
    for name in ("bot", "shop"):
        measure(name)
    assert forms() == ["adapter", "adapter"]  # the only ones that were measured
    measure("bot@q4_0")
    assert forms() == ["adapter", "adapter"]  # alike rather than one of each
    measure("shop@q4_0")
    assert forms() == ["gguf-q4_0", "gguf-q4_0"]
    assert [one.name for one in formats_compared(store, "bot", "bot@merged")][1] == "bot@merged"


def test_exports_of_before_are_renamed_once_and_found_by_their_old_names(blank_url: str) -> None:
    database = Database(blank_url)
    migrate(database, target="0001")
    old = [
        ("a-1", "bot", "adapter", "{}"), ("a-2", "bot-q4_0", "gguf-q4_0", '{"exported_from":"bot"}'),
        ("a-3", "bot-q4_0-lora", "lora-gguf", '{"exported_from":"bot-q4_0"}'), ("a-4", "mine", "gguf-q8_0", "{}"),
        ("a-5", "odd", "merged", '{"exported_from":"bot"}'), ("a-6", "lost", "merged", '{"exported_from":"nobody"}'),
    ]  # fmt: skip
    with database.write() as connection:
        columns = [column["name"] for column in sa.inspect(connection).get_columns("models")]
        table = sa.table("models", *(sa.column(name) for name in columns))
        for model_id, name, form, details in old:
            row = dict.fromkeys(columns, "") | {"id": model_id, "name": name, "form": form, "details": details}
            connection.execute(
                sa.insert(table), row | {"bytes": 1, "archived": False, "run_id": None, "created_at": None}
            )
        assert sa.inspect(connection).has_table(VERSION_TABLE)
    database.close()
    for _ in range(2):
        with Store(blank_url) as store:
            there = {model.id: (model.name, model.fine_tune) for model in store.models.list()}
            assert there == {
                "a-1": ("bot", "bot"), "a-2": ("bot@q4_0", "bot"), "a-3": ("bot@q4_0-lora", "bot"),
                "a-4": ("mine", "mine"), "a-5": ("odd", "bot"), "a-6": ("lost", "lost"),
            }  # fmt: skip
            assert store.models.find("bot-q4_0").id == "a-2"


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=12))
def test_however_often_fine_tunes_are_renamed_every_name_that_one_has_finds_it(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, str]]
) -> None:
    with Store(f"sqlite:///{tmp_path_factory.mktemp('names')}/results.db") as store:
        ids = {add(store, name, "adapter").id: name for name in "ab"}
        for model_id in ids:
            root = store.models.get(model_id)
            add(store, f"{root.name}@q4_0", "gguf-q4_0", fine_tune=root.name)
        for old, new in moves:
            try:
                store.models.rename(old, new)
            except (NameTaken, NotFound):
                continue
        for model in store.models.list():
            assert store.models.find(model.name) == model
            assert model.name in (model.fine_tune, f"{model.fine_tune}@q4_0")
        assert len({model.fine_tune for model in store.models.list()}) == 2
