"""Decisions in words: the page, the command line, the record and the model card print the same sentences.

Every sentence is made of the decision's fields alone, so that a test can read it against the numbers.
"""

from __future__ import annotations

import dataclasses

from results.analysis.deciding.choice import Cost
from results.analysis.deciding.overturning import changes, more
from results.analysis.deciding.raced_words import least_certain, race_text, raced_standing, shown_worse
from results.analysis.deciding.terms import all_right, level, margin_text, measure, name, none_right, other, top, unit
from results.analysis.findings import Candidate, Decision, Standing, Tie
from results.analysis.measurements import engines_said
from results.analysis.wording import (
    NAMES,
    escaped,
    figure_interval,
    figure_text,
    limit_text,
    listed,
    p_text,
    points,
    quantity,
    score_text,
    spread,
)
from results.schema.judged import judged_text


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
        equal = [one.model for one in level(decision)]
        each = ", each" if len(equal) > 1 else ","
        said.append(
            f"{top(decision).capitalize()}: {listed(equal)}{each} {name(decision)} {figure_text(best.quality)}."
        )
    front = [one.model for one in decision.candidates if one.on_front]
    if len(front) > 1 and not decision.published:
        cheaper = "faster" if any(one.answer_seconds for one in decision.candidates) else "smaller"
        said.append(f"Nobody is both better and {cheaper} than any of these: {', '.join(front)}.")
    said += race_text(decision)
    said += [raced_standing(decision, tie, best) or _standing(decision, tie, best) for tie in decision.ties]
    said += [_beside_text(decision, index) for index in range(len(decision.beside))]
    return (*said, *_silent(decision))


def _silent(decision: Decision) -> list[str]:
    """Further measures that say nothing, where more than one model was left to them."""
    heard = {one.benchmark for one in decision.beside}
    silent = [NAMES.get(one, one) for one in decision.measures[1:] if one not in heard]
    left = decision.kind == "not enough data" or (decision.kind == "tie" and any(tie.within for tie in decision.ties))
    if not silent or not left:
        return []
    return [f"Nothing to say of the models still open has {listed(silent)}: fewer than two were measured alike."]


def question_text(decision: Decision) -> str:
    """What was asked: of whom, by what, and which difference matters."""
    by = [NAMES.get(one, one) for one in decision.measures]
    then = f", then {', then '.join(by[1:])}" if by[1:] else ""
    said = f"Asked about {decision.about}, by {by[0]}{then}; differences below {margin_text(decision)} do not matter."
    return f"{said} {decision.elsewhere}".rstrip()


def _sentences(decision: Decision) -> list[str]:
    """The verdict, then what it rests on, sentence by sentence."""
    if decision.kind == "nobody" or decision.best is None:
        return _nobody(decision)
    best = decision.candidate(decision.best)
    said = [_head(decision, best)]
    score = f"{name(decision)} {figure_text(best.quality)}" if best.quality else ""
    if decision.kind == "ship":
        beaten = other(decision).replace("other", "others", 1) if len(decision.ties) > 1 else other(decision)
        others = f"each of the {len(decision.ties)} {beaten}" if len(decision.ties) > 1 else f"the {beaten}"
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
        equal = [one.model for one in level(decision)]
        if len(equal) > 1:
            return f"Not enough data to choose: {listed(equal)} have the same score, and none is better."
        return f"Not enough data to choose; {best.model} has the {top(decision)}, which is a guess."
    chosen = decision.candidate(decision.chosen)
    if decision.kind != "tie":
        return f"Ship {chosen.model}."
    if any(tie.within for tie in decision.ties):
        return f"Tie: ship {chosen.model}."
    return f"Ship {chosen.model}: no {other(decision)} is better by {margin_text(decision)}."


def _cheaper_as_good(decision: Decision, best: Candidate) -> list[str]:
    """Who is cheaper than the best and behind it by less than what matters."""
    within = [decision.candidate(tie.model_id) for tie in decision.ties if tie.within]
    if not within:
        return []
    one = min(within, key=lambda candidate: (candidate.bytes or 0, candidate.answer_seconds or 0))
    return [f"{one.model} is cheaper ({_cost(one)} against {_cost(best)}) and not behind by {margin_text(decision)}."]


def _tie(decision: Decision, best: Candidate, score: str) -> list[str]:
    """Why the chosen one of those that are shown to be as good."""
    chosen = decision.candidate(decision.chosen or best.model_id)
    bound = _bound(decision, chosen.model_id)
    have = "are" if decision.metric == "bits_per_byte" else "is"
    said = [f"The {top(decision)} {have} {best.model}'s: {score}." if chosen != best else f"{best.model}: {score}."]
    ahead = f"No {other(decision)} is better than {chosen.model} by {margin_text(decision)}: by {bound} at most"
    said.append(f"{ahead} (at 97.5 %{_over(decision) if chosen != best else ''}).")
    if any(one.broke for one in decision.beside):
        return said
    if chosen != best:
        against = f"{_cost(chosen)}, against {_cost(best)} of {best.model}"
        return [*said, f"It is the cheapest of which that is shown: {against}."]
    return [*said, _cheapest(decision, best)]


def _cheapest(decision: Decision, best: Candidate) -> str:
    """That the best is shipped, and what that has to do with its cost."""
    if any(tie.within for tie in decision.ties):
        return "It is the cheapest of which that is shown."
    compared = [one for one in decision.candidates if one.qualifies and one.quality is not None and one != best]
    own, others = Cost(best.bytes, best.answer_seconds), [Cost(one.bytes, one.answer_seconds) for one in compared]
    if any(cost.below(own) for cost in others):
        return "Of no cheaper one is that shown."
    if all(own.below(cost) for cost in others):
        return "It is the cheapest too."
    return "None that is compared is known to be cheaper."


def _open(decision: Decision, best: Candidate, score: str) -> list[str]:
    """What is not shown, and what would show it."""
    what = f"{decision.items:,} {unit(decision.benchmark)} of {measure(decision)}"
    if none_right(decision):
        return [f"None of the models passes any of {what}: it is too hard for them."]
    tied = [decision.candidate(tie.model_id).model for tie in decision.ties if tie.tied]
    behind = len(decision.ties) - len(tied)
    said = [f"{best.model}: {score}."]
    if all_right(decision):
        said = [f"Each of the models passes all of {what}: it is too easy to tell them apart."]
    if tied:
        ahead = f"that no {other(decision)} is better than it by {margin_text(decision)}"
        whose = best.model if len(level(decision)) > 1 else "it"
        said.append(f"Not shown is that {whose} is better than {listed(tied)}, nor {ahead}.")
    if behind:
        said.append(f"{behind} {'is' if behind == 1 else 'are'} shown to be behind it.")
    return [*said, more(decision)]


def _standing(decision: Decision, tie: Tie, best: Candidate) -> str:
    """How one model stands to the best, in one sentence."""
    who, found = decision.candidate(tie.model_id).model, tie.contrast
    gap = points(found, -found.difference)
    low, high = sorted((-found.low, -found.high))
    said = f"{gap} against {best.model}, 95 % interval {spread(found, low, high)}"
    adjusted = f"adjusted {p_text(tie.p_adjusted)}" if tie.p_adjusted > found.p_value else p_text(found.p_value)
    if not tie.tied:
        return f"{who} is behind {best.model}: {said}, {adjusted}."
    if tie.within:
        return f"{who} is as good as any to within {margin_text(decision)}: {said}."
    apart = f"{who} is not told apart from {best.model}: {said}"
    if found.too_few:
        return f"{apart}; {found.too_few}."
    if found.better:
        models = len(decision.ties) + 1
        alone = f"told apart if they were the only two ({p_text(found.p_value)})"
        return f"{apart}; {alone}, but not among {models} models ({adjusted})."
    return f"{apart}, {adjusted}."


def _nearest(decision: Decision) -> str:
    """The smallest lead of the best."""
    alone = [one for one in decision.ties if not shown_worse(decision.candidate(one.model_id))]
    tie = max(alone, key=lambda one: one.contrast.p_value)
    found, who = tie.contrast, decision.candidate(tie.model_id).model
    low, high = sorted((found.low, found.high))
    gap = f"against {who} {points(found, found.difference)}"
    return f"{gap}, 95 % interval {spread(found, low, high)}, {p_text(found.p_value)}"


def _beside_text(decision: Decision, index: int) -> str:
    """What another measure says, in one sentence."""
    one = decision.beside[index]
    called, best = NAMES.get(one.benchmark, one.benchmark), decision.candidate(one.best).model
    said = f"By {called} ({one.items:,} {unit(one.benchmark)})"
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


def _cost(one: Candidate) -> str:
    size = quantity("bytes", one.bytes) if one.bytes else "unknown size"
    return f"{size}, 128 tokens in {quantity('seconds', one.answer_seconds)}" if one.answer_seconds else size


def _engines(decision: Decision) -> str:
    """That those who are compared were asked through different engines; empty where they were not."""
    compared = [one for one in decision.candidates if one.qualifies and one.quality is not None]
    return engines_said({one.model: one.quality.engine for one in compared if one.quality is not None})


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
    return [f"No {measure(decision)} was measured on any model that meets the limits.", *told]


def decision_markdown(decision: Decision) -> str:
    """Paragraph, table and what would change it, as Markdown."""
    lines = [escaped(decision.paragraph), ""]
    if not decision.candidates:
        return lines[0] + "\n"
    lines += [f"| model | {name(decision)} | 95 % interval | n | size | 128 tokens in | standing |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [_row(decision, one) for one in decision.candidates]
    if decision.machine_id:
        imported = ", ".join(escaped(one.model) for one in decision.candidates if one.timed_elsewhere)
        said = f" Imported, not measured here: {imported}." if imported else ""
        lines += ["", f"Latencies: machine {decision.machine_id}.{said}"]
    traced = [one for one in decision.candidates if one.identity and one.quality and not decision.published]
    lines += ["", *(f"- {escaped(_traced(one))}" for one in traced)] if traced else []
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
        score_text(figure.metric, figure.value) if figure else "unknown",
        figure_interval(figure).removeprefix(" (95 % interval ").removesuffix(")") if figure else "",
        (figure.subset or str(figure.n)) if figure else "",
        quantity("bytes", one.bytes) if one.bytes else "unknown",
        quantity("seconds", one.answer_seconds) if one.answer_seconds else "unknown",
        standing(decision, one.model_id),
    ]
    return "| " + " | ".join(cells) + " |"


def _judges(decision: Decision) -> str:
    return judged_text(decision.benchmark, (one.quality.judge for one in decision.candidates if one.quality))
