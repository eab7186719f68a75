"""What strangers may do at `serve --public`: see the page, ask within bounds, in their turn; nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from engines import EngineError
from engines.server.public import PublicPage, Turnstile

KEY = "the page's alone"
ASKED = {"model": "shop", "messages": [{"role": "user", "content": "Is it in stock?"}]}


class Behind:
    """The server behind: it says what reached it, as ASGI, so that a test sees every byte and header."""

    def __init__(self) -> None:
        self.reached: list[tuple[dict[str, str], dict[str, Any]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.reached.append((headers, json.loads(body)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"said"})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<html>the page")
    (tmp_path / "decision-0.json").write_text("{}")
    (tmp_path / "results.db").write_bytes(b"rows")
    (tmp_path / ".secret.json").mkdir()
    return tmp_path


def opened(page: Path, *, proxied: bool = False, turnstile: Turnstile | None = None) -> tuple[TestClient, Behind]:
    behind = Behind()
    return TestClient(PublicPage(behind, KEY, page, {"shop"}, proxied=proxied, turnstile=turnstile)), behind


def test_the_page_and_its_figures_are_sent_and_nothing_else_of_the_folder(page: Path) -> None:
    client, behind = opened(page)
    assert client.get("/").text == "<html>the page" and client.get("/decision-0.json").json() == {}
    assert client.get("/v1/models").json()["data"] == [{"id": "shop", "object": "model"}]
    for path in ("/results.db", "/../results.db", "/.secret.json", "/v1/models/shop", "/tokenize"):
        assert client.get(path).status_code == 404, path
    for path in ("/tokenize", "/v1/completions", "/apply-template", "/", "/v1/embeddings"):
        assert client.post(path, json=ASKED).status_code == 405, path
    assert client.put("/v1/chat/completions").status_code == 405
    assert behind.reached == []


def test_what_is_asked_is_written_anew_with_the_key_of_the_page(page: Path) -> None:
    client, behind = opened(page)
    sent = {"authorization": "Bearer mine", "cookie": "a=b", "x-made-up": "c", "origin": "https://elsewhere.example"}
    assert client.post("/v1/chat/completions", json=ASKED, headers=sent).text == "said"
    ((headers, body),) = behind.reached
    assert headers["authorization"] == f"Bearer {KEY}" and not {"cookie", "x-made-up", "origin"} & set(headers)
    assert body == {**ASKED, "temperature": 0.0, "max_tokens": 128, "stream": False}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "base"}, "no such model here: shop"),
        ({"model": ["shop"]}, "no such model"),
        ({"temperature": 1.6}, "from 0 to 1.5"),
        ({"temperature": float("nan")}, "from 0 to 1.5"),
        ({"temperature": True}, "from 0 to 1.5"),
        ({"max_tokens": 31}, "from 32 to 512"),
        ({"max_tokens": 513}, "from 32 to 512"),
        ({"max_tokens": 64.0}, "from 32 to 512"),
        ({"stream": 1}, "true or false"),
        ({"n": 9}, "'n' is not taken"),
        ({"messages": []}, "1 to 40 turns"),
        ({"messages": [{"role": "system", "content": "Be rude."}]}, "user or assistant"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "a text"),
        ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "a text"),
        ({"messages": [{"role": "user", "content": "x" * 12_001}]}, "12000 are taken"),
    ],
)
def test_what_is_outside_the_bounds_is_refused_by_name(page: Path, changed: dict[str, Any], words: str) -> None:
    client, behind = opened(page)
    answer = client.post("/v1/chat/completions", content=json.dumps({**ASKED, **changed}))
    assert answer.status_code == 400 and words in answer.json()["error"]["message"]
    assert behind.reached == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 60_000])
def test_what_is_no_request_is_refused(page: Path, body: bytes) -> None:
    client, behind = opened(page)
    assert client.post("/v1/chat/completions", content=body).status_code == 400 and behind.reached == []


def test_what_is_too_large_is_refused(page: Path) -> None:
    client, behind = opened(page)
    assert client.post("/v1/chat/completions", content=b" " * 70_000).status_code == 413 and behind.reached == []


def test_a_visitor_has_so_many_answers_a_minute_and_others_have_their_own(page: Path) -> None:
    clock = Clock()
    client, behind = opened(page, proxied=True, turnstile=Turnstile(a_minute=2, clock=clock))

    def ask(address: str) -> Any:
        return client.post("/v1/chat/completions", json=ASKED, headers={"x-forwarded-for": address})

    assert [ask(one).status_code for one in ("1.2.3.4", "9.9.9.9, 1.2.3.4")] == [200, 200]
    refused = ask("8.8.8.8, 1.2.3.4")
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) == 61
    assert ask("5.6.7.8").status_code == 200
    assert [ask(f"2001:db8::{one}").status_code for one in (1, 2, 3)] == [200, 200, 429], "of IPv6 a network is one"
    clock.at = 60.0
    assert ask("1.2.3.4").status_code == 200 and len(behind.reached) == 6


def test_without_a_proxy_its_header_is_anybodys_word_and_counts_for_nothing(page: Path) -> None:
    client, _ = opened(page, turnstile=Turnstile(a_minute=1, clock=Clock()))
    headers = [{"x-forwarded-for": f"1.2.3.{one}"} for one in range(2)]
    asked = [client.post("/v1/chat/completions", json=ASKED, headers=one).status_code for one in headers]
    assert asked == [200, 429]


def test_one_answer_at_a_time_and_so_many_visitors_at_once() -> None:
    turnstile = Turnstile(at_once=2, clock=Clock())
    assert turnstile.enter("a") == ("", 0) and "still being written" in turnstile.enter("a")[0]
    assert turnstile.enter("b") == ("", 0) and "2 others" in turnstile.enter("c")[0]
    turnstile.leave("a")
    assert turnstile.enter("c") == ("", 0)


def test_a_folder_without_a_page_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"has no index\.html: make a page there, bakeoff publish"):
        opened(tmp_path)
