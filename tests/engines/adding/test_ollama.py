"""Models of Ollama's store: by name, beside one another, checked against their digests; the template is never run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import FileRefused, Sampling, find, open_engine
from engines.adding import go_templates
from results import Model, Workspace
from tests.engines.adding.ollama_store import CHATML, blob, put


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store that OLLAMA_MODELS names."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    (tmp_path / "ollama" / "manifests").mkdir(parents=True)
    return tmp_path / "ollama"


@pytest.fixture(scope="session")
def without_template(tiny: Path, miniature: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature's GGUF, its chat template left out."""
    import shutil

    from engines.gguf_format.writer import FolderSource, write_model

    folder = tmp_path_factory.mktemp("bare") / "tiny"
    shutil.copytree(miniature("smollm"), folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    file = folder / "bare.gguf"
    write_model(file, FolderSource(folder), "gguf-f16")
    return file


def test_a_model_is_found_under_every_way_to_write_its_name(store: Path, tiny: Path) -> None:
    put(store, "qwen:0.5b", {"model": tiny, "license": "Apache 2.0\nthe rest"})
    put(store, "me/bot", {"model": tiny, "system": "Be brief.", "params": '{"stop": ["<end>"], "num_predict": 64}'})
    put(store, "them/model:Q8_0", {"model": tiny}, host="hf.co")
    (plain,), (mine,), (theirs,) = find("ollama:qwen:0.5b"), find("ollama:me/bot"), find("ollama:hf.co/them/model:Q8_0")
    assert {one.path for one in (plain, mine, theirs)} == {blob(store, tiny)}
    assert (plain.kind, plain.name, plain.source) == ("gguf", "qwen-0.5b", "ollama:qwen:0.5b")
    assert plain.details == {"ollama": "qwen:0.5b", "license": "Apache 2.0"}
    assert (mine.name, theirs.name) == ("bot", "model-Q8_0")
    assert mine.parameters == {"stop": ["<end>"], "max_tokens": 64, "system": "Be brief."}
    assert "used by chat and serve where they can, not where it is measured" in mine.notes[-1]


@pytest.mark.slow
def test_an_adapter_stands_beside_its_model_and_both_answer_from_where_they_lie(
    store: Path, tiny: Path, adapters: list[Path], tmp_path: Path
) -> None:
    put(store, "tuned", {"model": tiny, "adapter": adapters[0], "template": CHATML})
    (found,) = find("ollama:tuned")
    assert (found.kind, found.path, found.base_path) == ("lora-gguf", blob(store, adapters[0]), blob(store, tiny))
    assert "with the turn marks of Ollama's" in found.notes[0] and not found.template

    def answer(adapter: Path, base: Path) -> str:
        model = Model("m", "m", "lora-gguf", "tiny", "i", 1, str(adapter), base_path=str(base))
        engine = open_engine(model, Workspace(tmp_path / "workspace"))
        try:
            stream = engine.stream([{"role": "user", "content": "Why?"}], Sampling(max_tokens=8, temperature=0))
            return "".join(chunk.text for chunk in stream)
        finally:
            engine.close()

    assert found.path and found.base_path
    assert answer(found.path, found.base_path) == answer(adapters[0], tiny)


def test_a_template_of_a_known_family_is_replaced_and_one_of_none_is_asked_for(
    store: Path, without_template: Path
) -> None:
    put(store, "known", {"model": without_template, "template": CHATML})
    put(store, "unknown", {"model": without_template, "template": "### {{ .Prompt }}\n### Answer:"})
    (known,), (unknown,) = find("ollama:known"), find("ollama:unknown")
    assert known.template == go_templates.FAMILIES[0].jinja and "recognised as ChatML" in known.notes[0]
    assert unknown.template == "" and "Give one: --template FILE" in unknown.notes[0]


def test_a_template_that_differs_from_the_file_s_own_is_said(store: Path, tiny: Path) -> None:
    gemma = "<start_of_turn>user\n{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n"
    put(store, "other", {"model": tiny, "template": gemma})
    assert "differs: it writes <end_of_turn>, <start_of_turn>, which" in find("ollama:other")[0].notes[0]


def test_no_template_that_a_family_brings_itself_is_called_different() -> None:
    ours = {one.name: one.jinja for one in go_templates.FAMILIES}
    go = {
        "ChatML": CHATML,
        "Llama 3": "<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>",
        "Gemma": "<start_of_turn>{{ .Role }}\n{{ .Content }}<end_of_turn>",
        "Phi 3": "<|system|>{{ .System }}<|end|><|user|>{{ .Prompt }}<|end|><|assistant|>",
    }
    for name, written in go.items():
        recognised = go_templates.family(written)
        assert recognised is not None and recognised.name == name
        assert go_templates.difference(written, ours[name]) == ""


@pytest.mark.parametrize("family", go_templates.FAMILIES, ids=lambda family: family.name)
def test_a_family_s_template_ends_turns_and_asks_for_the_answer(family: go_templates.Family) -> None:
    from transformers.utils.chat_template_utils import _compile_jinja_template

    turns = [{"role": "system", "content": "SYS"}, {"role": "user", "content": "ASK"}]
    render = _compile_jinja_template(family.jinja).render
    asked = render(messages=turns, add_generation_prompt=True, bos_token="")
    answered = render(
        messages=[*turns, {"role": "assistant", "content": "SAID"}], add_generation_prompt=False, bos_token=""
    )
    assert asked.index("SYS") < asked.index("ASK") and asked.count(family.stop) in (1, 2)
    assert answered.startswith(asked + "SAID" + family.stop), "the answer goes on where the prompt ended"


def test_what_the_store_cannot_give_is_one_line(store: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "sound", {"model": tiny})
    place = put(store, "cut", {"model": b"GGUF and then another end"})
    digest = json.loads(place.read_text())["layers"][0]["digest"].replace(":", "-")
    (store / "blobs" / digest).write_bytes(b"GGUF and then something else")
    gone = put(store, "gone", {"model": b"soon to go"})
    (store / "blobs" / json.loads(gone.read_text())["layers"][0]["digest"].replace(":", "-")).unlink()
    put(store, "tensors", {"tensor": b"x"})
    put(store, "two", {"model": tiny, "adapter": b"1"})
    for name, said in {
        "nobody": "has no nobody:latest; it has cut:latest, gone:latest, sound:latest",
        "cut": "is not what its name says",
        "gone": "is missing. Pull it again: ollama pull gone:latest",
        "tensors": "as safetensors, not as GGUF",
        "two": "is no GGUF file",
        "../../etc": "is no name of an Ollama model",
        "a/b/c/d": "is no name of an Ollama model",
    }.items():
        with pytest.raises(FileRefused) as refused:
            find(f"ollama:{name}")
        assert said in str(refused.value) and "\n" not in str(refused.value)
    monkeypatch.setenv("OLLAMA_MODELS", str(store / "elsewhere"))
    with pytest.raises(FileRefused, match=r"No Ollama store at .*elsewhere\. Say where it is: OLLAMA_MODELS"):
        find("ollama:sound")
