"""A report as one HTML file: nothing to load, nothing that runs, every text escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import Final

#: Colours of classes, in their order; they can be told apart on photographs and on white.
COLOURS: Final = ("#2e7d32", "#c62828", "#1565c0", "#ef6c00", "#6a1b9a", "#00838f")
_STYLE: Final = """
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;margin:.6rem 0}td,th{padding:.15rem .7rem;border:1px solid #ccc}
th{background:#f3f3f3;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:#4a7fb5;height:.8em;display:inline-block}figure{display:inline-block;margin:4px}
figcaption{font-size:11px;max-width:240px;overflow:hidden;white-space:nowrap}
.key{padding:0 .5em;color:#fff;margin-right:.4em}code{font-size:12px;word-break:break-all}
img.chart{max-width:100%}
"""
_CODE_CHARACTERS: Final = 40  # longer texts (paths, checksums) are set as code, which may be broken

Row = Sequence[object]


class Bar:
    """A bar in a table: a share of the longest one."""

    def __init__(self, value: int, most: int) -> None:
        self.html = f'<span class="bar" style="width:{12 * value / max(most, 1):.2f}em"></span>'


class Shade:
    """A number on a ground that is the darker the greater its share, 0 to 1."""

    def __init__(self, value: int, share: float) -> None:
        self.value = value
        self.style = f"background:rgba(74,127,181,{min(max(share, 0.0), 1.0):.2f})"


def page(title: str, sections: Iterable[str]) -> str:
    """The whole file; ``sections`` are HTML already, ``title`` is not."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>{''.join(sections)}</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Row]) -> str:
    """A table; whole numbers stand to the right, `Bar` and `Shade` are drawn."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(each)}</th>" for each in head) + "</tr>"]
    lines.extend("<tr>" + "".join(_cell(each) for each in row) + "</tr>" for row in rows)
    return f"<table>{''.join(lines)}</table>"


def figure(jpeg: bytes, caption: str) -> str:
    """A small picture with the text below it."""
    text = html.escape(caption)
    return (
        f'<figure title="{text}"><img src="{data_uri("image/jpeg", jpeg)}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def key(names: Sequence[str]) -> str:
    """Which colour means which class."""
    return "".join(
        f'<span class="key" style="background:{colour(name, names)}">{html.escape(name)}</span>'
        for name in names
    )


def colour(name: str, names: Sequence[str]) -> str:
    """The colour of a class among others."""
    return COLOURS[names.index(name) % len(COLOURS)]


def data_uri(kind: str, content: bytes) -> str:
    """Content that is written into the page; as an image it cannot run scripts, SVG included."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _cell(value: object) -> str:
    if isinstance(value, Bar):
        return f"<td>{value.html}</td>"
    if isinstance(value, Shade):
        return f'<td class="n" style="{value.style}">{value.value}</td>'
    if isinstance(value, int):
        return f'<td class="n">{value}</td>'
    text = html.escape(str(value))
    long = len(text) > _CODE_CHARACTERS
    return f"<td><code>{text}</code></td>" if long else f"<td>{text}</td>"
