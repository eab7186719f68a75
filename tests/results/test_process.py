"""What would act on a terminal or forge a line of a log is spelt out, also where other hands write the log."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from results import inert, quell

BAD = "a\x1b[2Jb\x9b31mc\x07d\re\u202ef\u2028g\x00h"


def test_nothing_that_acts_is_left_and_no_letter_is_lost() -> None:
    shown = inert(BAD)
    assert shown == r"a\x1b[2Jb\x9b31mc\x07d\re\u202ef\u2028g\x00h"
    assert inert("naïve 中文 😀\n\tx") == "naïve 中文 😀\n\tx"


def test_logs_of_other_hands_are_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logger = logging.getLogger("of other hands")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler())  # as Streamlit's: made before, it keeps the stream that it found
    quell()
    quell()
    try:
        raise KeyError(BAD)
    except KeyError as error:
        logger.exception("failed: %s", error.args[0])
    sys.stderr.write(BAD)
    assert not any(character in written.getvalue() for character in "\x1b\x9b\x07\r\u202e\u2028\x00")
    assert written.getvalue().count(inert(BAD)) >= 2
    logger.handlers.clear()
