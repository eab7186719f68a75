"""What a text file is written in: UTF-8, UTF-16, UTF-32, a declared encoding, or one that its letters show.

A file that is not UTF-8 is never read as if it were. What is recognised by its letters is said in the data report;
what cannot be told (a few letters that fit several encodings) is not guessed: its rows are unusable by name.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from results import file_start
from trainer.errors import DataInvalid

CHUNK_BYTES = 1 << 20
TELLING_BYTES = 16 << 20
"""Bytes of lines that are not ASCII, from whose letters an encoding is told."""

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

NOT_UTF8 = "not UTF-8: set the source's `encoding`, e.g. cp1252 or gbk, or save the file as UTF-8"

WESTERN = (
    "áéíóúñü¿¡ªº",
    "àâçéèêëîïôùûüœæ«»",
    "äöüß",
    "ãõáâàçéêíóôúüªº",
    "àèéìòùîª°",
    "åäöæøéü",
    "éèëïöüáóí",
)
"""Letters of Spanish, French, German, Portuguese, Italian, the Nordic languages and Dutch: a file in cp1252 keeps to
one of them, while Czech, Polish or Turkish read as cp1252 do not."""

WESTERN_MARKS = "“”„‘’–—…€£§©®°·´½¼²³×\u00a0•™"

COMMON = {
    "gb18030": "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过"
    "家学对可她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知什请问答首",
    "big5": "的一是不了在人有我他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過"
    "家學對可她裡後小麼心多天而能好都然沒日於起還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知什請問答首",
    "cp932": "のにはをたがでてとしれさいるもあなっらりきこうまよけくおえせだどんそす日本人年大一",
    "euc_jp": "のにはをたがでてとしれさいるもあなっらりきこうまよけくおえせだどんそす日本人年大一",
    "cp949": "이다는을에의가고하지은를로도한기사어리그서나자시대인니스아부제일보수정라있해게전습까입",
    "cp1251": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "koi8_r": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
}
"""Characters that make up a good part of any text in the encoding's languages."""

COMMON_SHARE = {"cp1251": 0.8, "koi8_r": 0.8}
"""Least share of the common characters among those that are not ASCII; elsewhere 0.25."""

MIN_CHARACTERS = 6
"""Fewer characters of another script fit too many encodings."""


@dataclass(frozen=True)
class Encoding:
    """How a file is read."""

    name: str
    damaged: bool = False
    """It is UTF-8, or nothing that can be told, with bytes that do not decode: rows that hold one are unusable."""
    how: str = ""
    """What a person should hear: "cp1252, told by its letters"; empty for UTF-8."""


def encoding_of(path: Path, declared: str = "") -> Encoding:
    """The encoding of a text file; the whole file is looked at once.

    Raises: DataInvalid when the declared one does not exist or does not fit.
    """
    start = file_start(path, 4)
    if declared:
        return _declared(path, declared)
    for mark, name in BOMS:
        if start.startswith(mark):
            _must_fit(path, name, "its byte-order mark")
            return Encoding(name, how="" if name == "utf-8-sig" else f"{name}, told by its byte-order mark")
    if _fits(path, "utf-8"):
        return _without_mark(path) or Encoding("utf-8")
    return _by_letters(path)


def _declared(path: Path, declared: str) -> Encoding:
    try:
        name = codecs.lookup(declared).name
        "".encode(name)
    except (LookupError, ValueError):
        raise DataInvalid(
            f"{path}: Python knows no text encoding {declared!r}; e.g. utf-8, utf-16, cp1252, gbk"
        ) from None
    name = "utf-8-sig" if name == "utf-8" else name
    _must_fit(path, name, "the source's `encoding`")
    return Encoding(name, how=f"{declared}, as declared")


def _must_fit(path: Path, name: str, whose: str) -> None:
    if not _fits(path, name):
        raise DataInvalid(f"{path} is not {name}, as {whose} says: set the source's `encoding` to what it is")


def _fits(path: Path, name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    try:
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _without_mark(path: Path) -> Encoding | None:
    """UTF-16 without a byte-order mark, which ASCII text shows by a zero in every second byte; also valid UTF-8."""
    sample = file_start(path, 4096)
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = sample[start::2].count(0)
        if zeros > 0.6 * len(sample) / 2 and sample[1 - start :: 2].count(0) == 0 and _fits(path, name):
            return Encoding(name, how=f"{name}, told by its zero bytes")
    return None


def _by_letters(path: Path) -> Encoding:
    if found := _without_mark(path):
        return found
    raw = _telling_lines(path)
    text = raw.decode("utf-8", errors="surrogateescape")
    broken = sum("\udc80" <= letter <= "\udcff" for letter in text)
    whole = sum(letter > "\x7f" for letter in text) - broken
    if whole >= broken:
        return Encoding("utf-8", damaged=True)
    if _western(raw):
        return Encoding("cp1252", how="cp1252, told by its letters; set `encoding` if that is wrong")
    scores = {name: score for name in COMMON if (score := _share(raw, name))}
    ranked = sorted(scores, key=lambda name: -scores[name])
    if ranked and (len(ranked) == 1 or scores[ranked[0]] > 1.5 * scores[ranked[1]]):
        return Encoding(ranked[0], how=f"{ranked[0]}, told by its characters; set `encoding` if that is wrong")
    return Encoding("utf-8", damaged=True)


def _telling_lines(path: Path) -> bytes:
    """The lines that are not ASCII, as many as are looked at."""
    found = bytearray()
    with path.open("rb") as file:
        while (line := file.readline(TELLING_BYTES)) and len(found) < TELLING_BYTES:
            if not line.isascii():
                found += line
    return bytes(found)


def _western(raw: bytes) -> bool:
    """Whether the bytes above ASCII are letters of one western European language, and its punctuation."""
    try:
        letters = {letter.lower() for letter in raw.decode("cp1252") if letter > "\x7f"} - set(WESTERN_MARKS)
    except UnicodeDecodeError:
        return False
    return any(letters <= {*language} for language in WESTERN)


def _share(raw: bytes, name: str) -> float:
    """Share of the encoding's common characters; 0 where the bytes do not decode or too few are not ASCII."""
    try:
        letters = [letter for letter in raw.decode(name) if letter > "\x7f" and letter.isalpha()]
    except UnicodeDecodeError:
        return 0.0
    common = {*COMMON[name]}
    share = sum(letter in common for letter in letters) / max(1, len(letters))
    return share if len(letters) >= MIN_CHARACTERS and share >= COMMON_SHARE.get(name, 0.25) else 0.0
