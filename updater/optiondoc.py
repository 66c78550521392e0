"""Writes what documents a configuration, from the fields themselves: they cannot disagree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from updater.options import TOML_TYPE_NAMES, plain_type, section_type


@dataclass(frozen=True, slots=True)
class _Section:
    """One table of the file; the options outside of any table are the first, nameless one."""

    name: str
    kind: type[Any]
    repeated: bool
    entries: tuple[Field[Any], ...]


def render_default(kind: type[Any], heading: Sequence[str], *, reloads: bool) -> str:
    """The default configuration as TOML in which every field is explained and commented out.

    Args:
        kind: the configuration's dataclass.
        heading: lines at the top, without ``#``.
        reloads: whether a running process takes over some fields; the others are marked.
    """
    lines = [f"# {line}" for line in heading]
    for section in _sections(kind):
        if section.repeated:
            lines += ["", *_wrap(_doc(section.kind)), f"# [[{section.name}]]"]
        else:
            lines += ["", f"[{section.name}]"] if section.name else [""]
        for entry in section.entries:
            stays = reloads and not entry.metadata["reload"] and not section.repeated
            mark = " [restart]" if stays else ""
            lines += _wrap(f"{entry.metadata['doc']}{_limits(entry)}{mark}")
            if _default(entry) is None:
                lines += [f'# Not set. To set it: {entry.name} = "FILE"']
            else:
                lines += [f"#{entry.name} = {_toml_value(_default(entry))}"]
    return "\n".join(lines) + "\n"


def render_reference(kind: type[Any], heading: Sequence[str], *, reloads: bool) -> str:
    """The same as a Markdown reference, one table a section.

    Args:
        kind: the configuration's dataclass.
        heading: lines at the top, as Markdown.
        reloads: whether a running process takes over some fields; a column says which.
    """
    lines = list(heading)
    for section in _sections(kind):
        hints = get_type_hints(section.kind)
        if section.name:
            title = f"[[{section.name}]]" if section.repeated else f"[{section.name}]"
            lines += ["", f"## `{title}`", "", _doc(section.kind)]
        columns = ["field", "type", "default", *(["live"] if reloads else []), "meaning"]
        lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for entry in section.entries:
            default = _default(entry)
            cells = [
                f"`{entry.name}`",
                _type_name(hints[entry.name]),
                "none" if default is None else f"`{_toml_value(default)}`",
                f"{entry.metadata['doc']}{_limits(entry)}",
            ]
            if reloads:
                live = entry.metadata["reload"] or section.repeated
                cells.insert(3, "yes" if live else "")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _sections(kind: type[Any]) -> Iterator[_Section]:
    hints = get_type_hints(kind)
    plain = tuple(entry for entry in fields(kind) if section_type(hints[entry.name]) is None)
    if plain:
        yield _Section("", kind, repeated=False, entries=plain)
    for entry in fields(kind):
        if found := section_type(hints[entry.name]):
            inner, repeated = found
            yield _Section(entry.name, inner, repeated, fields(inner))


def _doc(kind: type[Any]) -> str:
    """The docstring's first paragraph."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def _default(entry: Field[Any]) -> Any:
    assert entry.default is not MISSING  # every option() gives one
    return entry.default


def _limits(entry: Field[Any]) -> str:
    least, most = entry.metadata["minimum"], entry.metadata["maximum"]
    if entry.metadata["choices"]:
        return f" One of: {', '.join(entry.metadata['choices'])}."
    return "" if least is None else f" From {_figure(least)} to {_figure(most)}."


def _figure(value: float) -> str:
    """``100000000000`` rather than ``1e+11``: what stands here is copied into the file."""
    return str(int(value)) if value == int(value) else f"{value:.10g}"


def _type_name(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return "list"
    return TOML_TYPE_NAMES[plain_type(hint)]


def _toml_value(value: Any) -> str:
    if isinstance(value, Path):
        return json.dumps(str(value))
    if isinstance(value, tuple):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(value)


def _wrap(text: str, width: int = 96) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return [*lines, line]
