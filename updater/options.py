"""Configuration as typed data: a TOML file read strictly into frozen dataclasses.

A section is a frozen dataclass whose fields are made by :func:`option`; what no single field can
tell it may check in ``__post_init__``, with the field's name as the error's ``where``. A
configuration is a frozen dataclass of options and sections. The daemon's and the updater's are both
read here, and ``updater.optiondoc`` writes their documentation from the same fields.
"""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from dataclasses import Field, field, fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args, get_origin, get_type_hints

from updater.errors import ConfigError

CONFIG_MAX_BYTES = 1_000_000
TOML_TYPE_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
}

Kind = TypeVar("Kind")


def option(
    default: Any,
    doc: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    reload: bool = False,
) -> Any:
    """A configuration field.

    Args:
        default: the value when the file does not name it.
        doc: one or two sentences for the person who edits the file, unit included.
        minimum: least value allowed, for numbers.
        maximum: greatest value allowed, for numbers.
        choices: the only values allowed, for text.
        reload: whether a running daemon takes over a changed value without a restart.
    """
    metadata = {
        "doc": doc,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "reload": reload,
    }
    return field(default=default, metadata=metadata)


def load(kind: type[Kind], path: Path) -> Kind:
    """Reads a configuration file.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key (the nearest known one is suggested), or a
            value of the wrong type or out of range.
    """
    try:
        with path.open("rb") as file:
            return read(kind, file, where=str(path))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            hint="Name another file with --config",
        ) from error


def read(kind: type[Kind], file: BinaryIO, *, where: str) -> Kind:
    """Reads a configuration from an open file; ``where`` is named in errors.

    Raises:
        ConfigError: as for :func:`load`.
        OSError: the file cannot be read.
    """
    data = file.read(CONFIG_MAX_BYTES + 1)
    if len(data) > CONFIG_MAX_BYTES:
        raise ConfigError(f"larger than {CONFIG_MAX_BYTES} bytes", where=where)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error}", where=where) from error
    return parse(kind, text, where=where)


def parse(kind: type[Kind], text: str, *, where: str) -> Kind:
    """Reads a configuration from TOML text; ``where`` is named in errors.

    Raises:
        ConfigError: as for :func:`load`.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", where=where) from error
    return typing.cast(Kind, _table(kind, raw, where, ""))


def plain_type(hint: Any) -> type[Any]:
    """``Path`` for ``Path | None``, and a plain type for itself."""
    if isinstance(hint, types.UnionType):
        return typing.cast(
            type[Any], next(kind for kind in get_args(hint) if kind is not types.NoneType)
        )
    return typing.cast(type[Any], hint)


def section_type(hint: Any) -> tuple[type[Any], bool] | None:
    """The dataclass behind a field that is a section, and whether it may be repeated.

    ``Section`` is written ``[name]`` in the file, ``tuple[Section, ...]`` is ``[[name]]``; for a
    plain field there is none.
    """
    if is_dataclass(hint):
        return typing.cast(type[Any], hint), False
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        return typing.cast(type[Any], get_args(hint)[0]), True
    return None


def _table(kind: type[Any], raw: Any, where: str, path: str) -> Any:
    """A dataclass from a TOML table."""
    if not isinstance(raw, dict):
        raise ConfigError("must be a table", where=f"{where}: {path}")
    known = {entry.name: entry for entry in fields(kind)}
    hints = get_type_hints(kind)
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(sorted(known))}"
            raise ConfigError(f"unknown key '{key}'", where=_at(where, path), hint=hint)
    values = {
        name: _value(hints[name], known[name], raw[name], where, f"{path}.{name}".lstrip("."))
        for name in raw
    }
    try:
        return kind(**values)
    except ConfigError as error:  # a section's own check of its fields against each other
        inner = ".".join(filter(None, (path, error.where)))
        raise ConfigError(error.what, where=_at(where, inner), hint=error.hint) from error


def _value(hint: Any, entry: Field[Any], raw: Any, where: str, path: str) -> Any:
    """One value, converted to the field's type and checked against its limits."""
    if section := section_type(hint):
        kind, repeated = section
        if not repeated:
            return _table(kind, raw, where, path)
        if not isinstance(raw, list):
            raise ConfigError(f"must be written as [[{path}]]", where=_at(where, path))
        return tuple(
            _table(kind, item, where, f"{path}[{index}]") for index, item in enumerate(raw)
        )
    value = _convert(hint, raw, _at(where, path))
    least, most = entry.metadata["minimum"], entry.metadata["maximum"]
    if least is not None and value < least:
        raise ConfigError(f"{value} is less than {least:g}", where=_at(where, path))
    if most is not None and value > most:
        raise ConfigError(f"{value} is more than {most:g}", where=_at(where, path))
    choices = entry.metadata["choices"]
    if choices is not None and value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        meant = f"Did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"'{value}' is not allowed", where=_at(where, path),
            hint=f"{meant}Allowed: {', '.join(choices)}",
        )  # fmt: skip
    return value


def _convert(hint: Any, raw: Any, at: str) -> Any:
    """A TOML value as the type ``hint``; the float 3 may be written 3, nothing else is bent."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if not isinstance(raw, list):
            raise ConfigError("must be a list", where=at)
        if inner[-1] is Ellipsis:
            return tuple(
                _convert(inner[0], item, f"{at}[{index}]") for index, item in enumerate(raw)
            )
        if len(raw) != len(inner):
            raise ConfigError(f"must be a list of {len(inner)} values", where=at)
        return tuple(_convert(kind, item, at) for kind, item in zip(inner, raw, strict=True))
    wanted = plain_type(hint)
    if wanted is float and type(raw) is int:
        raw = float(raw)
    if wanted is float and type(raw) is float and raw - raw != 0.0:
        raise ConfigError("must be a finite number", where=at)
    if wanted is Path and isinstance(raw, str):
        if not raw:
            raise ConfigError("must not be empty", where=at, hint="Leave the field out instead")
        return Path(raw).expanduser()
    if type(raw) is not wanted:
        raise ConfigError(f"must be a {TOML_TYPE_NAMES[wanted]}, not {raw!r}", where=at)
    return raw


def _at(where: str, path: str) -> str:
    return f"{where}: {path}" if path else where
