"""Chat templates, rendered with a bound on time, memory and length.

A template is a program that came with somebody's weights. transformers keeps it from files and from Python, but not
from running for ever or taking all memory, and what runs in this process cannot be stopped. So what is not plain
(`engines.processes.plain_templates`) is rendered by a child process, with transformers' own function: the text is the
same. A template that overruns is ended, named, and not tried again.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import math
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from engines.errors import EngineError, FileRefused
from engines.processes.plain_templates import is_plain

TEMPLATE_SECONDS = 5.0
"""A conversation that takes longer to render, on the clock and in CPU time, is no conversation's template."""

PATIENCE_SECONDS = 60.0
"""However little CPU time the process got."""

START_SECONDS = 120.0
"""How long the process may take to import what it needs."""

_ROOT = Path(__file__).resolve().parents[2]
_lock = threading.Lock()
_overran: dict[str, str] = {}
"""Templates by their SHA-256 → what they did."""


class TemplateRefused(FileRefused):
    """A chat template took more time or memory than any needs; its process was ended."""


def rendered(
    tokenizer: Any,
    messages: Sequence[Mapping[str, Any]],
    *,
    generation: bool,
    template: str | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    **values: str,
) -> str:
    """What transformers' `apply_chat_template` makes of a conversation, untokenised.

    generation: ready to be answered. template: another than the tokenizer's. values: what else the template sees.
    Raises: TemplateRefused; what the template itself says against the conversation, as any error.
    """
    offered = list(tools) or None
    text = str(tokenizer.get_chat_template(template, offered))
    if is_plain(text):
        told: str = tokenizer.apply_chat_template(
            list(messages),
            chat_template=text,
            tools=offered,
            tokenize=False,
            add_generation_prompt=generation,
            **values,
        )
        return told
    if not messages:
        raise EngineError("There is no message to be rendered")
    return _bounded(
        text, messages, offered, {**tokenizer.special_tokens_map, **values, "add_generation_prompt": generation}
    )


def check_template(template: str, whose: str) -> None:
    """Try a template on what llama.cpp shows it when it loads a file, which nobody could stop there.

    What a template says against a conversation is its business. whose: the file's name.
    Raises: TemplateRefused for one that takes more time or memory than any needs.
    """
    if is_plain(template):
        return
    for messages, tools in PROBES:
        try:
            _bounded(
                template, messages, tools, {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
            )
        except TemplateRefused as error:
            raise TemplateRefused(f"{whose}: {error}") from None
        except EngineError:
            continue


_CALL = {"id": "call00001", "type": "function", "function": {"name": "clock", "arguments": {"zone": "UTC"}}}
_CLOCK = {"name": "clock", "description": "the time", "parameters": {"type": "object", "properties": {"zone": {}}}}
PROBES: tuple[tuple[list[dict[str, Any]], list[dict[str, Any]] | None], ...] = (
    ([{"role": "user", "content": "a"}], None),
    ([{"role": "system", "content": "s"}, {"role": "user", "content": "a"}], None),
    ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], None),
    ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}], None),
    (
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "", "tool_calls": [_CALL]},
            {"role": "tool", "content": "12:00", "tool_call_id": "call00001"},
        ],
        [{"type": "function", "function": _CLOCK}],
    ),
)
"""Conversations of every kind of turn, with the tools that they have."""


def _bounded(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None,
    values: Mapping[str, Any],
) -> str:
    """What a template makes of a conversation, in the child process. Raises: as `rendered` does."""
    key = hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()
    task = {
        "template": key,
        "messages": [{name: part for name, part in message.items() if part is not None} for message in messages],
        "tools": tools,
        "values": values,
    }
    with _lock:
        if key in _overran:
            raise TemplateRefused(_overran[key])
        try:
            answer = _renderer().ask(task, key, template)
        except _Overran as problem:
            answer = {"bound": str(problem)}
        if "bound" in answer:
            _overran[key] = (
                f"The chat template takes {answer['bound']}: it was ended. Use a model with a sound template"
            )
            raise TemplateRefused(_overran[key])
    if "error" in answer:
        raise EngineError(answer["error"])
    return answer["text"]


class _Overran(Exception):
    """The process was ended over a template, or ended over it."""


class _Renderer:
    """The child process, and which templates it knows."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._known: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engines.processes.template_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            process_group=0,  # Ctrl-C is for the parent
        )
        self._new = True

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, task: Mapping[str, Any], key: str, template: str) -> dict[str, str]:
        """One answer. Raises: _Overran."""
        assert self._process.stdin and self._process.stdout
        line = json.dumps({**task, "templates": {} if key in self._known else {key: template}}, default=str).encode()
        self._known.add(key)
        if self._new:
            self._begin()
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
            self._wait()
            said = self._process.stdout.readline()
        except BrokenPipeError:
            said = b""
        except BaseException:  # Ctrl-C too: the answer to this would be taken for the next one's
            self.stop()
            raise
        if not said.endswith(b"\n"):
            self.stop()
            raise _Overran("more memory than there is")
        answer: dict[str, str] = json.loads(said)
        if "bound" in answer:
            self.stop()  # its memory is in pieces
        return answer

    def _begin(self) -> None:
        """Wait until it is ready to be asked. Raises: EngineError, which is no template's fault."""
        assert self._process.stdout
        ready = select.select([self._process.stdout], [], [], START_SECONDS)[0]
        if not ready or not self._process.stdout.readline():
            self.stop()
            raise EngineError(f"The process that renders chat templates did not start within {START_SECONDS:.0f} s.")
        self._new = False

    def _wait(self) -> None:
        """Wait until there is an answer. Raises: _Overran."""
        assert self._process.stdout
        began, used = time.monotonic(), math.nan
        while not select.select([self._process.stdout], [], [], 0.1)[0]:
            used = self._cpu_seconds() if math.isnan(used) else used  # by now: most answers come sooner
            gone = time.monotonic() - began
            if gone > PATIENCE_SECONDS or (gone > TEMPLATE_SECONDS and self._cpu_seconds() - used > TEMPLATE_SECONDS):
                self.stop()
                raise _Overran(f"more than {TEMPLATE_SECONDS:.0f} s to render one conversation")

    def _cpu_seconds(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def stop(self) -> None:
        """End the process, whatever it does."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()


_current: list[_Renderer] = []


def _renderer() -> _Renderer:
    """The process's own child, started when there is none; a fork of this process starts one for itself."""
    if not _current or not _current[0].alive:
        _current[:] = [_Renderer()]
    return _current[0]


@atexit.register
def _stop() -> None:
    if _current and _current[0].owner == os.getpid():
        _current.pop().stop()
