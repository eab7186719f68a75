"""The process that renders chat templates: programs out of models' folders, in transformers' sandboxed Jinja.

Started by `engines.processes.templates`; not for direct use. An empty object once it is ready; then one JSON line in
for a conversation, one out for its text. Memory is bounded here, time by the parent, who ends this process.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import psutil

MEMORY_BYTES = 512 << 20
"""What a template may use beyond what the process has when it begins."""

MOST_CHARACTERS = 16 << 20
"""Longest rendered conversation: some four million tokens."""


def main() -> None:
    """Answer until stdin closes."""
    from engines.processes.child_main import limit_memory, silence_stdout

    reply = os.fdopen(silence_stdout(), "wb")
    from transformers.utils.chat_template_utils import render_jinja_template

    limit_memory(psutil.Process().memory_info().vms + MEMORY_BYTES)
    templates: dict[str, str] = {}
    reply.write(b"{}\n")
    reply.flush()
    for line in sys.stdin.buffer:
        reply.write(json.dumps(_answer(json.loads(line), templates, render_jinja_template)).encode() + b"\n")
        reply.flush()


def _answer(task: dict[str, Any], templates: dict[str, str], render: Any) -> dict[str, str]:
    templates |= task["templates"]
    try:
        template, tools = templates[task["template"]], task["tools"]
        (text,), _ = render([task["messages"]], tools=tools, chat_template=template, **task["values"])
    except MemoryError:
        return {"bound": f"more than {MEMORY_BYTES >> 20} MiB of memory"}
    except RecursionError:
        return {"bound": "more calls of itself than Python makes"}
    except Exception as error:  # templates are programs: anything may come out
        return {"error": f"{error}" or type(error).__name__}
    if len(text) > MOST_CHARACTERS:
        return {"bound": f"a text of more than {MOST_CHARACTERS >> 20} million characters"}
    return {"text": text}


if __name__ == "__main__":
    main()
