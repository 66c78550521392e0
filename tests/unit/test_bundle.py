"""Manifest and bundle folder: what is read comes back, and every flaw is named."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.cloud.golden import MOST_PICTURES
from scripts.cloud.signing import KMS_MAX_BYTES
from tests.support.signed import KEY, RETIRED_KEY, RING, read, sign
from tests.support.watch import tree
from updater import manifest as manifests
from updater.archive import ArchiveLimits
from updater.bundle import create, list_files, verify_folder
from updater.errors import BundleError, StorageError, TrustError, UsageError
from updater.manifest import (
    GoldenObject,
    GoldenPicture,
    InputSpec,
    Manifest,
    OutputSpec,
    Thresholds,
    from_json,
    to_json,
    to_template,
)
from updater.trust.examination import examine_folder

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


def test_a_folders_manifest_is_for_people_and_a_bundles_is_short(folder: Path) -> None:
    manifest = verify_folder(folder)
    template, signed = to_template(manifest), to_json(manifest)
    assert from_json(template) == from_json(signed) == manifest
    assert template.count(b"\n") > 50
    assert signed.count(b"\n") == 1
    assert b": " not in signed


@pytest.mark.parametrize("count", range(1, MOST_PICTURES + 1))
def test_the_shipped_models_kind_can_be_signed_where_4096_bytes_are_the_limit(
    project_root: Path, count: int
) -> None:
    shipped = manifests.read(project_root / "packaging/model")
    entries = {entry.path: entry for entry in shipped.files}
    pictures = {picture.file for picture in shipped.golden}
    golden, files = [], [entry for entry in shipped.files if entry.path not in pictures]
    for number, picture in enumerate(itertools.islice(itertools.cycle(shipped.golden), count)):
        name = picture.file.replace(".jpg", f"-{number}.jpg")
        golden.append(replace(picture, file=name))
        files.append(replace(entries[picture.file], path=name))
    manifest = replace(shipped, golden=tuple(golden), files=tuple(files))
    data = to_json(manifest)
    assert from_json(data) == manifest
    assert len(data) <= KMS_MAX_BYTES


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
        (("files", 0, "path"), "manifest.sig", "files: manifest.sig cannot be listed in itself"),
        (("files", 2, "path"), "MODEL_CARD.md", "files: a path is listed twice"),
        (("golden", 0, "file"), "golden/two.jpg", "golden: golden/two.jpg is not in files"),
        (("golden", 0, "objects", 0, "box"), [1, 2, 3], "box: must be a list of 4 to 4 entries"),
        (("metrics",), {"a": float("inf")}, "metrics: must hold finite numbers only"),
        (("metrics",), {"a": 10**400}, "metrics: must hold finite numbers only"),
        (("metrics",), {"a": float("nan")}, "metrics: must hold finite numbers only"),
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
        (b'{"format": 1, "format": 1}', "not JSON: a name is there twice in one object"),
        ('{"format": 1}'.encode("utf-16"), "not JSON"),
        (b'{"name": "\\ud800"}', "not JSON"),
        (b'{"format": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_is_no_manifest_at_all(data: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        from_json(data)


def test_fields_keep_their_order_in_the_bytes(folder: Path) -> None:
    manifest = manifests.read(folder)
    other = replace(manifest, metrics={"b": 1.0, "a": 2.0})
    same = replace(manifest, metrics={"a": 2.0, "b": 1.0})
    assert to_json(other) == to_json(same)


def test_the_same_inputs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = create(folder, tmp_path / "one.zip", version="3.0", key=KEY)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file():
            target = other / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(0o600)
            os.utime(target, (0, 0))
    stale = json.loads((other / "manifest.json").read_bytes())
    stale.update(version="1.0", files=[])
    (other / "manifest.json").write_text(json.dumps(stale))
    (other / "manifest.sig").write_text("of another version")
    second = create(other, tmp_path / "two.zip", version="3.0", key=KEY)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert (first.sha256, first.digest) == (second.sha256, second.digest)


def test_what_was_created_can_be_installed(folder: Path, tmp_path: Path) -> None:
    before = tree(folder)
    made = create(folder, tmp_path / "model.zip", version="2026.12.1", key=KEY)
    assert tree(folder) == before
    data = (tmp_path / "model.zip").read_bytes()
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    assert made.size_bytes == len(data)
    assert made.key_id == KEY.key_id
    assert made.manifest.version == "2026.12.1"
    (tmp_path / "staging").mkdir()
    examined = read(io.BytesIO(data), tmp_path / "staging")
    assert examined.digest == made.digest
    assert verify_folder(tmp_path / "staging") == made.manifest
    assert (tmp_path / "model.zip").stat().st_mode & 0o777 == 0o644


def test_other_tools_read_it_too(folder: Path, tmp_path: Path) -> None:
    create(folder, tmp_path / "model.zip", version="1", key=None)
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "MODEL_CARD.md", "golden/one.jpg",
                                      "model.tflite"]  # fmt: skip
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_what_deflates_too_well_is_stored(folder: Path, tmp_path: Path) -> None:
    """Devices would take it for a bomb."""
    (folder / "model.tflite").write_bytes(bytes(3 << 20))
    made = create(folder, tmp_path / "model.zip", version="1", key=None)
    assert made.size_bytes > 3 << 20


def test_what_devices_refuse_is_not_made(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.zip"
    out.write_text("the old one")
    for changes, message in (
        ({"limits": ArchiveLimits(archive_bytes=500)}, "bytes are more than the 500 allowed"),
        ({"limits": ArchiveLimits(total_bytes=500)}, "more than the 500 allowed"),
        ({"version": "v1"}, "version: 'v1' is not of the form"),
    ):
        options: dict[str, Any] = {"version": "1", "key": KEY, **changes}
        with pytest.raises(BundleError) as caught:
            create(folder, out, **options)
        assert message in str(caught.value)
    (folder / ".DS_Store").touch()
    with pytest.raises(BundleError, match=r"'\.DS_Store' is not of the form"):
        create(folder, out, version="1", key=KEY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.zip"]
    assert out.read_text() == "the old one"


def test_a_bundle_is_not_made_into_itself(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would become a file of the bundle itself"):
        create(folder, folder / "golden/model.zip", version="1", key=None)
    with pytest.raises(StorageError, match=r"model\.zip: cannot be written: No such file"):
        create(folder, tmp_path / "missing/model.zip", version="1", key=None)


def test_an_unpacked_bundle_is_examined_as_a_whole(folder: Path) -> None:
    unsigned = examine_folder(folder, RING, require_signature=False)
    assert unsigned.signer is None
    with pytest.raises(TrustError, match="the bundle is not signed"):
        examine_folder(folder, RING, require_signature=True)
    (folder / "manifest.sig").write_bytes(sign((folder / "manifest.json").read_bytes()))
    signed = examine_folder(folder, RING, require_signature=True)
    assert signed.signer is not None
    assert signed.digest == unsigned.digest
    (folder / "golden/one.jpg").write_bytes(b"JPEG")
    with pytest.raises(BundleError, match="its sha256 is not the manifest's"):
        examine_folder(folder, RING, require_signature=True)
    (folder / "manifest.sig").write_bytes(b"x" * 5000)
    with pytest.raises(TrustError, match="is no signature as Sitewatch writes it"):
        examine_folder(folder, RING, require_signature=False)


def test_a_retired_key_vouches_for_an_installed_folder(folder: Path) -> None:
    data = (folder / "manifest.json").read_bytes()
    (folder / "manifest.sig").write_bytes(sign(data, RETIRED_KEY))
    with pytest.raises(TrustError, match="is retired"):
        examine_folder(folder, RING, require_signature=True)
    found = examine_folder(folder, RING, require_signature=True, accept_retired=True)
    assert found.signer is not None
    assert found.signer.key_id == RETIRED_KEY.key_id


def test_reading_bundles_needs_no_cryptography() -> None:
    """The daemon reads bundles and has no use for the library's memory."""
    code = "import sys, updater.bundle; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
