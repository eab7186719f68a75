"""The answers, frozen: two models against each other, and what a decision is made of.

`comparison` and `decision` beside this make them; `wording` puts them into words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from results.analysis.json_values import plain

ALPHA = 0.05
"""Two models are told apart by a p-value of at most this."""

Method = Literal["mcnemar", "sign flips", "newcombe", "bets"]

EVERYTHING = "*"
"""Stands for the experiment of a question that is about all models of the store."""

MARGIN = 0.03
"""The smallest difference that matters unless it is stated: 3 points of 100; of bits per byte, 3 % of the best's."""

Kind = Literal["ship", "tie", "not enough data", "only one", "nobody"]
"""The verdicts of a decision."""

Standing = Literal[
    "ship", "highest score", "highest score, a guess", "as good", "not told apart", "behind", "fails a limit",
    "not measured", "not compared",
]  # fmt: skip
"""What became of a candidate."""


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
    """95 % interval: it excludes 0 exactly where `p_value` is at most 0.05."""
    p_value: float
    both: int | None = None
    only_a: int | None = None
    only_b: int | None = None
    neither: int | None = None
    items_needed: int | None = None
    """Items in all that would show a difference of this size with chance 0.8; None if there is none, or it is shown."""
    assumption: str = ""
    """What `items_needed` rests on."""
    p_at_best: float | None = None
    """Totals alone: the least p-value that paired outcomes with these totals could give."""
    too_few: str = ""
    """Why so few items cannot tell two models apart, whatever `p_value` is; empty where they can."""
    groups: int = 0
    """Groups of related items that interval and p-value are of; 0 where no two items are related."""

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The better model, if the two can be told apart."""
        if self.too_few or self.p_value > ALPHA or self.difference == 0:
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
class Question:
    """What a decision is about."""

    experiment: str = ""
    """Only models of that experiment: its runs', its bases, what it added. EVERYTHING: all of the store. Empty: the
    newest experiment that was measured."""
    tag: str = ""
    """Only models of runs with that tag."""
    models: tuple[str, ...] = ()
    """Ids of exactly these models; nothing else is looked at."""
    measures: tuple[str, ...] = ()
    """Benchmarks: the first decides, each other breaks the ties that are left. Empty: the experiment's own, else
    `measures_of`."""
    limits: Limits = field(default_factory=Limits)
    """None set: the experiment's own."""
    margin: float | None = None
    """The smallest difference that matters: a share of 1 for passes, a share of the best's bits for bits per byte.
    None: the experiment's own, else MARGIN."""
    machine_id: str | None = None
    """Whose latencies count; None: the machine with most of them."""


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
    groups: int = 0
    """Groups of related items that the interval is of; 0 where no two items are related."""
    judge: str = ""
    """Where a model judged the answers: how far it agrees with people, in a few words."""


@dataclass(frozen=True)
class Missing:
    """Why something is not known of a model."""

    reason: str
    """Ends in the command, where there is one."""
    run: str = ""
    """The command that would tell; "" where none would."""


@dataclass(frozen=True)
class Raced:
    """What a race made of one model: `results.analysis.racing`."""

    items: int
    """Items that it was asked."""
    most: int
    """Items of the race at most."""
    models: int
    """How many raced."""
    left: Literal["worse", "budget"] | None
    """Why it left before the end: shown to be worse than another, or lowest when a share of the budget was spent."""
    p_value: float
    """That of "no other is better than it", adjusted over the race, when it left."""


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
    raced: Raced | None = None
    """The race that it was measured in; None where all that was asked for was measured."""

    @property
    def timed_elsewhere(self) -> bool:
        """Whether its times were imported."""
        times = [one for one in self.figures if "_seconds_" in one.metric or "_per_second_" in one.metric]
        return self.answer_seconds is not None and any(one.origin == "imported" for one in times)


@dataclass(frozen=True)
class Tie:
    """The best model against another: the whole family is in `Decision.ties`, told apart or not."""

    model_id: str
    contrast: Contrast
    """a is the best model, b this one."""
    p_adjusted: float
    """Adjusted for all that were looked at before the best was known."""
    tied: bool
    """Whether it is not shown to be behind the best."""
    within: bool = False
    """Shown that no other model is better than this one by the margin."""
    behind_at_most: float | None = None
    """The most that another may be ahead of it, at 97.5 % and adjusted, in goodness; None where it was not asked."""


@dataclass(frozen=True)
class Change:
    """One thing that could overturn the decision."""

    model_id: str
    sentence: str
    items_needed: int | None = None
    run: str = ""
    """The command that would tell."""


@dataclass(frozen=True)
class Beside:
    """What another measure than the deciding one says of the same models."""

    benchmark: str
    kind: Kind
    items: int
    best: str
    """Id of the model with the best score."""
    broke: bool = False
    """Whether it broke the tie that the first measure left."""


@dataclass(frozen=True)
class Decision:
    """The choice and everything that led to it."""

    kind: Kind
    """ship, tie, not enough data; only one: nothing to compare; nobody: none measured, or none within the limits."""
    chosen: str | None
    """Model id; None where the data do not suffice, nobody qualifies or nothing was measured."""
    best: str | None
    """The model with the best measured quality among those that qualify; a guess where nothing is chosen."""
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
    about: str = ""
    """The models that are asked about, e.g. "the 5 models of experiment shop"."""
    elsewhere: str = ""
    """Who is not asked about, and how to ask; empty where all are."""
    measures: tuple[str, ...] = ()
    """The benchmarks of the question, the deciding one first."""
    margin: float = 0.0
    """The smallest difference that matters, in the metric's unit."""
    question: Question = Question()
    """What was asked, with all that it left to the experiment filled in."""
    family: int = 0
    """Cheaper models of which a tie was asked: their bounds are adjusted over them."""
    best_behind_at_most: float | None = None
    """The most that another may be ahead of the best measured, as in a tie; None where it was not asked."""
    items_needed: int | None = None
    """Where the data do not suffice: items in all after which a tie could be shown with chance 0.8."""
    seconds_needed: float | None = None
    """How long all models still open would take for so many items; None where nobody knows."""
    margin_shown: float | None = None
    """Where the data do not suffice: the margin, as stated, at which the best would be shipped."""
    beside: tuple[Beside, ...] = ()
    """What the other measures say."""
    reasons: tuple[str, ...] = ()
    would_change: tuple[Change, ...] = ()
    verdict: str = ""
    """What to ship, in one sentence; or that nothing can be said, and why."""
    facts: tuple[str, ...] = ()
    """What the verdict rests on, a sentence each."""
    evidence: str = ""
    """The facts as one text."""
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
