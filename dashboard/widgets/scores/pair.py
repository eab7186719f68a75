"""Two models on one test, item by item: what is gained and lost, whether that is chance, each item's two answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import escaping
from dashboard.views import data
from dashboard.views.scoring import contests, scores
from dashboard.widgets import addressed, answers
from dashboard.widgets.selection import opened
from results import Contest
from results.records import Model

Outcomes = Mapping[str, Mapping[str, Mapping[str, Any]]]


def choose(found: Contest, chosen: Sequence[Model]) -> tuple[Model, Model] | None:
    """The two, the best against the second best unless told; None until they differ."""
    left, right = st.columns(2)
    names = {model.id: model.name for model in chosen}
    second = dict([*list(names.items())[1:], *list(names.items())[:1]])
    by_name = {name: id_ for id_, name in names.items()}

    def now(word: str) -> str:
        return by_name.get(data.present_name(word), word)

    a = addressed.one(left, "Model", names, "a", meant=now)
    b = addressed.one(right, "Against", second, "b", meant=now)
    if a == b:
        st.caption("Choose two different models.")
        return None
    return next(one for one in found.models if one.id == a), next(one for one in found.models if one.id == b)


def outcomes_of(found: Contest, both: Sequence[Model]) -> Outcomes:
    """Model id → item → the columns of its first answer."""
    return {one.id: scores.first_answers(data.outcomes(found.found[one.id].evaluation)) for one in both}


def show(found: Contest, both: tuple[Model, Model]) -> None:
    """The test of the two, the items as chosen, and the one that is open."""
    model, other = both
    compared = contests.comparison(model.id, other.id, found.benchmark)
    st.markdown(escaping.label(compared if isinstance(compared, str) else compared.verdict, 2000))
    outcomes = outcomes_of(found, both)
    rows = scores.pair_rows(found, model, other, outcomes)
    by_tag(found, both)
    some = _filtered(rows)
    st.caption(
        f"Gained: {escaping.label(model.name)} is right where {escaping.label(other.name)} is not; lost: the other way "
        f"round. A list by outcome is chosen by what came out, so the test above stays that of all {len(rows)} items."
    )
    item = _listed(some, both)
    st.download_button(
        "Preference pairs (DPO)",
        lambda: scores.preferences(some, model, other, outcomes).encode("utf-8", "replace"),
        file_name="preferences.jsonl", mime="application/jsonl", icon=":material/download:", on_click="ignore",
        help="JSON Lines with prompt (as Model was given it), chosen and rejected, of the listed items that just one "
        "of the two passed",
    )  # fmt: skip
    if item:
        _opened(item, some, both, outcomes)


def by_tag(found: Contest, both: tuple[Model, Model]) -> None:
    """The difference on each tag, adjusted over all of them; nothing without tags."""
    tagged = contests.tags(both[0].id, both[1].id, found.benchmark)
    if not tagged:
        return
    with st.expander(
        f"By tag ({len(tagged)}, p-values adjusted over all of them)", icon=":material/sell:", **opened("tags")
    ):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Tag": escaping.plain(one.tag), "Items": one.contrast.items, both[0].name: one.contrast.value_a,
                        both[1].name: one.contrast.value_b, "Difference": one.contrast.difference,
                        "Low": one.contrast.low, "High": one.contrast.high, "Adjusted p": one.p_adjusted,
                    }
                    for one in tagged
                ]
            ).round(3),
            hide_index=True, alt="Difference by tag",
        )  # fmt: skip


def _filtered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the reader wants to see; the choice is in the address."""
    found = scores.counts(rows)
    if "show" not in st.session_state:
        kept = addressed.kept("show")
        st.session_state["show"] = kept if kept in scores.SHOWS else ""
    what = st.segmented_control(
        "Items", list(scores.SHOWS), format_func=lambda name: f"{scores.SHOWS[name]} ({found[name]})", key="show",
        required=True,
    )  # fmt: skip
    addressed.keep("show", what or "")
    return scores.shown(rows, what or "")


def _listed(rows: pd.DataFrame, both: Sequence[Model]) -> str:
    """The items as a table, a click opens one; the id of the open one, empty for none."""
    items = [str(item) for item in rows["item"]]

    def picked() -> None:
        chosen = st.session_state["items"]["selection"]["rows"]
        addressed.keep("item", items[chosen[0]] if chosen and chosen[0] < len(items) else "")

    table = rows[["item", "mine", "theirs", "what"]].assign(
        item=[escaping.plain(item) for item in items], what=rows["what"].str.replace("_", " ")
    )
    table.columns = pd.Index(["Item", *(escaping.plain(one.name) for one in both), "Result"])
    st.dataframe(
        table, hide_index=True, height=min(300, 38 + 35 * max(1, len(table))), key="items", on_select=picked,
        selection_mode="single-row", alt="Items",
    )  # fmt: skip
    return addressed.kept("item")


def _opened(item: str, rows: pd.DataFrame, both: Sequence[Model], outcomes: Outcomes) -> None:
    """One item: the question, both answers with their verdicts, and where they differ; J and K go on and back."""
    items = [str(one) for one in rows["item"]]
    place = items.index(item) if item in items else -1
    with st.container(horizontal=True, vertical_alignment="center"):
        where = f", {place + 1} of {len(items)} listed" if place >= 0 else ", not among the listed"
        st.subheader(escaping.label(f"Item {item}{where}"))
        for words, key, step in (("Previous", "K", -1), ("Next", "J", 1)):
            to = place + step
            st.button(
                words, shortcut=key, disabled=not 0 <= to < len(items),
                on_click=addressed.keep, args=("item", items[to] if 0 <= to < len(items) else ""),
            )  # fmt: skip
    found = {one.name: dict(outcomes[one.id].get(item, {})) for one in both}
    prompt = next((str(row["prompt"]) for row in found.values() if row.get("prompt")), "")
    if prompt:
        st.code(prompt, language=None, wrap_lines=True)
    for name in ("wanted", "checks"):
        said = next((row[name] for row in found.values() if isinstance(row.get(name), list | tuple)), None)
        if said:
            st.caption(f"{name.capitalize()}: {escaping.label('; '.join(map(str, said)), 600)}")
    for column, (name, row) in zip(st.columns(2), found.items(), strict=True):
        with column:
            answers.answer(name, row)
    texts = [str(row.get("answer") or "") for row in found.values()]
    if all(texts):
        st.caption("Word by word: struck out is in the first answer alone, underlined in the second alone.")
        answers.difference(*texts)
