"""The model card: what the store knows of a model, as the README.md of a Hub repository.

Data, settings, curves, scores with their intervals beside the base's, contamination, and how to use it. What was not
measured is not mentioned; paths of this machine are not either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from results import Model, Run, ScoreRow, Store, engine_words, percent
from trainer.bases.registry import base_entry

CURVE_ROWS = 12
"""Validation points shown at most, evenly spread."""

SHOWN_SETTINGS = (
    "training.quantization",
    "training.max_steps",
    "training.epochs",
    "training.learning_rate",
    "training.schedule",
    "training.batch_size",
    "training.gradient_accumulation",
    "training.max_length",
    "lora.method",
    "lora.rank",
    "lora.alpha",
    "lora.dropout",
    "lora.target",
    "lora.rslora",
    "lora.dora",
)


def model_card(model: Model, store: Store, repository: str = "") -> str:
    """The card of a model as Markdown with the Hub's YAML header. `repository` is named in the instructions."""
    run = store.runs.get(model.run_id) if model.run_id else None
    sections = [
        f"# {_plain(model.name)}",
        _summary(model, run),
        _use(model, repository or model.name),
        _scores(model, store),
        _training(run, store) if run else "",
        _data(run, store) if run else "",
        _contamination(run, store) if run else "",
        _provenance(model, run, store),
    ]
    return "\n\n".join([_header(model, run), *(section for section in sections if section)]) + "\n"


def public_name(name: str) -> str:
    """A base or data source as others may know it: a path becomes its last part, anything else stays."""
    found = base_entry(name)
    if found:
        return found.hub
    local = name.startswith(("/", ".", "~", "\\")) or PureWindowsPath(name).drive != ""
    return PurePosixPath(name.replace("\\", "/")).name if local else name


def _header(model: Model, run: Run | None) -> str:
    base = base_entry(model.base)
    fields: dict[str, Any] = {}
    if base:
        fields["license"] = base.licence
    name = public_name(model.base)
    if name.count("/") == 1:
        fields["base_model"] = name
        fields["base_model_relation"] = "quantized" if model.form.startswith("gguf") else "finetune"
        if model.form in ("adapter", "lora-gguf"):
            fields["base_model_relation"] = "adapter"
    fields["library_name"] = {"adapter": "peft", "merged": "transformers"}.get(model.form, "gguf")
    fields["pipeline_tag"] = "text-generation"
    hub_data = [source for source in _sources(run) if source.count("/") == 1]
    if hub_data:
        fields["datasets"] = hub_data
    fields["tags"] = ["bakeoff"]
    return "---\n" + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True) + "---"


def _sources(run: Run | None) -> list[str]:
    """Names of the run's data sources, from its flat or nested configuration."""
    if run is None:
        return []
    data = run.config.get("data")
    sources = run.config.get("data.sources") or (data.get("sources") if isinstance(data, dict) else None) or []
    return [public_name(str(source["name"])) for source in sources if isinstance(source, dict) and "name" in source]


def _summary(model: Model, run: Run | None) -> str:
    what = {
        "base": "An untouched base",
        "adapter": "A LoRA adapter",
        "lora-gguf": "A LoRA adapter for llama.cpp",
        "merged": "A fine-tuned model, adapter merged",
    }.get(model.form, f"A fine-tuned model as {model.form}" if run else f"A model as {model.form}")
    size = f"{model.bytes / 1e6:,.0f} MB"
    whole = ", the base included" if model.form in ("adapter", "lora-gguf") else ""
    return f"{what} of `{_plain(public_name(model.base))}`: {size} in use{whole}."


def _use(model: Model, repository: str) -> str:
    base = public_name(model.base)
    messages = '[{"role": "user", "content": "Why is the sky blue?"}]'
    if model.form in ("adapter", "merged", "base"):
        if model.form == "adapter":
            load = (
                "from peft import AutoPeftModelForCausalLM as Model\nfrom transformers import AutoTokenizer\n\n"
                f'model = Model.from_pretrained("{repository}")  # fetches {base}'
            )
        else:
            load = (
                "from transformers import AutoModelForCausalLM as Model, AutoTokenizer\n\n"
                f'model = Model.from_pretrained("{repository}")'
            )
        code = (
            f'{load}\ntokenizer = AutoTokenizer.from_pretrained("{repository}")\n'
            f"prompt = tokenizer.apply_chat_template({messages}, add_generation_prompt=True, "
            'return_tensors="pt", return_dict=True)\n'
            "answer = model.generate(**prompt, max_new_tokens=128)\n"
            'print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True))'
        )
        return f"## How to use\n\n```python\n{code}\n```"
    file = PurePosixPath(model.path).name
    if model.form == "lora-gguf":
        beside = model.details.get("over_form", "GGUF")
        command = f'llama-cli -m BASE.gguf --lora {file} -p "Why is the sky blue?"   # BASE.gguf: {base} as {beside}'
    else:
        command = f'llama-cli -m {file} -p "Why is the sky blue?"'
    return f"## How to use\n\n```sh\nhf download {repository} {file} --local-dir .\n{command}\n```"


def _scores(model: Model, store: Store) -> str:
    rows = store.evaluations.scores()
    base = next((one for one in store.models.list() if one.form == "base" and one.base == model.base), None)
    of_base = [row for row in rows if base and row.model_id == base.id and base.id != model.id]
    own = [row for row in rows if row.model_id == model.id]
    if not own:
        return ""
    lines = ["| benchmark | metric | this model | 95 % interval | the base | n | when |", "|---" * 7 + "|"]
    for row in own:
        beside = _beside(row, of_base)
        subset = f" ({row.subset})" if row.subset else ""
        lines.append(
            f"| {_plain(row.benchmark + subset)} | {_plain(row.metric)} | {_figure(row.value)} | {_interval(row)} "
            f"| {_base_figure(beside, row)} | {row.n} | {_when(model, row)} |"
        )
    machines = {row.machine_id for row in own if row.origin == "measured"}
    if not machines:
        return "\n".join(["## Scores", "", *lines, "", "Imported from other tools' files, not measured by Bakeoff."])
    seen = [store.machines.get(machine) for machine in sorted(machines)]
    where = "; ".join(
        f"{_plain(one.cpu)}, {one.cores} cores{', ' + _plain(one.gpu) if one.gpu else ''}" for one in seen
    )
    measured = [row for row in own if row.origin == "measured"]
    engines = ", ".join(sorted({_plain(engine_words(model, row)) for row in measured} - {""}))
    through = f" Answered through: {engines}." if engines else ""
    return "\n".join(["## Scores", "", *lines, "", f"Measured by Bakeoff on: {where}.{through}"])


def _when(model: Model, row: ScoreRow) -> str:
    """The day, what answered, and that another tool measured it."""
    day = f"{row.finished_at:%Y-%m-%d}" if row.finished_at else ""
    said = [day, _plain(engine_words(model, row)), "imported" if row.origin != "measured" else ""]
    return ", ".join(filter(None, said)) or "–"


def _beside(row: ScoreRow, of_base: Sequence[ScoreRow]) -> ScoreRow | None:
    """The base's score of the same question, through the same engine if there is one, else the newest."""
    alike = [one for one in of_base if _question(one) == _question(row)]
    same = [one for one in alike if one.settings.get("engine") == row.settings.get("engine")]
    return next(reversed(same or alike), None)


def _question(row: ScoreRow) -> tuple[str, str, str, str]:
    """Return what must agree for two scores to stand side by side; for latency that includes the machine."""
    return row.benchmark, row.metric, row.subset, row.machine_id if row.benchmark == "latency" else ""


def _base_figure(beside: ScoreRow | None, row: ScoreRow) -> str:
    """The base's score, with its engine where that is another one."""
    if beside is None:
        return "–"
    engine, own = beside.settings.get("engine"), row.settings.get("engine")
    apart = [f"through {_plain(str(engine))}"] if engine and own and engine != own else []
    apart += ["imported"] if beside.origin != "measured" else []
    return _figure(beside.value) + (f" ({', '.join(apart)})" if apart else "")


def _interval(row: ScoreRow) -> str:
    return "–" if row.low is None or row.high is None else f"{_figure(row.low)} to {_figure(row.high)}"


def _figure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def _training(run: Run, store: Store) -> str:
    settings = {key: run.config[key] for key in SHOWN_SETTINGS if run.config.get(key) is not None}
    lines = ["## Training", "", "| setting | value |", "|---|---|"]
    lines += [f"| {key} | {_plain(str(value))} |" for key, value in {**settings, "seed": run.seed}.items()]
    steps, losses = store.curves.read(run.id, "validation_loss")
    if len(steps):
        stride = max(1, math.ceil(len(steps) / CURVE_ROWS))
        points = list(zip(steps, losses, strict=True))
        shown = [*points[:-1:stride], points[-1]]
        best = min((point for point in points if math.isfinite(point[1])), key=lambda point: point[1], default=None)
        if best:
            lines += ["", f"Best validation loss: {best[1]:.4f} nats per token at step {best[0]}."]
        lines += ["", "| step | validation loss |", "|---|---|", *(f"| {step} | {loss:.4f} |" for step, loss in shown)]
    return "\n".join(lines)


def _data(run: Run, store: Store) -> str:
    report = store.reports.get(run.id, "data") or store.reports.get(run.experiment, "data")
    if report is None:
        return ""
    found = report.payload
    lines = ["## Data", "", "| source | rows read | usable |", "|---|---|---|"]
    for source in found.get("sources", ()):
        lines.append(f"| {_plain(public_name(source['source']))} | {source['read']:,} | {source['usable']:,} |")
    removed = [f"{name.replace('_', ' ')}: {one['removed']:,}" for name, one in (found.get("filters") or {}).items()]
    if removed:
        lines += ["", f"Removed by filters: {', '.join(removed)}."]
    tokens = (found.get("tokens") or {}).get("training")
    if tokens:
        lines += [
            "",
            f"{tokens['rows']:,} training rows, {tokens['tokens']:,} tokens, {tokens['trained_tokens']:,} of them in "
            f"answers, which alone were trained on; {tokens['truncated']:,} rows were cut.",
        ]
    return "\n".join(lines)


def _contamination(run: Run, store: Store) -> str:
    report = store.reports.get(run.id, "contamination") or store.reports.get(run.experiment, "contamination")
    if report is None or not report.payload:
        return ""
    lines = ["## Contamination", ""]
    for one in (report.payload, *report.payload.get("others", ())):
        items = [_plain(str(item)) for item in one.get("items") or ()]
        named = ": " + ", ".join(items[:20]) + (" …" if len(items) > 20 else "") if items else ""
        lines.append(
            f"- {_plain(one['benchmark'])}: {len(items)} of {one['total']} tasks share at least "
            f"{percent(one['threshold'])} of their {one['ngram_words']}-word sequences with one training row{named}"
        )
    return "\n".join(lines)


def _provenance(model: Model, run: Run | None, store: Store) -> str:
    lines = ["## Provenance", "", f"- model identity (SHA-256): `{model.identity}`"]
    if run:
        lines.append(f"- run: `{_plain(run.id)}`, {run.status}")
        if run.machine_id:
            machine = store.machines.get(run.machine_id)
            versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
            lines.append(f"- trained on: {_plain(machine.gpu or machine.cpu)}; {versions}")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text that stays text in a Markdown table: no cell borders, lines, HTML or links."""
    table: dict[str, str | int | None] = {
        "|": "\\|",
        "\n": " ",
        "\r": " ",
        "<": "&lt;",
        ">": "&gt;",
        "[": "\\[",
        "]": "\\]",
    }
    return text.translate(str.maketrans(table))
