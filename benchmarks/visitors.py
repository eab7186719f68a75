"""What visitors cost: four panes streaming against the same streams read without a page, and 200 sessions' memory.

Streams: a server that says 1,500 words to each pane at a known pace. Raw: four connections read side by side. Page:
the Chat page in Chromium, from the first word on the screen to the last. Gate: every word of every pane is shown.
Sessions: opened over the page's own WebSocket, each draws Loss curves and Decide of 100 runs and is closed; the
resident memory of the pages' process after every 50, and once the closed ones are forgotten. Beside a model (--model):
SmolLM2-135M-Instruct through `bakeoff serve`, four answers at once on the cores that the page needs too, once with its
browser beside it and once with the browser on another machine, where people look at a server's page.

    python benchmarks/visitors.py
    python benchmarks/visitors.py --paces --sessions 0 --model --rounds 5
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dashboard_stores import fill
from peers import describe_machine

from dashboard import Processes
from dashboard.launch import free_port
from results import Model, Workspace
from tests.dashboard import answers, stores
from tests.engines.weights import smollm2

PANES = ("pane-one", "pane-two", "pane-three", "pane-four")
LOOKS = 200
"""Milliseconds between two looks for the end of a stream: each costs the browser time that the page would have."""
ALIKE = 80
"""Characters that an answer on the page has in common with one without it."""
FORGOTTEN_SECONDS = 45.0
"""After this a closed session is gone: `disconnectedSessionTTL` in dashboard/.streamlit/config.toml, and some."""


class Paced(answers.Handler):
    """Words at a known pace, each at its own moment, whoever was late before."""

    def _stream(self, name: str, request: dict[str, Any]) -> None:  # noqa: ARG002
        start, pace, count = time.perf_counter(), self.server.pace, self.server.count  # type: ignore[attr-defined]
        for number in range(count):
            time.sleep(max(0.0, start + number / pace - time.perf_counter()))
            self._event({"choices": [{"index": 0, "delta": {"content": f"w{number} "}, "finish_reason": None}]})
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.wfile.write(b"data: [DONE]\n\n")


def read(url: str, name: str, found: list[float]) -> None:
    """One stream without a page: words a second from its first word to its last."""
    moments: list[float] = []
    body = {"model": name, "messages": [{"role": "user", "content": "Go on"}], "max_tokens": 100_000, "stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
        for line in response.iter_lines():
            if '"content"' in line:
                moments.append(time.perf_counter())
    found.append((len(moments) - 1) / (moments[-1] - moments[0]))


def raw(url: str) -> list[float]:
    """Four streams side by side."""
    found: list[float] = []
    threads = [threading.Thread(target=read, args=(url, name, found)) for name in PANES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def shown(browser: Any, address: str, count: int) -> float:
    """The same four on the Chat page: words a second from the first on the screen to the end of all on the screen."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    models = "&".join(f"model{number}={name}" for number, name in enumerate(PANES, 1))
    page.goto(f"{address}/chat?panes=4&{models}")
    box = page.get_by_placeholder("Ask all panes")
    box.wait_for()
    page.wait_for_timeout(1500)
    box.fill("Go on")
    box.press("Enter")
    page.wait_for_function("document.body.textContent.includes('w0 ')", polling=20)
    start = time.perf_counter()
    page.wait_for_function("document.body.textContent.split('finished').length > 4", polling=LOOKS)
    seconds = time.perf_counter() - start
    ends = page.inner_text("body").count(f"w{count - 1}")
    assert ends == len(PANES), f"the last word of {ends} panes is shown"
    page.context.close()
    return count / seconds


def streams(folder: Path, paces: list[float], seconds: float, rounds: int) -> None:
    """Both ways in turns, at every pace."""
    with answers.AnswerServer(list(PANES)) as server:
        server.RequestHandlerClass = Paced
        os.environ["BAKEOFF_SERVE_URL"] = server.url
        pages = Processes(stores.small(folder), free_port(), serve=False, headless=True)
        try:
            pages.wait_until_answering(120)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for pace in paces:
                    server.pace, server.count = pace, int(pace * seconds)  # type: ignore[attr-defined]
                    sides: dict[str, list[float]] = {"raw": [], "page": []}
                    for _ in range(rounds):
                        sides["raw"] += [statistics.mean(raw(server.url))]
                        sides["page"] += [shown(browser, pages.address, server.count)]  # type: ignore[attr-defined]
                    bare, page = (statistics.median(sides[key]) for key in ("raw", "page"))
                    print(
                        f"four panes of {pace:.0f} words/s, {server.count} words each: raw {bare:.1f},"  # type: ignore[attr-defined]
                        f" page {page:.1f} words/s a pane: {100 * page / bare:.1f} %",
                        flush=True,
                    )
                browser.close()
        finally:
            pages.stop()


def asked(url: str, prompt: str, found: list[tuple[float, float, str]]) -> None:
    """One answer without a page: (first token's moment, last token's moment, text)."""
    body = {"model": "smollm2", "messages": [{"role": "user", "content": prompt}], "temperature": 0, "top_p": 1}
    moments: list[float] = []
    text = ""
    with httpx.stream(
        "POST", f"{url}/v1/chat/completions", json=body | {"max_tokens": 256, "stream": True}, timeout=120
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:]).get("choices", []):
                    if piece := choice["delta"].get("content"):
                        moments.append(time.perf_counter())
                        text += piece
    found.append((moments[0], moments[-1], text))


def read_side_by_side(url: str, prompt: str) -> tuple[float, list[str]]:
    """Four answers without a page: (seconds from the first token to the last of all, what was answered)."""
    found: list[tuple[float, float, str]] = []
    threads = [threading.Thread(target=asked, args=(url, prompt, found)) for _ in PANES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(last for _, last, _ in found) - min(first for first, _, _ in found), [text for *_, text in found]


def seen_side_by_side(browser: Any, address: str, prompt: str) -> tuple[float, list[str]]:
    """The same four on the Chat page, from the first on the screen to the end of all on the screen."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True).new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{address}/chat?panes=4&" + "&".join(f"model{number}=smollm2" for number in range(1, 5)))
    box = page.get_by_placeholder("Ask all panes")
    box.wait_for()
    page.wait_for_timeout(2500)
    box.fill(prompt)
    box.press("Enter")
    page.wait_for_function("/[1-9][0-9]* tokens/.test(document.body.textContent)", polling=20)
    start = time.perf_counter()
    page.wait_for_function("document.body.textContent.match(/finished|cut off/g)?.length == 4", polling=LOOKS)
    seconds = time.perf_counter() - start
    page.wait_for_timeout(500)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    told = json.loads(Path(download.value.path()).read_text())["turns"][0]["answers"]
    page.context.close()
    return seconds, [answer["text"] for answer in told]


def visiting(address: str) -> Any:
    """The page's own WebSocket, as a browser opens it."""
    url = address.replace("http", "ws") + "/_stcore/stream"
    return connect(url, subprotocols=["streamlit"], origin=address, max_size=None)  # type: ignore[arg-type,list-item]


def said(socket: Any, deadline: float) -> Iterator[ForwardMsg]:
    """What a page sends, until its script has run to the end."""
    while True:
        data = socket.recv(timeout=deadline)
        assert isinstance(data, bytes)
        message = ForwardMsg.FromString(data)
        yield message
        if message.WhichOneof("type") == "script_finished":
            return


def heard_side_by_side(address: str, prompt: str) -> tuple[float, list[str]]:
    """The same four on the Chat page as a browser on another machine has it: over the page's WebSocket, drawn nowhere.

    From the first token that the page tells of to the message by which all answers have ended.
    """
    query = "panes=4&" + "&".join(f"model{number}=smollm2" for number in range(1, 5))
    with visiting(address) as socket:
        message = BackMsg()
        message.rerun_script.page_name, message.rerun_script.query_string = "chat", query
        socket.send(message.SerializeToString())
        boxes = [one.delta.new_element.chat_input.id for one in said(socket, 60) if one.delta.new_element.chat_input.id]
        state = message.rerun_script.widget_states.widgets.add()
        state.id, state.chat_input_value.data = boxes[-1], prompt
        socket.send(message.SerializeToString())
        shown: dict[tuple[int, ...], str] = {}
        first = last = 0.0
        ended = 0
        while ended < len(PANES):
            for one in said(socket, 120):
                if one.WhichOneof("type") == "new_session":
                    shown.clear()  # the page is drawn anew
                element, place = one.delta.new_element, tuple(one.metadata.delta_path)
                if body := element.text.body or element.code.code_text or element.markdown.body:
                    shown[place] = body
                    first = first or (time.perf_counter() if re.search("[1-9][0-9]* tokens", body) else 0.0)
                    now = sum(bool(re.search("finished|cut off", told)) for told in shown.values())
                    last = time.perf_counter() if now > ended else last
                    ended = max(ended, now)
        return last - first, [body for body in shown.values() if len(body) > ALIKE]


def beside(folder: Path, rounds: int) -> None:
    """The same answers with and without a page, in turns: characters a second. Greedy, at most 256 tokens.

    Gate: every answer of the page begins as one without it. Later they may part: what is computed together differs
    with the moments at which answers end, and so does the rounding at a near tie.
    """
    workspace, port = Workspace(folder), free_port()
    with workspace.store() as store:
        store.models.add(Model("b", "smollm2", "base", "smollm2", "b" * 64, 1, str(smollm2())))
    os.environ["BAKEOFF_SERVE_URL"] = url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bakeoff", "serve", "--workspace", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pages = Processes(workspace, free_port(), serve=False, headless=True)
    try:
        pages.wait_until_answering(120)
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/v1/models").status_code == 200:
                    break
            time.sleep(0.2)
        read_side_by_side(url, "Hello")
        kept: dict[str, list[float]] = {}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            ways: dict[str, Callable[[str], tuple[float, list[str]]]] = {
                "the page, its browser elsewhere": lambda prompt: heard_side_by_side(pages.address, prompt),
                "the page and its browser": lambda prompt: seen_side_by_side(browser, pages.address, prompt),
            }
            for number in range(rounds):
                prompt = f"Explain the Pythagorean theorem to {number + 3} pupils."
                bare, texts = read_side_by_side(url, prompt)
                print(f"{sum(map(len, texts))} characters in {bare:.2f} s", flush=True)
                for way, ask in ways.items():
                    seconds, shown_texts = ask(prompt)
                    for text in shown_texts:
                        assert any(text[:ALIKE] == other[:ALIKE] for other in texts), f"other words are shown: {text}"
                    size = sum(map(len, shown_texts))
                    share = size / seconds / (sum(map(len, texts)) / bare)
                    kept.setdefault(way, []).append(share)
                    print(f"  {way}: {size} in {seconds:.2f} s, {100 * share:.1f} %", flush=True)
            browser.close()
        for way, shares in kept.items():
            print(f"beside the model, {way}: {100 * statistics.median(shares):.1f} % of the raw pace", flush=True)
    finally:
        pages.stop()
        server.terminate()
        server.wait()


def session(address: str, pages: tuple[str, ...]) -> None:
    """One visitor: connect, draw the pages one after another, leave."""
    with visiting(address) as socket:
        for name in pages:
            message = BackMsg()
            message.rerun_script.page_name = name
            socket.send(message.SerializeToString())
            for _ in said(socket, 60):
                pass


def sessions(workspace: Workspace, count: int) -> None:
    """Opened and closed one after another."""
    pages = Processes(workspace, free_port(), serve=False, headless=True)
    try:
        pages.wait_until_answering(120)
        process = psutil.Process(pages.pages.pid)
        for number in range(1, count + 1):
            session(pages.address, ("loss_curves", ""))
            if number in (1, 10) or number % 50 == 0:
                print(f"after {number} sessions: {process.memory_info().rss / 2**20:.0f} MiB", flush=True)
        time.sleep(FORGOTTEN_SECONDS)
        session(pages.address, ("",))
        print(f"{FORGOTTEN_SECONDS:.0f} s later: {process.memory_info().rss / 2**20:.0f} MiB", flush=True)
    finally:
        pages.stop()


def main() -> None:
    """Both, printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paces", type=float, nargs="*", default=[25.0, 75.0], help="words a second and pane")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", action="store_true", help="beside SmolLM2-135M")
    parser.add_argument("--sessions", type=int, default=200)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended by `timeout`, it clears up
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        if options.paces:
            streams(Path(name) / "small", options.paces, options.seconds, options.rounds)
        if options.model:
            beside(Path(name) / "model", options.rounds)
        if options.sessions:
            sessions(fill(Path(name) / "runs", 100, 1000, 40), options.sessions)


if __name__ == "__main__":
    main()
