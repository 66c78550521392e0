"""Tests of the cloud side: collected only where torch is installed (scripts/test-cloud)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

collect_ignore_glob: list[str] = []
if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
