"""Stop strings, the same on every engine: the answer ends before the first of them."""

from __future__ import annotations

from collections.abc import Sequence

from engines.errors import EngineError


class StopFilter:
    """Lets text through until a stop string appears, holding back what may be the beginning of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.stopped = False
        """Whether a stop string was found; what follows it is dropped."""

    def feed(self, text: str) -> str:
        """The text that can be shown now."""
        if self.stopped:
            return ""
        if not self._stop:
            return text
        self._held += text
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max(_overlap(self._held, stop) for stop in self._stop)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def end(self) -> str:
        """What was held back, when the answer ends without a stop string."""
        held, self._held = self._held, ""
        return held


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """A whole answer cut before its first stop string, and whether there was one."""
    found = [at for string in stop if string and (at := text.find(string)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


def whole(text: str) -> str:
    """The text, if it can be sent to a model. Raises: EngineError naming a lone surrogate, half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EngineError(
            f"The text holds half a character, U+{ord(text[error.start]):04X} at place {error.start}, which no "
            "tokenizer takes. Remove it, or send the whole character."
        ) from None
    return text
