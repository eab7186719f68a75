"""`serve` as ordinary clients expect it: forms of answers, tools, probabilities, choices, errors, browsers.

Asked by the official client and by plain HTTP, also with what litellm and LangChain send (`recorded`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from engines import Sampling
from engines.openai_endpoint import OpenAIEngine
from engines.server.residency import Residency
from results import Model, Workspace
from tests.engines.server import recorded
from tests.engines.server.recorded import HELLO, SCHEMA, TOOLS
from tests.engines.server.running import run

pytestmark = pytest.mark.slow

TOOL_TEMPLATE = """{%- if tools %}<|im_start|>system
Tools:
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|im_end|>
{%- endif %}
{%- for message in messages %}
<|im_start|>{{ 'user' if message.role == 'tool' else message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{%- endfor %}
{%- if add_generation_prompt %}
<|im_start|>assistant
{% endif %}"""

MAKERS = {"system": "Sing.", "temperature": 0, "max_tokens": 6, "top_k": 40, "num_ctx": 8192, "presence_penalty": 1.5}
"""What Ollama has a model run with."""
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def url(miniature: Callable[[str], Path], tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a plain GGUF, one whose template has tools, and a transformers folder."""
    import shutil

    from engines.gguf_format.writer import FolderSource, write_model

    place = Workspace(tmp_path_factory.mktemp("clients"))
    folder = shutil.copytree(miniature("smollm"), place.path / "tools")
    (folder / "chat_template.jinja").write_text(TOOL_TEMPLATE, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}), encoding="utf-8")
    write_model(folder / "tools.gguf", FolderSource(folder), "gguf-f16")
    with place.store() as store:
        store.models.add(Model("base-1", "base", "base", "tiny", "b" * 64, 1, str(tiny)))
        store.models.add(Model("tools-1", "tools", "gguf-f16", "tiny", "c" * 64, 1, str(folder / "tools.gguf")))
        store.models.add(
            Model("sung-1", "sung", "gguf-f16", "tiny", "e" * 64, 1, str(tiny), details={"sampling": MAKERS})
        )
        store.models.add(Model("whole-1", "whole", "merged", "tiny", "d" * 64, 1, str(miniature("llama"))))
        store.models.add(Model("known-1", "known", "gguf-f16", "tiny", "f" * 64, 1, ""))
        residency = Residency(store, place, 8 << 30, slots=2, context=4096)
        address, stop = run(residency, origins=("https://chat.example",))
        yield address
        stop()
        residency.close()


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    """The official client."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=900, max_retries=0)


def ask(url: str, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
    """POST, asking for little."""
    usual = {"model": "base", "messages": HELLO, "max_tokens": 12, "temperature": 0}
    if not path.endswith("chat/completions"):
        usual = {"model": "base"}
    return httpx.post(f"{url}{path}", json={**usual, **body}, timeout=900)


def test_an_answer_is_held_to_a_schema(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "sky", "schema": SCHEMA, "strict": True}}
    for seed in range(3):
        whole = client.chat.completions.create(
            model="base",
            messages=HELLO,
            response_format=form,
            max_tokens=200,
            seed=seed,
        )
        found = json.loads(whole.choices[0].message.content or "")
        assert found["sky"] in ("blue", "grey") and found["stars"] <= 9 and whole.choices[0].finish_reason == "stop"
    loose = client.chat.completions.create(
        model="base",
        messages=HELLO,
        response_format={"type": "json_object"},
        max_tokens=60,
        seed=1,
        stream=True,
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in loose if chunk.choices)
    assert text.startswith("{")


def test_a_schema_that_no_grammar_holds_is_refused_by_name(url: str) -> None:
    wrongs: dict[str, Any] = {
        "not": {"not": {"type": "string"}}, "uniqueItems": {"type": "array", "items": {}, "uniqueItems": True},
        "minItems": {"type": "array", "minItems": 10**8, "items": {"type": "integer"}},
        "pattern": {"type": "string", "pattern": "(a{1,900}){1,900}"}, "wurst": {"type": "string", "format": "wurst"},
        "values": {"enum": list(range(9000))}, "schema": {"type": "colour"},
    }  # fmt: skip
    for word, schema in wrongs.items():
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        for stream in (False, True):
            answer = ask(url, response_format=form, stream=stream)
            error = answer.json()["error"]
            assert answer.status_code == 400 and word in error["message"], (word, error)
            assert error["param"] == "response_format" and error["code"] == "unsupported_parameter"


def test_tools_are_called(client: openai.OpenAI, url: str) -> None:
    create: Any = client.chat.completions.create
    named = {"type": "function", "function": {"name": "see"}}
    for choice, names in (("required", {"look", "see"}), (named, {"see"})):
        whole = create(model="tools", messages=HELLO, tools=TOOLS, tool_choice=choice, max_tokens=200, seed=2)
        (call,) = whole.choices[0].message.tool_calls
        assert whole.choices[0].finish_reason == "tool_calls" and call.function.name in names and call.id
        assert json.loads(call.function.arguments).keys() == {"sky", "stars"}
    pieces = list(
        create(model="tools", messages=HELLO, tools=TOOLS, tool_choice=named, max_tokens=200, seed=2, stream=True)
    )
    (call,) = [one for piece in pieces for one in piece.choices[0].delta.tool_calls or ()]
    assert call.index == 0 and json.loads(call.function.arguments).keys() == {"sky", "stars"}
    turns = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [whole.choices[0].message.tool_calls[0].model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "It is dark."},
    ]
    after = create(model="tools", messages=turns, tools=TOOLS, max_tokens=8, temperature=0)
    assert after.usage.prompt_tokens > whole.usage.prompt_tokens
    with pytest.raises(
        openai.BadRequestError, match=r"template of tiny\.gguf takes no tools: it does not show them"
    ) as no:
        create(model="base", messages=HELLO, tools=TOOLS)
    assert no.value.code == "unsupported_parameter" and no.value.param == "tools"


def test_log_probabilities_are_the_models(client: openai.OpenAI, url: str) -> None:
    whole = client.chat.completions.create(
        model="base",
        messages=HELLO,
        logprobs=True,
        top_logprobs=3,
        max_tokens=8,
        temperature=0,
    )
    assert whole.choices[0].logprobs and whole.choices[0].logprobs.content
    for one in whole.choices[0].logprobs.content:
        assert len(one.top_logprobs) == 3 and one.logprob == one.top_logprobs[0].logprob <= 0  # greedy
    shown = "".join(one.token for one in whole.choices[0].logprobs.content)
    assert whole.choices[0].message.content and whole.choices[0].message.content.endswith(shown[-1])
    flow = client.chat.completions.create(
        model="base",
        messages=HELLO,
        logprobs=True,
        max_tokens=8,
        temperature=0,
        stream=True,
    )
    streamed = [
        one
        for chunk in flow
        if chunk.choices and chunk.choices[0].logprobs
        for one in chunk.choices[0].logprobs.content or ()
    ]
    assert [one.logprob for one in streamed] == [one.logprob for one in whole.choices[0].logprobs.content]
    assert not streamed[0].top_logprobs
    raw = client.completions.create(model="base", prompt="Hello", logprobs=2, max_tokens=4, temperature=0)
    assert raw.choices[0].logprobs and raw.choices[0].logprobs.token_logprobs
    assert all(len(one) == 2 for one in raw.choices[0].logprobs.top_logprobs or ())


def test_a_bias_and_a_penalty_change_the_answer(url: str) -> None:
    plain = ask(url, "/v1/completions", prompt="Hello", max_tokens=8, temperature=0, logprobs=1).json()
    first = plain["choices"][0]["logprobs"]["tokens"][0]
    (banned,) = ask(url, "/tokenize", content=first).json()["tokens"]
    other = ask(
        url, "/v1/completions", prompt="Hello", max_tokens=8, temperature=0, logit_bias={str(banned): -100}
    ).json()
    assert not other["choices"][0]["text"].startswith(first)
    forced = ask(
        url, "/v1/completions", prompt="Hello", max_tokens=3, temperature=0, logit_bias={str(banned): 100}
    ).json()
    assert forced["choices"][0]["text"] == first * 3
    eager = ask(url, "/v1/completions", prompt="Hello", max_tokens=3, temperature=0, logit_bias={str(banned): 100},
                frequency_penalty=2).json()  # fmt: skip
    assert "error" not in eager, eager
    assert "prompt" in eager["bakeoff"]["notes"][0]
    nowhere = ask(url, logit_bias={"99999999": 1})
    assert nowhere.status_code == 400 and "99999999" in nowhere.json()["error"]["message"]


def test_several_choices_and_prompts_come_whole_and_streamed(client: openai.OpenAI) -> None:
    several = client.chat.completions.create(model="base", messages=HELLO, n=3, seed=5, max_tokens=6)
    texts = [choice.message.content for choice in several.choices]
    assert [choice.index for choice in several.choices] == [0, 1, 2] and len(set(texts)) > 1
    one = client.chat.completions.create(model="base", messages=HELLO, seed=6, max_tokens=6)
    assert texts[1] == one.choices[0].message.content, "the second of n answers is that of the next seed"
    assert several.usage and one.usage and several.usage.prompt_tokens == one.usage.prompt_tokens
    flow: dict[int, str] = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(model="base", messages=HELLO, n=3, seed=5, max_tokens=6, stream=True):
        for choice in chunk.choices:
            flow[choice.index] += choice.delta.content or ""
    assert list(flow.values()) == texts
    for prompts in (["Hello"], ["Hello", "def"]):
        parts = client.completions.create(model="base", prompt=prompts, max_tokens=4, temperature=0, stream=True)
        assert {part.choices[0].index for part in parts} == set(range(len(prompts)))


def test_what_clients_send_by_habit_is_taken(url: str) -> None:
    habits: dict[str, Any] = {
        "stream": None, "stop": None, "n": None, "seed": None, "tools": None, "response_format": None, "logprobs": None,
        "top_logprobs": None, "user": "me", "metadata": {"a": "b"}, "store": True, "parallel_tool_calls": None,
        "logit_bias": None, "presence_penalty": 0, "max_completion_tokens": 3, "modalities": ["text"],
        "stream_options": None, "service_tier": "auto", "reasoning_effort": None, "top_k": -1, "response_id": None,
    }  # fmt: skip
    answer = ask(url, **habits)
    assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] <= 3
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello, "}, {"type": "text", "text": "world!"}]}]
    assert ask(url, messages=parts).json()["choices"] == ask(url).json()["choices"]
    word = ask(url).json()["choices"][0]["message"]["content"][3:5]
    for stop in (word, [word]):
        assert word not in ask(url, stop=stop).json()["choices"][0]["message"]["content"]


def test_what_would_change_an_answer_is_refused_by_name(url: str) -> None:
    for name, value in {
        "reasoning_effort": "high", "top_k": 40, "grammar": "root ::= x", "functions": [{"name": "f"}], "wizardry": 1,
        "modalities": ["audio"], "num_predict": 5, "echo": True, "best_of": 3, "chat_template_kwargs": {"a": 1},
    }.items():  # fmt: skip
        error = ask(url, **{name: value}).json()["error"]
        assert name in error["message"] and error["param"] == name and error["type"] == "invalid_request_error"
        assert error["code"] in ("unknown_parameter", "unsupported_parameter")
    wrongs: dict[str, Any] = {
        "temperature": 9, "messages": [], "n": 0, "max_tokens": "many", "stop": {"a": 1}, "top_logprobs": 3,
        "tool_choice": "required", "response_format": {"type": "poem"}, "logit_bias": {"a": 1},
    }  # fmt: skip
    for name, value in wrongs.items():
        answer = ask(url, **{name: value})
        error = answer.json()["error"]
        assert answer.status_code == 400 and error["param"].startswith(name) and name in error["message"], error
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]
    assert "image_url" in ask(url, messages=image).json()["error"]["message"]
    half = '{"model": "base", "messages": [{"role": "user", "content": "\\ud83d"}]}'
    for model in ("base", "whole"):
        answer = httpx.post(
            f"{url}/v1/chat/completions", content=half.replace("base", model), headers=JSON, timeout=900
        )
        assert answer.status_code == 400 and "messages.0.content" in answer.json()["error"]["message"]


def test_what_its_maker_has_a_model_run_with_is_used_where_a_request_says_nothing_and_told(url: str) -> None:
    sung = httpx.post(f"{url}/v1/chat/completions", json={"model": "sung", "messages": HELLO}, timeout=900).json()
    system = [{"role": "system", "content": "Sing."}, *HELLO]
    assert sung["choices"] == ask(url, messages=system, max_tokens=6, presence_penalty=1.5).json()["choices"]
    used, lacking, *_ = sung["bakeoff"]["notes"]
    assert all(word in used for word in ("system Sing.", "temperature 0", "max_tokens 6", "presence_penalty 1.5"))
    assert "top_k 40" in lacking and "num_ctx 8192" in lacking and "Bakeoff asks no engine for it" in lacking
    own = {"messages": [{"role": "system", "content": "Be dull."}, *HELLO], "max_tokens": 4, "presence_penalty": 0}
    assert ask(url, model="sung", **own).json()["choices"] == ask(url, **own).json()["choices"]
    raw = {"prompt": "Hello", "temperature": 0, "max_tokens": 4, "presence_penalty": 0}
    dull = ask(url, "/v1/completions", **raw).json()["choices"]
    assert ask(url, "/v1/completions", **{**raw, "model": "sung"}).json()["choices"] == dull


def test_a_transformers_model_refuses_what_it_cannot(client: openai.OpenAI) -> None:
    create: Any = client.chat.completions.create
    for wish in (
        {"response_format": {"type": "json_object"}}, {"tools": TOOLS}, {"logprobs": True}, {"presence_penalty": 1.0},
        {"logit_bias": {"3": 5}}, {"messages": [*HELLO, {"role": "tool", "content": "x", "tool_call_id": "a"}]},
    ):  # fmt: skip
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError, match="bakeoff export") as no:
                list(create(**{"model": "whole", "messages": HELLO, "stream": stream, "max_tokens": 4, **wish}))
            assert (
                no.value.code == "unsupported_parameter" and no.value.param in wish and no.value.param in str(no.value)
            )
    plain = create(model="whole", messages=HELLO, n=2, seed=3, max_tokens=4)
    assert len(plain.choices) == 2 and plain.usage.prompt_tokens > 3


def test_tokens_are_the_models_own(url: str, miniature: Callable[[str], Path]) -> None:
    from transformers import AutoTokenizer

    text = "Hello, 😀 naïve <|im_end|>"
    for model, folder in (("base", miniature("smollm")), ("whole", miniature("llama"))):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = ask(url, "/tokenize", model=model, content=text).json()["tokens"]
        assert ids == tokenizer(text, add_special_tokens=False).input_ids
        assert ask(url, "/detokenize", model=model, tokens=ids).json()["content"] == text
        gone = ask(url, "/detokenize", model=model, tokens=[10**6])
        assert gone.status_code == 400 and gone.json()["error"]["param"] == "tokens"
    engine = OpenAIEngine(f"{url}/v1", "base")
    assert engine.text_of(engine.token_ids("Hello")) == "Hello" and engine.complete(["a"], Sampling(1))
    engine.close()


def test_loading_counts_for_nothing_in_the_timings(url: str, tmp_path: Path, tiny: Path) -> None:
    place = Workspace(tmp_path)
    with place.store() as store:
        store.models.add(Model("base-1", "base", "base", "tiny", "b" * 64, 1, str(tiny)))
        residency = Residency(store, place, 8 << 30, slots=1, context=256)
        address, stop = run(residency)
        answer = ask(address, max_tokens=2, ignore_eos=True).json()
        stop()
        residency.close()
    told = answer["bakeoff"]
    assert told["waited_seconds"] > 0 and told["ttft_seconds"] > told["waited_seconds"]
    assert answer["timings"]["prompt_ms"] == pytest.approx(1000 * (told["ttft_seconds"] - told["waited_seconds"]))


def test_errors_are_those_that_clients_know(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=HELLO)
    assert missing.value.code == "model_not_found" and missing.value.param == "model"
    with pytest.raises(openai.NotFoundError, match=r"makes no embeddings.*chat/completions"):
        client.embeddings.create(model="base", input="a")
    assert "/v1/chat/completions" in httpx.post(f"{url}/v1/responses", json={}).json()["error"]["message"]
    assert httpx.get(f"{url}/v1/chat/completions").status_code == 405
    for body, word in ((b"{", "JSON"), (b"[]", "object"), (b"", "body"), (b'{"a":' * 9000, "JSON")):
        answer = httpx.post(f"{url}/v1/chat/completions", content=body, headers=JSON, timeout=900)
        assert answer.status_code == 400 and word in answer.json()["error"]["message"], answer.text
    plain = httpx.post(f"{url}/v1/chat/completions", content=b'{"model": "base"}', timeout=900)
    assert plain.status_code == 400 and "application/json" in plain.json()["error"]["message"]
    many = {"messages": [1] * 100_000}, {"stop": ["a"] * 300_000}, {"logit_bias": {str(one): 1 for one in range(2000)}}
    for body in many:
        assert len(ask(url, **body).json()["error"]["message"]) < 200, "one fault is told, not each"
    waiting = {**JSON, "Connection": "upgrade", "Upgrade": "websocket"}
    assert httpx.post(f"{url}/tokenize", json={"model": "base", "content": "a"}, headers=waiting, timeout=900).json()[
        "tokens"
    ]
    deep = {"messages": json.loads("[" * 70 + "]" * 70)}
    assert "deep" in ask(url, **deep).json()["error"]["message"]


def test_what_is_known_from_imported_results_alone_is_not_served(client: openai.OpenAI) -> None:
    assert sorted(one.id for one in client.models.list()) == ["base", "sung", "tools", "whole"]
    with pytest.raises(openai.NotFoundError, match="known is known from imported results; its weights are not here"):
        client.chat.completions.create(model="known", messages=HELLO)


def test_browsers_of_allowed_origins_may_read(url: str) -> None:
    mine, other = {"Origin": "https://chat.example"}, {"Origin": "https://evil.example"}
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    asked = httpx.options(f"{url}/v1/chat/completions", headers={**mine, **wish})
    assert asked.status_code == 204 and asked.headers["access-control-allow-origin"] == mine["Origin"]
    assert "content-type" in asked.headers["access-control-allow-headers"]
    assert "POST" in asked.headers["access-control-allow-methods"]
    read = httpx.get(f"{url}/v1/models", headers=mine)
    assert read.status_code == 200 and read.headers["access-control-allow-origin"] == mine["Origin"]
    for answer in (
        httpx.options(f"{url}/v1/models", headers={**other, **wish}), httpx.get(f"{url}/v1/models", headers=other),
    ):  # fmt: skip
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
    assert "POST" in httpx.options(f"{url}/v1/models").headers["allow"]
    for path in ("/v1/models", "/v1/models/base", "/health"):
        looked = httpx.head(f"{url}{path}")
        assert looked.status_code == 200 and not looked.content


@pytest.mark.parametrize("what", recorded.REQUESTS)
def test_what_litellm_and_langchain_send_is_answered_as_they_read_it(url: str, what: str) -> None:
    body = recorded.REQUESTS[what]
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=900)
    assert answer.status_code == 200, answer.text
    if body.get("stream"):
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        assert events.pop() == "[DONE]" and answer.headers["content-type"].startswith("text/event-stream")
        pieces = [ChatCompletionChunk.model_validate(json.loads(event), strict=True) for event in events]
        text = "".join(choice.delta.content or "" for piece in pieces for choice in piece.choices)
        whole = httpx.post(f"{url}/v1/chat/completions", json={**body, "stream": False}, timeout=900).json()
        assert text == whole["choices"][0]["message"]["content"]
        return
    found = ChatCompletion.model_validate(answer.json(), strict=True)
    assert [choice.index for choice in found.choices] == list(range(body.get("n", 1)))
    for choice in found.choices:
        if body.get("tool_choice"):
            chosen = body["tool_choice"]
            (call,) = choice.message.tool_calls or ()
            assert call.type == "function" and json.loads(call.function.arguments).keys() == {"sky", "stars"}
            assert chosen == "required" or call.function.name == chosen["function"]["name"]
        elif form := body.get("response_format"):
            text = choice.message.content or ""
            assert json.loads(text).keys() == {"sky", "stars"} if "json_schema" in form else text.startswith("{")


def test_what_litellm_and_langchain_are_refused_comes_as_the_errors_that_they_know(url: str) -> None:
    missing = ask(url, **{**recorded.REQUESTS["litellm: completion"], "model": "nobody"})
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"
    for what in ("litellm: tools", "langchain: bind_tools(tool_choice)"):
        refused = ask(url, **{**recorded.REQUESTS[what], "model": "base"})
        assert refused.status_code == 400 and "takes no tools" in refused.json()["error"]["message"]
