"""The real ``sitewatch-update`` as a process of its own, with a store, keys and bundles."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.models import write_bundle
from updater import bundle as bundles
from updater.store.store import Store
from updater.trust import keys

TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: standard output.
        err: standard error.
    """

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """What Connect's page shows: the last line of all that was said."""
        return (self.out if self.code == 0 else self.err).strip().splitlines()[-1]


@dataclass
class Device:
    """A device's store, keys and configuration below a folder, and commands on them.

    Attributes:
        folder: of this test.
        sections: of the configuration, changed at will.
    """

    folder: Path
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = self.folder / "release.key"
        public = self.folder / "release.pub"
        keys.generate(self.key, public)
        keys.add(self.keys, public)
        self.sections = {
            "": {"status_file": str(self.folder / "status.json")},
            "selftest": {"runtime": "litert", "threads": 1},
            **self.sections,
        }

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "store"

    @property
    def keys(self) -> Path:
        """The folder of trusted keys."""
        return self.folder / "keys"

    @property
    def current(self) -> Path:
        """The link that a daemon is configured with."""
        return self.store / "current"

    def opened(self) -> Store:
        """The store, to look into."""
        return Store(self.store, None)

    def tiny(self, version: str, **options: Any) -> Path:
        """A signed bundle of a few kilobytes; for the options see ``write_bundle``."""
        return self.packed(write_bundle(self.folder / f"tiny-{version}", **options), version)

    def packed(self, folder: Path, version: str) -> Path:
        """A folder as a signed ``model.zip``."""
        out = self.folder / f"{version}.zip"
        bundles.create(folder, out, version=version, key=keys.load_private(self.key))
        return out

    def command(
        self, *arguments: str | Path, program: Sequence[str] = ("-m", "updater")
    ) -> list[str]:
        """The command line for a command on this store; ``program`` may be one around it."""
        lines = []
        for name, values in self.sections.items():
            lines += [f"[{name}]"] if name else []
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        config = self.folder / "update.toml"
        config.write_text("\n".join(lines) + "\n")
        common = ("--config", config, "--store", self.store, "--keys", self.keys)
        return [sys.executable, *program, *map(str, (*arguments, *common))]

    def run(self, *arguments: str | Path, program: Sequence[str] = ("-m", "updater")) -> Answer:
        """Runs a command to its end, from a working directory that is none of its business."""
        done = subprocess.run(
            self.command(*arguments, program=program),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(Path.cwd())},
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Starts a command and goes on."""
        return subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def status(self) -> dict[str, Any]:
        """What ``status --json`` says."""
        answer = self.run("status", "--json")
        assert answer.code == 0, answer.err
        found: dict[str, Any] = json.loads(answer.out)
        return found
