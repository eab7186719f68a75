"""An Ollama store as Ollama keeps it: manifests by name, files by their digests."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

CHATML = (
    "{{- if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
)


def put(store: Path, name: str, layers: Mapping[str, Path | str | bytes], host: str = "registry.ollama.ai") -> Path:
    """A model with its layers (model, adapter, template, system, params, …); its manifest."""
    blobs = store / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    listed = []
    for kind, content in layers.items():
        data = content.read_bytes() if isinstance(content, Path) else content
        data = data.encode() if isinstance(data, str) else data
        digest = hashlib.sha256(data).hexdigest()
        if isinstance(content, Path):
            shutil.copyfile(content, blobs / f"sha256-{digest}")
        else:
            (blobs / f"sha256-{digest}").write_bytes(data)
        media = f"application/vnd.ollama.image.{kind}"
        listed.append({"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)})
    bare, _, tag = name.partition(":")
    place = store / "manifests" / host / ("" if "/" in bare else "library") / bare / (tag or "latest")
    place.parent.mkdir(parents=True, exist_ok=True)
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    place.write_text(json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": listed}))
    return place


def blob(store: Path, content: Path) -> Path:
    """Where a file's content lies in the store."""
    return store / "blobs" / f"sha256-{hashlib.sha256(content.read_bytes()).hexdigest()}"
