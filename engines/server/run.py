"""Run the server of `engines.server.app` until it is told to stop."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from engines.server.address import Address
from engines.server.app import create_app
from engines.server.guard import PatientProtocol
from engines.server.public import PublicPage
from engines.server.residency import Residency
from results import Store, Workspace, end_with_starter


def serve(
    store: Store,
    workspace: Workspace,
    address: Address,
    ready: Callable[[str], None],
    *,
    slots: int = 4,
    context: int | None = None,
    budget_bytes: int | None = None,
) -> None:
    """Serve until interrupted; `ready(url)` is called when requests are taken.

    `slots`, `context` and `budget_bytes` are those of `Residency`. It ends with its
    starter where that holds a lifeline (`results.end_with_starter`).

    Raises: EngineError if the port is taken, the address is not this machine's own and there is no key, or a page is
    asked for that is not there.
    """
    listener = address.listen()
    residency = Residency(store, workspace, budget_bytes, slots=slots, context=context)
    try:
        app = _app(residency, address)
    except BaseException:
        residency.close()
        raise
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=PatientProtocol, ws="none", log_level="warning", access_log=False, timeout_graceful_shutdown=2
        )
    )
    end_with_starter()
    ready(address.url(listener))
    try:
        server.run(sockets=[listener])
    finally:
        residency.close()


def _app(residency: Residency, address: Address) -> ASGIApp:
    """The whole server; or what strangers may do of it, where it has a page for them."""
    if address.page is None:
        return create_app(residency, address.key, address.origins)
    key = secrets.token_urlsafe(24)  # nobody but the page knows it
    names = [model.name for model in residency.models()]
    return PublicPage(create_app(residency, key), key, address.page, names, proxied=address.proxied)
