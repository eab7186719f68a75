"""Any OpenAI-compatible endpoint as an engine: vLLM, llama-server, Ollama, TGI, another `bakeoff serve`.

A model of form `remote` has the endpoint's base URL as its path (https://host/v1) and in its details `model` (the
name there, else its own) and `api_key_variable` (the environment variable that holds the key; keys are not stored).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from engines.demands import Demands, TokenChance
from engines.errors import EngineBusy, EngineCrashed, EngineError
from engines.interface import Chunk, Completion, FinishReason, Message, Sampling
from engines.stops import StopFilter, cut, whole
from results.records import Model, Progress

AT_ONCE = 8
"""Requests to one endpoint in flight, where there are many to make: it batches what it can."""

FULL = (429, 502, 503, 504, 529)
"""Statuses by which an endpoint, or what stands before it, says that it has no room now."""

NEUTRAL = {"top_k": -1, "min_p": 0.0, "repeat_penalty": 1.0, "repetition_penalty": 1.0}
"""Beyond the protocol: what llama-server, vLLM and Ollama sample with by themselves unless told not to."""

FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


def masked(url: str) -> str:
    """An endpoint's address as it may be shown and stored: without user, password and query, which may hold a key."""
    return str(httpx.URL(url).copy_with(userinfo=b"", query=None))


class OpenAIEngine:
    """A model of an OpenAI-compatible endpoint. Thread-safe."""

    def __init__(
        self, url: str, model: str, key: str = "", *, identity: str = "", crashed: Callable[[], str] | None = None
    ) -> None:
        """`url` ends in /v1. `crashed` says why, where the endpoint is a child process of ours."""
        self.url = url.rstrip("/")
        self._shown = masked(self.url)
        self.model = model
        self.identity = identity
        self._crashed = crashed
        self._neutral: dict[str, Any] = {} if crashed else dict(NEUTRAL)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        wait = httpx.Timeout(600.0 if crashed is None else None, connect=10.0)  # a child that lives is never late
        # trust_env: a child on loopback must not be looked for behind a proxy; a foreign endpoint may be
        self._client = httpx.Client(headers=headers, timeout=wait, trust_env=crashed is None)

    @classmethod
    def of(cls, model: Model) -> OpenAIEngine:
        """The engine of a model of form `remote`."""
        key = os.environ.get(str(model.details.get("api_key_variable", "OPENAI_API_KEY")), "")
        return cls(model.path, str(model.details.get("model", model.name)), key, identity=model.identity)

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> OpenAIStream:
        """Answer a conversation; the template is the endpoint's."""
        body = {"messages": [dict(one) for one in messages], **self._settings(sampling)}
        return OpenAIStream(self, "/chat/completions", body, sampling)

    def stream_text(self, prompt: str, sampling: Sampling) -> OpenAIStream:
        """Continue one raw prompt through /completions."""
        return OpenAIStream(self, "/completions", {"prompt": prompt, **self._settings(sampling)}, sampling)

    def answer(self, asked: Sequence[Message] | str, sampling: Sampling, demands: Demands) -> OpenAIStream:
        """Answer as demanded: everything is sent on by the protocol's names, and the endpoint's answer is taken."""
        body = {**self._settings(sampling), **_wished(demands, chat=not isinstance(asked, str))}
        if isinstance(asked, str):
            return OpenAIStream(self, "/completions", {"prompt": asked, **body}, sampling)
        return OpenAIStream(self, "/chat/completions", {"messages": [dict(one) for one in asked], **body}, sampling)

    def complete(
        self, prompts: Sequence[str], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Continue raw prompts through /completions."""
        done = 0

        def one(prompt: str) -> Completion:
            nonlocal done
            began = time.perf_counter()
            answer = self._post("/completions", {"prompt": prompt, **self._settings(sampling)})
            text, stopped = cut(answer["choices"][0]["text"], sampling.stop)
            finish = "stop" if stopped else FINISH.get(answer["choices"][0].get("finish_reason") or "stop", "stop")
            usage = answer.get("usage") or {}
            done += 1
            if progress:
                progress("answers", done, len(prompts))
            return Completion(
                text, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0), finish, self.identity, sampling,
                total_seconds=time.perf_counter() - began, notes=self._notes(sampling),
            )  # fmt: skip

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, prompts))

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text, where llama-server or `bakeoff serve` answers. Raises: EngineError elsewhere."""
        root = self.url.removesuffix("/v1")
        return str(
            self._post(
                "/apply-template",
                {"messages": [dict(one) for one in messages], "model": self.model},
                root,
            )["prompt"]
        )

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, where llama-server, vLLM or `bakeoff serve` answers. Raises: EngineError elsewhere."""
        return len(self.token_ids(text))

    def token_ids(self, text: str, add_special: bool = False, parse_special: bool = True) -> list[int]:
        """Token ids of a text, where llama-server, vLLM or `bakeoff serve` answers. Raises: EngineError elsewhere."""
        body = {
            "content": text, "prompt": text, "model": self.model, "add_special": add_special,
            "add_special_tokens": add_special, "parse_special": parse_special,
        }  # fmt: skip
        return [int(one) for one in self._post("/tokenize", body, self.url.removesuffix("/v1"))["tokens"]]

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of these token ids, where llama-server, vLLM or `bakeoff serve` answers."""
        answer = self._post("/detokenize", {"tokens": list(ids), "model": self.model}, self.url.removesuffix("/v1"))
        return str(answer["content"] if "content" in answer else answer["prompt"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "model": self.model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.seed is not None:
            settings["seed"] = sampling.seed
        if sampling.stop:
            settings["stop"] = list(sampling.stop[:4])  # the protocol's limit; the rest is cut here
        if sampling.ignore_end:
            settings["ignore_eos"] = True
        return settings

    def _notes(self, sampling: Sampling) -> tuple[str, ...]:
        if self._crashed is not None:
            return ()
        notes = []
        if sampling.seed is not None and sampling.temperature > 0:
            notes.append("The seed was sent; whether the endpoint honours it is unknown.")
        if not self._neutral:
            notes.append("The endpoint refuses top_k, min_p and repeat_penalty; if it has its own, they apply.")
        return tuple(notes)

    def _send(self, url: str, body: Any, stream: bool = False) -> httpx.Response:
        """POST a request to sample, once more without `NEUTRAL` if it is refused with it, and from then on without."""
        whole(json.dumps(body, ensure_ascii=False))
        request = self._client.build_request("POST", url, json={**body, **self._neutral})
        answer = self._client.send(request, stream=stream)
        if answer.status_code in (400, 422) and self._neutral:
            answer.close()
            answer = self._client.send(self._client.build_request("POST", url, json=body), stream=stream)
            if answer.status_code == 200:
                self._neutral = {}
        return answer

    def _post(self, path: str, body: Any, root: str | None = None) -> Any:
        whole(json.dumps(body, ensure_ascii=False))
        try:
            answer = self._client.post(root + path, json=body) if root else self._send(self.url + path, body)
        except httpx.HTTPError as problem:
            raise self._unreachable(problem) from None
        if answer.status_code != 200:
            raise self._refusal(answer, path)
        return answer.json()

    def _refusal(self, answer: httpx.Response, path: str) -> EngineError:
        """The error for an answer that is none: EngineBusy where asking again later may help."""
        content = answer.read()
        said, (code, parameter) = _message(content), _named(content)
        if not self._crashed:  # a child of ours needs no introduction
            said = f"{self._shown} answered {answer.status_code} for {path}: {said}"
        if answer.status_code not in FULL:
            return EngineError(said, code=code, parameter=parameter)
        wanted = answer.headers.get("retry-after", "")
        return EngineBusy(said, float(wanted) if wanted.replace(".", "", 1).isdecimal() else 0.0)

    def _unreachable(self, problem: Exception) -> EngineError:
        if self._crashed:
            return EngineCrashed(f"The engine of {self.model} failed: {self._crashed()}. The next request restarts it.")
        return EngineError(f"{self._shown} cannot be reached: {problem}. Is the server running?")


class OpenAIStream(Iterator[Chunk]):
    """One streamed answer; `close` stops it by closing the connection."""

    def __init__(self, engine: OpenAIEngine, path: str, body: dict[str, Any], sampling: Sampling) -> None:
        self._engine = engine
        self._sampling = sampling
        self._url = engine.url + path
        self._body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        self._response: httpx.Response | None = None
        self._cancelled = False
        self._pieces = self._generate()
        self.prompt_tokens = 0
        self.tokens = 0

    def __iter__(self) -> OpenAIStream:
        return self

    def __next__(self) -> Chunk:
        return next(self._pieces)

    def close(self) -> None:
        """Stop. From another thread too, also while it waits for the first piece."""
        self._cancelled = True
        if self._response is not None:  # whoever reads from it wakes up
            stream = self._response.extensions.get("network_stream")
            sock = stream.get_extra_info("socket") if stream is not None else None
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(ValueError):
            self._pieces.close()

    def _generate(self) -> Generator[Chunk]:
        filtered, note = StopFilter(self._sampling.stop), ""
        finish: FinishReason | None = None
        try:
            for number, event in enumerate(self._events()):
                if number == 0:  # only now is it known what the endpoint takes
                    note = " ".join(self._engine._notes(self._sampling))
                usage = event.get("usage") or {}
                self.prompt_tokens = usage.get("prompt_tokens", self.prompt_tokens)
                self.tokens = usage.get("completion_tokens", self.tokens)
                choice = (event.get("choices") or [{}])[0]
                delta = choice.get("delta") or {}
                text = filtered.feed(delta.get("content") or choice.get("text") or "")
                chances, calls = _chances(choice.get("logprobs") or {}), tuple(delta.get("tool_calls") or ())
                if text or chances or calls:
                    yield Chunk(text, 1, None, note, chances, calls)
                    note = ""
                if choice.get("finish_reason"):
                    finish = FINISH.get(choice["finish_reason"], "stop")
                if self._cancelled:
                    return
                if filtered.stopped:
                    break
        finally:
            if self._response:
                self._response.close()
        if self._cancelled:
            return
        if finish is None and not filtered.stopped:
            raise self._engine._unreachable(EOFError("the answer broke off"))
        yield Chunk(filtered.end(), 0, "stop" if filtered.stopped else finish, note)

    def _events(self) -> Iterator[dict[str, Any]]:
        try:
            self._response = self._engine._send(self._url, self._body, stream=True)
            if self._response.status_code != 200:
                raise self._engine._refusal(self._response, self._url.removeprefix(self._engine.url))
            for line in self._response.iter_lines():
                if line.startswith("data: {"):
                    event: dict[str, Any] = json.loads(line[6:])
                    if "error" in event:
                        raise EngineError(_message(line[6:].encode()))
                    yield event
        except httpx.HTTPError as problem:
            if not self._cancelled:
                raise self._engine._unreachable(problem) from None


def _wished(demands: Demands, chat: bool) -> dict[str, Any]:
    """What is demanded, by the protocol's names."""
    made: dict[str, Any] = {}
    if demands.schema is not None:
        form = {"name": "answer", "schema": dict(demands.schema), "strict": True}
        plain = dict(demands.schema) == {"type": "object"}
        made["response_format"] = {"type": "json_object"} if plain else {"type": "json_schema", "json_schema": form}
    if demands.tools:
        named = {"type": "function", "function": {"name": demands.tool_choice}}
        choice = demands.tool_choice if demands.tool_choice in ("auto", "required") else named
        made |= {"tools": list(demands.tools), "tool_choice": choice, "parallel_tool_calls": demands.parallel}
    if demands.logprobs is not None:
        made |= {"logprobs": True, "top_logprobs": demands.logprobs} if chat else {"logprobs": demands.logprobs}
    if demands.logit_bias:
        made["logit_bias"] = {str(one): bias for one, bias in demands.logit_bias.items()}
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(demands, name):
            made[name] = getattr(demands, name)
    return made


def _chances(given: Mapping[str, Any]) -> tuple[TokenChance, ...]:
    """Log-probabilities of a choice, in the shape of chat answers or in that of raw completions."""
    if given.get("content"):
        return tuple(given["content"])
    tops = given.get("top_logprobs") or [{} for _ in given.get("tokens") or ()]
    made: list[TokenChance] = []
    for token, value, top in zip(given.get("tokens") or (), given.get("token_logprobs") or (), tops, strict=False):
        likeliest: list[TokenChance] = [
            {"token": name, "bytes": list(name.encode("utf-8", "replace")), "logprob": one}
            for name, one in (top or {}).items()
        ]
        data = list(token.encode("utf-8", "replace"))
        made.append({"token": token, "bytes": data, "logprob": value, "top_logprobs": likeliest})
    return tuple(made)


def _named(content: bytes) -> tuple[str, str]:
    """(code, parameter) of an error object, empty where it names none."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        error = json.loads(content)["error"]
        code, parameter = error.get("code"), error.get("param")
        return code if isinstance(code, str) else "", parameter if isinstance(parameter, str) else ""
    return "", ""


def _message(content: bytes) -> str:
    """The message of an error object in either of its usual shapes, else the text."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        error = json.loads(content)
        error = error.get("error", error)
        return str(error if isinstance(error, str) else error.get("message", error))[:500]
    return content.decode("utf-8", "replace")[:500]
