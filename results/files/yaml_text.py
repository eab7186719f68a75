"""YAML of unknown origin, within bounds: how deep, how many values once its aliases are followed, how many digits.

    settings = safe_yaml(text, path)

An alias costs nothing in the file and is shared in memory, but whoever shows or checks the value walks all of it: nine
lists of nine aliases are 400 million. Only plain values are built (PyYAML's safe ones); a key that is given twice is
an error, where PyYAML keeps the last in silence.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from results.errors import FileUnreadable

LARGEST_YAML_BYTES = 2**19
"""A file of settings has some thousand bytes; the longest head of a data set's README some hundred thousand."""

MOST_NODES = 20_000
"""Values with those that aliases stand for."""

MOST_YAML_DEPTH = 50
MOST_DIGITS = 400
"""Longest integer. What a float can hold has at most 309."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 80, 80, 40


def safe_yaml(text: str, path: Path) -> Any:
    """The value of a YAML text; `path` names it in the refusal. Raises: FileUnreadable naming the line."""
    if len(text) > LARGEST_YAML_BYTES:
        raise FileUnreadable(path, f"YAML of more than {LARGEST_YAML_BYTES // 2**10} KiB")
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise FileUnreadable(path, f"not valid YAML: {_said(error)}") from error
    except (RecursionError, MemoryError) as error:
        raise FileUnreadable(path, "YAML nested too deeply") from error


def short_repr(value: Any) -> str:
    """A value as a message shows it: at most some hundred characters of it, at most three levels deep."""
    text = " ".join(_SHORT.repr(value).split())
    return text if len(text) <= 200 else text[:199] + "…"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which counts before it builds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self._depth > MOST_YAML_DEPTH:
            raise _refused(f"more than {MOST_YAML_DEPTH} lists and mappings in each other", event.start_mark)
        if self._nodes > MOST_NODES:
            raise _refused(f"more than {MOST_NODES:,} values", event.start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _weigh(node)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, IndexError, KeyError, AttributeError, TypeError, OverflowError) as error:
            value = node.value if isinstance(node, yaml.ScalarNode) else node.tag
            said = node.tag.rpartition(":")[2]
            raise _refused(f"{short_repr(value)} is no {said}", node.start_mark) from error

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MOST_DIGITS:
            raise _refused(f"an integer of {len(node.value)} digits", node.start_mark)
        return super().construct_yaml_int(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value if node.id == "mapping" else ():  # a tag may say so of a list
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float | bool):
                if key in seen:
                    raise _refused(f"key {short_repr(key)} is given twice", key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _refused(reason: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, reason, mark)


def _said(error: yaml.YAMLError) -> str:
    """What PyYAML says of an error, and where, in one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())[:300]
    mark = error.problem_mark
    context = f"{error.context}, " if error.context else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {context}{error.problem}"[:300]


def _weigh(root: yaml.Node) -> None:
    """Raise if the values below a node, each as often as aliases name it, are more than MOST_NODES, or endless."""
    weights: dict[int, int] = {}
    under_way: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        if id(node) in weights:
            waiting.pop()
            continue
        below = list(_below(node))
        if id(node) in under_way:
            under_way.discard(id(node))
            weights[id(node)] = weight = 1 + sum(weights[id(one)] for one in below)
            if weight > MOST_NODES:
                raise _refused(f"more than {MOST_NODES:,} values once its aliases are followed", node.start_mark)
            waiting.pop()
            continue
        under_way.add(id(node))
        for one in below:
            if id(one) in under_way:
                raise _refused("a value that holds itself", node.start_mark)
            if id(one) not in weights:
                waiting.append(one)


def _below(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
