"""``python3 packaging/vendor.py WHEELS FOLDER``: the parts of the inference runtimes that are used.

The wheels hold much more than ``Interpreter`` needs: accelerators for graphics cards, compilers for
phones' processors, converters. What is left here was found by running the shipped model with it;
a part that a later version needs too is missed at once by the package's own tests.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

KEPT: Mapping[str, frozenset[str]] = {
    "ai_edge_litert": frozenset(
        {
            "__init__.py",
            "interpreter.py",
            "metrics_interface.py",
            "metrics_portable.py",
            "_pywrap_litert_interpreter_wrapper.so",
            "libpywrap_litert_common.so",
        }
    ),
    "tflite_runtime": frozenset(
        {
            "__init__.py",
            "interpreter.py",
            "metrics_interface.py",
            "metrics_portable.py",
            "_pywrap_tensorflow_interpreter_wrapper.so",
        }
    ),
}
METADATA = "METADATA"
"""By it the daemon knows the version: a new one is measured anew."""


def main(wheels: Path, folder: Path) -> int:
    """Unpacks every wheel there is.

    Returns:
        An exit code: 1 if a part is not where it was.
    """
    found = sorted(wheels.glob("*.whl"))
    if not found:
        print(f"vendor: no wheels are in {wheels}", file=sys.stderr)
        return 1
    for wheel in found:
        package, version = wheel.name.split("-")[:2]
        wanted = [f"{package}/{name}" for name in sorted(KEPT[package])]
        with ZipFile(wheel) as archive:
            if missing := set(wanted).difference(archive.namelist()):
                print(f"vendor: {wheel.name} lacks {', '.join(sorted(missing))}", file=sys.stderr)
                return 1
            for name in (*wanted, f"{package}-{version}.dist-info/{METADATA}"):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
