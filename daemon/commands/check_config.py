"""``sitewatch check-config``: says what is wrong with the configuration before the daemon does."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from daemon.config import DEFAULT_CONFIG_FILE, Config
from daemon.configdoc import render_default
from daemon.configfile import changes, load
from updater import manifest as manifests
from updater.errors import ConfigError

EPILOG = """\
exit codes: 0 the file is good, 3 it is not, 4 the model bundle it names is not

examples:
  sitewatch check-config
  sitewatch check-config --config site.toml
  sitewatch check-config --print-default > site.toml
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "check-config",
        help="check the configuration file and the files it names",
        description="Checks the configuration file and the files it names.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG_FILE, help="the file (default: %(default)s)"
    )
    parser.add_argument(
        "--print-default", action="store_true", help="print the commented default and end"
    )
    parser.set_defaults(run=check_config)


def check_config(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Raises:
        ConfigError: the file, or one it names, is not good.
        BundleError: the model bundle is not good.
    """
    if arguments.print_default:
        print(render_default(), end="")
        return 0
    config = load(arguments.config)
    check_named_files(config, where=str(arguments.config))
    differing = changes(Config(), config)
    print(f"{arguments.config}: good")
    for name in sorted((*differing.live, *differing.restart)):
        print(f"  {name} = {_shown(config, name)}")
    return 0


def check_named_files(config: Config, *, where: str) -> None:
    """Checks that what the configuration names is there and can be read.

    Raises:
        ConfigError: a file is missing or unreadable.
        BundleError: the model bundle is not valid.
    """
    for section in (config.mqtt, config.source):
        name = "mqtt" if section is config.mqtt else "source"
        for entry in fields(section):
            path = getattr(section, entry.name)
            if isinstance(path, Path):
                _readable(path, f"{where}: {name}.{entry.name}")
    bundle = config.model.bundle
    if bundle.suffix == ".tflite":
        _readable(bundle, f"{where}: model.bundle")
    else:
        manifests.read(bundle)


def _readable(path: Path, where: str) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", where=where) from error


def _shown(config: Config, name: str) -> object:
    if name == "zones":
        return ", ".join(zone.name for zone in config.zones)
    section, entry = name.split(".")
    value = getattr(getattr(config, section), entry)
    return str(value) if isinstance(value, Path) else value
