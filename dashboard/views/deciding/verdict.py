"""A decision as its card says it: the verdict in a word, why in three short facts, how sure, what next. Pure.

Every sentence is made of the decision's fields, and each number is one that the table below the card has too.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from dashboard.jobs import commands
from dashboard.views.board import NAMES
from dashboard.views.durations import about
from dashboard.views.scoreboard import BADGES
from results import SIZES, Candidate, Decision, Evaluation, Limit, seconds_to_measure, standing

TITLES = {
    "ship": "Ship", "tie": "Tie: ship", "only one": "The only choice:", "not enough data": "Not enough data",
    "nobody": "Nobody qualifies",
}  # fmt: skip
NAMED = 3
"""So many models are named in a fact; of more the number is said."""
WORDS = {
    "ttft_seconds_p90": ("first token", "s", 1.0),
    "tokens_per_second_p50": ("speed", "tokens/s", 1.0),
    "peak_rss_bytes": ("memory", "GB", 1e9),
    "bytes": ("files", "GB", 1e9),
}
"""What limits are called on the page: word, unit, and how many of the metric's own units that is."""


@dataclass(frozen=True)
class Next:
    """One thing to do, as a button."""

    label: str
    command: tuple[str, ...] = ()
    """The measurement that it starts; empty where the question is asked otherwise."""
    margin: float | None = None
    """The margin to ask again with, in points or per cent."""
    by: str = ""
    """The measure to ask again by."""


@dataclass(frozen=True)
class Step:
    """One limit that a model fails, and what it would have to be."""

    limit: Limit
    value: float
    """The model's figure, in the metric's unit."""

    @property
    def needed(self) -> float:
        """The limit that lets the figure in, in the page's unit, rounded to the loose side."""
        return loosened(self.value / WORDS.get(self.limit.metric, ("", "", 1.0))[2], self.limit.at_most)

    @property
    def words(self) -> str:
        """The limit as it would be, e.g. "first token to 0.138 s"."""
        word, unit, _ = WORDS.get(self.limit.metric, (self.limit.metric, "", 1.0))
        return f"{word} to {self.needed:.4g} {unit}".rstrip()


@dataclass(frozen=True)
class Relaxation:
    """A model that fails limits, and what would let it in."""

    model: str
    steps: tuple[Step, ...]
    unknown: tuple[str, ...]
    """The limits on what was not measured of it, in words: no relaxing helps."""
    better: bool
    """Whether it has a higher score than the best of those that qualify."""

    @property
    def sentence(self) -> str:
        """Who is out and what would let it in."""
        return f"{self.model}: {self.reason}"

    @property
    def reason(self) -> str:
        """What would let it in."""
        ways = " and ".join(one.words for one in self.steps)
        if self.unknown:
            also = f"; it also needs {ways}" if ways else ""
            return f"{listed(self.unknown)} not measured{also}."
        return f"relax {ways} and it qualifies{', and has the better score' if self.better else ''}."


def title(decision: Decision) -> str:
    """The verdict: in a word what it is, and of whom."""
    word = TITLES[decision.kind]
    if decision.kind == "nobody" and not decision.limits:
        return "Nothing is measured yet"
    if decision.chosen is None:
        return word
    chosen = decision.candidate(decision.chosen)
    form = BADGES.get(chosen.form, chosen.form)
    return f"{word} {chosen.model}" + (f" as {form}" if form and form.lower() not in chosen.model.lower() else "")


def facts(decision: Decision, machine: str = "") -> list[tuple[str, str]]:
    """(word, fact): the score, who stands beside it, what it costs, how sure that is, what is needed.

    machine: the name of what the speeds are of.
    """
    id_ = decision.chosen or decision.best
    if id_ is None:
        near = relaxations(decision)[:1]
        why = near[0].sentence if near else decision.facts[0] if decision.facts else decision.verdict
        return [("Nearest" if near else "Why", why)]
    one = decision.candidate(id_)
    found = [(NAMES.get(decision.benchmark, decision.benchmark), _score(decision, one))]
    if beside := _beside(decision, id_):
        found.append(beside)
    if costs := _costs(one, machine):
        found.append(("Costs", costs))
    found.append(("How sure", sure(decision)))
    if need := needs(decision):
        found.append(("Needs", need))
    return found


def needs(decision: Decision) -> str:
    """What must be measured where the data do not suffice, and how long that takes; empty where they do."""
    if decision.kind != "not enough data":
        return ""
    unit = "rows" if decision.metric == "bits_per_byte" else "items"
    if decision.items_needed is None:
        return f"more {unit} than {decision.items:,}; how many cannot be said yet"
    open_ = sum(one.tied and one.qualifies for one in decision.candidates)
    most = SIZES.get(decision.benchmark)
    if most is not None and decision.items_needed > most:
        short = f"about {decision.items_needed:,} {unit} in all ({decision.items:,} now), and it has {most}"
        return f"{short}: another test, or a wider margin"
    counted = f"about {decision.items_needed:,} {unit} in all ({decision.items:,} now) by {open_} models"
    return counted + about(decision.seconds_needed)


def _score(decision: Decision, one: Candidate) -> str:
    quality = one.quality
    if quality is None:
        return "not measured"
    bits = decision.metric == "bits_per_byte"
    scale, digits = (1, 3) if bits else (100, 1)
    said = f"{scale * quality.value:.{digits}f}" + (" bits per byte" if bits else " %")
    if quality.low is not None and quality.high is not None and math.isfinite(quality.low + quality.high):
        said += f" [{scale * quality.low:.{digits}f} to {scale * quality.high:.{digits}f}]"
    return f"{one.model} {said} on {quality.n:,} {'rows' if bits else 'items'}" + (", less is better" if bits else "")


def _beside(decision: Decision, id_: str) -> tuple[str, str] | None:
    groups = {"as good": "Tied with", "not told apart": "Not told apart from", "behind": "Ahead of"}
    for place, word in groups.items():
        names = [one.model for one in decision.candidates if standing(decision, one.model_id) == place]
        if place == "as good" and decision.best not in (None, id_):
            names.insert(0, decision.candidate(decision.best or "").model)
        if names:
            return word, listed(names)
    return None


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    if len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: NAMED - 1])} and {len(names) - NAMED + 1} more"


def _costs(one: Candidate, machine: str) -> str:
    known = {figure.metric: figure.value for figure in one.figures}
    said = [f"{one.bytes / 1e6:,.0f} MB"] if one.bytes else []
    if "ttft_seconds_p50" in known:
        said.append(f"first token {known['ttft_seconds_p50']:.2f} s")
    if "tokens_per_second_p50" in known:
        said.append(f"{known['tokens_per_second_p50']:.0f} tokens/s")
    timed = len(said) > bool(one.bytes)
    return " · ".join(said) + (f" on {machine}" if machine and timed else "")


def sure(decision: Decision) -> str:
    """How sure the verdict is, in one short sentence."""
    if decision.kind == "only one":
        return "nothing else was measured comparably, so it is not shown to be the better one"
    if decision.kind == "ship":
        nearest = max(decision.ties, key=lambda tie: tie.p_adjusted)
        other = decision.candidate(nearest.model_id).model
        return f"better than each other one: against {other}, the nearest, p {_p(nearest.p_adjusted)}"
    if decision.kind == "tie":
        return f"with 97.5 % confidence no other is better by more than {_bound(decision)}"
    return f"a guess; neither a lead nor a tie within {_margin(decision)} is shown"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def _bound(decision: Decision) -> str:
    tie = next((one for one in decision.ties if one.model_id == decision.chosen), None)
    most = tie.behind_at_most if tie else decision.best_behind_at_most
    if most is None:
        return _margin(decision)
    return f"{most:.4f} bits per byte" if decision.metric == "bits_per_byte" else f"{100 * most:.1f} points"


def _margin(decision: Decision) -> str:
    bits = decision.metric == "bits_per_byte"
    return f"{decision.margin:.3g} bits per byte" if bits else f"{100 * decision.margin:.3g} points"


def nexts(decision: Decision, before: Sequence[Evaluation], most: int = 3) -> list[Next]:
    """What would settle it, each as a button with its time. before: the store's evaluations."""
    found: dict[str, Next] = {}
    for change in decision.would_change:
        one = _measuring(change.run, change.items_needed, before) or _asking(change.run)
        if one is not None:
            found.setdefault(one.label, one)
    return list(found.values())[:most]


def _measuring(run: str, items: int | None, before: Sequence[Evaluation]) -> Next | None:
    command = commands.advised(run)
    if command is None:
        return None
    words = shlex.split(run)
    test = words[words.index("--benchmark") + 1] if "--benchmark" in words else words[1]
    named = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--model"]
    names = named or list(takewhile(lambda word: not word.startswith("--"), words[2:]))
    most = SIZES.get(test)
    items = min(items, most) if items and most else items
    seconds = seconds_to_measure(test, before, items)
    time = about(None if seconds is None else seconds * max(1, len(names)))
    what = f"all {items:,} items" if items and items == most else f"{items:,} items" if items else listed(names)
    by = "" if test == "latency" else f" by {NAMES.get(test, test)}"
    verb = "Time" if test == "latency" else "Measure"
    return Next(f"{verb} {what}{by}{time}", tuple(command))


def _asking(run: str) -> Next | None:
    """Another question, of a command that decides by another margin or measure."""
    words = shlex.split(run)
    if words[:2] != ["bakeoff", "decide"]:
        return None
    if "--margin" in words:
        margin = 100 * float(words[words.index("--margin") + 1])
        return Next(f"Ask again: only {margin:.3g} points matter", margin=margin)
    if "--by" in words:
        by = words[words.index("--by") + 1]
        return Next(f"Decide by {NAMES.get(by, by)}", by=by)
    return None


def relaxations(decision: Decision) -> list[Relaxation]:
    """Who fails a limit, and what would let it in: whom the least change lets in, first."""
    best = decision.candidate(decision.best).quality if decision.best else None
    found = []
    for one in decision.candidates:
        known = {figure.metric: figure.value for figure in one.figures}
        failed = [limit for limit in decision.limits if limit.metric in known and not limit.holds(known[limit.metric])]
        unknown = [limit.metric for limit in decision.limits if limit.metric not in known]
        if failed or unknown:
            steps = tuple(Step(limit, known[limit.metric]) for limit in failed)
            words = tuple(WORDS.get(metric, (metric, "", 1.0))[0] for metric in unknown)
            found.append(Relaxation(one.model, steps, words, bool(best and _ahead(decision, one, best.value))))
    return sorted(found, key=_far)


def _far(one: Relaxation) -> tuple[int, float]:
    """How much must change: how many figures are unknown, then the limits' factors in all."""
    far = [
        abs(math.log(step.value / step.limit.bound)) if step.value > 0 and step.limit.bound > 0 else math.inf
        for step in one.steps
    ]
    return len(one.unknown), sum(far)


def _ahead(decision: Decision, one: Candidate, best: float) -> bool:
    if one.quality is None:
        return False
    return one.quality.value < best if decision.metric == "bits_per_byte" else one.quality.value > best


def loosened(value: float, at_most: bool) -> float:
    """A figure to three digits, rounded so that a limit of it lets the figure in."""
    if value <= 0:
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    near = (math.ceil if at_most else math.floor)(value / step) * step
    return round(near, max(0, 2 - math.floor(math.log10(value))))
