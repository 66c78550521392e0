"""Manifest and bundle folder: what is read comes back, and every flaw is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from updater import manifest as manifests
from updater.bundle import list_files, verify_folder
from updater.cli import main
from updater.errors import BundleError
from updater.manifest import (
    GoldenObject,
    GoldenPicture,
    InputSpec,
    Manifest,
    OutputSpec,
    Thresholds,
    from_json,
    to_json,
)

ANCHORS = (((10.0, 13.0), (16.0, 30.0)), ((30.0, 61.0), (62.0, 45.0)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete bundle (its model is not a real one: nothing here runs it)."""
    folder = tmp_path / "bundle"
    (folder / "golden").mkdir(parents=True)
    (folder / "model.tflite").write_bytes(b"TFL3" * 100)
    (folder / "golden/one.jpg").write_bytes(b"jpeg")
    (folder / "MODEL_CARD.md").write_text("# Card\n")
    manifest = Manifest(
        version="2026.11.22",
        name="hard-hats",
        classes=("helmet", "head", "person"),
        input=InputSpec(320, 320),
        output=OutputSpec("head_maps", strides=(8, 16), anchors=ANCHORS),
        thresholds=Thresholds(0.4, 0.5),
        files=list_files(folder),
        golden=(
            GoldenPicture("golden/one.jpg", (GoldenObject("head", (1.0, 2.0, 3.0, 4.0), 0.5),)),
        ),
        metrics={"val/mAP50": 0.94},
        provenance={"data": "photographs"},
    )
    (folder / "manifest.json").write_bytes(to_json(manifest))
    return folder


def test_a_bundle_comes_back_as_it_was_written(folder: Path) -> None:
    manifest = verify_folder(folder)
    assert [entry.path for entry in manifest.files] == [
        "MODEL_CARD.md",
        "golden/one.jpg",
        "model.tflite",
    ]
    assert from_json(to_json(manifest)) == manifest
    assert to_json(from_json(to_json(manifest))) == to_json(manifest)


def test_a_changed_file_is_found(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"TFL4" * 100)
    with pytest.raises(BundleError, match=r"model\.tflite: its sha256 is not the manifest's"):
        verify_folder(folder)


def test_a_truncated_file_is_found(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"TFL3")
    with pytest.raises(BundleError, match="4 bytes, and the manifest says 400"):
        verify_folder(folder)


def test_a_missing_file_is_found(folder: Path) -> None:
    (folder / "golden/one.jpg").unlink()
    with pytest.raises(BundleError, match=r"golden/one\.jpg: cannot be read: No such file"):
        verify_folder(folder)


def test_an_extra_file_is_found(folder: Path) -> None:
    (folder / "extra.so").write_bytes(b"?")
    with pytest.raises(BundleError, match=r"extra\.so: is not listed in the manifest"):
        verify_folder(folder)


def test_a_link_is_refused(folder: Path) -> None:
    (folder / "golden/one.jpg").unlink()
    (folder / "golden/one.jpg").symlink_to("/etc/hostname")
    with pytest.raises(BundleError, match="is not a plain file"):
        list_files(folder)


def _set(*path: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(raw: dict[str, Any], value: Any) -> None:
        target: Any = raw
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 2, "manifest.json: format: format 2, and this version reads format 1"),
        (("format",), True, "format: must be a whole number"),
        (("version",), "../../etc", "version: '../../etc' is not of the form"),
        (("version",), "", "version: must be a text"),
        (("classes",), [], "classes: must be a list of 1 to 1000 entries"),
        (("classes",), ["head", "head"], "classes: a class is named twice"),
        (("classes",), ["helmet"], "golden: 'head' is not one of the classes"),
        (("input", "width"), 0, "input: width: must be a whole number from 32 to 4096"),
        (("input", "layout"), "NWHC", "'NWHC' is not one of NHWC, NCHW"),
        (("output", "layout"), "ssd", "'ssd' is not one of head_maps, yolov5, ultralytics"),
        (("output", "strides"), [8], "output: head_maps needs one stride"),
        (("output", "anchors", 0), [[1]], "anchors: a row is 1 to 8 pairs"),
        (("output", "anchors", 0), [[1, True]], "anchors: a row is 1 to 8 pairs"),
        (("thresholds", "score"), 0, "score: must be a number from 0.001 to 1"),
        (("thresholds", "iou"), "0.5", "iou: must be a number"),
        (("files", 0, "path"), "../x", "path: '../x' is not of the form"),
        (("files", 0, "path"), "/etc/passwd", "path: '/etc/passwd' is not of the form"),
        (("files", 0, "sha256"), "AB" * 32, "sha256: "),
        (("files", 0, "size_bytes"), -1, "size_bytes: must be a whole number"),
        (("files", 2, "path"), "other.tflite", "files: model.tflite is not listed"),
        (("files", 2, "path"), "MODEL_CARD.md", "files: a path is listed twice"),
        (("golden", 0, "file"), "golden/two.jpg", "golden: golden/two.jpg is not in files"),
        (("golden", 0, "objects", 0, "box"), [1, 2, 3], "box: must be a list of 4 to 4 entries"),
        (("metrics",), {"a": float("inf")}, "metrics: must hold finite numbers only"),
        (("metrics",), {"a": "1"}, "metrics: must hold finite numbers only"),
        (("provenance",), {"a": 1}, "provenance: must hold texts only"),
        (("surprise",), 1, "manifest.json: unknown field 'surprise'"),
        (("input", "surprise"), 1, "input: unknown field 'surprise'"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, path: Any, value: Any, message: str) -> None:
    raw = json.loads((folder / "manifest.json").read_bytes())
    _set(*path)(raw, value)
    with pytest.raises(BundleError) as caught:
        from_json(json.dumps(raw).encode())
    assert message in str(caught.value)


def test_a_missing_field_is_named(folder: Path) -> None:
    whole = json.loads((folder / "manifest.json").read_bytes())
    for name in whole:
        raw = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(BundleError, match=rf"{name}: is missing"):
            from_json(json.dumps(raw).encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be an object"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (manifests.MANIFEST_MAX_BYTES + 1), "more than the 262144 allowed"),
    ],
)
def test_what_is_no_manifest_at_all(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        from_json(data)


def test_the_command_shows_and_verifies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "hard-hats 2026.11.22" in shown
    assert "val/mAP50 = 0.94" in shown
    assert main(["bundle", "verify", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: complete\n"
    (folder / "model.tflite").unlink()
    assert main(["bundle", "verify", str(folder)]) == 4
    assert "model.tflite: cannot be read" in capsys.readouterr().err


def test_fields_keep_their_order_in_the_bytes(folder: Path) -> None:
    manifest = manifests.read(folder)
    other = replace(manifest, metrics={"b": 1.0, "a": 2.0})
    same = replace(manifest, metrics={"a": 2.0, "b": 1.0})
    assert to_json(other) == to_json(same)
