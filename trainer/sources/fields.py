"""What became of each column of a row: used, ignored as harmless, or not used and named. None is lost in silence.

The rule. A column that a format understands is used. One that is known to change a row's meaning and is not understood
makes the row unusable by name (`BadRow`). Columns of the list HARMLESS (ids, sources, scores, dates) are ignored, and
so is text that the turns hold anyway. Every other column that is not empty is named in the report as not used: nobody
can tell a note from a part of the question by its name alone, so a person is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any


class BadRow(ValueError):
    """Why a row is not a conversation, in a few words that are the same for every row with that fault."""


HARMLESS = frozenset({
    "id", "_id", "uid", "uuid", "guid", "index", "idx", "row", "line", "row_id", "row_idx", "__index_level_0__",
    "hash", "md5", "sha1", "sha256", "checksum", "source", "sources", "src", "origin", "dataset", "dataset_name",
    "data_source", "subset", "split", "split_name", "file", "filename", "path", "repo", "module", "name", "category",
    "categories", "topic", "topics", "domain", "task_name", "task_type", "type", "tag", "tags", "slice", "score",
    "scores", "rating", "ratings", "quality", "reward", "rewards", "difficulty", "perplexity", "language", "lang",
    "locale", "license", "licence", "copyright", "url", "uri", "link", "links", "annotator", "annotators", "model",
    "model_name", "generator", "engine", "provider", "finish_reason", "stop_reason", "date", "time", "timestamp",
    "created", "created_time", "updated", "modified", "version", "revision", "length", "num_tokens", "token_count",
    "n_tokens", "num_turns", "turn_count", "metadata", "meta", "redacted", "toxic", "openai_moderation",
    "review_state", "review_count", "parallel_tool_calls", "temperature", "top_p", "max_tokens", "schemaversion",
})  # fmt: skip
"""Names, in lower case, that say where a row comes from or what it is worth: they change nothing of what it teaches."""

SHORT_CHARACTERS = 200
"""A longer text under a harmless name, a document under `source` say, is named as not used."""

HARMLESS_ENDINGS = (
    "_id", "_ids", "_idx", "_index", "_uuid", "_hash", "_url", "_at", "_score", "_scores", "_rating", "_count",
    "_tokens", "_length", "_source", "_version", "_date", "_model", "_timestamp", "_quality",
)  # fmt: skip

IMAGES = "drop these rows, or their `{name}` where the text stands without it"
ONE_ROW = "say with `columns` what is wanted, or drop the column"
MEANT = {
    **dict.fromkeys(("image", "images", "image_url", "image_path", "pixel_values"), f"holds images: {IMAGES}"),
    **dict.fromkeys(("video", "videos"), f"holds videos: {IMAGES}"),
    **dict.fromkeys(("audio", "audios"), f"holds sound: {IMAGES}"),
    "function_call": f"is a tool call beside the answer: {ONE_ROW}",
    "tool_calls": f"holds tool calls beside the answer: {ONE_ROW}",
    "history": f"holds earlier turns beside the turns: {ONE_ROW}",
    **dict.fromkeys(
        ("reasoning_content", "reasoning", "thinking", "thought"), f"holds reasoning of no one turn: {ONE_ROW}"
    ),
    **dict.fromkeys(
        ("loss_mask", "assistant_masks", "completion_mask"), "masks tokens: give `train` or `weight` a turn"
    ),
    "chat_template_kwargs": "sets options of the chat template, which is rendered as it is: drop the column",
    **dict.fromkeys(
        ("rejected_response", "rejected_responses", "rejected_messages", "rejected_output"),
        "is the unwanted half of a preference pair, and answers alone are trained: drop the column",
    ),
    **dict.fromkeys(
        ("choices", "options", "answer_choices", "endings"), f"holds the choices of the question: {ONE_ROW}"
    ),
    "mask": "masks turns: give each turn its `train` or `weight`",
    **dict.fromkeys(("instruction", "context", "contexts", "documents"), f"stands beside the turns: {ONE_ROW}"),
}
"""Names that change what a row teaches, where the row's format did not use them; and what to do."""

WEIGHTS = ("weight", "loss_weight", "sample_weight")
"""Columns that weigh a whole row."""

WANTED = ("label", "kto_tag")
"""KTO's mark (TRL's, LLaMA-Factory's): whether the answer is a wanted one."""

MASKED_ANYWAY = ("user", "human", "prompter")
"""Whose turns NeMo's `mask` may name: they are not trained here either."""

QUESTIONS = ("prompt", "instruction", "question", "query", "problem")
"""Names of what is asked: one of them left over beside a question changes it."""


class Fields:
    """A row's columns, and what became of each: converters `take` what they use, `judge` decides about the rest."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.used: set[str] = set()
        self.ignored: list[str] = []
        self.unused: list[str] = []
        """Names of columns, and `turns.name` for keys of turns (of parts, calls and tools alike), that are not used and
        not known as harmless."""
        self.notes: list[str] = []
        """What was done to the row that a person should hear of."""

    def take(self, *names: str) -> Any:
        """The value of the first of these columns that is there and not empty; None without one."""
        row = self.row
        for name in names:
            if name in row and not empty(value := row[name]):
                self.used.add(name)
                return value
        return None

    def note(self, text: str) -> None:
        """Say something of this row, once."""
        if text not in self.notes:
            self.notes.append(text)

    def name_unused(self, inside: str, key: Any, value: Any) -> None:
        """Name a key inside a column (`turns.mood`) that is not used, once, unless it is harmless or holds nothing."""
        name = f"{inside}.{key}"
        if not (empty(value) or harmless(str(key).lower(), value) or name in self.unused):
            self.unused.append(name)

    def judge(self, said: list[str], chosen: bool, pair: bool) -> None:
        """Decide about every column that was not taken.

        said: texts of the row's turns, in which a column's text may stand anyway; chosen: a person named the columns to
        use, and so left the others out; pair: the format is a question and an answer in columns.
        Raises: BadRow for a column that changes the row's meaning.
        """
        for name, value in self.row.items():
            if name in self.used or empty(value):
                continue
            plain = _plain(str(name))
            if not chosen and self._weighs(name, plain, value):
                self.used.add(name)
            elif harmless(plain, value) or _said(value, said):
                self.ignored.append(name)
            elif chosen:
                self.unused.append(name)
            elif pair and plain in QUESTIONS:
                raise BadRow(f"the column {name!r} asks something beside the question: {ONE_ROW}")
            elif plain in MEANT:
                raise BadRow(f"the column {name!r} {MEANT[plain].format(name=name)}")
            else:
                self.unused.append(name)

    def _weighs(self, name: str, plain: str, value: Any) -> bool:
        """Whether a column weighs the row, masks what is not trained, or says that its answer is wanted."""
        if plain in WEIGHTS and (weight := as_weight(value)) is not None:
            if weight == 0:
                raise BadRow(f"the column {name!r} is 0: the row is not to be trained")
            if weight != 1:
                raise BadRow(
                    f"the column {name!r} weighs rows, and only 0 and 1 can be followed: drop it, or mix sources by "
                    "their `weight`"
                )
            return True
        if plain == "mask" and isinstance(value, str) and value.lower() in MASKED_ANYWAY:
            return True
        wanted = truth(value) if plain in WANTED else None
        if wanted is False:
            raise BadRow(f"the column {name!r} is false: an answer that KTO marks as unwanted is not trained")
        return wanted is True


def _said(value: Any, said: list[str]) -> bool:
    """Whether a text, or every text of a list, stands in the turns."""
    if isinstance(value, list):
        return all(isinstance(one, str) and _said(one, said) for one in value)
    return isinstance(value, str) and any(value.strip() in text for text in said)


@lru_cache(4096)
def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def harmless(plain: str, value: Any) -> bool:
    """Whether a column's name, in lower case, says that it changes nothing of what the row teaches."""
    named = plain in HARMLESS or plain.endswith(HARMLESS_ENDINGS) or plain.startswith("unnamed")
    return named and not (isinstance(value, str) and len(value) > SHORT_CHARACTERS)


def empty(value: Any) -> bool:
    """Whether a value holds nothing: null, NaN (pandas' null), or text, list or object without content."""
    if isinstance(value, str):
        return not value or value.isspace()
    if value is None:
        return True
    if isinstance(value, list | dict | tuple):
        return not value
    return isinstance(value, float) and math.isnan(value)


def truth(value: Any) -> bool | None:
    """A boolean, also as text in a table; None for anything else (a class label is no verdict)."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def as_weight(value: Any) -> float | None:
    """A weight as a number; None where it is none."""
    known = truth(value)
    if known is not None:
        return float(known)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def text_of(value: Any, what: str) -> str:
    """Text of a value: numbers as written, lists a line an item, objects as `name: value` lines; nothing is left out.

    Raises: BadRow for what has no text, bytes for example.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        pairs = ((key, text_of(inner, what)) for key, inner in value.items() if not empty(inner))
        return "\n".join(f"{key}:\n{text}" if "\n" in text else f"{key}: {text}" for key, text in pairs)
    if isinstance(value, list | tuple):
        return "\n".join(text_of(inner, what) for inner in value if not empty(inner))
    if isinstance(value, bytes | bytearray | memoryview):
        raise BadRow(f"{what} is bytes, not text")
    return str(value)
