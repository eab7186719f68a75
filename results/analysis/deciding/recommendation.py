"""Decisions in words: the page, the command line, the record and the model card print the same sentences.

Every sentence is made of the decision's fields alone, so that a test can read it against the numbers.
"""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from results.analysis.deciding.choice import POWER
from results.analysis.deciding.raced_words import gone, least_certain, race_text, raced_standing, shown_worse
from results.analysis.durations import duration
from results.analysis.findings import MARGIN, Candidate, Change, Decision, Question, Standing, Tie
from results.analysis.measurements import engines_said
from results.analysis.wording import NAMES, escaped, figure_text, interval, limit_text, listed, points, quantity, spread
from results.schema.judged import judged_text

SIZES = {"humaneval": 164, "humaneval+": 164, "mbpp": 974, "mbpp+": 378}
"""Tasks that a benchmark has: more cannot be measured."""


def worded(decision: Decision) -> Decision:
    """The decision with its reasons, what would change it, its verdict and what that rests on, in words."""
    decision = dataclasses.replace(decision, reasons=reasons(decision), would_change=changes(decision))
    verdict, *facts = _sentences(decision)
    said = " ".join(facts)
    return dataclasses.replace(
        decision, verdict=verdict, facts=tuple(facts), evidence=said, paragraph=f"{verdict} {said}".rstrip()
    )


def reasons(decision: Decision) -> tuple[str, ...]:
    """Each step of the decision as one sentence."""
    said = [question_text(decision)]
    qualified = [one for one in decision.candidates if one.qualifies]
    if decision.limits:
        limits = ", ".join(limit_text(limit) for limit in decision.limits)
        said.append(f"{len(qualified)} of {len(decision.candidates)} models meet the limits: {limits}.")
    said += [
        f"Out: {one.model}: {reason}." for one in decision.candidates if not one.qualifies for reason in one.reasons
    ]
    said += [f"Not compared: {one.model}: {reason}." for one in qualified for reason in one.reasons]
    if decision.left_out:
        said.append(f"{decision.left_out} contaminated items count for nobody.")
    said += filter(None, (_engines(decision), _judges(decision)))
    if decision.best is None:
        return tuple(said)
    best = decision.candidate(decision.best)
    if best.quality is not None:
        said.append(f"Highest score: {best.model}, {name(decision)} {figure_text(best.quality)}.")
    front = [one.model for one in decision.candidates if one.on_front]
    if len(front) > 1 and not decision.published:
        cheaper = "faster" if any(one.answer_seconds for one in decision.candidates) else "smaller"
        said.append(f"Nobody is both better and {cheaper} than any of these: {', '.join(front)}.")
    said += race_text(decision)
    said += [raced_standing(decision, tie, best) or _standing(decision, tie, best) for tie in decision.ties]
    said += [_beside_text(decision, index) for index in range(len(decision.beside))]
    return tuple(said)


def question_text(decision: Decision) -> str:
    """What was asked: of whom, by what, and which difference matters."""
    by = [NAMES.get(one, one) for one in decision.measures]
    then = f", then {', then '.join(by[1:])}" if by[1:] else ""
    said = f"Asked about {decision.about}, by {by[0]}{then}; differences below {margin_text(decision)} do not matter."
    return f"{said} {decision.elsewhere}".rstrip()


def margin_text(decision: Decision) -> str:
    """The margin as it is used, e.g. "3 points" or "3 % of the bits per byte"."""
    if decision.metric == "bits_per_byte":
        return f"{100 * _asked_margin(decision):.3g} % of the best's bits per byte"
    used = decision.margin or _asked_margin(decision)
    if used < _asked_margin(decision):
        return f"{100 * used:.3g} points (a quarter of the best's own score)"
    return f"{100 * used:.3g} points"


def _asked_margin(decision: Decision) -> float:
    return MARGIN if decision.question.margin is None else decision.question.margin


def changes(decision: Decision) -> tuple[Change, ...]:
    """What would overturn the decision: more items, missing measurements, a limit that binds, another measure."""
    found = []
    if decision.kind == "not enough data" and decision.best is not None:
        found.append(Change(decision.best, _more(decision), decision.items_needed, _more_command(decision)))
        if decision.margin_shown is not None:
            shown = _rounded_up(decision.margin_shown)
            best = decision.candidate(decision.best).model
            sentence = f"If only differences above {_share(decision, shown)} matter, {best} would do"
            found.append(_asking(decision, decision.best, sentence, margin=shown))
    for candidate in decision.candidates:
        for one in candidate.missing:
            found.append(Change(candidate.model_id, f"{candidate.model}: {one.reason}.", run=one.run))
        if not candidate.qualifies and _beats(decision, candidate):
            relax = _relaxed(decision, candidate)
            sentence = f"{candidate.model} has the better score and is out only because {candidate.reasons[0]}{relax}."
            found.append(Change(candidate.model_id, sentence))
    for other in decision.beside:
        if other.kind == "ship" and other.best != decision.chosen:
            told = f"{decision.candidate(other.best).model} is better than each of the others still open"
            measure = NAMES.get(other.benchmark, other.benchmark)
            sentence = f"Decided by {measure} instead, {told}"
            found.append(_asking(decision, other.best, sentence, measures=(other.benchmark,)))
    return tuple(found)


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
    for name_, value, unit in (
        ("max-ttft-p90", question.limits.ttft_seconds_p90, 1.0),
        ("min-tokens-per-second", question.limits.tokens_per_second, 1.0),
        ("max-ram", question.limits.peak_rss_bytes, 1e9),
        ("max-size", question.limits.bytes, 1e9),
    ):
        options += [(name_, f"{value / unit:g}")] if value is not None else []
    options += [("machine", question.machine_id)] if question.machine_id else []
    return shlex.join([*words, *(word for name_, value in options for word in (f"--{name_}", str(value)))])


def _sentences(decision: Decision) -> list[str]:
    """The verdict, then what it rests on, sentence by sentence."""
    if decision.kind == "nobody" or decision.best is None:
        return _nobody(decision)
    best = decision.candidate(decision.best)
    said = [_head(decision, best)]
    score = f"{name(decision)} {figure_text(best.quality)}" if best.quality else ""
    if decision.kind == "ship":
        others = f"each of the {len(decision.ties)} others" if len(decision.ties) > 1 else "the other"
        said.append(f"It is better than {others}: {score}; {least_certain(decision) or _nearest(decision)}.")
        said += _cheaper_as_good(decision, best)
    elif decision.kind == "only one":
        said.append(f"Nothing else was measured comparably, so it is the only choice and not the better one: {score}.")
    elif decision.kind == "tie":
        said += _tie(decision, best, score)
    else:
        said += _open(decision, best, score)
    said += race_text(decision)
    said += [_beside_text(decision, index) for index in range(len(decision.beside))]
    if decision.limits:
        qualified = sum(one.qualifies for one in decision.candidates)
        said.append(f"{qualified} of {len(decision.candidates)} models meet the limits.")
    if decision.left_out:
        said.append(f"{decision.left_out} tasks found in training data are left out for every model.")
    said += filter(None, (_engines(decision), _judges(decision)))
    unmeasured = [one.model for one in decision.candidates if one.qualifies and one.quality is None]
    if unmeasured:
        said.append(f"Not compared: {listed(unmeasured)}.")
    return [*said, decision.elsewhere] if decision.elsewhere else said


def _head(decision: Decision, best: Candidate) -> str:
    """The verdict."""
    if decision.chosen is None:
        equal = [one.model for one in decision.candidates if _equals(one, best)]
        if len(equal) > 1:
            return f"Not enough data to choose: {listed(equal)} have the same score, and none is higher."
        return f"Not enough data to choose; {best.model} has the highest score, which is a guess."
    chosen = decision.candidate(decision.chosen)
    if decision.kind != "tie":
        return f"Ship {chosen.model}."
    if any(tie.within for tie in decision.ties):
        return f"Tie: ship {chosen.model}."
    return f"Ship {chosen.model}: no other is better by {margin_text(decision)}."


def _cheaper_as_good(decision: Decision, best: Candidate) -> list[str]:
    """Who is cheaper than the best and behind it by less than what matters."""
    within = [decision.candidate(tie.model_id) for tie in decision.ties if tie.within]
    if not within:
        return []
    one = min(within, key=lambda candidate: (candidate.bytes or 0, candidate.answer_seconds or 0))
    return [f"{one.model} is cheaper ({_cost(one)} against {_cost(best)}) and not behind by {margin_text(decision)}."]


def _equals(one: Candidate, best: Candidate) -> bool:
    """Whether a model that might be shipped has the best's score."""
    return (
        one.qualifies
        and one.quality is not None
        and best.quality is not None
        and one.quality.value == best.quality.value
        and not gone(one)
    )


def _tie(decision: Decision, best: Candidate, score: str) -> list[str]:
    """Why the chosen one of those that are shown to be as good."""
    chosen = decision.candidate(decision.chosen or best.model_id)
    bound = _bound(decision, chosen.model_id)
    said = (
        [f"The highest score is {best.model}'s: {score}."]
        if chosen.model_id != best.model_id
        else [f"{best.model}: {score}."]
    )
    ahead = f"No other is better than {chosen.model} by {margin_text(decision)}: by {bound} at most"
    said.append(f"{ahead} (at 97.5 %{_over(decision) if chosen.model_id != best.model_id else ''}).")
    if any(one.broke for one in decision.beside):
        return said
    if chosen.model_id != best.model_id:
        said.append(
            f"It is the cheapest of which that is shown: {_cost(chosen)}, against {_cost(best)} of {best.model}."
        )
    else:
        said.append(
            "Of no cheaper one is that shown." if not _cheaper_as_good(decision, best) else "It is the cheapest."
        )
    return said


def _open(decision: Decision, best: Candidate, score: str) -> list[str]:
    """What is not shown, and what would show it."""
    if best.quality is not None and best.quality.value == 0 and decision.metric != "bits_per_byte":
        return [
            f"None of the models passes any of {decision.items} items of {_measure(decision)}: it is too hard for them."
        ]
    tied = [decision.candidate(tie.model_id).model for tie in decision.ties if tie.tied]
    behind = len(decision.ties) - len(tied)
    said = [f"{best.model}: {score}."]
    if tied:
        ahead = f"that no other is better than it by {margin_text(decision)}"
        said.append(f"Not shown is that it is better than {listed(tied)}, nor {ahead}.")
    if behind:
        said.append(f"{behind} {'is' if behind == 1 else 'are'} shown to be behind it.")
    return [*said, _more(decision)]


def _more(decision: Decision) -> str:
    """What to measure, and how much of it."""
    unit, need, size = _unit(decision), decision.items_needed, SIZES.get(decision.benchmark)
    if need is None:
        return f"More {unit} are needed ({decision.items:,} now)."
    about = f"about {need:,} {unit} in all ({decision.items:,} now), if new ones behave as these did"
    spent = decision.seconds_needed
    long = "" if spent is None else f" Asking all of them takes about {duration(spent)} at the pace so far."
    if size is not None and need > size:
        most = f"{_measure(decision)} has {size}" if decision.items < size else f"{_measure(decision)} has no more"
        return (
            f"To show a tie within {margin_text(decision)} with chance {POWER:g} takes {about}; {most}: "
            "decide by a test with more items, or state a wider margin."
        )
    return f"To show a tie within {margin_text(decision)} with chance {POWER:g} takes {about}.{long}"


def _more_command(decision: Decision) -> str:
    """The command that measures more items of the deciding test; empty where there are no more or none measures it."""
    size = SIZES.get(decision.benchmark)
    if size is None or decision.items >= size:
        return ""
    names = " ".join(one.model for one in decision.candidates if one.qualifies and one.tied)
    return f"bakeoff evaluate {names} --benchmark {decision.benchmark}"


def _standing(decision: Decision, tie: Tie, best: Candidate) -> str:
    """How one model stands to the best, in one sentence."""
    who = decision.candidate(tie.model_id).model
    gap = points(tie.contrast, -tie.contrast.difference)
    low, high = sorted((-tie.contrast.low, -tie.contrast.high))
    said = f"{gap} against {best.model}, 95 % interval {spread(tie.contrast, low, high)}"
    if not tie.tied:
        return f"{who} is behind {best.model}: {said}, adjusted p = {tie.p_adjusted:.2g}."
    if tie.within:
        return f"{who} is as good as any to within {margin_text(decision)}: {said}."
    return f"{who} is not told apart from {best.model}: {said}, adjusted p = {tie.p_adjusted:.2g}."


def _nearest(decision: Decision) -> str:
    """The smallest lead of the best."""
    alone = [one for one in decision.ties if not shown_worse(decision.candidate(one.model_id))]
    tie = max(alone, key=lambda one: one.contrast.p_value)
    found, who = tie.contrast, decision.candidate(tie.model_id).model
    low, high = sorted((found.low, found.high))
    gap = f"against {who} {points(found, found.difference)}"
    return f"{gap}, 95 % interval {spread(found, low, high)}, p = {found.p_value:.2g}"


def _beside_text(decision: Decision, index: int) -> str:
    """What another measure says, in one sentence."""
    one = decision.beside[index]
    measure, best = NAMES.get(one.benchmark, one.benchmark), decision.candidate(one.best).model
    said = f"By {measure} ({one.items} items)"
    if one.broke:
        return f"{said} the tie is broken: {best} is better than each of the others that tied."
    if one.kind == "ship":
        return f"{said} {best} is better than each of the others still open."
    return f"{said} the models still open are not told apart."


def _bound(decision: Decision, model_id: str) -> str:
    """The most that another may be ahead of a model."""
    found = next((tie for tie in decision.ties if tie.model_id == model_id), None)
    most = found.behind_at_most if found else decision.best_behind_at_most
    if most is None:
        return "nothing"
    return f"{100 * most:.1f} points" if decision.metric != "bits_per_byte" else f"{most:.4f} bits per byte"


def _over(decision: Decision) -> str:
    return f", adjusted over the {decision.family} cheaper ones" if decision.family > 1 else ""


def _share(decision: Decision, margin: float) -> str:
    return f"{100 * margin:.3g} " + ("%" if decision.metric == "bits_per_byte" else "points")


def _rounded_up(margin: float) -> float:
    """The margin in thousandths, rounded up, so that it suffices."""
    return int(margin * 1000 + 1) / 1000


def _unit(decision: Decision) -> str:
    return "rows" if decision.benchmark == "heldout" else "tasks" if decision.benchmark in SIZES else "items"


def _measure(decision: Decision) -> str:
    return NAMES.get(decision.benchmark, decision.benchmark).removesuffix(" pass@1")


def _cost(one: Candidate) -> str:
    size = quantity("bytes", one.bytes) if one.bytes else "unknown size"
    return f"{size}, 128 tokens in {quantity('seconds', one.answer_seconds)}" if one.answer_seconds else size


def _relaxed(decision: Decision, candidate: Candidate) -> str:
    """Which limit would have to be relaxed, and to what, for a model to qualify."""
    known = {figure.metric: figure.value for figure in candidate.figures}
    failed = [limit for limit in decision.limits if limit.metric in known and not limit.holds(known[limit.metric])]
    if not failed or len(failed) < len(candidate.reasons):
        return ""
    ways = " and ".join(f"{limit.metric} to {known[limit.metric]:.3g}" for limit in failed)
    return f"; relax {ways} and it qualifies"


def name(decision: Decision) -> str:
    """The deciding measure as it is called in sentences."""
    return NAMES.get(decision.benchmark, f"{decision.benchmark} {decision.metric}")


def _engines(decision: Decision) -> str:
    """That those who are compared were asked through different engines; empty where they were not."""
    compared = [one for one in decision.candidates if one.qualifies and one.quality is not None]
    return engines_said({one.model: one.quality.engine for one in compared if one.quality is not None})


def _judges(decision: Decision) -> str:
    return judged_text(decision.benchmark, (one.quality.judge for one in decision.candidates if one.quality))


def _nobody(decision: Decision) -> list[str]:
    """That nobody can be chosen, and of each model why."""
    if not decision.candidates:
        return [
            "There are no models yet.",
            "Train some, add or import them: bakeoff demo · bakeoff add · bakeoff import",
        ]
    if decision.limits and not any(one.qualifies for one in decision.candidates):
        told = [f"{one.model}: {one.reasons[0]}." for one in decision.candidates if one.reasons]
        return ["No model is known to meet the limits.", *told]
    told = [f"{one.model}: {reason}." for one in decision.candidates if one.qualifies for reason in one.reasons]
    return [f"No {_measure(decision)} was measured on any model that meets the limits.", *told]


def _beats(decision: Decision, one: Candidate) -> bool:
    """Whether a model that is out scored better than the best of those that are in."""
    if decision.best is None or one.quality is None:
        return False
    best = decision.candidate(decision.best).quality
    if best is None:
        return False
    higher = one.quality.value - best.value
    return higher < 0 if decision.benchmark == "heldout" else higher > 0


def decision_markdown(decision: Decision) -> str:
    """Paragraph, table and what would change it, as Markdown."""
    lines = [escaped(decision.paragraph), ""]
    lines += [f"| model | {name(decision)} | 95 % interval | n | size | 128 tokens in | standing |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [_row(decision, one) for one in decision.candidates]
    if decision.machine_id:
        imported = ", ".join(escaped(one.model) for one in decision.candidates if one.timed_elsewhere)
        said = f" Imported, not measured here: {imported}." if imported else ""
        lines += ["", f"Latencies: machine {decision.machine_id}.{said}"]
    lines += ["", *(f"- {escaped(_traced(one))}" for one in decision.candidates if one.identity and one.quality)]
    for title, sentences in (
        ("Why", decision.reasons),
        ("What would change it", tuple(one.sentence for one in decision.would_change)),
    ):
        if sentences:
            lines += ["", f"**{title}**", "", *(f"- {escaped(sentence)}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def _traced(one: Candidate) -> str:
    """What a candidate is and what its score comes from: enough to find both again."""
    quality = one.quality
    said = f"{one.model}: SHA-256 {one.identity[:16]}…"
    if quality is None or not quality.evaluation_id:
        return said
    said += f", {'imported ' if quality.origin == 'imported' else ''}evaluation {quality.evaluation_id}"
    return said + (f", through {quality.engine}" if quality.engine else "")


def standing(decision: Decision, model_id: str) -> Standing:
    """What became of a candidate, in two or three words."""
    one = decision.candidate(model_id)
    if model_id == decision.chosen:
        return "ship"
    if not one.qualifies:
        return "fails a limit"
    if one.quality is None:
        return "not measured"
    if model_id == decision.best:
        return "highest score" if decision.chosen else "highest score, a guess"
    tie = next((tie for tie in decision.ties if tie.model_id == model_id), None)
    if tie is None:
        return "not compared"
    return "behind" if not tie.tied else "as good" if tie.within else "not told apart"


def _row(decision: Decision, one: Candidate) -> str:
    figure = one.quality
    cells = [
        escaped(one.model),
        f"{figure.value:.3f}" if figure else "unknown",
        interval(figure.low, figure.high).removeprefix(" (95 % interval ").removesuffix(")") if figure else "",
        (figure.subset or str(figure.n)) if figure else "",
        quantity("bytes", one.bytes) if one.bytes else "unknown",
        quantity("seconds", one.answer_seconds) if one.answer_seconds else "unknown",
        standing(decision, one.model_id),
    ]
    return "| " + " | ".join(cells) + " |"
