"""Fixtures for all tests. Servers and other tools of the tests are in ``tests.support``."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

if importlib.util.find_spec("hypothesis"):  # the cloud side's environment has none
    from hypothesis import settings

    # No test asserts on wall time, which is what hypothesis does unless told. CI tries the same
    # examples each time, so that what it finds is the change's doing; everybody else new ones.
    settings.register_profile("sitewatch", deadline=None, derandomize=bool(os.environ.get("CI")))
    settings.load_profile("sitewatch")

ROOT = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "SITEWATCH_DATA"
"""Names the folder with the in-house photographs, clips and weights."""


CLOUD_SIDE = ("test_cloud_", "test_labelling_", "test_prepare", "test_valohai")
"""Tests of scripts that never run on a device, and so not with its versions of libraries."""


def find_shared_data() -> Path | None:
    """The folder of the in-house data, or None where there is none.

    Raises:
        pytest.UsageError: the variable names a folder that does not exist: a typing error must
            not silently skip tests.
    """
    named = os.environ.get(DATA_VARIABLE)
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        raise pytest.UsageError(f"{DATA_VARIABLE}={named}: no such folder")
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses the fixture, and skips what is marked where the data is absent."""
    absent = find_shared_data() is None
    skip = pytest.mark.skip(reason=f"no in-house data: set {DATA_VARIABLE} to its folder")
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared_data)
        if item.path.name.startswith(CLOUD_SIDE):
            item.add_marker(pytest.mark.once)
        if absent and item.get_closest_marker("shared_data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the in-house data: ``hardhat/``, ``videos/``, ``weights/``."""
    folder = find_shared_data()
    assert folder is not None, "tests without the data are skipped at collection"
    return folder


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds ``setup.cfg``."""
    return ROOT


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The model bundle that the package ships; SITEWATCH_BUNDLE tests another one."""
    return Path(os.environ.get("SITEWATCH_BUNDLE") or ROOT / "packaging" / "model")
