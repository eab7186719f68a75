"""The model server killed in mid-answer: is what was answered kept, and is the next question answered?

The dashboard's two processes run over a workspace with a served model. A conversation asks for a long answer; once some
words are there the server gets SIGKILL. Kept: the words are in the conversation, and in its file as a visitor finds it
who loads the page anew. Then the next question is asked at once, and must be answered to its end by the server that
the dashboard started in the dead one's place.

    python benchmarks/server_deaths.py WORKSPACE MODEL --deaths 20
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import describe_machine

from dashboard import Processes
from dashboard.chat.client import Sampling
from dashboard.chat.conversation import Conversation, Pane, from_kept
from dashboard.chat.shelf import Shelf
from dashboard.launch import free_port
from results import Workspace, read_json

WORDS = 40
"""Characters of an answer after which the server is killed."""
PATIENCE_SECONDS = 300.0
QUESTION = "Tell me a long story about a lighthouse, with many details."


def main() -> None:
    """Start, kill again and again, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("model")
    parser.add_argument("--deaths", type=int, default=20)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    processes = Processes(Workspace(options.workspace), free_port(), serve=True, headless=True)
    folder = Path(tempfile.mkdtemp())
    try:
        processes.wait_until_answering()
        assert processes.server is not None
        os.environ |= {"BAKEOFF_SERVE_URL": processes.server.url, "BAKEOFF_SERVE_KEY": processes.server.key}
        kept, answered, seconds = 0, 0, []
        for number in range(options.deaths):
            talk = Shelf(folder).new("somebody")
            held = died(talk, options.model, processes, folder)
            began = time.perf_counter()
            talk.ask("What is two and two?", [Pane(options.model, Sampling(max_tokens=16))])
            wait(lambda talk=talk: not talk.active)  # type: ignore[misc]
            shot = talk.turns[-1].answers[0].snapshot()
            kept, answered = kept + held, answered + (shot.state == "finished" and bool(shot.text.strip()))
            seconds.append(time.perf_counter() - began)
            print(f"{number + 1}: kept {held}, then {shot.state} {shot.text.strip()[:40]!r} {shot.message}", flush=True)
        print(f"kept {kept} of {options.deaths}, the next answered {answered} of {options.deaths}, ", end="")
        print(f"after {statistics.median(seconds):.1f} s (median; {max(seconds):.1f} s at most)")
    finally:
        processes.stop()
        shutil.rmtree(folder, ignore_errors=True)


def died(talk: Conversation, model: str, processes: Processes, folder: Path) -> bool:
    """Whether the words that were there when the server died are there afterwards: in hand, and on the disk."""
    talk.ask(QUESTION, [Pane(model, Sampling(max_tokens=512))])
    answer = talk.turns[-1].answers[0]
    wait(lambda: len(answer.snapshot().text) >= WORDS or not answer.active)
    there = answer.snapshot().text
    assert processes.server is not None
    os.killpg(processes.server.process.pid, signal.SIGKILL)
    wait(lambda: not answer.active)
    found = from_kept(read_json(folder / f"{talk.id}.json")).turns[-1].answers[0].snapshot()
    return len(there) >= WORDS and answer.snapshot().text.startswith(there) and found.text.startswith(there)


def wait(done: Callable[[], bool]) -> None:
    """Until something is so. Raises: TimeoutError."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > until:
            raise TimeoutError("nothing came of it")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
