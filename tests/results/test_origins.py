"""Only our own pages are taken for our own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.origins import host_name, own_origin


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:8501", "127.0.0.1"), ("LOCALHOST", "localhost"), ("[::1]:80", "[::1]"), ("box-1.lan", "box-1.lan"),
        ("127.0.0.1:8501.evil.com", ""), ("127.0.0.1:8501@evil.com", ""), ("", ""), ("localhost:", ""), ("a b", ""),
        ("localhost:80:80", ""), ("localhost/x", ""), ("::1", ""), ("localhost\n", ""), ("localhost:123456", ""),
    ],
)  # fmt: skip
def test_a_host_is_an_authority_or_nothing(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("origin", "hosts", "own"),
    [
        (None, ("localhost:8501",), True),
        ("http://localhost:8501", ("localhost:8501",), True),
        ("HTTPS://Models.example", ("models.example",), True),
        ("https://models.example:443", ("models.example",), True),
        ("http://localhost:9000", ("127.0.0.1:8000", "localhost:9000"), True),
        ("http://localhost:3000", ("localhost:8501",), False),
        ("http://127.0.0.1:8501", ("localhost:8501",), False),
        ("http://localhost:8501.evil.com", ("localhost:8501",), False),
        ("http://evil.com", ("evil.com:80.evil.com",), False),
        ("null", ("localhost",), False),
        ("file://localhost", ("localhost",), False),
        ("", ("",), False),
    ],
)
def test_a_page_of_another_name_or_port_is_another_origin(
    origin: str | None, hosts: tuple[str, ...], own: bool
) -> None:
    assert own_origin(origin, *hosts) is own


@given(st.text(max_size=30), st.text(max_size=30))
def test_only_the_same_authority_is_ones_own(origin: str, host: str) -> None:
    if own_origin(f"http://{origin}", host):
        assert origin.lower().removesuffix(":80") == host.lower().removesuffix(":80") and host_name(host)
