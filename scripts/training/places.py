"""Where a step reads and writes: Valohai's folders when run there, else local ones."""

from __future__ import annotations

import os
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]


def shared_data() -> Path:
    """The folder with ``hardhat/``, ``weights/`` and ``videos/``."""
    return Path(os.environ.get("SITEWATCH_DATA", _REPOSITORY.parent / "shared" / "data"))


def input_folder(name: str, local: Path) -> Path:
    """Input ``name`` of a Valohai execution, or ``local`` elsewhere."""
    root = os.environ.get("VH_INPUTS_DIR")
    return Path(root) / name if root else local


def input_path(path: Path) -> Path:
    """A relative path, taken as below Valohai's inputs when run there."""
    root = os.environ.get("VH_INPUTS_DIR")
    return Path(root) / path if root else path


def output_folder(name: str) -> Path:
    """Where a step's results go: Valohai's outputs, or ``build/<name>`` in the repository."""
    root = os.environ.get("VH_OUTPUTS_DIR")
    return Path(root) / name if root else _REPOSITORY / "build" / name
