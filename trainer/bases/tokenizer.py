"""What training asks of a tokenizer: the part of transformers' fast tokenizers that is used here, as a contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Tokenizer(Protocol):
    """A tokenizer with a chat template and character offsets. `base_tokenizer` gives transformers' own."""

    chat_template: Any
    """Jinja text, or several texts by name; None before `base_tokenizer` sets a plain one."""

    @property
    def all_special_tokens(self) -> Sequence[object]:
        """The texts of tokens that stand for no text: the ends of turns are among them."""

    def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool) -> Mapping[str, Any]:
        """Tokenise a text: `input_ids`, and `offset_mapping`: each token's first character and one past its last."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of tokens."""

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None,
        tokenize: bool,
        add_generation_prompt: bool,
        date_string: str,
    ) -> Any:
        """Render turns by the template; with `tokenize` off as text. Whatever a template raises comes out."""

    def save_pretrained(self, save_directory: str | Path) -> Any:
        """Write the tokenizer's files into a folder."""
