"""Chat templates: the text is transformers', and a template that overruns is ended and named."""

from __future__ import annotations

import time
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import trl

from engines import TemplateRefused, rendered
from engines.processes import templates
from engines.processes.plain_templates import is_plain
from trainer.bases.miniature_tokenizers import STYLES, miniature_tokenizer
from trainer.data.chat_masks import mask_conversations
from trainer.errors import BaseUnavailable
from trainer.sources.conversations import Conversation

tokenizer_of = cache(miniature_tokenizer)
PUBLISHED = Path(trl.__file__).parent / "chat_templates"
TALK = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": 'é "x" \\ <b>\n{{ 7 }}'},
    {"role": "assistant", "content": "", "reasoning_content": "hm",
     "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": [1, None, "ü"]}}}]},
    {"role": "tool", "content": "{}", "name": "f", "tool_call_id": None},
    {"role": "assistant", "content": "done"},
]  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]

BOMBS = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n-1) ~ f(n-1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    "powers": "{{ 9**(9**9) }}",
    "a product": "{{ 'a' * 10**10 }}",
    "doubling": "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "a width": "{{ '%1000000000d' % 1 }}",
    "a filter's width": "{{ 'a' | center(3000000000) }}",
    "endless calls": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a long text": "{{ 'a' * 20000000 }}",
}
NOT_PLAIN = [
    *BOMBS.values(),
    "{% set x = messages[0].content %}{% set x = x ~ x %}",
    "{% set x %}{{ messages[0].content }}{% endset %}",
    "{% set a = 'x' + messages[0].content %}{% set b = a + a %}",
    "{% set a = 'x' + messages[0].content %}{% set b = [a, a] %}",
    "{% set ns = namespace(x='a') %}{% for y in [ns.x] %}{% set ns.x = ns.x + y %}{% endfor %}",
    "{% set x = messages|tojson %}{% set x = x|tojson %}{% set x = x|tojson %}",
    "{{ messages|map('center', 100000000)|list }}",
    "{{ messages[0].content.replace('', messages[0].content) }}",
    "{{ messages[0].content.ljust(1000000000) }}",
    "{{ messages|tojson(indent=1000000000) }}",
    "{{ strftime_now(messages[0].content) }}",
    "{% for a in messages %}{% for b in messages %}{% for c in messages %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "{% include 'x' %}",
    "{% filter upper %}x{% endfilter %}",
    "x" * 100_000,
    "{% if",
]


def text_or_refusal(make: Any) -> str:
    try:
        return str(make())
    except TemplateRefused:
        raise
    except Exception as error:
        return f"refused: {error}"


@pytest.mark.slow
@pytest.mark.parametrize("generation", [False, True])
def test_the_text_is_what_transformers_renders(generation: bool) -> None:
    own = {style: tokenizer_of(style).chat_template for style in STYLES}
    known = own | {file.stem: file.read_text("utf-8") for file in sorted(PUBLISHED.glob("*.jinja"))}
    tokenizer = tokenizer_of("qwen3")
    kept = 0
    for (name, template), talk, tools in product(known.items(), (TALK, TALK[1:2], TALK[:2]), ((), TOOLS)):
        given: dict[str, Any] = {"tokenize": False, "add_generation_prompt": generation, "tools": tools or None}
        ours = text_or_refusal(
            partial(rendered, tokenizer, talk, template=template, tools=tools, generation=generation)
        )
        theirs = text_or_refusal(partial(tokenizer.apply_chat_template, talk, chat_template=template, **given))
        assert ours == theirs, name
        kept += not ours.startswith("refused")
    assert kept > 3 * len(known)


@pytest.mark.slow
def test_the_families_own_templates_are_rendered_here() -> None:
    assert all(is_plain(tokenizer_of(style).chat_template) for style in STYLES)
    named = ("llama3", "llama3_1", "llama3_2", "qwen2_5", "qwen3", "gemma", "gemma3", "phi3", "smolvlm", "deepseekv3")
    assert all(is_plain((PUBLISHED / f"{name}.jinja").read_text("utf-8")) for name in named)


@pytest.mark.parametrize("template", NOT_PLAIN, ids=range(len(NOT_PLAIN)))
def test_what_may_not_end_is_not_plain(template: str) -> None:
    assert not is_plain(template)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_ended_named_and_not_tried_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "TEMPLATE_SECONDS", 1.0)  # else 5
    tokenizer, talk = tokenizer_of("smollm2"), TALK[:2]
    with pytest.raises(
        TemplateRefused, match=r"The chat template takes .* was ended. Use a model with a sound"
    ) as caught:
        rendered(tokenizer, talk, template=BOMBS[name], generation=True)
    assert "\n" not in str(caught.value)
    began = time.monotonic()
    with pytest.raises(TemplateRefused):
        rendered(tokenizer, talk, template=BOMBS[name], generation=True)
    assert time.monotonic() - began < 3  # at once, where the first took seconds
    macro = "{% macro f(x) %}{{ x }}!{% endmacro %}{{ f(messages[1].content) }}"
    assert rendered(tokenizer, talk, template=macro, generation=True) == f"{TALK[1]['content']}!"


@pytest.mark.slow
def test_a_bomb_ends_a_training_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "TEMPLATE_SECONDS", 1.0)
    tokenizer = miniature_tokenizer("smollm2")
    tokenizer.chat_template = BOMBS["loops"]
    rows = [
        Conversation(({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}), "s", n)
        for n in range(99)
    ]
    with pytest.raises(BaseUnavailable, match="more than 1 s"):
        mask_conversations(rows, tokenizer, 100)
