"""A model that answers on a published page: in Chromium, from a plain web server; and which models are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dashboard.errors import PageRefused
from dashboard.publishing import wllama
from dashboard.publishing.bases import PublicBase
from dashboard.publishing.chat import Chat, chat_part, leaks_of_file, refuse_chat
from dashboard.publishing.leaks import PrivateWords
from dashboard.publishing.page import page
from engines import FolderSource, cache_folder, write_model
from results import Model
from tests.dashboard import stores
from tests.dashboard.publishing.reading import Source
from tests.dashboard.publishing.test_browser import Quiet, hosted, published
from tests.dashboard.publishing.test_page import study_of
from tests.dashboard.test_browser import serious_faults
from trainer import miniature

BASE = PublicBase("someone/tiny-base", "apache-2.0")


def model(form: str = "gguf-q8_0", path: str = "models/tuned.gguf") -> Model:
    return dataclasses.replace(stores.model("tuned", "gguf-q8_0", None, 10), form=form, path=path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "path", "words"),
    [
        ("lora-gguf", "models/x.gguf", "one whole GGUF file. Make one: bakeoff export tuned --form gguf-q8_0"),
        ("adapter", "models/x", "one whole GGUF file"),
        ("base", "models/x", "one whole GGUF file"),
        ("gguf-q8_0", "models/x-00001-of-00002.gguf", "one whole GGUF file"),
        ("remote", "http://127.0.0.1/v1", "an endpoint"),
    ],
)
def test_what_no_browser_loads_is_refused_with_the_remedy(form: str, path: str, words: str) -> None:
    with pytest.raises(PageRefused, match=words):
        refuse_chat(dataclasses.replace(model(form, path), fine_tune="tuned"), BASE)


def test_the_weights_of_a_gated_base_are_refused_with_the_reason() -> None:
    with pytest.raises(PageRefused, match="made from meta-llama/x, whose licence must be accepted"):
        refuse_chat(model(), PublicBase("meta-llama/x", "llama3.2", gated=True))
    refuse_chat(model(), BASE)
    refuse_chat(model("base"), BASE)


def test_a_file_that_is_too_large_for_a_browser_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "large.gguf").open("wb") as file:
        file.truncate(2_000_000_001)
    with pytest.raises(PageRefused, match=r"tuned is 2\.00 GB, and a browser loads at most 2 GB.*gguf-q4_0"):
        chat_part(Chat(model(), tmp_path / "large.gguf", BASE))


def test_a_path_in_the_first_keys_of_the_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "tuned.gguf"
    file.write_bytes(b"GGUF\x03\x00\x00\x00general.source\x08\x00/home/ada/merged/model\x00\x01")
    (found,) = leaks_of_file(Chat(model(), file, BASE, ("Why?",)), PrivateWords())
    assert found.word == "/home/ada/merged/model" and "the file, the name or the examples of tuned" in found.place


def test_offline_without_the_package_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
    with pytest.raises(PageRefused, match=r"http://127.0.0.1:9/@wllama/wllama/-/wllama-3.*npm pack") as told:
        wllama.wllama(tmp_path)
    assert "\n" not in str(told.value) and list(tmp_path.iterdir()) == []


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"wllama-wllama-{wllama.VERSION}.tgz").write_bytes(b"another")
    with pytest.raises(PageRefused, match="is not wllama"):
        wllama.wllama(tmp_path)


@pytest.fixture(scope="session")
def package() -> Path:
    """The cache that holds wllama's package, fetched where there is a network."""
    try:
        wllama.wllama(cache_folder())
    except PageRefused as error:
        pytest.skip(f"no wllama: {str(error).partition('. ')[0]}")
    return cache_folder()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """A published page with a miniature to chat with."""
    root = tmp_path_factory.mktemp("chatting")
    workspace = stores.small(root / "workspace")
    write_model(root / "mini.gguf", FolderSource(miniature("llama", root / "base")), "gguf-q8_0")
    with workspace.store() as store:
        whole = stores.model("mini", "gguf-q8_0", None, (root / "mini.gguf").stat().st_size)
        store.models.add(dataclasses.replace(whole, path=str(root / "mini.gguf")))
    return published(
        root,
        workspace.path,
        "--experiment",
        "*",
        "--by",
        "humaneval",
        "--chat",
        "mini",
        "--prompt",
        "Is <b>ice</b> cold?",
    )


class Isolating(Quiet):
    """One that sends the headers which allow threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


def answered(tab: Any) -> str:
    """Have a page's chat answer one of its examples, whose markup stays text; what it says of the answer."""
    tab.get_by_label("Tokens at most").fill("32")
    tab.get_by_role("button", name="Is <b>ice</b> cold?").click()
    tab.get_by_text("First token after").wait_for()
    tab.locator("#send:enabled").wait_for()
    turns = tab.locator("#talk pre").all_inner_texts()
    assert turns[0] == "Is <b>ice</b> cold?" and turns[1].strip()
    return str(tab.locator("#chat-state").inner_text())


@pytest.mark.slow
@pytest.mark.parametrize("headers", [False, True])
def test_it_answers_in_the_browser_and_asks_nobody_but_its_host(place: Path, browser: Any, headers: bool) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(300_000)
    tab, asked, complaints = context.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    with hosted(place, Isolating if headers else Quiet) as address:
        tab.goto(address)
        tab.get_by_role("button", name="Load the model").click()
        tab.get_by_text("Ready, ").wait_for()
        said = tab.locator("#chat-state").inner_text()
        assert "threads" in said if headers else "one thread: this host does not send the headers" in said
        assert "tokens/s" in answered(tab)
        assert serious_faults(tab) == {}
        ours = (address, "data:", f"blob:{address}")
        assert [url for url in asked if not url.startswith(ours)] == []
    assert complaints == []
    context.close()


@pytest.mark.slow
def test_from_a_disk_it_says_what_it_needs(place: Path, browser: Any) -> None:
    tab = browser.new_page()
    tab.goto((place / "index.html").as_uri())
    assert "put the folder on a web server" in tab.locator("#chat-state").inner_text()
    assert tab.get_by_role("button", name="Load the model").is_disabled()
    tab.close()


def test_the_page_says_whose_the_model_is_and_its_settings_have_their_bounds(tmp_path: Path, package: Path) -> None:
    (tmp_path / "tuned.gguf").write_bytes(b"GGUF")
    part = chat_part(Chat(model(), tmp_path / "tuned.gguf", BASE, ("</script>Why?",), package))
    made = page(study_of(stores.small(tmp_path / "w")), part)
    source = Source(made.html)
    assert "made from someone/tiny-base" in source.text and "licence apache-2.0" in source.text
    assert "</script>Why?" in source.text
    sliders = {one["id"]: one for tag, one in source.elements if one.get("type") == "range"}
    bounds = {name: (one["min"], one["max"]) for name, one in sliders.items()}
    assert bounds == {"temperature": ("0", "1.5"), "tokens": ("32", "512")}
    assert set(part.files) >= {part.script, part.wasm, part.model_file, part.licence_file}
