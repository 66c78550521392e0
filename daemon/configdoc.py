"""The daemon's default configuration file and its reference, written from its fields."""

from __future__ import annotations

from daemon.config import Config
from updater import optiondoc

DEFAULT_HEADING = (
    "Sitewatch's configuration. Every field is here with its default, commented out.",
    "Check it with: sitewatch check-config",
    "Take it over with: systemctl reload sitewatch (fields marked [restart] need a restart)",
)
REFERENCE_HEADING = (
    "# Configuration",
    "",
    "One TOML file, `/etc/sitewatch/sitewatch.toml`. Unknown keys are errors. A field marked",
    "*live* is taken over by `systemctl reload sitewatch`; the others need a restart.",
)


def render_default() -> str:
    """``packaging/sitewatch.toml``."""
    return optiondoc.render_default(Config, DEFAULT_HEADING, reloads=True)


def render_reference() -> str:
    """``docs/configuration.md``."""
    return optiondoc.render_reference(Config, REFERENCE_HEADING, reloads=True)
