"""One colour per fine-tune, the same on every page; its formats (adapter, GGUF, …) differ by symbol and dash.

The colours are Okabe and Ito's, told apart under every common colour-vision deficiency, with Tol's olive and wine in
place of their yellow and black, which vanish on a white or a dark page. Bases, the opponents of all, are grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from results.records import Model, RunSummary

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999933", "#882255")
GREY = "#808080"
CROWD = 24
"""More lines than this cannot be told apart, and a legend of them is higher than the chart: they are drawn as one."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = {
    "base": "circle-open",
    "adapter": "circle",
    "merged": "square",
    "gguf-f16": "diamond",
    "gguf-q8_0": "triangle-up",
    "gguf-q4_0": "triangle-down",
    "gguf-other": "pentagon",
    "lora-gguf": "star",
    "ggml": "hexagon",
    "remote": "cross",
}


@dataclass(frozen=True)
class Style:
    """How one run or model is drawn."""

    colour: str
    dash: str = "solid"
    symbol: str = "circle"


def styles(runs: list[RunSummary], models: list[Model]) -> Mapping[str, Style]:
    """Style by run id and by model id. Given out in the order of appearance, so a new run changes no other's colour."""
    given: dict[str, Style] = {}
    oldest = sorted(runs, key=lambda row: (row.run.started_at is None, str(row.run.started_at), row.run.id))
    for position, row in enumerate(oldest):
        given[row.run.id] = _nth(position)
    greys, colours = 0, len(oldest)
    for model in sorted(models, key=lambda model: (str(model.created_at), model.id)):
        symbol = SYMBOLS.get(model.form, "circle")
        if model.run_id in given:
            family = given[model.run_id]
            given[model.id] = Style(family.colour, family.dash, symbol)
        elif model.form in ("base", "gguf-f16", "gguf-q8_0", "gguf-q4_0", "gguf-other"):
            given[model.id] = Style(GREY, DASHES[greys % len(DASHES)], symbol)
            greys += 1
        else:
            style = _nth(colours)
            given[model.id] = Style(style.colour, style.dash, symbol)
            colours += 1
    return given


def _nth(position: int) -> Style:
    return Style(COLOURS[position % len(COLOURS)], DASHES[position // len(COLOURS) % len(DASHES)])


def translucent(colour: str, alpha: float) -> str:
    """`#RRGGBB` as `rgba(…)`: the faint raw curve behind a smoothed one."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
