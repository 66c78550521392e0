"""Reads the TOML file into :class:`daemon.config.Config`, strictly."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from daemon.alerts.hours import ActiveHours
from daemon.alerts.zones import Zones
from daemon.config import Config
from updater import options
from updater.errors import ConfigError


def load(path: Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key (the nearest known one is suggested), a
            value of the wrong type or out of range, or fields that do not fit each other.
    """
    config = options.load(Config, path)
    check_whole(config, where=str(path))
    return config


def parse(text: str, *, where: str) -> Config:
    """Reads a configuration from TOML text; ``where`` is named in errors.

    Raises:
        ConfigError: as for :func:`load`.
    """
    config = options.parse(Config, text, where=where)
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
