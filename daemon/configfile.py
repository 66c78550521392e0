"""Reads the TOML file into :class:`daemon.config.Config`, strictly."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from daemon.alerts.hours import ActiveHours
from daemon.alerts.zones import Zones
from daemon.config import Config
from updater.errors import ConfigError

CONFIG_MAX_BYTES = 1_000_000
TOML_TYPE_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
}


def load(path: Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key (the nearest known one is suggested), a
            value of the wrong type or out of range, or fields that do not fit each other.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            hint="Name another file with --config",
        ) from error
    if len(data) > CONFIG_MAX_BYTES:
        raise ConfigError(f"larger than {CONFIG_MAX_BYTES} bytes", where=str(path))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error}", where=str(path)) from error
    return parse(text, where=str(path))


def parse(text: str, *, where: str) -> Config:
    """Reads a configuration from TOML text; ``where`` is named in errors.

    Raises:
        ConfigError: as for :func:`load`.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", where=where) from error
    config = typing.cast(Config, _table(Config, raw, where, ""))
    check_whole(config, where=where)
    return config


def check_whole(config: Config, *, where: str) -> None:
    """Checks what no single field can tell.

    Raises:
        ConfigError: fields contradict each other, or a zone or its hours make no sense.
    """

    def refuse(field_name: str, what: str, hint: str = "") -> None:
        raise ConfigError(what, where=f"{where}: {field_name}", hint=hint)

    source, mqtt, captures = config.source, config.mqtt, config.captures
    if source.kind in ("v4l2", "rtsp", "file", "folder") and not source.location:
        refuse("source.location", f"is empty, and kind '{source.kind}' needs it")
    if source.kind == "rtsp" and not source.location.startswith(("rtsp://", "rtsps://")):
        refuse("source.location", "must start with rtsp:// or rtsps://")
    if captures.band_low >= captures.band_high:
        refuse("captures.band_low", "must be less than captures.band_high")
    if config.tracker.low_score > config.tracker.high_score:
        refuse("tracker.low_score", "must not be greater than tracker.high_score")
    if bool(mqtt.certificate_file) != bool(mqtt.key_file):
        refuse("mqtt.certificate_file", "needs mqtt.key_file, and the other way round")
    if mqtt.ca_file and not mqtt.tls:
        refuse("mqtt.ca_file", "is set, but mqtt.tls is false", "Set tls = true")
    if set(mqtt.topic_prefix) & set("+#\0") or mqtt.topic_prefix.strip("/") != mqtt.topic_prefix:
        refuse("mqtt.topic_prefix", "must not hold '+' or '#' nor begin or end with '/'")
    names = [zone.name for zone in config.zones]
    if len(set(names)) != len(names):
        refuse("zones", "two zones have the same name")
    try:
        Zones(config.zones)
        ActiveHours(config.rules.active_hours, config.rules.timezone)
        for zone in config.zones:
            ActiveHours(zone.active_hours, config.rules.timezone)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{where}: {error.where}", hint=error.hint) from error


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two configurations.

    Attributes:
        live: fields that a running daemon takes over, as ``section.field``.
        restart: fields that need a restart.
    """

    live: tuple[str, ...]
    restart: tuple[str, ...]


def changes(old: Config, new: Config) -> Changes:
    """Compares two configurations field by field; zones are taken over while running."""
    live: list[str] = []
    restart: list[str] = []
    for section in fields(Config):
        before, after = getattr(old, section.name), getattr(new, section.name)
        if section.name == "zones":
            if before != after:
                live.append("zones")
            continue
        for entry in fields(before):
            if getattr(before, entry.name) != getattr(after, entry.name):
                target = live if entry.metadata["reload"] else restart
                target.append(f"{section.name}.{entry.name}")
    return Changes(tuple(live), tuple(restart))


def take_live(old: Config, new: Config) -> Config:
    """The old configuration with those values of the new one that need no restart."""
    sections: dict[str, Any] = {"zones": new.zones}
    for section in fields(Config):
        if section.name != "zones":
            fresh = getattr(new, section.name)
            sections[section.name] = replace(
                getattr(old, section.name),
                **{
                    entry.name: getattr(fresh, entry.name)
                    for entry in fields(fresh)
                    if entry.metadata["reload"]
                },
            )
    return replace(old, **sections)


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
    return kind(**values)


def _value(hint: Any, entry: Field[Any], raw: Any, where: str, path: str) -> Any:
    """One value, converted to the field's type and checked against its limits."""
    if is_dataclass(hint):
        return _table(typing.cast(type[Any], hint), raw, where, path)
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        if not isinstance(raw, list):
            raise ConfigError(f"must be written as [[{path}]]", where=_at(where, path))
        return tuple(
            _table(typing.cast(type[Any], get_args(hint)[0]), item, where, f"{path}[{index}]")
            for index, item in enumerate(raw)
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


def plain_type(hint: Any) -> type[Any]:
    """``Path`` for ``Path | None``, and a plain type for itself."""
    if isinstance(hint, types.UnionType):
        return typing.cast(
            type[Any], next(kind for kind in get_args(hint) if kind is not types.NoneType)
        )
    return typing.cast(type[Any], hint)


def _at(where: str, path: str) -> str:
    return f"{where}: {path}" if path else where
