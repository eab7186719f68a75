"""Ray reads once a process, as it is imported, whether clusters ask for a token: before whichever test comes first."""

from __future__ import annotations

import os

os.environ.setdefault("RAY_AUTH_MODE", "token")
