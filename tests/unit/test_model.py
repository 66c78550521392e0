from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import ModelConfig
from daemon.detection.model import (
    DEFAULT_THRESHOLDS,
    LABELS_MAX_BYTES,
    read_bundle,
    read_listed,
    read_model,
)
from tests.support.models import CLASSES, FOLDER, STRIDES, config, write_bundle
from updater import manifest
from updater.errors import BundleError, ModelError


def test_a_bundle(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")

    files = read_model(ModelConfig(bundle=folder))

    content = (FOLDER / "head_maps_int8.tflite").read_bytes()
    assert files.content == content
    assert files.sha256 == hashlib.sha256(content).hexdigest()
    assert (files.version, files.classes) == ("2026.11.22", CLASSES)
    assert files.thresholds.score == 0.4
    assert files.input is not None
    assert files.output is not None
    assert (files.input.width, files.output.strides) == (64, STRIDES)


def test_a_bundle_through_the_stores_link(tmp_path: Path) -> None:
    write_bundle(tmp_path / "releases/1")
    (tmp_path / "current").symlink_to("releases/1")
    assert read_model(ModelConfig(bundle=tmp_path / "current")).version == "2026.11.22"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda data: data[:-1], "bytes instead of the manifest's"),
        (lambda data: data + b"x", "more bytes instead"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "sha256 is not the manifest's"),
    ],
)
def test_a_model_that_is_not_the_manifests(
    tmp_path: Path, change: Callable[[bytes], bytes], match: str
) -> None:
    folder = write_bundle(tmp_path / "bundle")
    path = folder / "model.tflite"
    path.write_bytes(change(path.read_bytes()))

    with pytest.raises(BundleError, match=match) as caught:
        read_bundle(folder)

    assert str(path) in str(caught.value)


def test_a_model_that_is_missing(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "model.tflite").unlink()
    with pytest.raises(BundleError, match="No such file"):
        read_bundle(folder)


@pytest.mark.parametrize("minimum", ["0.1.1", "0.2", "1", "0.1.0.1"])
def test_a_bundle_for_a_newer_daemon(tmp_path: Path, minimum: str) -> None:
    folder = write_bundle(tmp_path / "bundle", minimum_daemon=minimum)
    with pytest.raises(BundleError, match=f"needs Sitewatch {minimum} or newer"):
        read_bundle(folder)


@pytest.mark.parametrize("minimum", ["0.1", "0.1.0", "0", "0.0.9-rc1"])
def test_a_bundle_for_this_daemon_or_an_older_one(tmp_path: Path, minimum: str) -> None:
    assert read_bundle(write_bundle(tmp_path / "bundle", minimum_daemon=minimum)).classes


def test_a_file_that_the_manifest_does_not_list(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "other").write_text("x")
    with pytest.raises(BundleError, match="not listed"):
        read_listed(folder, manifest.read(folder), "other")


def test_a_bare_model(tmp_path: Path) -> None:
    files = read_model(config(tmp_path))

    assert files.classes == CLASSES
    assert files.version == f"sha256:{files.sha256[:12]}"
    assert files.thresholds == DEFAULT_THRESHOLDS
    assert files.input is None
    assert files.output is None


def test_labels_beside_a_bare_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.tflite"
    path.write_bytes((FOLDER / "head_maps_int8.tflite").read_bytes())
    (tmp_path / "mine.txt").write_bytes(b"\xef\xbb\xbfred\r\n\r\nyellow\r\n")
    assert read_model(ModelConfig(bundle=path)).classes == CLASSES


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "needs 1 to 1000 class names"),
        (b"red\nred\n", "each once"),
        (b"red\n\xff\xfe", "not UTF-8"),
        (b"x" * 101, "longer than 100"),
        (b"a\n" * LABELS_MAX_BYTES, f"more than {LABELS_MAX_BYTES} bytes"),
        ("\n".join(map(str, range(1001))).encode(), "needs 1 to 1000"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, content: bytes, match: str) -> None:
    wanted = config(tmp_path)
    assert wanted.labels is not None
    wanted.labels.write_bytes(content)
    with pytest.raises(ModelError, match=match) as caught:
        read_model(wanted)
    assert str(wanted.labels) in str(caught.value)


def test_missing_labels_say_what_to_do(tmp_path: Path) -> None:
    wanted = replace(config(tmp_path), labels=tmp_path / "absent.txt")
    with pytest.raises(ModelError, match="one class name a line"):
        read_model(wanted)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"PK\x03\x04 not a model at all")
    with pytest.raises(ModelError, match=r"is not a \.tflite model"):
        read_model(ModelConfig(bundle=path))


@pytest.mark.parametrize("name", ["absent", "absent.tflite", "model.onnx"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    with pytest.raises((BundleError, ModelError)) as caught:
        read_model(ModelConfig(bundle=tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
