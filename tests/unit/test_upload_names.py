from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.captures.buffer import CaptureBuffer
from tests.support.captures import SetClock, config, decision, jpeg
from updater import captures as stored
from updater.captures import Sidecar
from updater.errors import UsageError
from updater.upload.names import Destination


@pytest.fixture
def sidecar(tmp_path: Path) -> Sidecar:
    folder = tmp_path / "captures"
    name = CaptureBuffer(config(folder), "cam-1", clock=SetClock().clock()).store(
        decision(), jpeg()
    ).name  # fmt: skip
    assert name is not None
    return stored.read(folder, name)


def test_keys_name_device_day_capture_and_content(sidecar: Sidecar) -> None:
    digest = stored.sha256_of(stored.to_json(sidecar))
    picture, text = Destination("pictures", "site-7/gate").keys(sidecar, digest)
    day = sidecar.taken.utc[:10].replace("-", "/")
    stem = f"site-7/gate/cam-1/{day}/{sidecar.name}-{digest[:12]}"
    assert (picture, text) == (f"{stem}.jpg", f"{stem}.json")


def test_another_sidecar_of_the_same_picture_has_other_keys(sidecar: Sidecar) -> None:
    destination = Destination("pictures", "p")
    other = replace(sidecar, value=sidecar.value / 2)
    assert other.name == sidecar.name
    keys = [
        destination.keys(one, stored.sha256_of(stored.to_json(one))) for one in (sidecar, other)
    ]
    assert len({*keys[0], *keys[1]}) == 4


def test_a_named_device_goes_before_the_sidecars_own(sidecar: Sidecar) -> None:
    destination = Destination("pictures", "p", "gate-2")
    assert destination.keys(sidecar, "0" * 64)[0].startswith("p/gate-2/")
    assert destination.url == "s3://pictures/p/gate-2"
    assert Destination("pictures", "p").url == "s3://pictures/p"


@pytest.mark.parametrize(
    ("bucket", "prefix", "device", "where"),
    [
        ("Pictures", "p", None, "--bucket"),
        ("ab", "p", None, "--bucket"),
        ("a..b", "p", None, "--bucket"),
        ("pictures/x", "p", None, "--bucket"),
        ("b" * 64, "p", None, "--bucket"),
        ("pictures", "", None, "--prefix"),
        ("pictures", "/p", None, "--prefix"),
        ("pictures", "p//q", None, "--prefix"),
        ("pictures", "p/../q", None, "--prefix"),
        ("pictures", "p/*", None, "--prefix"),
        ("pictures", "p?", None, "--prefix"),
        ("pictures", "${aws:username}", None, "--prefix"),
        ("pictures", "p" * 257, None, "--prefix"),
        ("pictures", "p", "", "--device"),
        ("pictures", "p", "..", "--device"),
        ("pictures", "p", "cam/1", "--device"),
        ("pictures", "p", "cam*", "--device"),
    ],
)
def test_names_that_would_mean_something_else(
    bucket: str, prefix: str, device: str | None, where: str
) -> None:
    with pytest.raises(UsageError, match=f"^{where}: "):
        Destination(bucket, prefix, device)
