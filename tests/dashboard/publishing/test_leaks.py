"""What must not be published is found by name and place, and only what was allowed by its word is passed over."""

from __future__ import annotations

import pwd
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.errors import PageRefused
from dashboard.publishing.evidence import Asked, Told
from dashboard.publishing.leaks import PrivateWords, leaks, without
from dashboard.publishing.publication import refuse

NOTHING = PrivateWords()
SECRETS = {
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "a Hugging Face token": "hf_" + "aB3" * 11,
    "a GitHub token": "ghp_" + "x9Y" * 12,
    "a GitLab token": "glpat-" + "a1B2c" * 4,
    "an API key": "sk-proj-" + "A1b2" * 8,
    "an AWS key": "AKIA" + "ABCDEFGH12345678",
    "a Google key": "AIza" + "b" * 35,
    "a Slack token": "xoxb-123456789012-abcdef",
    "a package index's token": "npm_" + "a" * 36,
    "a signed token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "a bearer token": "Bearer abcdefghijklmnopqrstuvwxyz",
    "an address with a password": "postgresql://ada:lovelace@db.example/bakeoff",
}
PATHS = [
    "/home/ada/models/x.gguf", "file:///home/ada/x", "/Users/ada/Library/x", r"C:\Users\ada\x", "c:/Users/ada/x",
    f"{pwd.getpwnam('root').pw_dir}/models/x", "/var/folders/ab/x",
]  # fmt: skip
HARMLESS = [
    "hf_hub_download(repo_id)", "https://user@example.com/x", "https://example.com:8443/a@b", "http://[::1]:80/",
    "/home/user/file.txt", "/Users/username/x", "C:\\Users\\you\\x", "the /home/ page", "/usr/lib/python3", "/tmp/x",
    "a/home/ada/x is relative", "0123456789abcdef" * 4, "sk-learn and task-force", "def solve(n):\n    return n",
    "Bearer of bad news", "eyJ", "-----BEGIN CERTIFICATE-----", "scheme://host", "AKIA is a name",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "word"), SECRETS.items())
def test_a_secret_is_found_in_the_middle_of_a_text_and_told_by_its_beginning_alone(kind: str, word: str) -> None:
    asked = Asked("HumanEval/3", "p", {"demo-rank8": Told("wrong", f"use ({word}), and go on", "")})
    (found,) = leaks(asked, NOTHING)
    assert found.kind == kind
    assert word not in found.sentence and word[:8] in found.sentence
    assert "told" in found.place and "HumanEval/3" in found.place and "demo-rank8" in found.place
    assert without([found], [word[:8]]) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_somebodys_home_is_found_and_told(path: str) -> None:
    (found,) = leaks({"note": f'open("{path}")'}, NOTHING)
    assert found.kind == "a private path" and path.removeprefix("file://") in found.sentence
    assert without(leaks({"note": path}, NOTHING), [path]) == []


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_let_be(text: str) -> None:
    assert leaks(text, NOTHING) == []


def test_what_is_private_here_is_found_whatever_it_looks_like() -> None:
    own = PrivateWords(("/srv/secret project",), (("TEAM_TOKEN", "quite-plain"),), "user")
    assert [one.kind for one in leaks("see /srv/secret project/a", own)] == ["a folder of this machine"]
    assert [one.kind for one in leaks("say quite-plain", own)] == ["the value of TEAM_TOKEN"]
    assert [one.kind for one in leaks("/home/user/x", own)] == ["a private path"], "an example's name, but this account"
    assert leaks("/srv/secret projects are", own) == []


def test_this_machines_secrets_are_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "not-like-any-token")
    monkeypatch.setenv("MY_API_KEY", "short")
    own = PrivateWords.of_this_machine(tmp_path)
    assert ("HF_TOKEN", "not-like-any-token") in own.secrets
    assert "MY_API_KEY" not in dict(own.secrets), "so short a word would be found in every text"
    assert str(tmp_path) in own.folders and str(Path.home()) in own.folders


def test_a_short_word_allows_nothing_and_another_words_allowance_neither() -> None:
    word = SECRETS["a Hugging Face token"]
    assert without(leaks(word, NOTHING), ["hf_", "", word[3:]]) != []


def test_what_is_refused_is_named_with_its_place_and_the_remedy() -> None:
    asked = Asked("HumanEval/3", f"read {PATHS[0]}", {})
    with pytest.raises(PageRefused, match=r"a private path, /home/ada/models/x.*prompt of HumanEval/3") as told:
        refuse(leaks(asked, NOTHING))
    assert "--allow '/home/ada/models/x.gguf'" in str(told.value) and "\n" not in str(told.value)
    refuse(without(leaks(asked, NOTHING), ["/home/ada"]))


@given(st.text(string.printable, max_size=40), st.sampled_from(sorted(SECRETS.values())), st.text(max_size=40))
def test_no_text_around_a_secret_hides_it(before: str, word: str, after: str) -> None:
    assert leaks(f"{before} {word} {after}", NOTHING) != []
