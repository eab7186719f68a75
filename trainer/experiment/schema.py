"""The experiment file's model: bases × data × training × sweep × measurements, frozen, unknown keys refused.

Reading a file and reporting its problems is in `trainer.experiment.reading`, what a sweep makes of it in
`trainer.experiment.sweeps`. Bases and data have no default; every other default names its source. Secrets never stand
here: tokens come from the environment (HF_TOKEN).

Try: bakeoff plan experiments/demo.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from results.records import Form

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
"""Letters, digits, dot, dash and underscore, 80 at most: names become folders and model names."""


class Section(BaseModel):
    """What every part of an experiment file shares: frozen, and a mistyped key is a problem, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Columns(Section):
    """How to read a table whose columns no format names: templates over column names in braces.

    `{context.contexts}` goes into nested objects; a list is joined by newlines; `{{text}}` is taken like `{text}`.
    """

    prompt: str = Field(min_length=1)
    """The user's turn, e.g. "{context}\\n\\n{question}"."""
    answer: str = Field(min_length=1)
    """The assistant's turn: a template too, e.g. "{long_answer}"."""
    system: str = ""
    """A system turn; none when empty."""


class Source(Section):
    """One data source: a Hub id, a local file or folder, a file at a URL, or a built-in (`python-stdlib`)."""

    name: str = Field(min_length=1)
    """Paths are relative to the experiment file."""
    subset: str = ""
    """Configuration of a Hub data set, e.g. pqa_labeled."""
    split: str = "train"
    """The split of Hub data, and of a folder: a clone's `test-…` files, a folder `validation`, what `save_to_disk`
    wrote."""
    revision: str = ""
    """Commit or tag of a Hub data set; empty is the newest."""
    limit: int | None = Field(default=None, gt=0)
    """Rows read at most, from the start."""
    weight: float | None = Field(default=None, gt=0)
    """Share of the mix, relative to the other sources' weights. Unset everywhere: every row once."""
    format: Literal["auto", "messages", "sharegpt", "alpaca", "prompt-completion", "columns"] = "auto"
    """How rows are laid out; auto is told by their keys."""
    columns: Columns | None = None
    """How to read rows that no format knows."""
    system: str = ""
    """A system turn for rows that have none."""
    streaming: bool | None = None
    """Hub data read row by row, never whole on disk. Unset: when `limit` is set."""
    encoding: str = ""
    """What text files are written in, e.g. cp1252 or gbk. Empty: UTF-8, a byte-order mark, or told by the letters."""

    @model_serializer(mode="wrap")
    def _without_encoding(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs are named by their configuration: those that say nothing of an encoding keep the name that they had."""
        shown: dict[str, Any] = serialize(self)
        if not self.encoding:
            shown.pop("encoding", None)
        return shown

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.format == "columns" and self.columns is None:
            raise ValueError("format columns needs `columns: {prompt: …, answer: …}`")
        if self.columns is not None and self.format not in ("auto", "columns"):
            raise ValueError(f"`columns` is given, so format must be columns, not {self.format}")
        return self


class Quality(Section):
    """Filters before training. What each removed is reported with examples."""

    deduplicate: bool = True
    """Drop rows whose turns equal an earlier row's."""
    near_duplicates: float | None = Field(default=0.8, ge=0.5, lt=1)
    """Jaccard similarity of word 5-grams from which a row is a duplicate; null for exact duplicates only.
    0.8: Lee et al. 2021, arXiv 2107.06499."""
    min_answer_characters: int = Field(default=1, ge=0)
    """Rows whose answer is shorter are dropped."""
    max_answer_characters: int | None = Field(default=None, gt=0)
    """Rows whose answer is longer are dropped."""
    max_repetition: float | None = Field(default=0.5, gt=0, le=1)
    """Largest share of an answer's words that lie in a 4-gram seen before in it. Source for the measure: Rae et al.
    2021 (Gopher), arXiv 2112.11446, table A1; the limit is laxer, since code repeats itself."""
    min_score: float | None = None
    """Rows whose `score_column` is below are dropped, and rows without a number there."""
    score_column: str = "score"
    """Where `min_score` looks."""
    language: str | None = None
    """Keep rows of this language: a value of `language_column`, or without that column a script: latin, cyrillic, …"""
    language_column: str = "language"
    """Where `language` looks."""


class Data(Section):
    """The rows that are learned, and those that are held back."""

    sources: tuple[Source, ...] = ()
    """Where the rows come from; needed where something is trained."""
    quality: Quality = Quality()
    """Which rows are left out."""
    decontaminate: tuple[str, ...] = ("humaneval",)
    """Benchmarks whose overlap is measured and reported: humaneval, or a JSONL file with a `prompt` column."""
    remove_contaminated: bool = False
    """Drop the overlapping rows too."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the rows that is held back: no run learns from it, and every model is measured on it."""
    validation_limit: int | None = Field(default=None, gt=0)
    """Validation rows measured at most; the others are not trained on either."""
    seed: int = Field(default=0, ge=0)
    """Chooses the validation rows and the order of the mix. Training's own seed is `training.seed`."""

    @field_validator("sources")
    @classmethod
    def _weights_together(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        weighted = sum(source.weight is not None for source in sources)
        if weighted not in (0, len(sources)):
            raise ValueError(f"{weighted} of {len(sources)} sources have a weight: give one to all or to none")
        return sources


class Training(Section):
    """How the rows are learned: steps, rates, precision, checkpoints."""

    quantization: Literal["none", "nf4"] = "none"
    """nf4: QLoRA, the frozen base in 4 bits (Dettmers et al. 2023, arXiv 2305.14314)."""
    max_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps; wins over `epochs`."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the rows, where `max_steps` is not given."""
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    """Peak AdamW learning rate. 2e-4: the LoRA recipe of TRL's SFT example and of QLoRA for 7B to 13B."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """After warm-up. linear: transformers' default."""
    warmup: float = Field(default=0.03, ge=0)
    """Below 1 a share of the steps, else a number of steps. 0.03: QLoRA."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's, applied apart from the gradient. 0: QLoRA."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """transformers' default."""
    batch_size: int = Field(default=4, gt=0)
    """Rows a forward pass; on a GPU fewer, and more passes a step, where so many do not fit its memory."""
    gradient_accumulation: int = Field(default=1, gt=0)
    """Forward passes an optimizer step."""
    max_length: int = Field(default=1024, gt=7)
    """Tokens a row at most; the rest is cut and counted. 1024: TRL's default."""
    packing: bool = False
    """Several rows a sequence, each blind to the others; ignored, and said, where the device cannot do it correctly."""
    gradient_checkpointing: bool | None = None
    """Recompute activations to save memory. Unset: on a GPU on which not even one row fits otherwise."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """What the frozen base computes in; auto: the narrowest that the device computes well in."""
    eval_steps: int | None = Field(default=None, gt=0)
    """Steps between validations. Unset: ten a run."""
    save_steps: int = Field(default=50, gt=0)
    """Steps between checkpoints, from which a killed run goes on."""
    save_total_limit: int = Field(default=2, gt=0)
    """Checkpoints kept, the best one apart."""
    early_stopping: int | None = Field(default=None, gt=0)
    """Stop after so many validations without a better loss."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = ()
    """Trackers that get every step too, each from its own package; the runs then train one by one, through TRL."""
    mirror: str = ""
    """Where checkpoints are copied: any fsspec URL, or hf://user/name."""
    seed: int = Field(default=0, ge=0)
    """Adapter initialisation, dropout and row order; `sweep.seeds` overrides it."""


class Lora(Section):
    """What is trained of the base. Defaults: Hu et al. 2021, arXiv 2106.09685, and QLoRA's finding on targets."""

    method: Literal["lora", "full"] = "lora"
    """full: every weight, for small bases; the other keys then have no effect."""
    rank: int = Field(default=16, gt=0, le=1024)
    """QLoRA, section 4: 8 to 64 makes no difference when every linear layer is adapted."""
    alpha: float | None = Field(default=None, gt=0)
    """The update is scaled by alpha / rank (rslora: alpha / √rank)."""
    alpha_ratio: float | None = Field(default=None, gt=0)
    """alpha = ratio × rank: the other way to say it; 1 when neither is given (PEFT's default pair is 8 and 8)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that is left out at each step."""
    target: Literal["all-linear", "attention", "mlp"] | tuple[str, ...] = "all-linear"
    """Layers adapted: a group, or module names such as q_proj. The vocabulary head is never adapted."""
    rslora: bool = False
    """Rank-stabilised scaling: Kalajdzievski 2023, arXiv 2312.03732."""
    dora: bool = False
    """Weight-decomposed: Liu et al. 2024, arXiv 2402.09353."""

    @model_validator(mode="after")
    def _one_alpha(self) -> Self:
        if self.alpha is not None and self.alpha_ratio is not None:
            raise ValueError(f"alpha {self.alpha:g} and alpha_ratio {self.alpha_ratio:g} are both given: keep one")
        return self

    @property
    def effective_alpha(self) -> float:
        """Alpha as PEFT wants it: given, or ratio × rank."""
        return self.alpha if self.alpha is not None else self.rank * (self.alpha_ratio or 1.0)


class Distribution(Section):
    """What a random search draws one setting from: exactly one of three."""

    log_uniform: tuple[float, float] | None = None
    """Any value between two, each power of ten as likely."""
    uniform: tuple[float, float] | None = None
    """Any value between two, all as likely."""
    choice: tuple[Any, ...] | None = None
    """One of these values."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in ("log_uniform", "uniform", "choice") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of log_uniform, uniform, choice; got {given or 'none'}")
        for low, high in (pair for pair in (self.log_uniform, self.uniform) if pair):
            if low >= high or (self.log_uniform and low <= 0):
                raise ValueError(f"[{low:g}, {high:g}]: low must be below high, and above 0 for log_uniform")
        if self.choice is not None and not self.choice:
            raise ValueError("choice is empty: list at least one value")
        return self


class RandomSearch(Section):
    """Settings drawn at random (Bergstra and Bengio 2012)."""

    trials: int = Field(gt=0)
    """Settings that are drawn."""
    space: Mapping[str, Distribution] = Field(min_length=1)
    """Dotted keys, e.g. training.learning_rate."""
    seed: int = Field(default=0, ge=0)
    """The same seed draws the same settings."""


class Halving(Section):
    """Successive halving: all settings train a little, the best fraction goes on (Jamieson and Talwalkar 2016)."""

    first_steps: int = Field(gt=0)
    """Optimizer steps before the first cut."""
    factor: int = Field(default=3, gt=1)
    """One of `factor` settings is kept at each cut, with `factor` times the steps."""


class Sweep(Section):
    """Which variants: every base × (variants, or grid × random) × seeds."""

    variants: tuple[Mapping[str, Any], ...] = ()
    """Written out one by one: dotted keys to values, and `name` for a label. Not together with grid or random."""
    grid: Mapping[str, tuple[Any, ...]] = {}
    """Dotted keys to lists of values; every combination."""
    random: RandomSearch | None = None
    """Settings drawn at random, each with every combination of the grid."""
    halving: Halving | None = None
    """Settings that fall behind stop early."""
    seeds: tuple[int, ...] = ()
    """Each setting is trained once a seed; empty: training.seed alone."""
    keep_best_by: Literal["validation_loss", "validation_bits_per_byte"] = "validation_loss"
    """Bases with different tokenizers compare by bits per byte only."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.variants and (self.grid or self.random):
            raise ValueError("variants are written out, so neither grid nor random may be given beside them")
        if empty := [key for key, values in self.grid.items() if not values]:
            raise ValueError(f"grid has no values for {', '.join(empty)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} has one twice")
        return self


class Evaluate(Section):
    """What is measured afterwards. Each measurement's own keys are checked by the evaluator; null leaves it out."""

    humaneval: Mapping[str, Any] | None = None
    """Programs that the models write, run in a sandbox; `benchmark` names another than HumanEval."""
    heldout: Mapping[str, Any] | None = Field(default_factory=dict)
    """The loss of every model on the rows that were held back. Its one key is `forms`."""
    latency: Mapping[str, Any] | None = None
    """How fast GGUF formats answer, and how that is timed. `like: mine.csv`: with prompts as long as those of this test
    of your own, or of a published one, instead of ours."""
    stopping: Mapping[str, Any] | None = None
    """How answers end: cut off, repeating themselves, longer than the base's."""
    tests: tuple[Mapping[str, Any], ...] = ()
    """Tests of your own: a file of questions (mine.csv, or {file: mine.csv, …}), a published test by its name (boolq),
    a task of lm-eval ("lm-eval:gsm8k", "lm-eval:mine.yaml"), or the held-out rows as questions ({from: validation,
    check: exact}). Further keys: name, check, question, answer, forms, judge (a model that judges the answers too), and
    how it is asked: tasks, max_tokens, system, choices, skip_bad, …; of lm-eval's num_fewshot, prompting, tasks, …"""
    forms: tuple[Form, ...] = ("adapter",)
    """Forms every fine-tune is exported to and measured in. adapter: as training left it."""
    lora_base: Literal["gguf-q8_0", "gguf-q4_0", "gguf-f16"] = "gguf-q8_0"
    """Form of the one file that all lora-gguf adapters of a base stand beside, where the base is no GGUF file itself.
    gguf-q8_0: half of gguf-f16's size, its loss within 0.03 nats a token of the base's own (the parity gate's limit);
    gguf-q4_0 is half as large again and answers faster, and costs more."""
    base: bool = True
    """Measure the untouched bases too: without them nobody knows whether training helped."""
    until_decided: bool = False
    """HumanEval and tests of your own are races: the same items in a drawn order, losers stop, and it ends when it is
    clear which model is best, or that the rest differ by less than `margin`. What has one model, or is read in one
    pass, is measured whole."""
    margin: float | None = Field(default=None, gt=0, le=0.5)
    """The smallest difference that matters to a race, a share of 1; unset: decide.margin, else 0.03."""

    @field_validator("heldout")
    @classmethod
    def _forms_alone(cls, heldout: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if unknown := sorted(set(heldout or ()) - {"forms"}):
            raise ValueError(f"no key {', '.join(unknown)} here; its one key is evaluate.heldout.forms")
        return heldout

    @field_validator("humaneval", "heldout", "latency", "stopping", "tests")
    @classmethod
    def _forms_that_there_are(cls, given: Any) -> Any:
        for settings in given if isinstance(given, tuple) else (given or {},):
            forms = settings.get("forms", [])
            wrong = [one for one in forms if one not in get_args(Form)] if isinstance(forms, list | tuple) else [forms]
            if wrong or ("forms" in settings and not forms):
                raise ValueError(f"the formats are a list of {', '.join(get_args(Form))}; not {forms!r:.120}")
        return given

    @model_validator(mode="after")
    def _margin_of_a_race(self) -> Self:
        if self.margin is not None and not self.until_decided:
            raise ValueError(
                "`margin` says when a race is decided: set until_decided: true (decide.margin is for decide)"
            )
        return self

    @field_validator("tests", mode="before")
    @classmethod
    def _texts_are_files(cls, tests: Any) -> Any:
        if not isinstance(tests, list | tuple):
            return tests
        return [{"file": one} if isinstance(one, str) else one for one in tests]

    @field_validator("tests")
    @classmethod
    def _one_source(cls, tests: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        for test in tests:
            if ("file" in test) == ("from" in test) or test.get("from", "validation") != "validation":
                raise ValueError(f"a test has a file, or from: validation; not {dict(test)!r:.120}")
            if not isinstance(test.get("file", ""), str):
                raise ValueError(f"file is the path of a file of questions, not {test['file']!r:.120}")
        return tests

    @property
    def measurements(self) -> dict[str, Mapping[str, Any]]:
        """The measurements that are asked for, with their settings; without the tests of one's own."""
        asked = {
            "humaneval": self.humaneval, "heldout": self.heldout, "stopping": self.stopping, "latency": self.latency,
        }  # fmt: skip
        return {name: settings for name, settings in asked.items() if settings is not None}


class Decide(Section):
    """The question that the experiment answers: which measure decides, which difference matters, what must be met."""

    by: str = ""
    """The test that decides; empty: one's own tests first, then HumanEval, then held-out loss."""
    then: tuple[str, ...] = ()
    """Tests that break its ties, in this order."""
    margin: float | None = Field(default=None, gt=0, le=0.5)
    """The smallest difference that matters: 0.03, the default, is 3 points of 100, or 3 % of the best's bits."""
    max_ttft_p90: float | None = Field(default=None, gt=0)
    """Seconds to the first token, 90th percentile, at most."""
    min_tokens_per_second: float | None = Field(default=None, gt=0)
    """Median speed of one answer, at least."""
    max_ram: float | None = Field(default=None, gt=0)
    """Peak memory while answering, GB of 10^9 bytes, at most."""
    max_size: float | None = Field(default=None, gt=0)
    """Size of the files that ship, GB of 10^9 bytes, at most."""

    @model_validator(mode="after")
    def _ties_of_what(self) -> Self:
        if self.then and not self.by:
            raise ValueError("`then` names the tests that break another's ties: name that one in `by`")
        return self


class MadeElsewhere(Section):
    """A model that is measured as it is: a text, or a mapping where there is more to say than its source."""

    source: str = Field(min_length=1)
    """A path (relative to the experiment file), hub:user/repo[@revision], ollama:NAME, http://host/v1#model, or the
    name of a model in the store. A folder above several models is all of them."""
    name: Slug | Literal[""] = ""
    """What it is called; empty for a name from its source."""
    base: str = ""
    """The base of an adapter that does not name its own, or names one that is not here."""
    template: str = ""
    """File of a chat template (Jinja), before the model's own."""
    base_quantization: Literal["auto", "none", "nf4"] = "auto"
    """nf4: an adapter's base is quantized to 4 bits and back first, as QLoRA trained over it. none: its 16-bit base is
    used. auto: that too; and of one that was trained over a 4-bit copy the held-out loss, where it is asked for, is
    measured over both, and the better base is said."""


class Experiment(Section):
    """One experiment file, checked. What must stand in it by what it is for is in `trainer.experiment.reading`."""

    name: Slug
    """What the experiment is called; its runs' names begin with it."""
    bases: tuple[str, ...] = ()
    """Registry names, Hub ids, local folders or GGUF files: what is fine-tuned."""
    models: tuple[MadeElsewhere, ...] = ()
    """What is measured beside the fine-tunes, or instead of any."""
    data: Data = Data()
    """What is learned and what is held back."""
    training: Training = Training()
    """How it is learned."""
    lora: Lora = Lora()
    """What is trained of the base."""
    sweep: Sweep = Sweep()
    """Which variants there are; without it one a base."""
    evaluate: Evaluate = Evaluate()
    """What is measured afterwards."""
    decide: Decide = Decide()
    """Which question it answers."""

    @field_validator("models", mode="before")
    @classmethod
    def _texts_are_sources(cls, models: Any) -> Any:
        if not isinstance(models, list | tuple):
            return models
        return [{"source": one} if isinstance(one, str) else one for one in models]
