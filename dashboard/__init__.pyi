"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .errors import (
    DashboardError as DashboardError,
    PageRefused as PageRefused,
    PortInUse as PortInUse,
    ServerSilent as ServerSilent,
)
from .launch import Processes as Processes
from .publishing.bases import PublicBase as PublicBase
from .publishing.chat import Chat as Chat, refuse_chat as refuse_chat
from .publishing.leaks import PrivateWords as PrivateWords
from .publishing.publication import (
    Published as Published,
    publish_decision as publish_decision,
    publish_space as publish_space,
)
from .publishing.study import PageWishes as PageWishes
