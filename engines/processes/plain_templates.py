"""Whether a chat template can be rendered right here: it is plain, and ends soon whatever the conversation.

Plain is what most families' templates are: a loop over the messages, in it loops over parts of the message, texts put
together; no macros, no ranges, no products or powers, nothing by which a text grows but by a piece at a time. Then the
work is bounded by the conversation. Everything else goes to the process of `engines.processes.templates`; when in doubt
a template is not plain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Any

from jinja2 import Environment, TemplateError, nodes

LONGEST = 1 << 16
"""Characters of a template that may be plain: it may all be written once for each message."""

FILTERS = frozenset(
    (
        *("trim", "tojson", "length", "count", "default", "d", "items", "list", "first", "last", "string", "upper"),
        *("lower", "safe", "int", "select", "reject", "selectattr", "rejectattr", "map", "reverse", "capitalize"),
        *("title", "dictsort", "sort", "unique", "join"),
    )
)
METHODS = frozenset(
    (
        *("split", "rsplit", "strip", "lstrip", "rstrip", "startswith", "endswith", "items", "keys", "values", "get"),
        *("upper", "lower", "title", "capitalize", "isspace", "isdigit"),
    )
)
FUNCTIONS = frozenset(("raise_exception", "strftime_now", "namespace"))
"""What may be called; by other methods and functions a text can become longer than all that is in it."""

SPELLING = frozenset(("tojson", "string", "join"))
"""Filters that spell a value out: of what was spelt out before, signs double."""

PLAIN = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.Name, nodes.NSRef,
    nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Compare, nodes.Operand, nodes.And, nodes.Or,
    nodes.Not, nodes.Neg, nodes.Test, nodes.Filter, nodes.Call, nodes.Keyword, nodes.List, nodes.Tuple, nodes.Dict,
    nodes.Pair, nodes.CondExpr, nodes.Add, nodes.Sub, nodes.Concat, nodes.Mod, nodes.Break, nodes.Continue,
)  # fmt: skip

MOST_FREE = 2
"""Loops within each other over whole things: messages by tools."""

MOST_SPACES = 16
"""Widest indentation in tojson."""


@lru_cache(maxsize=64)
def is_plain(template: str) -> bool:
    """Whether rendering it takes time and memory in proportion to the conversation, as its syntax shows."""
    if len(template) > LONGEST:
        return False
    try:
        tree = Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
        found = list(tree.find_all(nodes.Node))
        roots: dict[str, set[str]] = {}
        for one in found:
            if isinstance(one, nodes.Assign):
                for target in _of(one.target, (nodes.Name, nodes.NSRef)):
                    roots.setdefault(target.name, set()).add(_root(one.node))
        made = _made(found, roots)
        return all(_is_plain(one, made) for one in found) and _is_bounded(tree, frozenset(), roots)
    except (TemplateError, RecursionError, MemoryError):
        return False


def _made(found: list[nodes.Node], roots: Mapping[str, Set[str]]) -> set[str]:
    """Names of what the template puts together, and of what is taken out of that: all but parts of the conversation."""
    loops = [
        (target.name, {name.name for name in _of(one.iter, (nodes.Name,))})
        for one in found
        if isinstance(one, nodes.For)
        for target in _of(one.target, (nodes.Name,))
    ]
    made = {name for name, of in roots.items() if "" in of}
    for _ in range(len(found)):
        more = {name for name, of in (*roots.items(), *loops) if of & made}
        if more <= made:
            break
        made |= more
    return made


def _is_plain(node: nodes.Node, made: Set[str]) -> bool:
    if not isinstance(node, PLAIN):
        return False
    if isinstance(node, nodes.Filter):
        if node.name == "map" and node.args:  # by the name of any filter
            return False
        if node.name == "join" and any(one.name in made for one in _of(node, (nodes.Name,))):
            return False
        small = all(_is_short(one.value) for one in node.kwargs)
        return node.name in FILTERS and small and (node.name != "join" or all(map(_is_short, node.args)))
    if isinstance(node, nodes.Call):
        if isinstance(node.node, nodes.Name):
            name = node.node.name
            return name in FUNCTIONS and (name != "strftime_now" or all(map(_is_short, node.args)))
        return isinstance(node.node, nodes.Getattr) and node.node.attr in METHODS
    if isinstance(node, nodes.Mod):  # of numbers: a text's would format
        return isinstance(node.left, nodes.Getattr) and _root(node.left) == "loop" and _is_short(node.right)
    return not isinstance(node, nodes.Assign) or _grows_by_pieces(node.node, made)


def _grows_by_pieces(value: nodes.Node, made: Set[str]) -> bool:
    """Whether what is set holds at most one part of what was set before, and that as it is."""
    for one in _of(value, (nodes.Add, nodes.Concat, nodes.List, nodes.Tuple, nodes.Dict, nodes.Filter)):
        most = 1 if isinstance(one, nodes.Add | nodes.Concat) else 0
        spelt = not isinstance(one, nodes.Filter) or one.name in SPELLING
        if spelt and sum(part.name in made for part in _of(one, (nodes.Name,))) > most:
            return False
    return True


def _is_bounded(node: nodes.Node, parts: frozenset[str], roots: Mapping[str, Set[str]], free: int = 0) -> bool:
    """Whether loops within others go over parts of what those go over; MOST_FREE do not, as messages and tools.

    parts: names of what the loops around it take out. roots: name → what it is a part of, wherever it is set.
    """
    if isinstance(node, nodes.For):
        name = _root(node.iter)
        free += not name or (name not in parts and not (name in roots and roots[name] <= parts))
        if node.recursive or free > MOST_FREE:
            return False
        parts = parts | {one.name for one in _of(node.target, (nodes.Name,))}
    return all(_is_bounded(one, parts, roots, free) for one in node.iter_child_nodes())


def _root(node: nodes.Node) -> str:
    """The name that `name.part[0].items()|list` is a part of; empty for anything else."""
    while not isinstance(node, nodes.Name):
        inner = getattr(node, "node", None)
        spelt = isinstance(node, nodes.Filter) and node.name in SPELLING
        if inner is None or spelt or not isinstance(node, nodes.Getattr | nodes.Getitem | nodes.Filter | nodes.Call):
            return ""
        node = inner
    return node.name


def _of(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> Iterator[Any]:
    """A node, if it is of the kinds, and all below it that are."""
    if isinstance(node, kinds):
        yield node
    yield from node.find_all(kinds)


def _is_short(node: nodes.Node) -> bool:
    """Whether a value is written out and small."""
    if isinstance(node, nodes.Tuple):
        return all(map(_is_short, node.items))
    value = node.value if isinstance(node, nodes.Const) else ...
    if isinstance(value, str):
        return len(value) <= 80
    return value is None or (isinstance(value, int) and -1 <= value <= MOST_SPACES)
