"""Writes what documents the configuration, from the fields themselves: they cannot disagree."""

from __future__ import annotations

import json
import typing
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from daemon.config import Config, ZoneConfig
from daemon.configfile import TOML_TYPE_NAMES, plain_type


def render_default() -> str:
    """The default configuration as TOML in which every field is explained and commented out."""
    lines = [
        "# Sitewatch's configuration. Every field is here with its default, commented out.",
        "# Check it with: sitewatch check-config",
        "# Take it over with: systemctl reload sitewatch (fields marked [restart] need a restart)",
    ]
    for section in fields(Config):
        if section.name == "zones":
            lines += ["", "# One [[zones]] block a zone; none: the whole picture counts."]
            lines += ["# [[zones]]"]
            entries = fields(ZoneConfig)
        else:
            lines += ["", f"[{section.name}]"]
            entries = fields(_section_type(section.name))
        for entry in entries:
            mark = "" if entry.metadata["reload"] or section.name == "zones" else " [restart]"
            lines += _wrap(f"{entry.metadata['doc']}{_limits(entry)}{mark}")
            lines += [f"#{entry.name} = {_toml_value(_default(entry))}"]
    return "\n".join(lines) + "\n"


def render_reference() -> str:
    """The same as a Markdown reference, one table a section."""
    lines = [
        "# Configuration",
        "",
        "One TOML file, `/etc/sitewatch/sitewatch.toml`. Unknown keys are errors. A field marked",
        "*live* is taken over by `systemctl reload sitewatch`; the others need a restart.",
    ]
    for section in fields(Config):
        is_zones = section.name == "zones"
        section_type = ZoneConfig if is_zones else _section_type(section.name)
        hints = get_type_hints(section_type)
        title = "[[zones]]" if is_zones else f"[{section.name}]"
        lines += ["", f"## `{title}`", "", (section_type.__doc__ or "").strip(), ""]
        lines += ["| field | type | default | live | meaning |", "|---|---|---|---|---|"]
        for entry in fields(section_type):
            live = "yes" if entry.metadata["reload"] or is_zones else ""
            lines.append(
                f"| `{entry.name}` | {_type_name(hints[entry.name])} "
                f"| `{_toml_value(_default(entry))}` | {live} "
                f"| {entry.metadata['doc']}{_limits(entry)} |"
            )
    return "\n".join(lines) + "\n"


def _section_type(name: str) -> type[Any]:
    return typing.cast(type[Any], get_type_hints(Config)[name])


def _default(entry: Field[Any]) -> Any:
    assert entry.default is not MISSING  # every option() gives one
    return entry.default


def _limits(entry: Field[Any]) -> str:
    least, most = entry.metadata["minimum"], entry.metadata["maximum"]
    if entry.metadata["choices"]:
        return f" One of: {', '.join(entry.metadata['choices'])}."
    return "" if least is None else f" From {least:.10g} to {most:.10g}."


def _type_name(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return "list"
    return TOML_TYPE_NAMES[plain_type(hint)]


def _toml_value(value: Any) -> str:
    if value is None:
        return '"/path/to/file"'
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
