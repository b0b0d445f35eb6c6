"""What the pages of all benchmarks are made of: tables and plots in one HTML file that needs no other."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.figure import Figure

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-size: 13px; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th { border-bottom: 2px solid #888; }
td.text, th.text { text-align: left; }
tr.ours { background: #eef4ff; font-weight: 600; }
tr.floor { color: #777; }
tr.exact { color: #555; font-style: italic; }
.yes { color: #0a7a2f; } .no { color: #b3261e; }
svg { max-width: 100%; height: auto; }
"""
TEXT = frozenset({"contender", "error", "goal", "setting", "job", "stream", "measure", ""})  # columns set to the left


def table(headings: Iterable[str], lines: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Give a table; each line comes with its class."""

    def row(tag: str, texts: Iterable[str], kind: str = "") -> str:
        cells = (
            f"<{tag}{' class=text' if heading in TEXT or not i else ''}>{html.escape(cell)}</{tag}>"
            for i, (heading, cell) in enumerate(zip(headings, texts, strict=True))
        )
        return f'<tr class="{kind}">{"".join(cells)}</tr>'

    headings = list(headings)
    return f"<table>{row('th', headings)}{''.join(row('td', texts, kind) for kind, texts in lines)}</table>"


def svg(figure: Figure, salt: str) -> str:
    """Give a plot as SVG, the same one each time; `salt` tells it from the others of the page."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def document(title: str, parts: Iterable[str]) -> str:
    """Give the page."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>"
    )
