"""Round trips with the vendors' own packages: collected only where those are installed.

``scripts/test-cloud`` makes their environment (``scripts/labelling/requirements-test.txt``).
"""

from __future__ import annotations

import importlib.util

NEEDED = ("datumaro", "label_studio_sdk", "labelbox", "labelformat", "pycocotools", "sama")
collect_ignore_glob: list[str] = []
if any(importlib.util.find_spec(name) is None for name in NEEDED):
    collect_ignore_glob = ["test_*.py"]
