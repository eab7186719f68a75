"""Templates of foreign files over a row: what promptfoo and lm-eval write as Jinja or Nunjucks, and no more than that.

    filled("Question: {{question.strip()}}\\nAnswer:", {"question": "Why? "})

Jinja parses; we evaluate: names, parts, texts, lists, comparisons, `if`, `for`, a few filters and methods of texts. No
Python is reached, and steps and length are bounded. Anything else is refused by name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from jinja2 import Environment, TemplateSyntaxError, nodes

from evaluator.question_sets.items import BadQuestion
from results import short_repr

MOST_STEPS = 100_000
MOST_CHARACTERS = 1_000_000
MOST_TEMPLATE_CHARACTERS = 100_000

_METHODS: Mapping[str, Callable[..., Any]] = {
    "strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip, "lower": str.lower, "upper": str.upper,
    "capitalize": str.capitalize, "title": str.title, "split": str.split, "startswith": str.startswith,
    "endswith": str.endswith, "replace": str.replace, "join": str.join, "find": str.find,
}  # fmt: skip
_FILTERS: Mapping[str, Callable[..., Any]] = {
    "trim": lambda value: str(value).strip(), "lower": lambda value: str(value).lower(),
    "upper": lambda value: str(value).upper(), "capitalize": lambda value: str(value).capitalize(),
    "string": str, "int": lambda value: int(value), "length": len, "first": lambda value: value[0],
    "last": lambda value: value[-1], "join": lambda value, mark="": str(mark).join(map(str, value)),
    "replace": lambda value, old, new: str(value).replace(old, new), "safe": lambda value: value,
}  # fmt: skip
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "lteq": lambda a, b: a <= b,
    "gt": lambda a, b: a > b, "gteq": lambda a, b: a >= b, "in": lambda a, b: a in b, "notin": lambda a, b: a not in b,
}  # fmt: skip


def filled(template: str, row: Mapping[str, Any]) -> str:
    """The text that a template makes of a row. Raises: BadQuestion."""
    return _Filling(dict(row)).text(_parsed(template).body)


def value_of(template: str, row: Mapping[str, Any]) -> Any:
    """The value of a template that is one expression, `{{answer}}`; else its text. Raises: BadQuestion."""
    body = _parsed(template).body
    if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
        only = body[0].nodes[0]
        if not isinstance(only, nodes.TemplateData):
            return _Filling(dict(row)).value(only)
    return filled(template, row)


@functools.lru_cache(maxsize=256)
def _parsed(template: str) -> nodes.Template:
    if len(template) > MOST_TEMPLATE_CHARACTERS:
        raise BadQuestion(f"its template has more than {MOST_TEMPLATE_CHARACTERS:,} characters")
    try:
        # no Python is made of it, so nothing of it is run
        return Environment(keep_trailing_newline=True).parse(template)
    except (TemplateSyntaxError, RecursionError, ValueError, OverflowError, MemoryError) as error:
        raise BadQuestion(
            f"its template {short_repr(template)} is none: {' '.join(str(error).split())[:120]}"
        ) from error


class _Filling:
    """One template's way through one row."""

    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row
        self._steps = 0
        self._made = 0

    def text(self, body: list[nodes.Node]) -> str:
        return "".join(self._pieces(body))

    def _pieces(self, body: list[nodes.Node]) -> Iterator[str]:
        for node in body:
            for piece in self._piece(node):
                self._made += len(piece)
                _bound(self._made)
                yield piece

    def _piece(self, node: nodes.Node) -> Iterator[str]:
        self._step()
        if isinstance(node, nodes.Output):
            for one in node.nodes:
                value = one.data if isinstance(one, nodes.TemplateData) else self.value(one)
                yield value if isinstance(value, str) else str(value)
        elif isinstance(node, nodes.If):
            for test, body in ((node.test, node.body), *((one.test, one.body) for one in node.elif_)):
                if self.value(test):
                    yield self.text(body)
                    return
            yield self.text(node.else_)
        elif isinstance(node, nodes.For) and isinstance(node.target, nodes.Name) and not node.test:
            yield from self._loop(node, node.target.name)
        else:
            self._refuse(node)

    def _loop(self, node: nodes.For, name: str) -> Iterator[str]:
        values = self.value(node.iter)
        if not isinstance(values, list | tuple):
            raise BadQuestion(f"its template goes through {short_repr(values)}, which is no list")
        before = dict(self._row)
        for place, value in enumerate(values):
            at = {"index": place + 1, "index0": place, "first": place == 0, "last": place == len(values) - 1}
            self._row |= {name: value, "loop": at}
            yield self.text(node.body)
        self._row = before

    def value(self, node: nodes.Node) -> Any:
        """What an expression stands for. Raises: BadQuestion."""
        self._step()
        try:
            found = self._value(node)
        except BadQuestion:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError, OverflowError) as error:
            raise BadQuestion(f"its template cannot be filled: {' '.join(str(error).split())[:120]}") from error
        _bound(len(found) if isinstance(found, str) else 0)
        return found

    def _value(self, node: nodes.Node) -> Any:
        match node:
            case nodes.Const() | nodes.TemplateData():
                return node.value if isinstance(node, nodes.Const) else node.data
            case nodes.Name():
                if node.name not in self._row:
                    raise BadQuestion(
                        f"its template names {node.name!r}, which is not there: {short_repr(', '.join(self._row))}"
                    )
                return self._row[node.name]
            case nodes.Getattr():
                return self._part(self.value(node.node), node.attr)
            case nodes.Getitem():
                return self._item(node)
            case nodes.List() | nodes.Tuple():
                return [self.value(one) for one in node.items]
            case nodes.Not():
                return not self.value(node.node)
            case nodes.And():
                return self.value(node.left) and self.value(node.right)
            case nodes.Or():
                return self.value(node.left) or self.value(node.right)
            case nodes.CondExpr():
                chosen = node.expr1 if self.value(node.test) else node.expr2
                return "" if chosen is None else self.value(chosen)
            case nodes.Compare():
                return self._compared(node)
            case nodes.Concat():
                parts = [str(self.value(one)) for one in node.nodes]
                _bound(sum(map(len, parts)))
                return "".join(parts)
            case nodes.Add() | nodes.Sub():
                left, right = self.value(node.left), self.value(node.right)
                return left + right if isinstance(node, nodes.Add) else left - right
            case nodes.Neg():
                return -self.value(node.node)
            case nodes.Call():
                return self._called(node)
            case nodes.Filter():
                return self._filtered(node)
            case _:
                return self._refuse(node)

    def _part(self, value: Any, name: str) -> Any:
        if not isinstance(value, Mapping) or name not in value:
            raise BadQuestion(f"its template names the part {name!r}, which {short_repr(value)} has not")
        return value[name]

    def _item(self, node: nodes.Getitem) -> Any:
        value = self.value(node.node)
        if isinstance(node.arg, nodes.Slice):
            if node.arg.step is not None:
                self._refuse(node.arg)
            ends = (node.arg.start, node.arg.stop)
            start, stop = (None if one is None else self.value(one) for one in ends)
            return value[start:stop]
        return value[self.value(node.arg)]

    def _compared(self, node: nodes.Compare) -> bool:
        left = self.value(node.expr)
        for one in node.ops:
            right = self.value(one.expr)
            if not _COMPARISONS[one.op](left, right):
                return False
            left = right
        return True

    def _called(self, node: nodes.Call) -> Any:
        """A method of a text, or a list's `index`."""
        if not isinstance(node.node, nodes.Getattr) or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self._refuse(node)
        of, name = self.value(node.node.node), node.node.attr
        given = [self.value(one) for one in node.args]
        if isinstance(of, list | tuple) and name == "index" and len(given) == 1:
            return list(of).index(given[0])
        if not isinstance(of, str) or name not in _METHODS:
            raise BadQuestion(f"its template calls .{name}(), which is not read; {', '.join(_METHODS)} of texts are")
        if name == "replace" and len(given) > 1:
            self._bounded_replacement(of, str(given[0]), str(given[1]))
        if name == "join":
            _bound(sum(len(str(one)) + len(of) for one in given[0]))
        return _METHODS[name](of, *given)

    @staticmethod
    def _bounded_replacement(text: str, old: str, new: str) -> None:
        _bound((text.count(old) if old else len(text) + 1) * len(new))

    def _filtered(self, node: nodes.Filter) -> Any:
        if node.node is None or node.name not in _FILTERS or node.kwargs:
            raise BadQuestion(
                f"its template has the filter {node.name!r}, which is not read; {', '.join(_FILTERS)} are"
            )
        given = [self.value(one) for one in node.args]
        value = self.value(node.node)
        if node.name == "replace" and len(given) > 1:
            self._bounded_replacement(str(value), str(given[0]), str(given[1]))
        if node.name == "join":
            _bound(sum(len(str(one)) for one in value) + len(value) * sum(len(str(one)) for one in given))
        return _FILTERS[node.name](value, *given)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise BadQuestion(f"its template takes more than {MOST_STEPS:,} steps")

    def _refuse(self, node: nodes.Node) -> NoReturn:
        raise BadQuestion(f"its template has {type(node).__name__.lower()}, which is not read: what it does is bounded")


def _bound(characters: int) -> None:
    if characters > MOST_CHARACTERS:
        raise BadQuestion(f"its template makes more than {MOST_CHARACTERS:,} characters")
