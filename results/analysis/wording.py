"""Figures and comparisons in words: the page, the command line and the model card print the same sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from results.analysis.findings import ALPHA, Comparison, Contrast, Figure, Limit
from results.records import percent

NAMES = {
    "humaneval": "HumanEval pass@1", "humaneval+": "HumanEval+ pass@1", "mbpp": "MBPP pass@1", "mbpp+": "MBPP+ pass@1",
    "heldout": "held-out bits per byte",
}  # fmt: skip

TESTS = {
    "mcnemar": "McNemar's test, paired by task",
    "sign flips": "a sign-flip test, paired by item",
    "bets": "bets that hold at every look, paired by item, for a race may stop at any",
    "newcombe": "Newcombe's interval of totals: unpaired and so conservative, because single outcomes are not known",
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


def p_text(p_value: float, digits: int = 2) -> str:
    """A p-value, e.g. "p = 0.03"; of one that is next to nothing, below what it lies."""
    return f"p = {p_value:.{digits}g}" if p_value >= 0.0001 else "p below 0.0001"


def broken_text(limit: Limit, value: float) -> str:
    """That a figure does not meet a limit, with as many digits as tell the two apart."""
    sign, said, bound = "at most" if limit.at_most else "at least", *_apart(limit.metric, value, limit.bound)
    return f"{LIMIT_NAMES.get(limit.metric, limit.metric)} is {said}, the limit is {sign} {bound}"


def unknown_text(limit: Limit) -> str:
    """That nobody knows whether a limit is met."""
    sign = "at most" if limit.at_most else "at least"
    called = LIMIT_NAMES.get(limit.metric, limit.metric)
    return f"{called} is unknown (limit: {sign} {quantity(limit.metric, limit.bound)})"


def _apart(metric: str, value: float, bound: float) -> tuple[str, str]:
    """Both with their unit; as bare numbers where a unit's digits would make them look equal."""
    said = quantity(metric, value), quantity(metric, bound)
    return said if said[0] != said[1] else (f"{value:.12g}", f"{bound:.12g}")


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
    return f"{score_text(figure.metric, figure.value)}{figure_interval(figure)}{rest}{imported}"


def score_text(metric: str, value: float) -> str:
    """A score as pages and the command line write it: a share as "6.2 %", bits per byte and others as they are."""
    return percent(value, 1) if is_share(metric) else f"{value:.3f}"


def is_share(metric: str) -> bool:
    """Whether a test's score is a share of what is right, and not a loss."""
    return not metric.startswith(("bits_per_byte", "loss_nats"))


def figure_interval(figure: Figure) -> str:
    """The interval of a score, in the unit of `score_text`: (95 % interval 38.3 to 53.4)."""
    scale, digits = (100.0, 1) if is_share(figure.metric) else (1.0, 3)
    low, high = (None if end is None else scale * end for end in (figure.low, figure.high))
    return interval(low, high, digits)


def points(found: Contrast, value: float) -> str:
    """A difference of quality in its unit: points of 100 for shares of what is right."""
    scale, digits, unit = _unit(found)
    return f"{_signed(scale * value, digits)} {unit}"


def spread(found: Contrast, low: float, high: float) -> str:
    """An interval of differences, e.g. "-11.8 to +11.8 points"."""
    scale, digits, unit = _unit(found)
    return f"{_signed(scale * low, digits)} to {_signed(scale * high, digits)} {unit}"


def _unit(found: Contrast) -> tuple[float, int, str]:
    return (1.0, 4, "bits per byte") if found.metric == "bits_per_byte" else (100.0, 1, "points")


def _signed(value: float, digits: int) -> str:
    """The number with its sign; what is rounded to nothing has none."""
    if not math.isfinite(value):
        return "no bound"
    said = f"{value:+.{digits}f}"
    return said[1:] if float(said) == 0 else said


def needed(found: Contrast) -> str:
    """What it would take to tell the two apart."""
    unit = "rows" if found.metric == "bits_per_byte" else "tasks"
    if found.items_needed is None:
        widest = max(abs(found.low), abs(found.high))
        allowed = f"up to {points(found, widest).lstrip('+')}" if math.isfinite(widest) else "any size"
        more = f"measure more {unit} ({found.items:,} now)"
        return f"No difference was measured, and one of {allowed} is not ruled out: {more}."
    size = points(found, abs(found.difference)).lstrip("+")
    if found.items_needed <= found.items:
        return (
            f"If {found.assumption}, about {found.items_needed:,} {unit} find a difference of {size} with chance 0.8, "
            f"and these {found.items:,} did not: measure more {unit}."
        )
    return (
        f"To find a difference of {size} with chance 0.8 takes about "
        f"{found.items_needed:,} {unit} in all ({found.items:,} now), if {found.assumption}."
    )


def verdict(a: str, b: str, benchmark: str, found: Contrast | None) -> str:
    """One paragraph about a against b."""
    if found is None:
        return f"The quality of {a} and {b} cannot be compared on what was measured."
    items = f"{found.items} items in {found.groups} groups" if found.groups else f"{found.items} items"
    scores = [score_text(found.metric, value) for value in (found.value_a, found.value_b)]
    head = f"{a} {scores[0]}, {b} {scores[1]} ({NAMES.get(benchmark, benchmark)}, {items})"
    gap = f"{points(found, found.difference)}, 95 % interval {spread(found, found.low, found.high)}"
    by = TESTS[found.method]
    if found.groups:
        by = f"{by.partition(', paired')[0]}, paired by group of related items"
    test = f"{p_text(found.p_value, 3)} by {by}"
    if found.better:
        winner, loser = (a, b) if found.better == "a" else (b, a)
        return f"{winner} is better than {loser}: {head}; difference {gap}; {test}."
    if found.too_few:
        return f"{a} and {b} cannot be told apart yet: {found.too_few}. {head}; difference {gap}. {needed(found)}"
    best_case = ""
    if found.p_at_best is not None and found.p_at_best > ALPHA:
        best_case = (
            " Even if one passed every task that the other passes, a paired test would give "
            f"p = {found.p_at_best:.2g}: these totals cannot separate the two."
        )
    return f"{a} and {b} cannot be told apart: {head}; difference {gap}; {test}.{best_case} {needed(found)}"


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


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence; of many, the first and how many more: the table has them all."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"
