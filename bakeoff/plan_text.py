"""A plan in words: what `bakeoff plan` prints."""

from __future__ import annotations

from trainer import Group, Plan


def plan_text(plan: Plan) -> str:
    """One block a group of variants, then problems and warnings."""
    lines = [f"{plan.experiment}: {plan.runs} fine-tuning{'s' if plan.runs != 1 else ''}"]
    for group in plan.groups:
        lines += _group_lines(group)
    lines += [f"\nProblem: {problem}" for problem in plan.problems]
    lines += [f"\nWarning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def _group_lines(group: Group) -> list[str]:
    size = f" ({group.parameters / 1e6:,.0f}M parameters)" if group.parameters else ""
    lines = ["", f"{group.base}{size}: {', '.join(group.runs)}"]
    if group.rows is not None and group.tokens is not None and group.steps is not None and group.passes is not None:
        lines.append(
            f"  data    {group.rows:,} training and {group.validation_rows:,} validation rows, "
            f"{group.tokens:,} tokens a pass; {_removed(group)}"
        )
        lines.append(f"  steps   {group.steps:,}, {group.passes:.2g} passes over the rows")
    for need in group.needs:
        fits = "fits" if need.fits else f"does not fit {need.device_bytes / 1e9:.0f} GB"
        checkpointing = ", recomputing activations" if need.checkpointing else ""
        duration = f", about {_duration(need.seconds)} of training" if need.seconds else ""
        lines.append(f"  {need.device:<10} about {need.memory_bytes / 1e9:.1f} GB ({fits}{checkpointing}){duration}")
    return lines


def _removed(group: Group) -> str:
    counts = {name.replace("_", " "): found["removed"] for name, found in group.report.get("filters", {}).items()}
    unreadable = sum(source["read"] - source["usable"] for source in group.report.get("sources", []))
    counts = {**({"unreadable": unreadable} if unreadable else {}), **counts}
    named = [f"{count:,} {name}" for name, count in counts.items() if count]
    return f"removed: {', '.join(named)}" if named else "the filters removed nothing"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
