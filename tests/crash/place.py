"""A device in a folder: store, keys, bundles, configuration, and a copy of the code that runs.

The code is copied so that a run is the same however long the sweep takes: system calls are counted
from the interpreter's start.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import trace
from tests.crash.trace import Call
from tests.support.models import write_bundle
from updater import bundle as bundles
from updater import cli
from updater.trust import keys

ROOT = Path(__file__).resolve().parents[2]
STRACE = "strace"
TIMEOUT_S = 120.0
NOBODY_ID = 65534


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended.

    Attributes:
        code: its exit code; negative for a signal.
        out: what it said on standard output.
        err: and on standard error.
    """

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Common:
    """What every place shares and no command changes.

    Attributes:
        folder: of all.
        url: of a server that has the bundles, too; "" for none.
    """

    folder: Path
    url: str = ""

    @property
    def code(self) -> Path:
        """A copy of the packages."""
        return self.folder / "code"

    @property
    def keys(self) -> Path:
        """The trusted keys."""
        return self.folder / "keys"

    def bundle(self, version: str) -> Path:
        """A signed ``model.zip``."""
        return self.folder / f"{version}.zip"

    @classmethod
    def make(cls, folder: Path, versions: Sequence[str]) -> Common:
        """Makes it: keys, bundles of these versions, the code."""
        found = cls(folder)
        keys.generate(folder / "release.key", folder / "release.pub")
        keys.add(found.keys, folder / "release.pub")
        private = keys.load_private(folder / "release.key")
        work = write_bundle(folder / "work")
        for version in versions:
            bundles.create(work, found.bundle(version), version=version, key=private)
        for name in ("updater", "daemon"):
            shutil.copytree(
                ROOT / name, found.code / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        # Where the interpreter is closed to others, only a checkout may be run all the same.
        shutil.copy(ROOT / "setup.cfg", found.code)
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", found.code], check=True, timeout=TIMEOUT_S
        )
        return found


@dataclass(frozen=True, slots=True)
class Place:
    """One store, and commands on it.

    Attributes:
        common: keys, bundles, code.
        folder: its own.
        settings: of the configuration's top level.
    """

    common: Common
    folder: Path
    settings: Mapping[str, int] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The store."""
        return self.folder / "store"

    def copy(self, folder: Path) -> Place:
        """The same elsewhere, owners and all; what was there is gone."""
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", "--", self.folder, folder], check=True, timeout=TIMEOUT_S)
        return Place(self.common, folder, self.settings)

    def arguments(self, *arguments: str) -> list[str]:
        """A command's whole line of arguments."""
        config = self.folder / "update.toml"
        if not config.exists():
            config.write_text(self._configuration())
        return [
            *map(self._named, arguments),
            *("--config", str(config), "--store", str(self.store)),
            *("--keys", str(self.common.keys)),
        ]

    def succeed(self, *arguments: str) -> Answer:
        """Runs a command that must succeed."""
        answer = self.run(*arguments)
        assert answer.code == 0, f"{arguments}: {answer.err}"
        return answer

    def run(self, *arguments: str) -> Answer:
        """Runs a command in a forked copy of this process, which has loaded everything already.

        It is the same from the first line of ``main`` on; only the time of a start is saved.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _become(self.arguments(*arguments), out.fileno(), err.fileno())
            _, status = os.waitpid(child, 0)
            out.seek(0)
            err.seek(0)
            return Answer(
                os.waitstatus_to_exitcode(status),
                out.read().decode(errors="replace"),
                err.read().decode(errors="replace"),
            )

    def traced(
        self, *arguments: str, options: Sequence[str] = (), data_bytes: int = 0
    ) -> tuple[Answer, list[Call]]:
        """Runs a command as a process of its own under strace; what it did.

        Only the command's own process is looked at: the self-test's, its child, writes nothing.
        """
        log = self.folder / "strace.log"
        done = subprocess.run(
            [
                STRACE, "-o", log, *trace.options(data_bytes=data_bytes), *options,
                sys.executable, "-B", "-m", "updater", *self.arguments(*arguments),
            ],
            cwd="/",
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONPATH": str(self.common.code),
                # The same order of everything in each run.
                "PYTHONHASHSEED": "0",
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip
        calls = list(trace.parse(log.read_text().splitlines(), folder="/"))
        return Answer(done.returncode, done.stdout, done.stderr), calls

    def kill(self, call: str, number: int, *arguments: str) -> None:
        """Kills a command at one of its calls that touch the store, counted among these."""
        twin = self.copy(self.folder.with_name(f"{self.folder.name}-twin"))
        _, calls = twin.traced(*arguments)
        touching = [c for c in calls if c.name == call and c.touches([str(twin.store)])]
        at = touching[number - 1].number
        answer, _ = self.traced(*arguments, options=killing(call, at))
        assert answer.code < 0, answer.err

    def _named(self, text: str) -> str:
        """``{1.0}`` is the file with that bundle, ``{url:1.0}`` its address."""
        if not text.startswith("{"):
            return text
        scheme, _, version = text.strip("{}").rpartition(":")
        return f"{self.common.url}/{version}.zip" if scheme else str(self.common.bundle(version))

    def _configuration(self) -> str:
        # The device's kind is given: what it says of itself is read outside of the store.
        runtime = "litert" if importlib.util.find_spec("ai_edge_litert") else "tflite-runtime"
        settings = {"status_file": str(self.folder / "status.json"), **self.settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        return "\n".join([*lines, "[selftest]", f'runtime = "{runtime}"', "threads = 1", ""])


def killing(call: str, number: int) -> list[str]:
    """strace's options that kill at a call."""
    return ["-e", f"inject={call}:signal=SIGKILL:when={number}"]


def failing(call: str, number: int, error: str) -> list[str]:
    """strace's options that let a call fail, not done."""
    return ["-e", f"inject={call}:error={error}:when={number}"]


def _become(arguments: list[str], out: int, err: int) -> None:
    """The command, in the child of a fork: it never returns."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.chdir("/")
        code = cli.main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        if sys.exc_info()[0] is not None:  # as the interpreter does at the end of a program
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
