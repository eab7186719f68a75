"""The names at the door: mypy reads this file, lazy_loader imports by it."""

from .errors import DashboardError as DashboardError, PortInUse as PortInUse, ServerSilent as ServerSilent
from .launch import Processes as Processes
