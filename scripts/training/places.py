"""Where a step reads and writes: Valohai's folders when run there, else local ones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from labelling.sources import Source

_REPOSITORY = Path(__file__).resolve().parents[2]


def shared_data() -> Path:
    """The folder with ``hardhat/``, ``weights/`` and ``videos/``."""
    return Path(os.environ.get("SITEWATCH_DATA", _REPOSITORY.parent / "shared" / "data"))


def input_folder(name: str, local: Path) -> Path:
    """Input ``name`` of a Valohai execution, or ``local`` elsewhere."""
    root = os.environ.get("VH_INPUTS_DIR")
    return Path(root) / name if root else local


def input_path(source: Source) -> Source:
    """The source with a relative path taken as below Valohai's inputs, when run there."""
    root = os.environ.get("VH_INPUTS_DIR")
    return replace(source, path=Path(root) / source.path) if root else source


def output_folder(name: str) -> Path:
    """Where a step's results go: Valohai's outputs, or ``build/<name>`` in the repository."""
    root = os.environ.get("VH_OUTPUTS_DIR")
    return Path(root) / name if root else _REPOSITORY / "build" / name
