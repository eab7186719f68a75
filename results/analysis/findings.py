"""The answers, frozen: two models against each other, and what a decision is made of.

`comparison` and `decision` beside this make them; `wording` puts them into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from results.analysis.json_values import plain

ALPHA = 0.05
"""Two models are told apart by a p-value of at most this."""

Method = Literal["mcnemar", "sign flips", "fisher"]


@dataclass(frozen=True)
class Contrast:
    """How the quality of a differs from that of b."""

    metric: str
    method: Method
    items: int
    value_a: float
    value_b: float
    difference: float
    """value_a - value_b, in the metric's unit. Less is better for bits_per_byte."""
    low: float
    high: float
    """95 % bootstrap interval over items; for totals alone Newcombe's hybrid score interval."""
    p_value: float
    both: int | None = None
    only_a: int | None = None
    only_b: int | None = None
    neither: int | None = None
    items_needed: int | None = None
    """Items in all that would show a difference of this size with chance 0.8; None if there is none."""
    assumption: str = ""
    """What `items_needed` rests on."""
    p_at_best: float | None = None
    """Totals alone: the least p-value that paired outcomes with these totals could give."""

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The better model, if the two can be told apart."""
        if self.p_value > ALPHA or self.difference == 0:
            return None
        return "a" if (self.difference > 0) == (self.metric != "bits_per_byte") else "b"

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; infinite ends become null."""
        return plain(self)


@dataclass(frozen=True)
class LatencyRatio:
    """a's median over b's, on the same prompts: below 1, a is faster."""

    metric: str
    median_a: float
    median_b: float
    ratio: float
    low: float
    high: float
    n_a: int
    n_b: int


@dataclass(frozen=True)
class Comparison:
    """Everything the store holds about a against b."""

    model_a: str
    model_b: str
    """Names."""
    benchmark: str
    quality: Contrast | None
    clean: Contrast | None
    """The same without the items that either's training data is known to contain; None where none are known."""
    bits_per_byte: Contrast | None
    latency: tuple[LatencyRatio, ...]
    machine_id: str | None
    bytes_a: int
    bytes_b: int
    subset: str
    problems: tuple[str, ...]
    """What could not be compared, and why."""
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; infinite ends become null."""
        return plain(self)


@dataclass(frozen=True)
class Limit:
    """One hard limit on a figure."""

    metric: str
    """bytes (of the files that ship), or the name of any score."""
    bound: float
    at_most: bool = True
    """False: the figure must be at least the bound."""

    def holds(self, value: float) -> bool:
        """Whether a figure meets the limit."""
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True)
class Limits:
    """What a model must meet to be shipped; None: no limit."""

    ttft_seconds_p90: float | None = None
    """Upper limit: seconds to the first token that 90 % of requests stay within."""
    tokens_per_second: float | None = None
    """Lower limit: median speed of one answer."""
    peak_rss_bytes: float | None = None
    """Upper limit: memory while answering."""
    bytes: float | None = None
    """Upper limit: size of the files that ship, the base included."""
    others: tuple[Limit, ...] = ()
    """Limits on any other score by its name."""

    def all(self) -> tuple[Limit, ...]:
        """The limits that are set."""
        named = (
            ("ttft_seconds_p90", self.ttft_seconds_p90, True),
            ("tokens_per_second_p50", self.tokens_per_second, False),
            ("peak_rss_bytes", self.peak_rss_bytes, True),
            ("bytes", self.bytes, True),
        )
        return (*(Limit(metric, bound, most) for metric, bound, most in named if bound is not None), *self.others)


@dataclass(frozen=True)
class Figure:
    """A number with its interval and where it comes from."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    subset: str = ""
    evaluation_id: str = ""
    origin: str = "measured"
    engine: str = ""
    """What answered, in words, where it was recorded."""


@dataclass(frozen=True)
class Missing:
    """Why something is not known of a model."""

    reason: str
    """Ends in the command, where there is one."""
    run: str = ""
    """The command that would tell; "" where none would."""


@dataclass(frozen=True)
class Candidate:
    """A model, its figures, and what became of it."""

    model_id: str
    model: str
    form: str = ""
    identity: str = ""
    bytes: int | None = None
    quality: Figure | None = None
    """Its quality on the items that all candidates share."""
    quality_all: Figure | None = None
    """Its quality on all items, where contaminated ones were left out of `quality`."""
    answer_seconds: float | None = None
    """Median seconds to an answer of 128 tokens."""
    figures: tuple[Figure, ...] = ()
    """The figures that limits ask for, and the others of cost."""
    qualifies: bool = True
    reasons: tuple[str, ...] = ()
    """Why it does not qualify, or cannot be compared."""
    missing: tuple[Missing, ...] = ()
    """The reasons that a measurement would settle."""
    on_front: bool = False
    tied: bool = False
    """Whether it is tied with the best; true of the best itself."""


@dataclass(frozen=True)
class Tie:
    """The best model against another: the whole family is in `Decision.ties`, told apart or not."""

    model_id: str
    contrast: Contrast
    """a is the best model, b this one."""
    p_adjusted: float
    """Holm over all pairs of models: the best was picked after looking at all."""
    tied: bool


@dataclass(frozen=True)
class Change:
    """One thing that could overturn the decision."""

    model_id: str
    sentence: str
    items_needed: int | None = None
    run: str = ""
    """The command that would tell."""


@dataclass(frozen=True)
class Decision:
    """The choice and everything that led to it."""

    chosen: str | None
    """Model id; None if nobody qualifies or nothing was measured."""
    best: str | None
    """The model with the best measured quality among those that qualify."""
    benchmark: str
    metric: str
    items: int
    """Tasks or rows that all candidates share."""
    left_out: int
    """Contaminated items that count for nobody."""
    limits: tuple[Limit, ...]
    machine_id: str | None
    """The machine of all latencies shown."""
    candidates: tuple[Candidate, ...]
    """Best quality first, the unmeasured and the unqualified last."""
    ties: tuple[Tie, ...]
    family: int = 0
    """Comparisons that the p-values are adjusted over: every pair."""
    reasons: tuple[str, ...] = ()
    would_change: tuple[Change, ...] = ()
    verdict: str = ""
    """What to ship, in one sentence; or that nothing can be said, and why."""
    evidence: str = ""
    """What the verdict rests on, in a few sentences."""
    paragraph: str = ""
    """Verdict and evidence."""
    published: bool = False
    """Judged from a study's published totals."""

    def candidate(self, model_id: str) -> Candidate:
        """The candidate of that id. Raises: KeyError."""
        return next(one for one in self.candidates if one.model_id == model_id)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers; infinite ends become null."""
        return plain(self)
