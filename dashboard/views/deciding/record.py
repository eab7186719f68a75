"""A decision as a file to send: Markdown as results words it, or one HTML page that prints well and loads nothing."""

from __future__ import annotations

import html

from markdown_it import MarkdownIt

from results import Decision, DecisionRecord, decision_markdown, now, this_machine, whoever

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; }
@media print { body { margin: 0; max-width: none; } }
"""


def signed(kept: DecisionRecord) -> str:
    """Who decided it, when and where, in a line; what an older record does not say is left out."""
    when = kept.created_at.strftime("%Y-%m-%d %H:%M UTC") if kept.created_at else ""
    author, machine = (str(kept.payload.get(name) or "") for name in ("author", "machine"))
    parts = [f"Decided {when}".strip(), f"by {author}" if author else "", f"on {machine}" if machine else ""]
    return " ".join(part for part in parts if part) + "."


def signature() -> str:
    """Who writes a record now, when and where, in a line."""
    machine, author = this_machine(), whoever()
    who = f" by {author}" if author else ""
    where = f"{machine.cpu}, {machine.cores} cores, {machine.system}"
    return f"Written {now():%Y-%m-%d %H:%M} UTC{who} on {where}."


def page(decision: Decision, title: str, signature: str = "", link: str = "", picture: str = "") -> str:
    """The decision record as a page of its own; text from the store stays text: no HTML, links or images.

    picture: an `<svg>` of `charts.printed`, whose texts are escaped.
    """
    renderer = (
        MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink", "html_inline"])
    )
    body = renderer.render(decision_markdown(decision))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>"
        f"<p>{html.escape(signature)}</p><p>{html.escape(link)}</p>{picture}{body}</html>"
    )
