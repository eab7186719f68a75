"""Models made elsewhere into the store: each checked, a base in memory once for all its adapters, then registered.

    for one in add(find("./outputs"), Wishes(), workspace, store):
        print(one.name, "added" if one.model else one.checks)

Files stay where they are, unless they are to be copied or an adapter has to be merged. One that is refused keeps no
other out.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engines.adding.checking.base_names import short_name
from engines.adding.checking.bases import Base, Registry, Shelves
from engines.adding.checking.checks import Check
from engines.adding.checking.gguf_files import inspect_gguf, inspect_lora, rewrite
from engines.adding.checking.inspection import Plan, Wishes, inspect_adapter
from engines.adding.checking.whole_models import inspect_whole
from engines.adding.found import Found
from engines.adding.holders import check_name
from engines.adding.names import told_apart
from engines.adding.record import Files, endpoint_record, record
from engines.errors import EngineError
from engines.gguf_format.header import read_header
from engines.huggingface.chat_templates import chat_template
from engines.identity import adapter_sha256, base_sha256, file_sha256
from results import (
    BakeoffError,
    Form,
    ImportRefused,
    Model,
    Progress,
    Report,
    Store,
    Workspace,
    bring_history,
    digest,
    making,
)

REPORT = "added"
"""Kind of the report that keeps a model's checklist."""

NOT_COPIED = shutil.ignore_patterns("*.bin", "*.pt", "*.pth", "*.ckpt", ".*", "checkpoint-*", "global_step*", "runs")
"""Pickles and what training needs to go on."""


@dataclass(frozen=True)
class Added:
    """What became of one model that was found."""

    found: Found
    name: str
    checks: tuple[Check, ...]
    model: Model | None
    """The store's record; None for one that was refused, or only looked at."""
    known: bool = False
    """It was in the store before."""
    form: Form | None = None
    """What it is registered as, or would be."""
    weights: Path | None = None
    """Folder or file of the weights that it answers with: of an adapter its base's. None for an endpoint."""

    @property
    def refused(self) -> bool:
        """Whether a check keeps it out."""
        return any(check.state == "failed" for check in self.checks)


def add(
    found: Sequence[Found],
    wishes: Wishes,
    workspace: Workspace,
    store: Store,
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> list[Added]:
    """Check and register models, in the order in which they were found.

    registry: what knows further names of bases; None for those of the store and this machine alone.
    Raises: EngineError for one name for several models, or with an @.
    """
    if wishes.name and len(found) > 1:
        raise EngineError(f"{len(found)} models were found, and {wishes.name!r} names one. Name a folder or file each.")
    if "@" in wishes.name:
        raise EngineError(
            f"{wishes.name!r} has an @, behind which a fine-tune's formats stand. Choose a name without it."
        )
    return _Adding(wishes, workspace, store, registry).all(told_apart(found), progress or (lambda *_: None))


class _Adding:
    """One call of `add`."""

    def __init__(self, wishes: Wishes, workspace: Workspace, store: Store, registry: Registry | None) -> None:
        self.wishes, self.workspace, self.store = wishes, workspace, store
        self.shelves = Shelves(tuple(store.models.list(as_stored=True)), workspace, registry)

    def all(self, found: Sequence[Found], progress: Progress) -> list[Added]:
        from engines.adding.checking.loading import check_adapters

        plans = []
        for done, one in enumerate(found):
            progress("checking", done, len(found))
            plans.append(self.plan(one))
        progress("checking", len(found), len(found))
        known = {id(plan): self.known(plan) for plan in plans if not plan.checklist.failed}
        for plan in plans:
            if not (plan.checklist.failed or known[id(plan)] or plan.continued):
                check_name(plan, self.called(plan), self.store, self.wishes.replace)
        new = [plan for plan in plans if not plan.checklist.failed and not known[id(plan)]]
        beside = [plan for plan in new if plan.form == "adapter"]
        for base in dict.fromkeys(plan.base.path for plan in beside if plan.base):
            progress("loading", len({plan.name for plan in new}), len(new))
            check_adapters([plan for plan in beside if plan.base and plan.base.path == base])
        return [self.settled(plan, known.get(id(plan))) for plan in plans]

    def plan(self, found: Found) -> Plan:
        """The checklist of one, as far as it goes without weights."""
        plan = Plan(found, self.wishes.name or found.name)
        for note in found.notes:
            plan.checklist.note("found", note)
        self.note_unused(plan)
        if found.kind == "peft":
            inspect_adapter(plan, self.wishes, self.shelves)
            self.quantize_base(plan)
        elif found.kind == "transformers":
            inspect_whole(plan, self.wishes)
        elif found.kind == "gguf":
            inspect_gguf(plan, self.wishes)
        elif found.kind == "lora-gguf":
            inspect_lora(plan, self.wishes, self.shelves)
        elif found.kind == "endpoint":
            plan.form = "remote"
            plan.checklist.note(
                "layout", f"{found.base} behind {found.source.partition('#')[0]}: asked, not inspected."
            )
        return plan

    def note_unused(self, plan: Plan) -> None:
        """Say what was wished for and has no meaning for a model of this kind."""
        kind, wishes = plan.found.kind, self.wishes
        unused = {
            "--base-quantization": wishes.base_quantization != "none" and kind != "peft",
            "--template": wishes.template is not None and kind == "endpoint",
            "--copy": wishes.copy and kind == "endpoint",
        }
        for option in (option for option, given in unused.items() if given):
            what = "A model behind an endpoint" if kind == "endpoint" else "What is no adapter of PEFT"
            plan.checklist.note("options", f"{what} has no use for {option}.")

    def quantize_base(self, plan: Plan) -> None:
        """Put the base's dequantized 4-bit weights in the base's place, where these are asked for."""
        if self.wishes.base_quantization == "none" or plan.checklist.failed or plan.base is None:
            return
        if self.wishes.dry_run:
            plan.checklist.note("quantization", "What follows is of the base as it is: a dry run writes nothing.")
            return
        from engines.adding.checking.four_bit import dequantized

        try:
            plan.base = dequantized(plan.base, self.workspace)
        except BakeoffError as refused:
            plan.checklist.refused("quantization", refused)

    def known(self, plan: Plan) -> Model | None:
        """The model of the store that these files are already.

        One whose files are gone, or are to be copied, is gone on with: the plan is its record anew.
        """
        if plan.merged or plan.rewritten:
            made = made_from(plan, self.wishes)
            same = [one for one in self.shelves.models if one.details.get("made_from") == made]
        else:
            identity = self.recorded(plan).identity
            same = [one for one in self.shelves.models if one.identity == identity]
        present = [one for one in same if not one.archived]
        placed = [one for one in present if one.path]
        here = [one for one in placed if one.form == "remote" or self.workspace.resolve(one.path).exists()]
        if here and not self.to_copy(here[0]):
            return here[0]
        if present:
            plan.continued = (here or present)[0]
            plan.name = plan.continued.name
            if not plan.continued.path:
                plan.checklist.note("name", f"{plan.name} was known from imported results; its weights are here now.")
            elif not here:
                plan.checklist.note("name", f"The files of {plan.name} were at {plan.continued.path}: they have moved.")
        return None

    def to_copy(self, model: Model) -> bool:
        """Whether a model of the store has its files elsewhere, and they are to be copied."""
        here = self.workspace.resolve(model.path).is_relative_to(self.workspace.path)
        return self.wishes.copy and model.form != "remote" and not here

    def called(self, plan: Plan) -> str:
        """The name that a plan's record will have."""
        return self.recorded(plan).name if plan.form == "remote" else plan.name

    def recorded(self, plan: Plan, path: Path | None = None, **details: Any) -> Model:
        """The record of a plan; path: where its files are, unless where they were found."""
        found = plan.found
        about: dict[str, Any] = {"added": {"source": found.source, "kind": found.kind, "base": found.base}}
        about["added"] |= dict(found.details)
        about |= {"parameters": plan.parameters} if plan.parameters else {}
        about |= {"sampling": dict(found.parameters)} if found.parameters else {}
        if plan.form == "remote":
            made = endpoint_record(found.source.partition("#")[0], found.base, self.wishes.name)
            return replace(made, details={**made.details, **about})
        template = plan.template.text if plan.template else ""
        if plan.apart and not plan.merged:
            about["chat_template"] = template
        base = plan.base.name if plan.base else self.wishes.base or found.base or plan.name
        beside = plan.base.path if plan.base and plan.form in ("adapter", "lora-gguf") else None
        files = Files(plan.form, path or plan.path, base, beside, foreign=beside is None)
        return record(plan.name, files, template, self.workspace, details={**about, **details})

    def settled(self, plan: Plan, known: Model | None) -> Added:
        """Register a plan that nothing speaks against."""
        checklist = plan.checklist
        if known is not None:
            other = self.wishes.name not in ("", known.name)
            remedy = f"To call it {self.wishes.name}: bakeoff rename {known.name} {self.wishes.name}" if other else ""
            checklist.note("name", f"It is in the store already, as {known.name}.", remedy)
            if self.store.models.get(known.id).archived:
                checklist.note(
                    "name", "It is archived with its run.", "To have it listed again: Archived, on the page Runs"
                )
            return self.told(plan, known, known=True)
        if not checklist.failed and self.wishes.dry_run:
            self.history(plan)
        elif not checklist.failed:
            try:
                make = self.merged if plan.merged else self.rewritten if plan.rewritten else self.placed
                made = make(plan)
            except BakeoffError as refused:
                checklist.refused("merge" if plan.merged else "files", refused)
            else:
                if made is not None:
                    return self.registered(plan, replace(made, run_id=self.history(plan)))
        return self.told(plan, None)

    def told(self, plan: Plan, model: Model | None, known: bool = False) -> Added:
        """What became of a plan."""
        weights = plan.base.path if plan.base else plan.found.path
        checks, name = tuple(plan.checklist.checks), model.name if model else plan.name
        return Added(plan.found, name, checks, model, known, plan.form, weights)

    def placed(self, plan: Plan) -> Model | None:
        """The record of a model whose files stay, or are copied; None where loading it speaks against it."""
        if plan.form == "lora-gguf" or plan.form.startswith("gguf-"):
            from engines.adding.checking.serving import check_served

            check_served(plan, plan.path)
        elif plan.form == "merged":
            from engines.adding.checking.loading import check_whole

            check_whole(plan, plan.path)
        if plan.checklist.failed:
            return None
        made = self.recorded(plan)
        if not self.wishes.copy or plan.form == "remote":
            return made
        target = self.workspace.folder("models") / made.id
        with making(target.parent) as work:
            copy = work / "copy"
            if plan.path.is_dir():
                shutil.copytree(plan.path, copy, ignore=NOT_COPIED)
            else:
                copy.mkdir()
                shutil.copyfile(plan.path, copy / f"{short_name(plan.name)}.gguf")
            shutil.rmtree(target, ignore_errors=True)
            copy.rename(target)
        return self.recorded(plan, target if plan.path.is_dir() else target / f"{short_name(plan.name)}.gguf")

    def rewritten(self, plan: Plan) -> Model | None:
        """The record of a GGUF that has become another file in the workspace."""
        from engines.adding.checking.serving import check_served

        made = made_from(plan, self.wishes)
        folder = self.workspace.folder("models")
        with making(folder) as work:
            file = work / f"{short_name(plan.name)}.gguf"
            rewrite(plan.rewritten, file, plan.template.text if plan.template else "")
            check_served(plan, file)
            if plan.checklist.failed:
                return None
            target = folder / f"{short_name(plan.name)}-{made[:8]}"
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
        return self.recorded(plan, target / file.name, made_from=made)

    def merged(self, plan: Plan) -> Model | None:
        """The record of an adapter that PEFT has merged into a folder of the workspace."""
        from engines.adding.checking.loading import check_whole
        from engines.exporting.merging import merge

        assert plan.base is not None
        made = made_from(plan, self.wishes)
        folder = self.workspace.folder("models")
        with making(folder) as work:
            template = plan.template.text if plan.template else ""
            how = merge(plan.base.path, plan.path, work, tokenizer=plan.tokenizer, template=template)
            if not how.shift > 0:
                plan.checklist.fail("active", "It changes no logit of its base.", "Train it, or name its own base")
            else:
                plan.checklist.ok("active", f"the adapter moves a logit by {how.shift:.2g}")
                check_whole(plan, work)
            if plan.checklist.failed:
                return None
            plan.checklist.ok("merge", how.words)
            target = folder / f"{short_name(plan.name)}-{made[:8]}"
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
        return self.recorded(plan, target, made_from=made, merged=how.words)

    def history(self, plan: Plan) -> str | None:
        """The run behind a model, by what its folder still has of its training; None where it has nothing."""
        checklist = plan.checklist
        if plan.found.path is None or not plan.path.is_dir():
            return None
        try:
            found = bring_history(plan.path, self.store, plan.name, self.wishes.dry_run)
        except ImportRefused as refused:
            checklist.note("history", f"Its training is not read: {refused}")
            return None
        if found is None:
            checklist.note("history", "Nothing beside the weights says how it was trained.")
            return None
        checklist.ok("history", f"{found.words}; not said: {'; '.join(found.missing) or 'nothing'}")
        return None if self.wishes.dry_run else found.run_id

    def registered(self, plan: Plan, model: Model) -> Added:
        """Put a model into the store with its base and its checklist."""
        checklist = plan.checklist
        if stored := plan.continued:
            model = replace(model, id=stored.id, name=stored.name, fine_tune=stored.fine_tune)
        models = self.store.models.list()
        if plan.base is not None:
            self.register_base(plan.base, models)
        older = next((one for one in models if one.name == model.name and one.id != model.id), None)
        if older is not None:
            checklist.note("name", f"The older {model.name} is archived as {model.name}@{older.identity[:8]}.")
        payload = {"source": plan.found.source, "checks": [check.as_json() for check in checklist.checks]}
        self.store.reports.put(Report(model.id, REPORT, payload))  # first: no kill leaves a model without its checklist
        stored = self.store.models.add(model)
        return self.told(plan, stored)

    def register_base(self, base: Base, models: Sequence[Model]) -> None:
        """Put a base into the store that is not there: its fine-tunes are compared with it."""
        path = base.path.resolve()
        if any(self.workspace.resolve(one.path).resolve() == path for one in models if one.form != "remote"):
            return
        inside = read_header(base.path).metadata if base.path.is_file() else {}
        own = str(inside.get("tokenizer.chat_template") or "") if inside else chat_template(base.path)
        made = record(base.name, Files("base", base.path, base.name), own, self.workspace)
        taken = {one.name for one in models}
        if made.identity not in {one.identity for one in models}:
            name = made.name if made.name not in taken else f"{made.name}-{made.identity[:8]}"
            self.store.models.add(replace(made, name=name))


def made_from(plan: Plan, wishes: Wishes) -> str:
    """What a model that is made of others' files is told by before it is made: those files, and the template."""
    template = plan.template.text if plan.template else ""
    if plan.rewritten:
        own = {"makers_settings": dict(plan.found.parameters)} if plan.found.parameters else {}
        return digest({"parts": [file_sha256(part) for part in plan.rewritten], "template": template, **own})
    assert plan.base is not None
    return digest(
        {
            "adapter": adapter_sha256(plan.path),
            "base": base_sha256(plan.base.path),
            "tokenizer": base_sha256(plan.tokenizer) if plan.tokenizer else "",
            "template": template,
            "base_quantization": wishes.base_quantization,
        }
    )
