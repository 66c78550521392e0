"""Which modules a command of ``sitewatch-update`` takes along."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from updater.cli import make_parser
from updater.commands import MODULES

NETWORK = ("requests", "ssl", "http.client", "updater.upload", "updater.commands.install")


def registered(parser: argparse.ArgumentParser) -> list[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return list(action.choices)
    return []


def test_every_command_is_registered_in_the_order_of_the_list() -> None:
    assert registered(make_parser()) == list(MODULES)


@pytest.mark.parametrize("command", MODULES)
def test_a_command_is_found_in_its_module(command: str) -> None:
    assert command in registered(make_parser(command))


def test_a_recovery_brings_no_network() -> None:
    """Each start of the camera waits for it."""
    code = (
        "import sys\n"
        "from updater.cli import main\n"
        "try:\n    main(['recover', '--help'])\n"
        "except SystemExit:\n    pass\n"
        f"assert 'updater.commands.recover' in sys.modules\n"
        f"assert not set({NETWORK!r}) & set(sys.modules), set({NETWORK!r}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_is_said_before_the_name_is_understood() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "updater", "--store", "/nowhere", "gc", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "usage: sitewatch-update gc" in done.stdout
