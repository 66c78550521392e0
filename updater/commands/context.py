"""What every command is told besides its own arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from updater.settings import UpdateConfig
from updater.trust.keys import KeyRing


@dataclass(frozen=True, slots=True)
class Context:
    """One run of ``sitewatch-update``.

    Attributes:
        settings: the configuration, with ``--store`` and ``--keys`` taken over. Where rights were
            given up, ``settings.store`` is the working directory.
        floor: the model that came with the software, None where there is none.
        as_json: results are printed as one JSON object.
        opened: files named in arguments, opened before rights were given up, by the argument's
            name: what only root may read is opened by root and parsed by somebody else.
        ring: the trusted keys, for the commands that ask for them (``needs_keys``). Root's own
            files, read by root: their folder may be closed to others.
    """

    settings: UpdateConfig
    floor: Path | None
    as_json: bool
    opened: Mapping[str, BinaryIO] = field(default_factory=dict)
    ring: KeyRing = field(default_factory=KeyRing)


Command = Callable[[argparse.Namespace, Context], int]
"""Runs a command and returns its exit code; errors are raised."""
