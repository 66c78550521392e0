"""Where a model comes from: data, commit, execution and settings, carried along to the bundle.

On Valohai the commit and the execution are in ``execution.json``
(https://docs.valohai.com/executions/system-configuration-files, keys
``valohai.commit-identifier`` and ``valohai.execution-id``); elsewhere git is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from training.identity import DataIdentity
from updater.errors import UsageError

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_GIT_TIMEOUT_S: Final = 20.0
_BETWEEN: Final = ", "

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Of a training run.

    Attributes:
        data: It was trained and judged on.
        commit: Of the code, with ``-dirty`` behind it where files differed; "" where unknown;
            several, if it went on with another.
        execution: Valohai's id of it; "" elsewhere.
        settings: By name; no paths, for those tell of a machine and nothing of the model.
    """

    data: DataIdentity
    commit: str
    execution: str
    settings: Mapping[str, Setting]

    def facts(self) -> dict[str, str]:
        """As a manifest's provenance and a file's properties have it."""
        found = {
            "dataset_version": self.data.version,
            "val_sha256": self.data.val_sha256,
            "pictures": f"{self.data.train_pictures} to train, {self.data.val_pictures} to judge",
            "commit": self.commit,
            "execution": self.execution,
            "settings": ", ".join(f"{name} {value}" for name, value in self.settings.items()),
        }
        return {name: text for name, text in found.items() if text}

    def after(self, before: Origin) -> Origin:
        """Of a run that goes on: every commit and execution that had a part in it, in order."""
        return replace(
            self,
            commit=_joined(before.commit, self.commit),
            execution=_joined(before.execution, self.execution),
        )

    def to_plain(self) -> dict[str, object]:
        """As a checkpoint keeps it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, object]) -> Origin | None:
        """From a checkpoint; None from one that does not tell."""
        data, settings = plain.get("data"), plain.get("settings")
        if not isinstance(data, dict) or not isinstance(settings, dict):
            return None
        return cls(
            DataIdentity(**data), str(plain["commit"]), str(plain["execution"]), dict(settings)
        )


def origin_of(data: DataIdentity, settings: Mapping[str, Setting]) -> Origin:
    """Of a run that starts now.

    Raises:
        UsageError: Valohai's ``execution.json`` cannot be read.
    """
    told = _execution()
    commit = str(told.get("valohai.commit-identifier") or "") or _git_commit(_REPOSITORY)
    return Origin(data, commit, str(told.get("valohai.execution-id") or ""), settings)


def _joined(before: str, now: str) -> str:
    words = [*before.split(_BETWEEN), now]
    return _BETWEEN.join(dict.fromkeys(word for word in words if word))


def _execution() -> dict[str, object]:
    folder = os.environ.get("VH_CONFIG_DIR")
    path = Path(folder, "execution.json") if folder else None
    if path is None or not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from error
    return found if isinstance(found, dict) else {}


def _git_commit(folder: Path) -> str:
    """The commit that is checked out; "" without git, or where this is no repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and _git(folder, "status", "--porcelain") else commit


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # no git here: then nobody knows
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
