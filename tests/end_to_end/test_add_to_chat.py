"""From a set-up to a chat with two models that others made: `bakeoff add ADAPTER FILE.gguf`, then the dashboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dashboard.launch import Processes, free_port
from engines import FolderSource, write_model
from results import Workspace
from tests.bakeoff.test_elsewhere import adapter
from tests.dashboard.test_browser import settle, visit
from trainer import miniature

pytestmark = pytest.mark.slow


def test_an_adapter_and_a_gguf_are_chatted_with_side_by_side(browser: Any, tmp_path: Path) -> None:
    base, file, workspace = miniature("llama", tmp_path / "base"), tmp_path / "theirs-Q8_0.gguf", tmp_path / "workspace"
    write_model(file, FolderSource(base), "gguf-q8_0")
    mine = adapter(base, tmp_path / "my-lora", 2)
    done = subprocess.run(
        [sys.executable, "-m", "bakeoff", "add", str(mine), str(file), "--json", "--workspace", str(workspace)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [(one["name"], one["state"]) for one in json.loads(done.stdout)] == [
        ("my-lora", "added"), ("theirs-Q8_0", "added"),
    ]  # fmt: skip

    processes = Processes(Workspace(workspace), free_port(), serve=True, headless=True)
    try:
        processes.wait_until_answering()
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(180_000)
        visit(page, f"{processes.address}/chat?panes=2&model1=my-lora&model2=theirs-Q8_0")
        box = page.get_by_placeholder("Ask all panes")
        box.fill("Why is the sky blue?")
        box.press("Enter")
        page.wait_for_function("(document.body.innerText.match(/tokens\\/s/g) || []).length >= 2")
        settle(page)
        for name in ("my-lora", "theirs-Q8_0"):
            assert page.get_by_role("combobox", name="Model").and_(page.locator(f'[value="{name}"]')).count() == 1
        page.context.close()
    finally:
        processes.stop()
