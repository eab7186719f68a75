"""Prompt sets as the pages offer them, what was answered of each, and how far votes are from a clear ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from dashboard.chat.prompts import FOLDER, STARTER, STARTING, PromptSet, PromptShelf
from dashboard.views import data, kept
from results import Ratings
from results.records import Evaluation

PROGRAMS = ("humaneval", "humaneval+", "mbpp", "mbpp+", "latency", "heldout", "stopping", "prompts")
"""Measurements whose items are no prompts of one's own."""
MOST_SAID = 3
"""Pairs that are said to need votes."""
MOST_CAST = 300
"""Votes between two models beyond which nobody is asked for them: the two are said to be close, and how close."""


def shelf() -> PromptShelf:
    """The workspace's own sets."""
    return PromptShelf(kept.workspace().path / FOLDER)


def sets() -> dict[str, PromptSet]:
    """Every set by its name: one's own first, then the questions of tests that were measured, then the starter set."""
    own = shelf().sets()
    others = {**measured(), **answered(), STARTER: PromptSet(STARTER, STARTING)}
    return {**own, **{name: one for name, one in others.items() if name not in own}}


@kept.until_written(4)
def measured() -> dict[str, PromptSet]:
    """The questions of each question set that `bakeoff evaluate` measured here, from the answers in the store."""
    found: dict[str, PromptSet] = {}
    for name in data.measures():
        if name in PROGRAMS:
            continue
        for one in data.newest(name)[:1]:
            rows = data.outcomes(one)
            asked = [str(text) for text in rows["prompt"]] if "prompt" in rows else []
            prompts = tuple(dict.fromkeys(text for said in asked if (text := question(said))))
            if prompts:
                found[name] = PromptSet(name, prompts)
    return found


def question(asked: str) -> str:
    """What a person asks in a prompt as an evaluation keeps it: its last turn of a user, without the mark of whose."""
    return asked.rpartition("[user] ")[2].strip()


@kept.until_written(4)
def answered() -> dict[str, PromptSet]:
    """Sets that models answered here and that are not kept as sets any more, by their name."""
    found: dict[str, PromptSet] = {}
    for one in data.evaluations("prompts"):
        rows = data.outcomes(one)
        if not rows.empty:
            prompts = tuple(str(text) for text in rows.sort_values("item")["prompt"])
            name = str(one.settings.get("set"))
            if len(prompts) > len(found[name].prompts if name in found else ()):
                found[name] = PromptSet(name, prompts)
    return found


def answers_to(chosen: PromptSet) -> list[Evaluation]:
    """The evaluations of a set, the half-written too, the newest first."""
    every = [one for one in reversed(data.evaluations("prompts")) if one.settings.get("set") == chosen.name]
    same = [one for one in every if one.settings.get("prompts") == chosen.digest]
    return same or every


def prompt_table(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Prompts down, models across: the answers so far; one that was cut off says so."""
    columns = [
        (frame.set_index("item")["answer"] + _cut(frame)).rename(model)
        for model, frame in found.items() if not frame.empty
    ]  # fmt: skip
    prompts = pd.concat(
        [frame.set_index("item")["prompt"] for frame in found.values() if not frame.empty] or [pd.Series(dtype=str)]
    )
    table = pd.concat([prompts[~prompts.index.duplicated()].rename("Prompt"), *columns], axis=1)
    return pd.DataFrame(table.sort_index())


def _cut(frame: pd.DataFrame) -> pd.Series[str]:
    """ " [cut off]" behind each answer that reached its bound of tokens."""
    rows = frame.set_index("item")
    if "finish_reason" not in rows:
        return pd.Series("", index=rows.index)
    return rows["finish_reason"].map(lambda why: " … [cut off]" if why == "length" else "")


def how(row: Mapping[str, object]) -> str:
    """Length, speed and end of one kept answer."""
    said = []
    if row.get("tokens") is not None:
        said.append(f"{row['tokens']:.0f} tokens")
    for name, words in (("ttft_seconds", "first token {:.2f} s"), ("tokens_per_second", "{:.1f} tokens/s")):
        if isinstance(value := row.get(name), float) and value == value:
            said.append(words.format(value))
    if row.get("finish_reason") == "length":
        said.append("cut off at max tokens")
    return " · ".join(said)


def progress(ranking: Ratings, names: Mapping[str, str]) -> list[str]:
    """What would settle the places that are open, best first: votes between neighbours, a sentence each."""
    order = [one.model_id for one in ranking.ratings]
    pairs = {frozenset((one.model_a, one.model_b)): one for one in ranking.pairs}
    found = []
    for place, (first, second) in enumerate(pairwise(order), start=1):
        pair = pairs[frozenset((first, second))]
        if place <= (ranking.settled or 0) or not pair.low < 0.5 < pair.high:
            continue
        who = f"{names.get(first, first)} and {names.get(second, second)}"
        more = max(1, (pair.votes_needed or 0) - pair.votes)
        if pair.votes_needed is None:
            found.append(f"{who} are level so far: no number of votes can be said")
        elif more > MOST_CAST:
            forth = pair.model_a == first
            ends = (pair.low, pair.high) if forth else (1 - pair.high, 1 - pair.low)
            share = 100 * (pair.probability if forth else 1 - pair.probability)
            between = (
                f"{share:.0f} % of votes prefer the first, by these votes {100 * ends[0]:.0f} to {100 * ends[1]:.0f}"
            )
            found.append(f"{who} are too close for {MOST_CAST} votes to settle place {place}: {between} %")
        else:
            found.append(f"About {more:,} more vote{'' if more == 1 else 's'} between {who} would settle place {place}")
    return found[:MOST_SAID]


def least_voted(prompts: Sequence[str], voted: Mapping[str, int]) -> list[str]:
    """The prompts with the fewest votes so far, from which the next is drawn. voted: votes by prompt."""
    fewest = min(voted.get(one, 0) for one in prompts)
    return [one for one in prompts if voted.get(one, 0) == fewest]
