"""A plan in words: what `bakeoff plan` prints."""

from __future__ import annotations

from collections.abc import Sequence

from bakeoff.experiment.elsewhere import Foreseen
from bakeoff.experiment.foretelling import Whole
from bakeoff.experiment.measurements import WITHOUT_ROWS
from results import duration
from trainer import Experiment, Group, Plan, removed_words

STAGES = {
    "training": "training", "export": "exports", "humaneval": "HumanEval", "heldout": "held-out rows",
    "stopping": "stopping", "tests": "your own tests", "latency": "latency",
}  # fmt: skip
"""What the stages are called."""


def plan_text(plan: Plan, wholes: Sequence[Whole], models: Sequence[str] = (), tests: Sequence[str] = ()) -> str:
    """One block a group of variants, the time of the whole experiment at each place, then problems and warnings.

    models: what is said of models that were made elsewhere. tests: what is said of tests of one's own.
    """
    trained = f"{plan.runs} fine-tune{'s' if plan.runs != 1 else ''}" if plan.runs else "nothing is trained"
    lines = [f"{plan.experiment}: {trained}"]
    for group in plan.groups:
        lines += _group_lines(group)
    lines += ["", *models] if models else []
    lines += ["", "your own tests:", *(f"  {line}" for line in tests)] if tests else []
    if wholes:
        beside = " (less what is measured already; endpoints and downloads not counted)" if models else ""
        lines += ["", f"the whole experiment, within a factor of two{beside}:"]
        width = max(len(whole.device) for whole in wholes)
        lines += [f"  {whole.device:<{width}} {_whole(whole)}" for whole in wholes]
    lines += [f"\nProblem: {problem}" for problem in plan.problems]
    lines += [f"\nWarning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def models_text(foreseen: Foreseen, experiment: Experiment) -> list[str]:
    """What becomes of the models that an experiment file names and does not train."""
    if not experiment.models:
        return []
    wanted = experiment.evaluate
    named = [name for name in wanted.measurements if name != "heldout" or experiment.data.sources]
    lines = ["models made elsewhere:", *(f"  {line}" for line in foreseen.lines)]
    lines.append(f"  adapters and whole models in the formats {', '.join(wanted.forms)}; others as they are")
    lines.append(f"  measured by {', '.join(STAGES[name] for name in named) or 'nothing: name a measurement'}")
    if "heldout" in wanted.measurements and not experiment.data.sources:
        lines.append(f"  {WITHOUT_ROWS}")
    elif "heldout" in wanted.measurements and foreseen.untold:
        lines.append(f"  not known here: whether {', '.join(foreseen.untold)} was trained on these held-out rows")
    return lines


def _group_lines(group: Group) -> list[str]:
    size = f" ({group.parameters / 1e6:,.0f}M parameters)" if group.parameters else ""
    lines = ["", f"{group.base}{size}: {', '.join(group.runs)}"]
    if group.rows is not None and group.tokens is not None and group.steps is not None and group.passes is not None:
        lines.append(
            f"  data    {group.rows:,} training and {group.validation_rows:,} validation rows, "
            f"{group.tokens:,} tokens per epoch; {removed_words(group.report)}"
        )
        lines.append(f"  steps   {group.steps:,}, {group.passes:.2g} epochs")
    width = max((len(need.device) for need in group.needs), default=0)
    for need in group.needs:
        fits = "fits" if need.fits else f"does not fit {need.device_bytes / 1e9:.0f} GB"
        how = f", in micro-batches of {need.micro_batch}" if need.micro_batch else ""
        how += ", recomputing activations" if need.checkpointing else ""
        trained = f", about {duration(need.seconds)} of training" if need.seconds else ""
        beside = f", {need.at_once} runs at once" if need.at_once > 1 else ""
        lines.append(
            f"  {need.device:<{width}} about {need.memory_bytes / 1e9:.1f} of {need.device_bytes / 1e9:.0f} GB "
            f"({need.dtype}, {fits}{how}){trained}{beside}"
        )
        if need.note:
            lines.append(f"  {'':<{width}} {need.note}")
    return lines


def _whole(whole: Whole) -> str:
    """The total, then every stage with its forms."""
    stages: dict[str, list[tuple[str, float]]] = {}
    for part in whole.parts:
        stages.setdefault(part.stage, []).append((part.form, part.seconds))
    named = []
    for stage, forms in stages.items():
        total = duration(sum(seconds for _, seconds in forms))
        each = ", ".join(f"{form} {duration(seconds)}" for form, seconds in forms if form)
        named.append(f"{STAGES[stage]} {total}" + (f" ({each})" if len(forms) > 1 else ""))
    return f"about {duration(whole.seconds)}: {', '.join(named)}"
