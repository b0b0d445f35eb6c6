"""Pieces of HTML pages that need nothing beside themselves."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from html import escape

__all__ = ["STYLE", "figure", "table", "tiles"]

STYLE = """
:root { --ink: #1f2933; --muted: #616e7c; --line: #e4e7eb; --accent: #2a6f97; }
* { box-sizing: border-box; }
body { margin: 0; background: #f7f8fa; color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; margin: 3.2rem 0 .6rem; }
p { max-width: 44rem; margin: .5rem 0 1rem; }
.lead, figcaption, .note { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem; margin: 2rem 0; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .9rem; }
figure, .table { background: #fff; border: 1px solid var(--line); border-radius: .6rem; margin: 1.2rem 0;
  padding: 1.2rem 1.2rem 1rem; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .9rem; margin-top: .8rem; max-width: 48rem; }
.table { overflow-x: auto; padding: .4rem 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--muted); padding: .55rem .5rem; white-space: nowrap; }
td { text-align: right; border-top: 1px solid var(--line); padding: .5rem; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; }
th:last-child, td:last-child { padding-right: 0; }
td small { color: var(--muted); }
.no { color: #c8553d; font-weight: 600; }
@media (max-width: 44rem) {
  main { padding: 2rem .8rem 3rem; }
  figure { overflow-x: auto; }
  figure svg { min-width: 30rem; }
  .table { padding: .4rem .7rem; }
  th, td { padding-left: .3rem; padding-right: .3rem; }
}
"""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Container[int] = ()) -> str:
    """Write a table; cells are HTML already. Columns of words go to the left, as the first does."""

    def cells(tag: str, texts: Iterable[str]) -> str:
        return "".join(f"<{tag}{' class=text' if i in left else ''}>{text}</{tag}>" for i, text in enumerate(texts))

    head = f"<thead><tr>{cells('th', map(escape, header))}</tr></thead>" if any(header) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<div class=table><table>{head}<tbody>{body}</tbody></table></div>"


def figure(svg: str, caption: str) -> str:
    """Frame an image."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Lay out large figures, each with what it means."""
    inner = "".join(f"<div class=tile><b>{escape(big)}</b><span>{escape(small)}</span></div>" for big, small in pairs)
    return f"<div class=tiles>{inner}</div>"
