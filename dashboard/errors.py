"""The dashboard's errors.

BakeoffError
└── DashboardError      the page cannot be shown or started as asked
    ├── PortInUse       another program listens where the dashboard should
    ├── PageRefused      a decision that is not published as asked: what it would give away, or the folder
    ├── NoPrompts       a file or a text that no prompts can be read from
    └── ServerSilent    the model server is not reachable, or refused: its message, without addresses' passwords
"""

from results.errors import BakeoffError


class DashboardError(BakeoffError):
    """The page cannot be shown or started as asked."""


class PortInUse(DashboardError):
    """Another program listens where the dashboard should."""


class ServerSilent(DashboardError):
    """The model server is not reachable, or refused the request."""


class NoPrompts(DashboardError):
    """A file or a text that no prompts can be read from."""


class PageRefused(DashboardError):
    """A decision that is not published as asked."""
