"""A study as one page of HTML that loads nothing from elsewhere and runs nothing but its own script.

Every text passes `inert` and is escaped by Jinja; pictures escape theirs themselves; answers stand in a block of data
that no browser runs, and are set as text. The page's Content-Security-Policy names its one style and one script by
their digests, so whatever slipped through would neither run nor load.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import jinja2
from markupsafe import Markup

from dashboard import charts
from dashboard.escaping import upright
from dashboard.publishing.chat import ChatPart
from dashboard.publishing.evidence import Answers, Matrix
from dashboard.publishing.space import SpacePart
from dashboard.publishing.study import Study
from dashboard.views.deciding.candidates import AXES

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
"""What no page can hold: control characters, halves of characters, what is none."""
NARROW, WIDE = 290.0, 760.0
"""Widths of the two drawings of each chart: one is shown on a phone, the other elsewhere."""
KEY = (("right", 1.0), ("in part", 0.5), ("not right", 0.0), ("not asked", float("nan")))


@dataclass(frozen=True)
class Page:
    """What is written: the page, and its figures as data."""

    html: str
    data: str
    """JSON of the decision."""
    data_name: str


def inert(value: object) -> object:
    """A value for the page: texts keep their line and direction and hold nothing invisible that acts."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return CONTROL.sub("\ufffd", upright(value))


def page(study: Study, chat: ChatPart | SpacePart | None = None) -> Page:
    """The page of a study. chat: the part that answers, in the browser or on the page's server; None without one."""
    made = _environment()
    css, js = _part("page.css"), _part("page.js")
    chat_js = _part("talk.js") + _part(chat.code) if chat else ""
    data = json.dumps(study.decision.as_json(), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    data_name = f"decision-{hashlib.sha256(data.encode()).hexdigest()[:12]}.json"
    html = made.get_template("page.html").render(
        study=study,
        chat=chat,
        version=version("bakeoff"),
        policy=policy(css, js, chat_js, chat.policy if chat else {}),
        css=Markup(css),
        js=Markup(js),
        data_name=data_name,
        told_why=any(one.why for one in study.standings),
        tradeoff=_tradeoff(study),
        undrawn=_undrawn(study),
        losses=[(one, _curves(study, at)) for at, one in enumerate(study.losses)],
        answers_json=_answers(study.answers) if study.answers else "",
        **(_matrix(study.matrix) if study.matrix else {}),
        **({"chat_json": block(chat.told), "chat_js": Markup(chat_js)} if chat else {}),
    )
    return Page(html, data, data_name)


def policy(css: str, js: str, chat_js: str = "", needed: Mapping[str, str] | None = None) -> str:
    """The Content-Security-Policy: nothing but the page's own style and scripts, by their digests.

    chat_js: the chat's script; empty without a chat. needed: what that may load beyond the page, by directive.
    """
    rules = {"default-src": "'none'", "img-src": "data:", "style-src": f"'{_digest(css)}'"}
    rules["script-src"] = f"'{_digest(js)}'"
    if chat_js:
        more = dict(needed or {})
        scripts = f"'{_digest(js)}' '{_digest(chat_js)}' {more.pop('script-src', '')}".rstrip()
        rules |= {**more, "script-src": scripts}
    rules |= {"base-uri": "'none'", "form-action": "'none'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("dashboard.publishing", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=inert,
    )


def _part(name: str) -> str:
    """A file beside this one, as it stands."""
    made = _environment()
    assert made.loader is not None
    return made.loader.get_source(made, name)[0]


def block(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`: nothing in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.translate({ord(one): f"\\u{ord(one):04x}" for one in "<>&"}))


def _answers(answers: Answers) -> Markup:
    items = [
        {
            "prompt": inert(one.prompt),
            "told": {
                str(inert(name)): {word: inert(text) for word, text in vars(told).items()}
                for name, told in one.told.items()
            },
        }
        for one in answers.items
    ]  # fmt: skip
    return block({"models": [inert(name) for name in answers.models], "items": items})


def _tradeoff(study: Study) -> tuple[Markup, Markup] | None:
    if not len(study.points):
        return None
    title = AXES[study.along][0]
    alt = f"{study.quality} with 95 % intervals against {title}; the table below has the figures"
    points = study.points.assign(name=[str(inert(name)) for name in study.points["name"]])
    wide, narrow = (
        charts.printed(points, study.styles, title, percent=study.percent, width=width, alt=alt)
        for width in (WIDE, NARROW)
    )
    return Markup(wide), Markup(narrow)


def _undrawn(study: Study) -> list[str]:
    """Models that have a score and nothing to be drawn along, at most a dozen."""
    drawn = set(study.points["model_id"]) if len(study.points) else set()
    found = [one.model for one in study.decision.candidates if one.quality and one.model_id not in drawn]
    return found[:12] + [f"{len(found) - 12} more"] * (len(found) > 12)


def _curves(study: Study, at: int) -> tuple[Markup, Markup]:
    one = study.losses[at]
    names = {row.run.id: str(inert(row.run.name)) for row in one.runs}
    alt = "Losses by step; the table below has their ends"
    wide, narrow = (
        charts.printed_curves(one.training, one.validation, study.styles, names, width=width, alt=alt)
        for width in (WIDE, NARROW)
    )
    return Markup(wide), Markup(narrow)


def _matrix(matrix: Matrix) -> dict[str, Any]:
    """The strips, their key and the table of wins."""
    strips = []
    for row in matrix.rows:
        right = sum(value >= 1 for value in row.values)
        alt = f"{row.model}: {right} of {len(row.values)} items right"
        strips.append((row, Markup(charts.printed_strip(row.values, str(inert(alt))))))
    wins = matrix.wins
    shown = None if wins is None else {"names": list(wins.index), "cells": wins.to_numpy().tolist()}
    return {
        "strips": strips,
        "groups": Markup(charts.printed_groups(matrix.groups)),
        "key": [(word, Markup(charts.printed_strip([value], word))) for word, value in KEY],
        "wins": shown,
    }
