"""The fields of New run, each checked as it is typed and kept as a draft: a reload or another page empties none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import escaping
from dashboard.jobs import uploads
from dashboard.views import kept
from dashboard.views.new_run import experiment
from dashboard.views.new_run.experiment import Draft
from dashboard.widgets import drafts, page
from results.errors import BakeoffError

LARGEST_MEGABYTES = 200
"""A larger file is named by its path: it need not go through the browser."""
WHAT = (
    "CSV, TSV, JSON Lines, JSON or Parquet, at most 200 MB: rows of a prompt and an answer, of messages, ShareGPT or "
    "Alpaca. A larger file, a folder or a Hub data set is named in the field beside."
)


def dropped(place: Any, label: str, into: str, help: str) -> None:
    """Where a file is dropped: it is kept in the workspace, and chosen in the field whose key is `into`."""
    types = [suffix.lstrip(".") for suffix in experiment.READABLE]
    file = place.file_uploader(
        label, types, key=f"drop-{into}", help=help, max_upload_size=LARGEST_MEGABYTES
    )  # fmt: skip
    if file is None or st.session_state.get(f"kept-{into}") == file.file_id:
        return
    try:
        path = uploads.keep(kept.workspace(), file.name, file.getvalue())
    except (OSError, BakeoffError) as error:
        page.failed(error)
        return
    st.session_state[f"kept-{into}"] = file.file_id
    chosen = list(st.session_state.get(into, []))
    if uploads.called(path) not in chosen:
        drafts.put(into, [*chosen, uploads.called(path)])


def rows_and_base(known_bases: Sequence[str], runs: Mapping[str, int]) -> Draft:
    """Name, base and data: what a look needs."""
    left, right = st.columns(2)
    dropped(left, "Drop training rows", "new-data", WHAT)
    files = uploads.listed(kept.workspace())
    sources = drafts.field(
        right.multiselect, "Data", [], key="new-data", options=[*files, *experiment.SOURCES], accept_new_options=True,
        placeholder="A dropped file, a path, a Hub id or a built-in",
        help=f"A path is meant from {Path.cwd()}, where the dashboard was started.",
    )  # fmt: skip
    bases = drafts.field(
        right.multiselect, "Bases", [experiment.BASES[0]], key="new-base", accept_new_options=True,
        options=list(dict.fromkeys([*experiment.BASES, *known_bases])),
        help="Hub id, local folder or GGUF file; more than one are compared.",
    )  # fmt: skip
    title = drafts.field(
        left.text_input, "Name", "my-experiment", key="new-name", max_chars=120,
        help="Of the experiment, and so of its models",
    ).strip()  # fmt: skip
    more = right.popover("Split, rows and columns", icon=":material/tune:")
    split = drafts.field(
        more.text_input, "Split", "train", key="new-split",
        help="Of Hub data sets, and of folders with train and test files",
    )  # fmt: skip
    limit = drafts.field(
        more.number_input, "Max rows per source", key="new-limit", min_value=1, step=1, placeholder="all"
    )
    prompt = drafts.field(more.text_input, "Prompt template", "", key="new-prompt", placeholder="{question}")
    answer = drafts.field(
        more.text_input, "Answer template", "", key="new-answer", placeholder="{answer}",
        help="Over column names in braces; only for tables whose columns no format names.",
    )  # fmt: skip
    draft = Draft(
        name=title, bases=tuple(bases), sources=_paths(sources, files), columns=(prompt.strip(), answer.strip()),
        split=split.strip(), limit=int(limit) if limit else None,
    )  # fmt: skip
    wrong, told = experiment.problems(draft), experiment.remarks(draft, runs)
    _say(left, "name", wrong, told)
    for field in ("sources", "bases", "columns"):
        _say(right, field, wrong if sources or field != "sources" else {}, told)
    return draft


def training(draft: Draft) -> Draft:
    """How it is trained: steps, learning rate, ranks, seeds, formats."""
    first, second, third = st.columns(3)
    steps = drafts.field(first.number_input, "Steps", 100, key="new-steps", min_value=1, max_value=1_000_000)
    rate = drafts.field(
        second.selectbox, "Learning rate", "2e-4", key="new-rate", options=list(experiment.RATES),
        accept_new_options=True, help="Its peak. Pick one or type any.",
    )  # fmt: skip
    ranks = drafts.field(
        third.multiselect, "LoRA ranks", ["16"], key="new-ranks", options=list(experiment.RANKS),
        accept_new_options=True, help="One run per rank. Pick some or type any.",
    )  # fmt: skip
    seeds = drafts.field(
        first.number_input, "Seeds per rank", 1, key="new-seeds", min_value=1, max_value=10,
        help="With two or more you see how much of a difference is chance.",
    )  # fmt: skip
    forms = drafts.field(
        second.multiselect, "Formats to measure", ["lora-gguf"], key="new-formats", options=list(experiment.FORMS),
        help="Each is exported and scored: what you ship is what is measured.",
    )  # fmt: skip
    made = _changed(
        draft, steps=int(steps), rate=str(rate or "").strip(), ranks=tuple(rank.strip() for rank in ranks),
        seeds=int(seeds), forms=tuple(forms),
    )  # fmt: skip
    wrong, told = experiment.problems(made), experiment.remarks(made, {})
    for place, field in ((second, "rate"), (third, "ranks"), (second, "forms")):
        _say(place, field, wrong, told)
    return made


def measuring(draft: Draft, suited: Sequence[str], why: str) -> Draft:
    """What is measured: what suits the data unless one chooses; own questions. suited: keys of MEASURES."""
    left, right = st.columns(2)
    titles = {title: key for key, title in experiment.MEASURES.items()}
    if drafts.field(left.toggle, "Measure what suits the data", True, key="new-suited"):
        measures = list(suited)
        titled = ", ".join(experiment.MEASURES[one] for one in measures)
        left.markdown(f"**{titled}**. Chosen, since {why}." if why else f"**{titled}**")
    else:
        chosen = drafts.field(
            left.pills, "Measure", [experiment.MEASURES[one] for one in suited], key="new-measure",
            options=list(titles), selection_mode="multi",
        )  # fmt: skip
        measures = [titles[title] for title in chosen or []]
    with right.popover("Questions of your own", icon=":material/quiz:"):
        dropped(st, "Drop questions with right answers", "new-tests", "As `bakeoff evaluate mine.csv` reads them")
    files = uploads.listed(kept.workspace())
    tests = drafts.field(
        right.multiselect, "Own and published tests", [], key="new-tests", options=list(files), accept_new_options=True,
        placeholder="None", help="A dropped file, a path, or a published test by its name, e.g. boolq",
    )  # fmt: skip
    made = _changed(draft, measures=tuple(measures), tests=_paths(tests, files))
    _say(right, "tests", experiment.problems(made), {})
    return made


def _changed(draft: Draft, **changes: Any) -> Draft:
    return Draft(**{**vars(draft), **changes})


def _paths(chosen: Sequence[str], files: Mapping[str, Path]) -> tuple[str, ...]:
    return tuple(str(files.get(name, name)) for name in chosen)


def _say(place: Any, field: str, wrong: Mapping[str, str], told: Mapping[str, str]) -> None:
    if field in wrong:
        place.error(escaping.label(wrong[field], 400), icon=":material/error:")
    elif field in told:
        place.warning(escaping.label(told[field], 400), icon=":material/info:")
