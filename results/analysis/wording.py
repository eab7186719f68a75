"""Decisions and comparisons in words: the page, the command line and the model card print the same sentences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from results.analysis.findings import ALPHA, Candidate, Change, Comparison, Contrast, Decision, Figure, Limit
from results.analysis.measurements import QUALITY, engines_said

NAMES = {
    "humaneval": "HumanEval pass@1", "humaneval+": "HumanEval+ pass@1", "mbpp": "MBPP pass@1", "mbpp+": "MBPP+ pass@1",
    "heldout": "held-out bits per byte",
}  # fmt: skip

TESTS = {
    "mcnemar": "McNemar's exact test, paired by task",
    "sign flips": "a sign-flip test, paired by item",
    "fisher": "Fisher's exact test on the totals: unpaired and so conservative, because single outcomes are not known",
}

LIMIT_NAMES = {
    "ttft_seconds_p90": "p90 time to first token",
    "tokens_per_second_p50": "median speed",
    "peak_rss_bytes": "peak memory",
    "bytes": "size of the files",
}


def quantity(metric: str, value: float) -> str:
    """A figure with its unit: seconds, bytes as MB or GB, tokens/s."""
    if metric.endswith("bytes") or "_bytes" in metric:
        return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
    if "seconds" in metric:
        return f"{value:.3g} s"
    if "tokens_per_second" in metric:
        return f"{value:.3g} tokens/s"
    return f"{value:.3f}"


def limit_text(limit: Limit) -> str:
    """One limit, e.g. "p90 time to first token at most 2 s"."""
    sign = "at most" if limit.at_most else "at least"
    return f"{LIMIT_NAMES.get(limit.metric, limit.metric)} {sign} {quantity(limit.metric, limit.bound)}"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """(95 % interval low to high), or nothing where neither end is known."""
    if low is None or high is None or not (math.isfinite(low) or math.isfinite(high)):
        return ""
    ends = [f"{end:.{digits}f}" if math.isfinite(end) else "no bound" for end in (low, high)]
    return f" (95 % interval {ends[0]} to {ends[1]})"


def figure_text(figure: Figure) -> str:
    """A score with interval, n and its subset's label."""
    rest = f", {figure.subset}" if figure.subset else f", n = {figure.n}" if figure.n else ""
    imported = f", {figure.origin}" if figure.origin != "measured" else ""
    return f"{figure.value:.3f}{interval(figure.low, figure.high)}{rest}{imported}"


def points(found: Contrast, value: float) -> str:
    """A difference of quality in its unit: points of 100 for shares of what is right."""
    return f"{value:+.4f} bits per byte" if found.metric == QUALITY["heldout"] else f"{100 * value:+.1f} points"


def needed(found: Contrast) -> str:
    """What it would take to tell the two apart."""
    unit = "rows" if found.metric == QUALITY["heldout"] else "tasks"
    if found.items_needed is None:
        widest = max(abs(found.low), abs(found.high))
        allowed = f"up to {points(found, widest).lstrip('+')}" if math.isfinite(widest) else "any size"
        more = f"measure more {unit} ({found.items:,} now)"
        return f"No difference was measured, and one of {allowed} is not ruled out: {more}."
    return (
        f"To find a difference of {points(found, abs(found.difference)).lstrip('+')} with chance 0.8 takes about "
        f"{found.items_needed:,} {unit} in all ({found.items:,} now), if {found.assumption}."
    )


def verdict(a: str, b: str, benchmark: str, found: Contrast | None) -> str:
    """One paragraph about a against b."""
    if found is None:
        return f"The quality of {a} and {b} cannot be compared on what was measured."
    head = f"{a} {found.value_a:.3f}, {b} {found.value_b:.3f} ({NAMES.get(benchmark, benchmark)}, {found.items} items)"
    spread = (
        f"{points(found, found.difference)}, 95 % interval {points(found, found.low)} to {points(found, found.high)}"
    )
    test = f"p = {found.p_value:.3g} by {TESTS[found.method]}"
    if found.better:
        winner, loser = (a, b) if found.better == "a" else (b, a)
        return f"{winner} is better than {loser}: {head}; difference {spread}; {test}."
    best_case = ""
    if found.p_at_best is not None and found.p_at_best > ALPHA:
        best_case = (
            " Even if one passed every task that the other passes, a paired test would give "
            f"p = {found.p_at_best:.2g}: these totals cannot separate the two."
        )
    return f"{a} and {b} cannot be told apart: {head}; difference {spread}; {test}.{best_case} {needed(found)}"


def reasons(decision: Decision) -> tuple[str, ...]:
    """Each step of the decision as one sentence."""
    qualified = [one for one in decision.candidates if one.qualifies]
    said = []
    if decision.limits:
        said.append(
            f"{len(qualified)} of {len(decision.candidates)} models meet the limits: "
            + ", ".join(limit_text(limit) for limit in decision.limits)
            + "."
        )
    said += [
        f"Out: {one.model}: {reason}." for one in decision.candidates if not one.qualifies for reason in one.reasons
    ]
    said += [f"Not compared: {one.model}: {reason}." for one in qualified for reason in one.reasons]
    if decision.left_out:
        said.append(f"{decision.left_out} contaminated items count for nobody.")
    if engines := _engines(decision):
        said.append(engines)
    if decision.best is None:
        return tuple(said)
    best = decision.candidate(decision.best)
    if best.quality is not None:
        said.append(f"Best measured: {best.model}, {_name(decision)} {figure_text(best.quality)}.")
    front = [one.model for one in decision.candidates if one.on_front]
    if front and not decision.published:
        said.append(f"Nobody is both better and {_cost_name(decision)} than: {', '.join(front)}.")
    for tie in decision.ties:
        spread = f"{points(tie.contrast, -tie.contrast.difference)} against {best.model}"
        word = "is tied with" if tie.tied else "is behind"
        name = decision.candidate(tie.model_id).model
        said.append(f"{name} {word} {best.model}: {spread}, adjusted p = {tie.p_adjusted:.3g}.")
    return tuple(said)


def changes(decision: Decision) -> tuple[Change, ...]:
    """What would overturn the decision: more tasks, missing measurements, a limit that binds."""
    found = []
    for tie in decision.ties:
        if tie.tied:
            name = decision.candidate(tie.model_id).model
            found.append(Change(tie.model_id, f"{name}: {needed(tie.contrast)}", tie.contrast.items_needed))
    for candidate in decision.candidates:
        for one in candidate.missing:
            found.append(Change(candidate.model_id, f"{candidate.model}: {one.reason}.", run=one.run))
        if not candidate.qualifies and _beats(decision, candidate):
            sentence = f"{candidate.model} scored higher and is out only because {candidate.reasons[0]}."
            found.append(Change(candidate.model_id, sentence))
    return tuple(found)


def worded(decision: Decision, more: str = "") -> Decision:
    """The decision with its verdict and evidence in words, and a word `more` on the latter."""
    verdict, *evidence = _sentences(decision)
    said = " ".join(part for part in (*evidence, more) if part)
    return dataclasses.replace(decision, verdict=verdict, evidence=said, paragraph=f"{verdict} {said}".rstrip())


def _sentences(decision: Decision) -> list[str]:
    """The verdict, then what it rests on, sentence by sentence."""
    if decision.chosen is None or decision.best is None:
        return _nobody(decision)
    chosen, best = decision.candidate(decision.chosen), decision.candidate(decision.best)
    qualified = [one for one in decision.candidates if one.qualifies]
    tied = [tie for tie in decision.ties if tie.tied]
    said = [f"Ship {chosen.model}." if not decision.published else f"{chosen.model} has the highest score."]
    if decision.limits:
        said.append(f"{len(qualified)} of {len(decision.candidates)} models meet the limits.")
    if best.quality:
        said.append(f"The best measured is {best.model}: {_name(decision)} {figure_text(best.quality)}.")
    if decision.left_out:
        said.append(f"{decision.left_out} tasks found in training data are left out for every model.")
    if not decision.ties:
        said.append("Nothing else was measured comparably, so this is the only choice, not the better one.")
    elif not tied:
        said.append(f"It is better than each of the {len(decision.ties)} others ({_family(decision)}).")
    else:
        names = _listed([decision.candidate(tie.model_id).model for tie in tied])
        said.append(f"It cannot be told apart from {names} ({_family(decision)}).")
        said.append(_cheapest(decision, chosen, best))
        said.append(_closest(decision))
    if engines := _engines(decision):
        said.append(engines)
    unmeasured = [one.model for one in qualified if one.quality is None]
    if unmeasured:
        said.append(f"Not compared: {_listed(unmeasured)}.")
    return said


def _listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence; of many, the first and how many more: the table has them all."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"


def beside(decision: Decision, other: Decision) -> Decision:
    """The decision with a word on what the same rules choose by another benchmark, where that tells models apart."""
    if other.chosen is None or not other.ties or all(tie.tied for tie in other.ties):
        return decision
    behind = [other.candidate(tie.model_id).model for tie in other.ties if not tie.tied]
    name = other.candidate(other.chosen).model
    word = "the same" if other.chosen == decision.chosen else name
    said = f"By {_name(other)} ({other.items} rows) the choice is {word}; behind the best: {_listed(behind)}."
    changed = decision.would_change
    if other.chosen != decision.chosen:
        command = f"bakeoff decide --benchmark {other.benchmark}"
        changed += (Change(other.chosen, f"Counting {_name(other)} instead: {command}.", run=command),)
    return worded(dataclasses.replace(decision, would_change=changed), said)


def decision_markdown(decision: Decision) -> str:
    """Paragraph, table and what would change it, as Markdown."""
    lines = [escaped(decision.paragraph), ""]
    lines += [
        f"| model | {_name(decision)} | 95 % interval | n | size | 128 tokens in | meets the limits | front | tied |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    lines += [_row(one) for one in decision.candidates]
    if decision.machine_id:
        lines += ["", f"Latencies: machine {decision.machine_id}."]
    for title, sentences in (
        ("Why", decision.reasons),
        ("What would change it", tuple(one.sentence for one in decision.would_change)),
    ):
        if sentences:
            lines += ["", f"**{title}**", "", *(f"- {escaped(sentence)}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def comparison_markdown(found: Comparison) -> str:
    """A comparison as Markdown: verdict, paired table, latency ratios, problems."""
    lines = [escaped(found.verdict)]
    if found.subset:
        lines.append(f"Measured on a part of the benchmark: {found.subset}.")
    contrast = found.quality
    if contrast is not None and contrast.both is not None:
        lines += [
            "",
            "| both pass | only " + escaped(found.model_a) + " | only " + escaped(found.model_b) + " | neither |",
        ]
        lines += ["|---|---|---|---|"]
        lines += [f"| {contrast.both} | {contrast.only_a} | {contrast.only_b} | {contrast.neither} |"]
    if found.clean is not None:
        said = verdict(found.model_a, found.model_b, found.benchmark, found.clean)
        lines += ["", "Without the items found in training data: " + escaped(said)]
    if found.quality is not None and found.bits_per_byte is not None:
        lines += ["", escaped(verdict(found.model_a, found.model_b, "heldout", found.bits_per_byte))]
    for ratio in found.latency:
        lines += [
            "",
            f"{ratio.metric}: median {quantity(ratio.metric, ratio.median_a)} against "
            f"{quantity(ratio.metric, ratio.median_b)}, ratio {ratio.ratio:.2f}{interval(ratio.low, ratio.high, 2)}, "
            f"{ratio.n_a} and {ratio.n_b} requests on machine {found.machine_id}.",
        ]
    lines += ["\n" + escaped(problem) for problem in found.problems]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that cannot leave its table cell or become a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\r", " ").replace("\n", " ")


def _name(decision: Decision) -> str:
    return NAMES.get(decision.benchmark, decision.metric)


def _engines(decision: Decision) -> str:
    """That those who are compared were asked through different engines; empty where they were not."""
    compared = [one for one in decision.candidates if one.qualifies and one.quality is not None]
    return engines_said({one.model: one.quality.engine for one in compared if one.quality is not None})


def _nobody(decision: Decision) -> list[str]:
    """That nobody can be chosen, and of each model why."""
    if not decision.candidates:
        return ["There are no models yet.", "Train some, or import results: bakeoff demo · bakeoff import PATH"]
    if decision.limits and not any(one.qualifies for one in decision.candidates):
        reasons = [f"{one.model}: {one.reasons[0]}." for one in decision.candidates if one.reasons]
        return ["No model is known to meet the limits.", *reasons]
    reasons = [f"{one.model}: {reason}." for one in decision.candidates if one.qualifies for reason in one.reasons]
    return ["No quality was measured on any model that meets the limits.", *reasons]


def _family(decision: Decision) -> str:
    methods = sorted({TESTS[tie.contrast.method] for tie in decision.ties})
    return f"{'; '.join(methods)}; Holm-adjusted over {decision.family} comparisons, every pair"


def _cost_name(decision: Decision) -> str:
    return "faster" if any(one.answer_seconds for one in decision.candidates) else "smaller"


def _cheapest(decision: Decision, chosen: Candidate, best: Candidate) -> str:
    """Why the chosen one among the tied."""
    if chosen.bytes is None:
        return "Sizes and speeds are not known, so the tie cannot be broken by cost: take the cheapest to run."
    speed = f", 128 tokens in {quantity('seconds', chosen.answer_seconds)}" if chosen.answer_seconds else ""
    said = f"Among the tied, {chosen.model} is the cheapest: {quantity('bytes', chosen.bytes)}{speed}."
    if chosen.model_id == best.model_id:
        return said
    worst = next(tie.contrast for tie in decision.ties if tie.model_id == chosen.model_id)
    at_worst = worst.low if worst.metric == QUALITY["heldout"] else worst.high
    return f"{said} Tied is not equal: it may be {points(worst, abs(at_worst)).lstrip('+')} behind {best.model}."


def _closest(decision: Decision) -> str:
    """The nearest rival and what it would take; for totals alone, whether pairing could help at all."""
    rival = min((tie for tie in decision.ties if tie.tied), key=lambda tie: abs(tie.contrast.difference))
    name, best = decision.candidate(rival.model_id).model, decision.candidate(decision.best or "").model
    said = f"{best} against {name}: {needed(rival.contrast)}"
    at_best = rival.contrast.p_at_best
    if at_best is not None and at_best > ALPHA:
        said += f" No pairing of these totals would separate them: p is {at_best:.2g} at the very least."
    return said


def _beats(decision: Decision, one: Candidate) -> bool:
    """Whether a model that is out scored higher than the best of those that are in."""
    if decision.best is None or one.quality is None:
        return False
    best = decision.candidate(decision.best).quality
    if best is None:
        return False
    higher = one.quality.value - best.value
    return higher < 0 if decision.benchmark == "heldout" else higher > 0


def _row(one: Candidate) -> str:
    figure = one.quality
    cells = [
        escaped(one.model),
        f"{figure.value:.3f}" if figure else "unknown",
        f"{figure.low:.3f} to {figure.high:.3f}"
        if figure and figure.low is not None and figure.high is not None
        else "",
        (figure.subset or str(figure.n)) if figure else "",
        quantity("bytes", one.bytes) if one.bytes else "unknown",
        quantity("seconds", one.answer_seconds) if one.answer_seconds else "unknown",
        "yes" if one.qualifies else "no",
        "yes" if one.on_front else "",
        "yes" if one.tied else "",
    ]
    return "| " + " | ".join(cells) + " |"
