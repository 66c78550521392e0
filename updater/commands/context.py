"""What every command is told besides its own arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from updater.settings import UpdateConfig


@dataclass(frozen=True, slots=True)
class Context:
    """One run of ``sitewatch-update``.

    Attributes:
        settings: the configuration, with ``--store``, ``--keys`` and ``--floor`` taken over. Where
            rights were given up, ``settings.store`` is the working directory.
        as_json: results are printed as one JSON object.
    """

    settings: UpdateConfig
    as_json: bool


Command = Callable[[argparse.Namespace, Context], int]
"""Runs a command and returns its exit code; errors are raised."""
