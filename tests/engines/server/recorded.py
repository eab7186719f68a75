"""What client libraries send to an OpenAI-compatible server, recorded: litellm 1.110.2 and langchain-openai 1.7.4.

Recorded in front of a server that wrote down each body; both send through the official client, which is
installed and asks for itself. The libraries have some 200 MB of requirements: what they send is tested, without them.
"""

from __future__ import annotations

from typing import Any

SCHEMA = {
    "type": "object",
    "properties": {"sky": {"enum": ["blue", "grey"]}, "stars": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["sky", "stars"], "additionalProperties": False,
}  # fmt: skip
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "", "parameters": SCHEMA}}
    for name in ("look", "see")
]
HELLO = [{"role": "user", "content": "Hello, world!"}]

_LITELLM = {"model": "base", "messages": HELLO, "max_tokens": 12}
_LANGCHAIN = {"model": "tools", "max_completion_tokens": 200, "temperature": 0.0, "stream": False}
_ASKED = [{"content": "Hello", "role": "user"}]
_SKY = {"type": "function", "function": {"name": "sky", "description": "", "parameters": SCHEMA}}
_CALL = {"type": "function", "id": "c1", "function": {"name": "look", "arguments": '{"sky": "blue", "stars": 1}'}}

REQUESTS: dict[str, dict[str, Any]] = {
    "litellm: completion": {**_LITELLM, "temperature": 0},
    "litellm: completion, streamed": {**_LITELLM, "temperature": 0, "stream": True},
    "litellm: tools": {**_LITELLM, "model": "tools", "tools": TOOLS},
    "litellm: tools required": {
        **_LITELLM, "model": "tools", "max_tokens": 200, "tools": TOOLS, "tool_choice": "required",
        "parallel_tool_calls": False,
    },
    "litellm: schema, several choices": {
        **_LITELLM, "max_tokens": 200, "n": 2, "stop": ["x"], "seed": 3,
        "response_format": {"type": "json_schema", "json_schema": {"name": "sky", "schema": SCHEMA, "strict": True}},
    },
    "langchain: invoke": {**_LANGCHAIN, "messages": [{"content": "Hello, world!", "role": "user"}]},
    "langchain: stream": {**_LANGCHAIN, "stream": True, "messages": [{"content": "Hello, world!", "role": "user"}]},
    "langchain: with_structured_output(json_schema)": {
        **_LANGCHAIN, "messages": _ASKED,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "sky", "description": "", "strict": False, "schema": SCHEMA},
        },
    },
    "langchain: with_structured_output(function_calling)": {
        **_LANGCHAIN, "messages": _ASKED, "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "sky"}}, "tools": [_SKY],
    },
    "langchain: with_structured_output(json_mode)": {
        **_LANGCHAIN, "messages": _ASKED, "response_format": {"type": "json_object"},
    },
    "langchain: bind_tools(tool_choice)": {
        **_LANGCHAIN, "messages": _ASKED, "tool_choice": {"type": "function", "function": {"name": "look"}},
        "tools": TOOLS,
    },
    "langchain: a tool's turn": {
        **_LANGCHAIN, "tools": TOOLS, "messages": [
            *_ASKED, {"content": None, "role": "assistant", "tool_calls": [_CALL]},
            {"content": "It is dark.", "role": "tool", "tool_call_id": "c1"},
        ],
    },
}  # fmt: skip
"""Library and call → the body of its POST to /v1/chat/completions."""
