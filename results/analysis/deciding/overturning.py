"""What would overturn a decision, in words and in commands.

That is more items, what was not measured, a limit that binds, another measure. Not here: what was decided, and why
(`recommendation`).
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from typing import Any

from results.analysis.deciding.choice import POWER
from results.analysis.deciding.terms import SIZES, margin_text, measure, none_right, share, unit
from results.analysis.durations import duration
from results.analysis.findings import MARGIN, Candidate, Change, Decision, Limit, Question
from results.analysis.wording import LIMIT_NAMES, NAMES, quantity

MOST_ITEMS = 1_000_000
"""More items than this nobody measures: their number would be of no use."""


def changes(decision: Decision) -> tuple[Change, ...]:
    """What would overturn the decision: more items, missing measurements, a limit that binds, another measure."""
    found = []
    if decision.kind == "not enough data" and decision.best is not None:
        found.append(Change(decision.best, more(decision), decision.items_needed, _more_command(decision)))
        if decision.margin_shown is not None:
            shown = _rounded_up(decision.margin_shown)
            best = decision.candidate(decision.best).model
            sentence = f"If only differences above {share(decision, shown)} matter, {best} would do"
            found.append(_asking(decision, decision.best, sentence, margin=shown))
    for candidate in decision.candidates:
        for one in candidate.missing:
            found.append(Change(candidate.model_id, f"{candidate.model}: {one.reason}.", run=one.run))
        if not candidate.qualifies and not candidate.missing and _beats(decision, candidate):
            why = ", and because ".join(candidate.reasons)
            sentence = f"{candidate.model} has the better score and is out only because {why}"
            found.append(Change(candidate.model_id, f"{sentence}{_relaxed(decision, candidate)}."))
    for other in decision.beside:
        if other.kind == "ship" and other.best != decision.chosen:
            told = f"{decision.candidate(other.best).model} is better than each of the others still open"
            sentence = f"Decided by {NAMES.get(other.benchmark, other.benchmark)} instead, {told}"
            found.append(_asking(decision, other.best, sentence, measures=(other.benchmark,)))
    return tuple(found)


def more(decision: Decision) -> str:
    """What to measure, and how much of it."""
    if none_right(decision):
        return (
            f"No number of items as hard as these {decision.items:,} of {measure(decision)} tells the models apart: "
            "measure by an easier test, or look whether the answers fit the way they are checked."
        )
    what, need, size = unit(decision.benchmark), decision.items_needed, SIZES.get(decision.benchmark)
    if need is None:
        return f"More {what} are needed ({decision.items:,} now)."
    to_show = f"To show a tie within {margin_text(decision)} with chance {POWER:g} takes"
    if need > MOST_ITEMS:
        now = f"over a million {what} ({decision.items:,} now)"
        return f"{to_show} {now}: decide by another test, or state a wider margin."
    about = f"about {_amount(decision, need)}, {_if(decision)}"
    if size is not None and need > size:
        most = f"{measure(decision)} has {size}" if decision.items < size else f"{measure(decision)} has no more"
        return f"{to_show} {about}; {most}: decide by a test with more items, or state a wider margin."
    spent = decision.seconds_needed
    long = "" if spent is None else f" Asking all of them takes about {duration(spent)} at the pace so far."
    return f"{to_show} {about}.{long}"


def _amount(decision: Decision, need: int) -> str:
    """So many items in all; where they are related, groups, for more items of the same groups show little."""
    groups = max((tie.contrast.groups for tie in decision.ties), default=0)
    if not groups:
        return f"{need:,} {unit(decision.benchmark)} in all ({decision.items:,} now)"
    needed = math.ceil(need * groups / decision.items)
    return f"{needed:,} groups of related items in all ({groups:,} groups of {decision.items:,} items now)"


def _if(decision: Decision) -> str:
    """What the number of items rests on."""
    tied = [tie.contrast for tie in decision.ties if tie.tied]
    if tied and all(found.too_few for found in tied):
        return "if new ones behave as these few did, which is a rough guess"
    return "if new ones behave as these did"


def _more_command(decision: Decision) -> str:
    """The command that measures more items of the deciding test; empty where there are no more or none measures it."""
    size = SIZES.get(decision.benchmark)
    if size is None or decision.items >= size:
        return ""
    names = " ".join(one.model for one in decision.candidates if one.qualifies and one.tied)
    return f"bakeoff evaluate {names} --benchmark {decision.benchmark}"


def _asking(decision: Decision, model_id: str, sentence: str, **otherwise: Any) -> Change:
    """The change that another question makes, with the command that asks it where models of a store are asked about."""
    if decision.published:
        return Change(model_id, f"{sentence}.")
    run = command(decision, dataclasses.replace(decision.question, **otherwise))
    return Change(model_id, f"{sentence}: {run}", run=run)


def command(decision: Decision, question: Question) -> str:
    """The command that asks a question about a decision's models."""
    words = ["bakeoff", "decide", *(decision.candidate(one).model for one in question.models)]
    options: list[tuple[str, object]] = []
    if question.experiment and not question.models:
        options.append(("experiment", question.experiment))
    options += [("tag", question.tag)] if question.tag else []
    options += [("by" if place == 0 else "then", one) for place, one in enumerate(question.measures)]
    options += [("margin", f"{question.margin:g}")] if question.margin not in (None, MARGIN) else []
    for name_, value, scale in (
        ("max-ttft-p90", question.limits.ttft_seconds_p90, 1.0),
        ("min-tokens-per-second", question.limits.tokens_per_second, 1.0),
        ("max-ram", question.limits.peak_rss_bytes, 1e9),
        ("max-size", question.limits.bytes, 1e9),
    ):
        options += [(name_, f"{value / scale:g}")] if value is not None else []
    options += [("machine", question.machine_id)] if question.machine_id else []
    return shlex.join([*words, *(word for name_, value in options for word in (f"--{name_}", str(value)))])


def _beats(decision: Decision, one: Candidate) -> bool:
    """Whether a model that is out scored better than the best of those that are in."""
    if decision.best is None or one.quality is None:
        return False
    best = decision.candidate(decision.best).quality
    if best is None:
        return False
    higher = one.quality.value - best.value
    return higher < 0 if decision.benchmark == "heldout" else higher > 0


def _relaxed(decision: Decision, candidate: Candidate) -> str:
    """Which limit would have to be relaxed, and to what, for a model to qualify."""
    known = {figure.metric: figure.value for figure in candidate.figures}
    failed = [limit for limit in decision.limits if limit.metric in known and not limit.holds(known[limit.metric])]
    if not failed or len(failed) < len(candidate.reasons):
        return ""
    ways = " and ".join(
        f"{LIMIT_NAMES.get(limit.metric, limit.metric)} to {_enough(limit, known[limit.metric])}" for limit in failed
    )
    return f"; relax {ways} and it qualifies"


def _enough(limit: Limit, value: float) -> str:
    """A bound of three digits, with its unit, that the value meets."""
    digits = 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 1.0
    whole = round(value / digits, 6)
    rounded = math.ceil(whole) if limit.at_most else math.floor(whole)
    return quantity(limit.metric, rounded * digits)


def _rounded_up(margin: float) -> float:
    """The margin in thousandths, rounded up, so that it suffices."""
    return int(margin * 1000 + 1) / 1000
