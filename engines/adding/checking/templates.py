"""The chat template of a model made elsewhere: every place where tools put one, and which of them is used.

An adapter or folder may have it in chat_template.jinja, in tokenizer_config.json (one text, or several by name), in
chat_template.json, or in additional_chat_templates/; a base may have its own; and a person may give a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engines.adding.checking.checks import Checklist
from engines.adding.settings import read_settings
from engines.errors import FileRefused
from results import FileUnreadable, read_text

LARGEST = 1 << 20
"""Bytes of a template; the longest that families bring have some 20,000."""


@dataclass(frozen=True)
class Template:
    """A chat template and where it was found."""

    text: str
    """Jinja."""
    where: str

    @property
    def short_sha256(self) -> str:
        """The first 12 hex digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def in_folder(folder: Path) -> list[Template]:
    """The templates in a folder, the one that transformers uses first."""
    found = []
    if (folder / "chat_template.jinja").is_file():
        found.append(Template(template_text(folder / "chat_template.jinja"), "chat_template.jinja"))
    for name in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
        found += _named(read_settings(folder / name).get("chat_template"), name)
    for file in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        found.append(Template(template_text(file), f"additional_chat_templates/{file.name}"))
    return [one for one in found if one.text.strip()]


def _named(value: object, file: str) -> list[Template]:
    """A setting's template: a text, or a list or mapping of texts by name, `default` first."""
    if isinstance(value, str):
        return [Template(value, file)]
    if isinstance(value, list):
        value = {str(one.get("name")): one.get("template") for one in value if isinstance(one, dict)}
    if not isinstance(value, dict):
        return []
    texts = {name: text for name, text in value.items() if isinstance(text, str)}
    names = sorted(texts, key=lambda name: (name != "default", name))
    return [Template(texts[name], f"{file} ({name})") for name in names]


def template_text(file: Path) -> str:
    """A template file's text. Raises: FileRefused where there is none, or it is no text or too long."""
    try:
        return read_text(file, LARGEST)
    except FileUnreadable as error:
        raise FileRefused(f"{file} is no chat template: {error.reason}. Give a Jinja text file.") from error


def choose(own: list[Template], base: Template | None, given: Template | None, checklist: Checklist) -> Template | None:
    """The template that the model is spoken to in; what was found and which is used goes into the checklist.

    own: the model's, transformers' choice first. given: the person's, before all others.
    """
    found = [*([given] if given else []), *own, *([base] if base else [])]
    if not found:
        checklist.note(
            "template",
            "There is none: in the folder, the tokenizer or the base. The model is asked in raw text only.",
            "If it was trained on conversations, give the template that it was trained with: --template FILE",
        )
        return None
    used, others = found[0], found[1:]
    differing = [other for other in others if other.text != used.text]
    said = f"{used.where} ({len(used.text):,} characters, SHA-256 {used.short_sha256})"
    if used is base and not given:
        checklist.note(
            "template",
            f"The model brings none; its base's is used ({len(used.text):,} characters, SHA-256 {used.short_sha256}).",
            "If it was trained with another, give that: --template FILE",
        )
    elif differing:
        listed = ", ".join(f"{other.where} ({other.short_sha256})" for other in differing)
        checklist.note("template", f"{said} is used. Others differ from it: {listed}.")
    else:
        checklist.ok("template", f"{said}{'; the base has the same' if others else ''}")
    return used
