"""The dashboard: a Streamlit app over the results store, where people decide.

Pages are in `app_pages/`, one file each; `widgets/` are their parts, `views/` what they show, `charts/` draws, `chat/`
talks to the model server, `jobs/` keeps long work in processes of its own.
No torch, no engines: models are reached over HTTP alone.

Try: bakeoff dashboard
"""

from dashboard.errors import DashboardError, PortInUse, ServerSilent
from dashboard.launch import Processes

__all__ = ["DashboardError", "PortInUse", "Processes", "ServerSilent"]
