"""`hub:` sources, through the Hub's real client against a stand-in that speaks its HTTP: what is chosen, fetched, told.

Each session is a process of its own, for the client reads its environment once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_stand_in import Hub, Repository, hub

pytestmark = pytest.mark.slow

ASK = """
import json, sys
from engines import FileRefused, find
for source in sys.argv[1:]:
    try:
        (one,) = find(source)
        said = {"kind": one.kind, "name": one.name, "source": one.source, "base": one.base, "notes": list(one.notes),
                "files": sorted(f.name for f in (one.path if one.path.is_dir() else one.path.parent).iterdir()),
                "path": str(one.path), "details": dict(one.details)}
    except FileRefused as error:
        said = {"refused": str(error)}
    print(json.dumps(said))
"""

ADAPTER = {
    "adapter_config.json": b'{"peft_type": "LORA", "base_model_name_or_path": "acme/base"}',
    "adapter_model.safetensors": b"weights of an adapter",
    "README.md": b"# mine",
    "training_args.bin": b"\x80\x04never",
    "optimizer.pt": b"PKnever",
    "checkpoint-10/adapter_config.json": b"{}",
    "checkpoint-10/adapter_model.safetensors": b"older weights",
}


@pytest.fixture
def server(tiny: Path) -> Iterator[Hub]:
    """Repositories as people have them."""
    gguf = tiny.read_bytes()
    with hub() as running:
        running.repositories = {
            "me/adapter": Repository({"main": ADAPTER, "v1": {**ADAPTER, "README.md": b"# first"}}),
            "me/whole": Repository(
                {
                    "main": {
                        "config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "chat_template.jinja": b"",
                        "model-00001-of-00002.safetensors": b"1", "model-00002-of-00002.safetensors": b"2",
                        "model.safetensors.index.json": b"{}", "consolidated.safetensors": b"again",
                        "pytorch_model.bin": b"never", "onnx/model.onnx": b"never",
                    }
                }
            ),
            "me/quants": Repository(
                {
                    "main": {
                        "tiny-Q8_0.gguf": gguf, "tiny-Q4_K_M.gguf": gguf, "mmproj-F16.gguf": gguf, "README.md": b"",
                        "BF16/tiny-BF16-00001-of-00002.gguf": gguf, "BF16/tiny-BF16-00002-of-00002.gguf": gguf,
                    }
                }
            ),
            "me/pickle": Repository({"main": {"adapter_config.json": b"{}", "adapter_model.bin": b"\x80\x04"}}),
            "me/gated": Repository({"main": ADAPTER}, gated=True),
            "me/empty": Repository({"main": {"README.md": b"", "data.csv": b""}}),
        }  # fmt: skip
        yield running


def ask(place: Path, url: str, *sources: str, **more: str) -> list[dict[str, Any]]:
    """What the sources are, in one session; its words on stderr are dropped."""
    own = {"HF_ENDPOINT": url, "HF_HOME": str(place / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **more}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *sources], env={**os.environ, **own}, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_chosen_is_fetched_at_its_commit_and_nothing_else(server: Hub, tmp_path: Path) -> None:
    commit = server.repositories["me/adapter"].commit("main")
    adapter, first, whole, quant, file, split = ask(
        tmp_path, server.url, "hub:me/adapter", "hub:me/adapter@v1", "hub:me/whole", "hub:me/quants:q8_0",
        "hub:me/quants/tiny-Q4_K_M.gguf", "hub:me/quants:BF16",
    )  # fmt: skip
    assert (adapter["kind"], adapter["name"], adapter["base"]) == ("peft", "me-adapter", "acme/base")
    assert adapter["source"] == f"hub:me/adapter@{commit}"
    assert adapter["details"] == {"repository": "me/adapter", "revision": commit}
    assert adapter["files"] == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert first["details"]["revision"] == server.repositories["me/adapter"].commit("v1") != commit
    assert whole["kind"] == "transformers" and "model-00002-of-00002.safetensors" in whole["files"]
    assert (quant["kind"], quant["name"], file["name"]) == ("gguf", "tiny-Q8_0", "tiny-Q4_K_M")
    assert "mmproj-F16.gguf" in quant["notes"][0]
    assert (split["name"], split["files"]) == (
        "tiny-BF16", ["tiny-BF16-00001-of-00002.gguf", "tiny-BF16-00002-of-00002.gguf"],
    )  # fmt: skip
    never = {"pytorch_model.bin", "training_args.bin", "optimizer.pt", "consolidated.safetensors", "mmproj-F16.gguf"}
    assert not never & set(server.asked)
    assert not any(name.startswith(("checkpoint-10", "onnx")) for name in server.asked)


def test_what_cannot_be_chosen_or_fetched_is_one_line_with_the_remedy(server: Hub, tmp_path: Path) -> None:
    wanted = {
        "hub:me/quants": "me/quants has 3 models. Name one: hub:me/quants/BF16/tiny-BF16-00001-of-00002.gguf",
        "hub:me/quants:Q2_K": "me/quants has no GGUF file of Q2_K; it has BF16/tiny-BF16-00001-of-00002.gguf, tiny-Q4",
        "hub:me/quants/other.gguf": "me/quants has no other.gguf; it has BF16/",
        "hub:me/pickle": "adapter_model.bin is a pickle, which can run code, and is never downloaded",
        "hub:me/gated": "me/gated is gated: accept its licence at https://huggingface.co/me/gated, then set HF_TOKEN",
        "hub:me/nothing": "There is no model me/nothing on the Hub, or it is private and HF_TOKEN may not see it",
        "hub:me/adapter@v9": "me/adapter has no revision 'v9': give a branch, a tag or a commit",
        "hub:me/empty": "me/empty holds no model: no adapter_config.json, no config.json with .safetensors, no .gguf",
        "hub:adapter": "hub:adapter names no repository: write hub:user/repo",
    }
    for source, said in zip(wanted, ask(tmp_path, server.url, *wanted), strict=True):
        assert said["refused"].startswith(wanted[source]), (source, said)
        assert "\n" not in said["refused"]
    assert "adapter_model.bin" not in server.asked


def test_without_the_hub_the_cache_answers_or_it_is_said_what_to_do(server: Hub, tmp_path: Path) -> None:
    online = ask(tmp_path, server.url, "hub:me/adapter", "hub:me/quants:Q8_0")
    url = server.url
    server.shutdown()
    server.server_close()
    for more in ({"HF_HUB_OFFLINE": "1"}, {}):
        adapter, quant, other, gone = ask(
            tmp_path, url, "hub:me/adapter", "hub:me/quants:Q8_0", "hub:me/quants:Q4_K_M", "hub:me/whole", **more
        )
        assert [adapter, quant["path"]] == [online[0], online[1]["path"]]
        assert "has no GGUF file of Q4_K_M; it has tiny-Q8_0.gguf" in other["refused"]
        assert gone["refused"].startswith("The Hub cannot be reached") and "hf download me/whole" in gone["refused"]
