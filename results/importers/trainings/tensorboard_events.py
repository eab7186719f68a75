"""TensorBoard event files, read without TensorFlow: TFRecord frames around Event messages (protobuf wire format).

    frame    length (uint64, little endian), masked CRC-32C of it, data, masked CRC-32C of the data
    Event    wall_time 1 (double), step 2 (varint), summary 5 → value 1 → tag 1, simple_value 2 or tensor 8
    Tensor   dtype 1, tensor_content 4, float_val 5, double_val 6, string_val 8

Only scalars, and the JSON texts in which the Hugging Face callback keeps its arguments. Everything else is skipped.
Sources: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, framework/summary.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results.errors import FileUnreadable
from results.files.reading import open_file
from results.files.values import parse_json
from results.importers.parcels import LARGEST_STEP, canonical, same
from results.importers.reading import refusing
from results.importers.refusals import refused

LARGEST_RECORD = 64 * 2**20
"""Bytes: scalars take 40, images a few million."""

LARGEST_EVENTS = 2**34
"""Bytes of one file, of which a record at a time is in memory: most of it are images."""

CHECKED = 2**16
"""Records up to this size have their data's checksum verified; a scalar never exceeds it."""

DOUBLE, FLOAT = 2, 1
"""Numbers of tensorflow.DataType."""

CONFIGS = {"args/text_summary": "training", "model_config/text_summary": "model"}


@dataclass
class Stretch:
    """Scalars in the order in which they were written, while the steps of every tag went on."""

    values: dict[str, dict[int, float]] = field(default_factory=dict)
    """The values by tag, then step."""
    config: dict[str, Any] = field(default_factory=dict)
    first_time: float | None = None
    last_time: float | None = None
    again: dict[str, int] = field(default_factory=dict)
    """Tag → how often a step was given another value."""
    others: dict[str, None] = field(default_factory=dict)
    """Tags of images, histograms and texts."""
    writer: str = ""
    """Host and process that wrote the file, from its name."""


def is_events(path: Path) -> bool:
    """Whether a file is named as TensorBoard's event files are."""
    return "tfevents" in path.name and path.is_file()


def stretches(path: Path, notes: list[str]) -> list[Stretch]:
    """The scalars of one file; a new stretch begins where the steps of a tag go back.

    Raises: ImportRefused naming the file and the byte.
    """
    found = [Stretch()]
    for event in records(path, notes):
        _take(path, event, found)
    # events.out.tfevents.<time>.<host>.<process>.<number>
    for one in found:
        one.writer = ".".join(path.name.partition("tfevents.")[2].split(".")[1:-1])
    return [one for one in found if one.values or one.config]


def records(path: Path, notes: list[str]) -> Iterator[bytes]:
    """The data of each frame. A file that ends within a frame, as a killed writer leaves it, is read up to there.

    Raises: ImportRefused for a checksum that does not fit or a length beyond LARGEST_RECORD.
    """
    with refusing(path), open_file(path, LARGEST_EVENTS) as file:
        position = 0
        while header := file.read(12):
            if len(header) < 12:
                notes.append(f"{path.name}: ends within a record at byte {position}")
                return
            length, checksum = struct.unpack("<QI", header)
            if masked_crc32c(header[:8]) != checksum:
                raise refused(path, f"not an event file, or damaged at byte {position}")
            if length > LARGEST_RECORD:
                raise refused(path, f"a record of {length} bytes at byte {position}; the limit is {LARGEST_RECORD}")
            data = file.read(length + 4)
            if len(data) < length + 4:
                notes.append(f"{path.name}: ends within a record at byte {position}")
                return
            if length <= CHECKED and masked_crc32c(data[:length]) != struct.unpack("<I", data[length:])[0]:
                raise refused(path, f"damaged record at byte {position}")
            position += 16 + length
            yield data[:length]


def fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of a protobuf message: varints as int, the rest as bytes.

    Raises: ValueError for anything that is no message.
    """
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            value: Any
            value, position = _varint(data, position)
        elif kind in (1, 2, 5):
            size = 8 if kind == 1 else 4
            if kind == 2:
                size, position = _varint(data, position)
            value, position = data[position : position + size], position + size
            if position > end:
                raise ValueError("a field reaches beyond its message")
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, kind, value


def masked_crc32c(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C rotated right by 15 bits plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_table() -> tuple[int, ...]:
    """CRC-32C (Castagnoli), reflected polynomial 0x82F63B78, by byte."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a varint that does not end")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position


def _take(path: Path, event: bytes, found: list[Stretch]) -> None:
    """One Event into the curves and the configuration."""
    try:
        time, step, summaries = None, 0, []
        for number, kind, value in fields(event):
            if number == 1 and kind == 1:
                (time,) = struct.unpack("<d", value)
            elif number == 2 and kind == 0:
                step = value - 2**64 if value >= 2**63 else value
            elif number == 5 and kind == 2:
                summaries.append(value)
        for summary in summaries:
            for number, kind, value in fields(summary):
                if number == 1 and kind == 2:
                    _value(value, step, found)
        if summaries and time is not None and 0 < time < 2**33:
            last = found[-1]
            last.first_time = time if last.first_time is None else min(last.first_time, time)
            last.last_time = time if last.last_time is None else max(last.last_time, time)
    except (ValueError, struct.error) as error:
        raise refused(path, f"a record is no event: {error}") from error


def _value(data: bytes, step: int, found: list[Stretch]) -> None:
    """One Summary.Value: a scalar, a tensor of one number, or a text of JSON."""
    tag, number = "", None
    for field_number, kind, value in fields(data):
        if field_number == 1 and kind == 2:
            tag = value.decode("utf-8", "replace")
        elif field_number == 2 and kind == 5:
            (number,) = struct.unpack("<f", value)
        elif field_number == 8 and kind == 2:
            scalar = _tensor(value)
            if isinstance(scalar, float):
                number = scalar
            elif scalar is not None and tag in CONFIGS:
                told = _config(CONFIGS[tag], scalar)
                if any(found[-1].config.get(key, one) != one for key, one in told.items()):
                    found.append(Stretch())  # another training's arguments
                found[-1].config |= told
    if number is None or not tag:
        if tag and tag not in CONFIGS:
            found[-1].others[tag] = None
        return
    if not 0 <= step <= LARGEST_STEP:
        raise ValueError(f"step {step} of {tag[:80]!r} is not between 0 and 2^62")
    if (values := found[-1].values.get(tag)) and step < next(reversed(values)):
        found.append(Stretch())
    values = found[-1].values.setdefault(tag, {})
    if step in values and not same(values[step], number):
        found[-1].again[tag] = found[-1].again.get(tag, 0) + 1
    values[step] = number


def _tensor(data: bytes) -> float | bytes | None:
    """The one number, or the first string, of a TensorProto."""
    dtype, found = 0, None
    for number, kind, value in fields(data):
        if number == 1 and kind == 0:
            dtype = value
        elif number == 4 and dtype == FLOAT and len(value) == 4:
            (found,) = struct.unpack("<f", value)
        elif number == 4 and dtype == DOUBLE and len(value) == 8:
            (found,) = struct.unpack("<d", value)
        elif number == 5 and kind in (2, 5) and len(value) == 4:
            (found,) = struct.unpack("<f", value)
        elif number == 6 and kind in (1, 2) and len(value) == 8:
            (found,) = struct.unpack("<d", value)
        elif number == 8 and kind == 2:
            return bytes(value)
    return found


def _config(section: str, text: bytes) -> dict[str, Any]:
    """The scalars of a JSON object in a text summary."""
    try:
        value = parse_json(text.decode("utf-8", "replace"), Path(section))
    except FileUnreadable:
        return {}
    if not isinstance(value, dict):
        return {}
    kept = {key: one for key, one in value.items() if isinstance(one, bool | int | float | str)}
    return {f"{section}.{key}": canonical(one) for key, one in kept.items()}
