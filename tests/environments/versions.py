"""Prints in one line which Python and which packages an environment has."""

import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("numpy", "av", "paho-mqtt", "Pillow", "ai-edge-litert", "tflite-runtime")


def version_or_none(package: str) -> str:
    """The installed version, or ``none``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


print(
    f"Python {sys.version.split()[0]},",
    ", ".join(f"{package} {version_or_none(package)}" for package in PACKAGES),
)
