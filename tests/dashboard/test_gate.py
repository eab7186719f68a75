"""Who gets in, and what is said to those who do not; how the processes start and end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.launch import free_port, require_free
from tests.dashboard.chat.test_chat import until

APP = str(Path(dashboard.__file__).with_name("app.py"))
AUTH = {
    "redirect_uri": "http://localhost/oauth2callback",
    "cookie_secret": "not a secret: a test's",
    "client_id": "bakeoff",
    "client_secret": "none",
    "server_metadata_url": "http://127.0.0.1:9/.well-known/openid-configuration",
}


def test_with_a_login_configured_a_stranger_sees_a_button_and_nothing_else(
    workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspaces["small"]))
    page = AppTest.from_file(APP, default_timeout=900)
    page.secrets["auth"] = AUTH
    page.run()
    assert [button.label for button in page.button] == ["Log in"]
    assert not page.success
    assert not page.dataframe
    assert not page.exception


def test_without_a_login_configured_the_first_page_is_home(
    workspaces: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAKEOFF_WORKSPACE", str(workspaces["small"]))
    page = AppTest.from_file(APP, default_timeout=900).run()
    assert page.title[0].value == "Home"


def test_a_port_in_use_is_refused_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(dashboard.PortInUse, match=f"--port {port + 1}"):
            require_free(port)


def listening() -> list[str]:
    """Local addresses on which some process of this machine listens, as Linux writes them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A"]


@pytest.mark.slow
def test_the_command_starts_on_loopback_alone_and_control_c_ends_everything(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "BAKEOFF_WORKSPACE": str(tmp_path / "workspace"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "bakeoff", "dashboard", "--port", str(port), "--headless"]
    with (tmp_path / "out").open("wb") as out:
        running = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    said = tmp_path / "out"
    until(lambda: f"Dashboard: http://127.0.0.1:{port}" in said.read_text())
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=900).status == 200
    assert f"0100007F:{port:04X}" in listening()
    assert f"00000000:{port:04X}" not in listening()
    running.send_signal(signal.SIGINT)
    assert running.wait(900) == 130
    until(lambda: f"0100007F:{port:04X}" not in listening())
    assert "Traceback" not in said.read_text()
