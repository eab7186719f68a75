"""`bakeoff add`: models made elsewhere, into the store."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines import Added, Found

SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        help="A PEFT or transformers folder, a .gguf file, hub:user/repo, ollama:NAME, http://host/v1#model; "
        "or a folder above several."
    ),
]
BaseOption = Annotated[
    str, typer.Option(help="What an adapter was trained over: a model here, a folder, a .gguf file, a Hub id.")
]
TemplateOption = Annotated[
    Path | None, typer.Option(help="File with the chat template (Jinja) that it was trained with.")
]
QuantizationOption = Annotated[
    Literal["none", "nf4"], typer.Option(help="nf4: measure an adapter over its base quantized to 4 bits and back.")
]


def add(
    sources: SourcesArgument,
    name: Annotated[str, typer.Option(help="What to call it. Default: the name of its folder.")] = "",
    base: BaseOption = "",
    template: TemplateOption = None,
    base_quantization: QuantizationOption = "none",
    copy: Annotated[bool, typer.Option("--copy", help="Copy the files into the workspace.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Archive another model that has the name, with its formats.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, register nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Add all that a folder holds without asking.")] = False,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Add models made with other tools. Each is checked first; files stay where they are.

    Exit status 1: one was refused, with what to do about it; the others were added.

    bakeoff add ./outputs/my-lora · bakeoff add my-model-Q4_K_M.gguf · bakeoff add ./outputs --dry-run
    """
    import engines
    from bakeoff.experiment.elsewhere import registry
    from bakeoff.progress import drawn
    from results import Workspace

    found = [one for source in sources for one in engines.find(source)]
    if len(found) > len(sources) and not (yes or dry_run or json_):
        _confirm(found)
    place = Workspace.open(workspace)
    wishes = engines.Wishes(name, base, template, base_quantization, copy, dry_run, replace)
    with place.passing_store() if dry_run else place.store() as store:
        with drawn() as progress:
            added = engines.add(found, wishes, place, store, registry(), progress)
        if sys.stdin.isatty() and not (yes or dry_run or json_) and (agreed := _agreed(added)):
            with drawn() as progress:
                wishes = dataclasses.replace(wishes, replace=True)
                again = engines.add(agreed, wishes, place, store, registry(), progress)
            made = {id(one): new for one, new in zip(agreed, again, strict=True)}
            added = [made.get(id(one.found), one) for one in added]
    if json_:
        print(json.dumps([_as_json(one) for one in added], indent=1))
    else:
        print("\n\n".join(_text(one, dry_run) for one in added))
    if any(one.refused for one in added):
        raise typer.Exit(1)


def _confirm(found: Sequence[Found]) -> None:
    """One question before several models of a folder are added, where somebody is there to answer."""
    from bakeoff.listing import printable

    for one in found:
        print(f"{printable(one.name)}: {one.kind}, {printable(str(one.path))}")
    if sys.stdin.isatty() and not typer.confirm(f"Add these {len(found)} models?", default=True):
        raise typer.Exit(1)


def _agreed(added: Sequence[Added]) -> list[Found]:
    """Those whose name another model has, and whom the person lets have it."""
    from bakeoff.listing import spelt_out

    agreed = []
    for one in added:
        taken = next((check for check in one.checks if check.name == "name" and check.state == "failed"), None)
        if taken is None:
            continue
        print(spelt_out(taken.detail))
        if typer.confirm(f"Archive that one, and call what lies at {spelt_out(one.found.source)} {one.name}?"):
            agreed.append(one.found)
    return agreed


def _as_json(added: Added) -> dict[str, object]:
    return {
        "name": added.name,
        "source": added.found.source,
        "path": str(added.found.path or ""),
        "state": _state(added),
        "id": added.model.id if added.model else None,
        "checks": [check.as_json() for check in added.checks],
    }


def _state(added: Added) -> str:
    if added.refused:
        return "refused"
    if added.known:
        return "there already"
    return "added" if added.model else "not added (dry run)"


SIGNS = {"ok": "✓", "note": "!", "failed": "✗"}


def _text(added: Added, dry_run: bool) -> str:
    """The checklist of one model, and what to do next."""
    from bakeoff.listing import spelt_out

    lines = [f"{spelt_out(added.name)}: {_state(added)}"]
    for check in added.checks:
        remedy = f" {check.remedy}" if check.remedy else ""
        lines.append(f"  {SIGNS[check.state]} {check.name:<12} {spelt_out(check.detail + remedy)}")
    if added.model and not added.known and not dry_run:
        lines.append(f"  Measure it: bakeoff evaluate {added.name} · chat with it: bakeoff dashboard")
    return "\n".join(lines)
