"""`bakeoff publish`: a decision as a folder to host anywhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff import questions
from bakeoff.options import JsonOption, WorkspaceOption

if TYPE_CHECKING:
    import dashboard
    import results


def publish(
    output: Annotated[Path, typer.Option(help="Folder to write; published again, it is replaced.")],
    models: questions.ModelsArgument = None,
    experiment: questions.ExperimentOption = None,
    tag: questions.TagOption = None,
    by: questions.ByOption = None,
    then: questions.ThenOption = None,
    margin: questions.MarginOption = None,
    max_ttft_p90: questions.FirstTokenOption = None,
    min_tokens_per_second: questions.SpeedOption = None,
    max_ram: questions.MemoryOption = None,
    max_size: questions.SizeOption = None,
    machine: questions.MachineOption = None,
    study: questions.StudyOption = None,
    title: Annotated[str, typer.Option(help="Title of the page. Default: what the question is about.")] = "",
    author: Annotated[str, typer.Option(envvar="BAKEOFF_AUTHOR", help="Who decides. Default: nobody is named.")] = "",
    answers: Annotated[int, typer.Option(min=0, max=200, help="Items whose answers are shown.")] = 12,
    item: Annotated[list[str] | None, typer.Option(help="Show answers to this item; again for more.")] = None,
    answers_by: Annotated[str, typer.Option(help="The test whose answers are shown. Default: the deciding one.")] = "",
    chat: Annotated[str, typer.Option(help="A model, as a GGUF file, that answers in the visitor's browser.")] = "",
    space: Annotated[
        list[str] | None,
        typer.Option(help="A model, as a GGUF file, that answers on a server of its own (Docker); again for more."),
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="An example prompt of the chat; again for more.")] = None,
    push: Annotated[str, typer.Option(help="Also put it on the Hub as a Space, user/name.")] = "",
    public: Annotated[bool, typer.Option("--public", help="Make the Space public. Default: private.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option(help="A word that may be published though it looks like a secret or a path.")
    ] = None,
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a decision as a page that loads nothing: verdict, trade-off, items, answers, losses, the record.

    Open index.html, or put the folder on any web server. Nothing is written where a key, a password in an address or a
    path of this machine would be given away; the command says where it stands.

    Examples: bakeoff publish --output page --experiment shop --by shop-tests --author "Ada" ·
    bakeoff publish --output page --chat shop-rank8@q8_0 --prompt "Is it in stock?" --push ada/shop-bakeoff --public
    bakeoff publish --output space --space shop-rank8@q8_0 --space smollm2 --push ada/shop-chat
    """
    import dashboard
    import results

    talking = _Talking.of(chat, space, prompt)
    place = results.Workspace.open(workspace)
    with place.passing_store() if study else place.existing().store() as store:
        if study:
            decision = results.decide_published(store, study, results.MARGIN if margin is None else margin)
        else:
            bounds = questions.limits(max_ttft_p90, min_tokens_per_second, max_ram, max_size)
            asked = questions.question(store, models, (experiment, tag), (by, then), bounds, margin, machine)
            decision = results.decide(store, asked)
        wishes = dashboard.PageWishes(title, author, tuple(item or ()), answers, answers_by)
        private = dashboard.PrivateWords.of_this_machine(place.path, allowed=tuple(allow or ()))
        made = _made(store, decision, output, (wishes, private), talking, place)
    address = _pushed(made, push, public, docker=bool(space)) if push else ""
    _tell(made, address, json_)


@dataclass(frozen=True)
class _Talking:
    """The models of a chat, the first prompts, and whether they answer on a server."""

    names: tuple[str, ...]
    prompts: tuple[str, ...]
    served: bool

    @classmethod
    def of(cls, chat: str, space: list[str] | None, prompt: list[str] | None) -> _Talking:
        """What the options ask for. Raises: BadParameter where they do not go together."""
        if chat and space:
            raise typer.BadParameter("--chat answers in the visitor's browser, --space on a server: give one of them.")
        if prompt and not (chat or space):
            raise typer.BadParameter("--prompt is an example of a chat: it goes with --chat or --space.")
        return cls(tuple(dict.fromkeys([chat] if chat else space or [])), tuple(prompt or ()), bool(space))


def _made(
    store: results.Store,
    decision: results.Decision,
    output: Path,
    wishes: tuple[dashboard.PageWishes, dashboard.PrivateWords],
    talking: _Talking,
    place: results.Workspace,
) -> dashboard.Published:
    """The page, or the Space, written. Raises: BakeoffError where a model's file is not the recorded one."""
    import dashboard

    bases = _bases(one.base for one in store.models.list())
    chats = [_chat(one, bases, talking.prompts, place) for one in map(store.models.find, talking.names)]
    if talking.served:
        return dashboard.publish_space(store, decision, output, bases, *wishes, chats)
    return dashboard.publish_decision(store, decision, output, bases, *wishes, chats[0] if chats else None)


def _pushed(made: dashboard.Published, repository: str, public: bool, docker: bool) -> str:
    """Send a page as a Space, static or with its server; the commit's address. Raises: BakeoffError with the remedy."""
    import trainer

    if docker:
        upload = trainer.docker_space_of(made.folder, made.sizes, repository, made.names)
    else:
        upload = trainer.space_of(made.folder, made.sizes, repository, made.title, made.handed_on, made.names)
    total = sum(upload.sizes.values()) / 1e6
    print(f"sending {len(upload.files)} files, {total:.1f} MB, to the Space {repository}", file=sys.stderr)
    return trainer.push(upload, private=not public)


def _tell(made: dashboard.Published, address: str, as_json: bool) -> None:
    """Print what was written and where it is, and what is not on the page."""
    for one in made.allowed:
        print(f"allowed: {one.sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps(made.as_json() | ({"pushed": address} if address else {})))
        return
    size = sum(made.sizes.values()) / 1e6
    words = f"{size:.2f} MB in {len(made.sizes)} files"
    if made.served:
        print(f"{made.folder}: {words}; its image is built by docker build --tag space {made.folder}, or by the Hub")
    else:
        print(f"{made.page}: {words}; open it, or put {made.folder} on a web server")
    if address:
        print(address)
    for line in made.left_out:
        print(f"not on the page: {line}", file=sys.stderr)


def _chat(
    model: results.Model, bases: Mapping[str, dashboard.PublicBase], prompts: tuple[str, ...], place: results.Workspace
) -> dashboard.Chat:
    """The chat with a model, whose file is the recorded one. Raises: BakeoffError where it is not."""
    import dashboard
    import engines

    base = bases[model.base]
    dashboard.refuse_chat(model, base)
    engines.prove(model, place)
    return dashboard.Chat(model, place.resolve(model.path), base, prompts, engines.cache_folder())


def _bases(names: Iterable[str]) -> dict[str, dashboard.PublicBase]:
    """What others may know of each base, by the name that models have of it."""
    import dashboard
    import trainer

    found = {}
    for name in dict.fromkeys(names):
        entry = trainer.base_entry(name)
        public = trainer.public_name(name)
        found[name] = dashboard.PublicBase(public, entry.licence if entry else "", bool(entry and entry.gated))
    return found
