"""The chat template that a model's files bring, found without reading weights.

Not here: rendering one (`engines.processes.templates`), choosing one of several for a model that is added
(`engines.adding.checking`).
"""

from __future__ import annotations

from pathlib import Path

from engines.gguf_format.header import is_gguf
from engines.gguf_format.safetensors_header import check_model_folder, read_model_json, read_template


def own_template(folder: Path) -> str | None:
    """The chat template that lies in an adapter's folder; None without one."""
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        file = folder / name
        if file.is_file():
            template = read_template(file) if name.endswith(".jinja") else read_model_json(file).get("chat_template")
            if isinstance(template, str):
                return template
    return None


def chat_template(base: str | Path, adapter: Path | None = None) -> str:
    """The chat template of a base, or the one its adapter brings; reads no weights."""
    from transformers import AutoTokenizer

    from engines.gguf_format.unpacking import unpacked

    if adapter is not None and (own := own_template(adapter)) is not None:
        return own
    if is_gguf(base):
        base = unpacked(Path(base))
    check_model_folder(Path(base))
    return str(AutoTokenizer.from_pretrained(base, trust_remote_code=False).chat_template or "")
