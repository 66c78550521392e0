"""Runs Python as root or as an account without rights, with code that this account can read."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOBODY_ID = 65534
TIMEOUT_S = 60


@cache
def public_python() -> str | None:
    """A Python of at least 3.11 that any account can run; None where there is none."""
    found = dict.fromkeys((sys.executable, "/usr/bin/python3", shutil.which("python3")))
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in filter(None, found):
        try:
            run(python, question, user=NOBODY_ID if os.geteuid() == 0 else None)
        except (subprocess.CalledProcessError, OSError):
            continue
        return python
    return None


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every account can enter, as a device's are; pytest's own is closed to others.

    Root's rights are given up on the way, and what is not handed over is still to be found.
    """
    with tempfile.TemporaryDirectory(prefix="sitewatch-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def installed_copy() -> Iterator[Path]:
    """A folder that any account can read, with the updater in it and nothing of a checkout."""
    with public_folder() as folder:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "updater", folder / "updater", ignore=ignored)
        yield folder


def run(
    python: str,
    code: str,
    *arguments: str | Path,
    path: Path | None = None,
    user: int | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own.

    Args:
        python: the interpreter.
        code: for ``-c``.
        arguments: for the code.
        path: where it finds its modules.
        user: account and group to run it as, without any other group; None: as we are.
        environment: added to a bare one.
        check: raise when it fails.

    Raises:
        subprocess.CalledProcessError: it ended with another code than 0.
    """
    done = subprocess.run(
        [python, "-P", "-B", "-c", code, *map(str, arguments)],
        env={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            **({"PYTHONPATH": str(path)} if path else {}),
            **(environment or {}),
        },
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if check and done.returncode != 0:
        sys.stderr.write(done.stderr)
        done.check_returncode()
    return done


def own_peak_bytes() -> int:
    """The most resident memory that this process ever had.

    A child starts as a copy of its parent, and the kernel counts that copy into the child's peak
    (``ru_maxrss``, getrusage(2)): of a test run that has grown large, no smaller peak is told.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
