"""`bakeoff serve`: every model of the store behind an OpenAI-compatible server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import WorkspaceOption

NAMED = 5
"""Models that are named where some are not served."""

ORIGIN = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")


def serve(
    workspace: WorkspaceOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Beyond 127.0.0.1 an API key is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port. 0: any free one.")] = 8791,
    api_key: Annotated[str, typer.Option(envvar="BAKEOFF_API_KEY", help="Bearer token that requests must carry.")] = "",
    memory: Annotated[
        float,
        typer.Option(
            help="Memory that models may take together, GB; of the GPU's where they lie there. 0: 70 % of what is free."
        ),
    ] = 0,
    slots: Annotated[int, typer.Option(help="Answers at once per base.")] = 4,
    context: Annotated[
        int, typer.Option(help="Context length in tokens. 0: 4096, or what the model was trained for.")
    ] = 0,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may ask from a browser, as https://host:port. Repeat it for more."),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option(help="A published page's folder: strangers see it, and ask within narrow bounds; nothing else."),
    ] = None,
    proxied: Annotated[
        bool, typer.Option("--proxied", help="With --public: a proxy, and nobody else, reaches this and says who asks.")
    ] = False,
    descriptor: Annotated[
        int, typer.Option(hidden=True, help="A listening socket handed down, instead of a port.")
    ] = -1,
) -> None:
    """Serve every model of the store by name, OpenAI-compatible, loaded on demand.

    Example: bakeoff serve & curl http://127.0.0.1:8791/v1/models
    """
    import engines
    from bakeoff.writing import writable

    _refuse(allow_origin or [], api_key, public, proxied)
    place = writable(workspace)
    address = engines.Address(
        host, port, api_key, descriptor if descriptor >= 0 else None, tuple(allow_origin or ()), public, proxied
    )
    store = place.store()
    if descriptor < 0 and not store.models.list():
        typer.echo(f"no models at {place.path} yet; they are served as they come: bakeoff add, bakeoff run", err=True)
    if left_out := [one.name for one in store.models.list() if not one.archived and not one.path]:
        few = ", ".join(left_out[:NAMED]) + (f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else "")
        typer.echo(f"not served, known from imported results without weights: {few}", err=True)
    engines.serve(
        store, place, address, lambda url: typer.echo(f"serving {url}{'' if public else '/v1'}", err=True),
        slots=slots, context=context or None, budget_bytes=int(memory * 1e9) or None,
    )  # fmt: skip


def _refuse(origins: list[str], api_key: str, public: Path | None, proxied: bool) -> None:
    """Raises: BadParameter for what is no origin, and for options that do not go together."""
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise typer.BadParameter(
                f"{origin!r} is no origin: give scheme, host and port, as https://chat.example:8443."
            )
    if public is not None and (api_key or origins):
        raise typer.BadParameter("--public has no key and lets no other page in: leave out --api-key, --allow-origin.")
    if proxied and public is None:
        raise typer.BadParameter("--proxied goes with --public FOLDER.")
