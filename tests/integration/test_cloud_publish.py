"""``scripts/publish.py`` against the stand-in for Artifactory, and a device that installs it."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.cloud.artifactory import checksums_of
from scripts.cloud.errors import ConflictError, ServiceError
from scripts.cloud.publication import VERSION_PROPERTY, Publication
from tests.support import planted
from tests.support.artifactory import Artifactory
from tests.support.faulty_proxy import FaultyProxy
from tests.support.models import SCENE, write_bundle
from tests.support.publishing import (
    API_KEY,
    APPENDER,
    DEVICE,
    PUBLISHER,
    READER,
    TOKEN,
    publication,
    write_bundles,
)
from tests.support.rights import public_folder
from tests.support.signed import bundle
from tests.support.updating import Device
from updater.errors import SitewatchError, TrustError

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300.0
SPY = """
import os, pathlib, sys
pathlib.Path({spy!r}).write_text(repr((sys.argv, dict(os.environ))))
sys.exit("s3cret of the vault")
"""


@pytest.fixture
def artifactory(tmp_path: Path) -> Iterator[Artifactory]:
    accounts = (PUBLISHER, APPENDER, DEVICE)
    with Artifactory(tmp_path / "blobs", accounts=accounts) as server:
        yield server


@dataclass
class Publisher:
    """Somebody with a bundle's folder, a signing key and a token.

    Attributes:
        folder: of this test.
        device: whose keys folder trusts the signing key.
        artifactory: to publish in.
    """

    folder: Path
    device: Device
    artifactory: Artifactory

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def command(self, bundle: Path, *arguments: object, url: str = "") -> list[str]:
        """The step's; ``url`` is of something in front of the stand-in."""
        command = [sys.executable, "scripts/publish.py", "--bundle", bundle]
        command += ["--artifactory", f"{url or self.artifactory.url}/artifactory"]
        return list(map(str, [*command, "--output", self.output, *arguments]))

    def run(self, bundle: Path, *arguments: object, **environment: str) -> Any:
        """Runs the step to its end; the token is in the environment unless told otherwise."""
        given = environment or {"ARTIFACTORY_TOKEN": TOKEN}
        return subprocess.run(
            self.command(bundle, *arguments), cwd=ROOT, env=planted.environment(**given),
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip

    def tiny(self, name: str, **metrics: float) -> Path:
        """A bundle's folder with these figures."""
        made = write_bundle(self.folder / name)
        manifest = json.loads((made / "manifest.json").read_text())
        manifest["metrics"] = {f"val/{key}": value for key, value in metrics.items()}
        (made / "manifest.json").write_text(json.dumps(manifest))
        return made


@pytest.fixture
def publisher(artifactory: Artifactory) -> Iterator[Publisher]:
    with public_folder() as folder:
        yield Publisher(folder, Device(folder), artifactory)


def moving(artifactory: Artifactory) -> str:
    """The version that the moving name leads to."""
    return artifactory.items["models/model.zip"].properties[VERSION_PROPERTY][0]


def test_what_is_published_is_installed(publisher: Publisher, artifactory: Artifactory) -> None:
    device = publisher.device
    done = publisher.run(publisher.tiny("b"), "--version", "1.0", "--key-file", device.key)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    path = "models/sitewatch/1.0/model.zip"
    assert told["artifactory_path"] == path
    assert artifactory.items[path].checksums["sha256"] == told["sha256"]
    assert json.loads((publisher.output / "publication.json").read_text())["sha256"] == (
        hashlib.sha256((publisher.output / "model.zip").read_bytes()).hexdigest()
    )
    sidecar = json.loads((publisher.output / "model.zip.metadata.json").read_text())
    assert (sidecar["valohai.alias"], sidecar["valohai.tags"]) == ("model-prod", ["published"])

    token = publisher.folder / "token"
    token.touch(mode=0o600)
    token.write_text(READER)
    for url in (told["url"], f"{artifactory.url}/artifactory/models/model.zip"):
        installed = device.run("install", url, "--token-file", token, "--offline")
        assert installed.code == 0, installed.err
    assert device.status()["current"]["version"] == "1.0"


def test_every_way_to_sign_makes_what_a_device_trusts(publisher: Publisher) -> None:
    device, made = publisher.device, publisher.tiny("b")
    script = publisher.folder / "vault.py"
    script.write_text(
        "import base64, pathlib, sys\n"
        "from updater.trust.keys import load_private\n"
        f"key = load_private(pathlib.Path({str(device.key)!r}))\n"
        "sys.stdout.write(base64.b64encode(key.sign(sys.stdin.buffer.read())).decode() + '\\n')\n"
    )
    command = shlex.join([sys.executable, str(script)])
    pem = device.key.read_text()
    public = publisher.folder / "release.pub"
    ways: list[tuple[tuple[object, ...], dict[str, str]]] = [
        ((), {"SITEWATCH_SIGNING_KEY": pem}),
        ((), {"SITEWATCH_SIGNING_KEY": pem.replace("\n", "\\n")}),
        (("--sign-command", command, "--public-key", public), {"PYTHONPATH": str(ROOT)}),
    ]
    for number, (arguments, environment) in enumerate(ways):
        done = publisher.run(
            made, "--version", f"1.{number}", "--force", *arguments,
            ARTIFACTORY_API_KEY=API_KEY, **environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        verified = device.run("bundle", "verify", publisher.output / "model.zip")
        assert verified.code == 0, verified.err


def test_golden_pictures_are_chosen_from_the_allowed(publisher: Publisher) -> None:
    pool = write_bundle(publisher.folder / "pool")
    made = write_bundle(publisher.folder / "b", with_golden=False)
    arguments = ("--version", "1.0", "--key-file", publisher.device.key, "--golden", pool)
    done = publisher.run(made, *arguments)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(publisher.output / "model.zip") as archive:
        (golden,) = json.loads(archive.read("manifest.json"))["golden"]
    assert golden["file"] == "golden/scene.png"
    assert sorted(one["class_name"] for one in golden["objects"]) == ["red", "yellow"]

    wrong = write_bundle(publisher.folder / "wrong", golden=(*SCENE, ("red", (0.0, 0.0, 8.0, 8.0))))
    refused = publisher.run(made, *arguments[:-1], wrong)
    assert refused.returncode == 21, refused.stderr
    assert "no allowed picture proves red: scene.png: does not find the red" in refused.stderr


def test_what_devices_ask_of_a_model_can_be_said_when_it_is_published(
    publisher: Publisher,
) -> None:
    made = write_bundle(publisher.folder / "b")
    arguments = ("--version", "1.0", "--key-file", publisher.device.key)
    done = publisher.run(made, *arguments, "--min-agreement", "0.2", "--max-extra-per-frame", "4")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(publisher.output / "model.zip") as archive:
        probation = json.loads(archive.read("manifest.json"))["probation"]
    assert (probation["min_agreement"], probation["max_extra_per_frame"]) == (0.2, 4.0)
    verified = publisher.device.run("bundle", "verify", publisher.output / "model.zip")
    assert verified.code == 0, verified.err

    refused = publisher.run(made, *arguments, "--min-agreement", "2")
    assert refused.returncode == 4, refused.stderr
    assert "probation: min_agreement: must be a number from 0 to 1" in refused.stderr
    assert publisher.artifactory.items.keys() == {
        "models/model.zip",
        "models/sitewatch/1.0/model.zip",
    }


def test_the_shipped_model_is_held_to_its_own_pictures(
    publisher: Publisher, project_root: Path
) -> None:
    shipped = project_root / "packaging/model"
    arguments = ("--key-file", publisher.device.key, "--golden", shipped, "--no-move")
    done = publisher.run(shipped, *arguments)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(publisher.output / "model.zip") as archive:
        made = json.loads(archive.read("manifest.json"))
    before = json.loads((shipped / "manifest.json").read_text())
    assert made["version"] == before["version"]
    assert {one["file"] for one in made["golden"]} == {one["file"] for one in before["golden"]}
    assert "models/model.zip" not in publisher.artifactory.items


def test_a_model_that_is_not_better_needs_force(
    publisher: Publisher, artifactory: Artifactory
) -> None:
    key = ("--key-file", publisher.device.key)
    good = publisher.tiny("good", map50=0.9, head_map50=0.8)
    assert publisher.run(good, "--version", "1.0", *key).returncode == 0
    before = dict(artifactory.items)

    worse = publisher.tiny("worse", map50=0.91, head_map50=0.7)
    unknown = publisher.run(worse, "--version", "1.1", *key)
    assert (unknown.returncode, moving(artifactory)) == (21, "1.0")
    figures = ("--production", good / "manifest.json")
    refused = publisher.run(worse, "--version", "1.1", *key, *figures)
    assert refused.returncode == 21
    assert "head_map50 loses 0.1000" in refused.stderr
    assert artifactory.items == before

    forced = publisher.run(worse, "--version", "1.1", *key, *figures, "--force")
    assert forced.returncode == 0, forced.stderr
    assert artifactory.items["models/model.zip"].properties["sitewatch.forced"] == ["true"]
    better = publisher.tiny("better", map50=0.92, head_map50=0.8)
    assert publisher.run(better, "--version", "1.2", *key, *figures).returncode == 0
    assert moving(artifactory) == "1.2"


def test_no_secret_is_said_or_written(publisher: Publisher) -> None:
    pem = publisher.device.key.read_text()
    spy = publisher.folder / "spy"
    (publisher.folder / "vault.py").write_text(SPY.format(spy=str(spy)))
    command = shlex.join([sys.executable, str(publisher.folder / "vault.py")])
    made = publisher.tiny("b")
    signed = {"ARTIFACTORY_TOKEN": TOKEN, "SITEWATCH_SIGNING_KEY": pem}
    for arguments, environment, code in (
        ((), signed, 0),
        ((), {**signed, "ARTIFACTORY_TOKEN": "wr0ng-t0ken-hunter2"}, 20),
        ((), {**signed, "SITEWATCH_SIGNING_KEY": pem.replace("MC4", "MC5")}, 3),
        (("--key-file", publisher.device.key), {"ARTIFACTORY_TOKEN": TOKEN}, 0),
        (
            ("--sign-command", command, "--public-key", publisher.folder / "release.pub"),
            {**signed, "PYTHONPATH": str(ROOT)},
            24,
        ),
    ):
        version = ("--version", "1.0", "--force", "--alias", f"try{code}")
        done = publisher.run(made, *version, *arguments, **environment)
        assert done.returncode == code, done.stderr
        secrets = [environment["ARTIFACTORY_TOKEN"], pem]
        texts = {"output": done.stdout, "errors": done.stderr}
        planted.assert_nowhere(secrets, texts=texts, folders=[made])
        if publisher.output.is_dir():
            planted.assert_nowhere(secrets, texts={}, folders=[publisher.output])
    planted.assert_nowhere([TOKEN, pem], texts={"what the command saw": spy.read_bytes()})


@pytest.mark.parametrize("before", ["", "1.0"])
def test_a_step_that_is_killed_after_its_move_is_run_again(
    publisher: Publisher, artifactory: Artifactory, before: str
) -> None:
    """At each request of the protocol: test_cloud_publish_faults.py."""
    made, key = publisher.tiny("b", map50=0.9), ("--key-file", publisher.device.key)
    arguments: tuple[object, ...] = ("--version", "1.1", *key)
    if before:
        assert publisher.run(made, "--version", before, *key).returncode == 0
        better = publisher.tiny("better", map50=0.91)
        arguments = (*arguments, "--production", made / "manifest.json")
        made = better
    gone = threading.Event()
    with FaultyProxy(artifactory.url) as proxy:

        def reached(number: int, point: str) -> None:
            asked = proxy.asked[number]
            if asked.method == "PUT" and "/models/model.zip;" in asked.target and point == "stored":
                process.kill()
                process.wait(TIMEOUT_S)
                gone.set()

        proxy.reached = reached
        process = subprocess.Popen(
            publisher.command(made, *arguments, url=proxy.url),
            cwd=ROOT, env=planted.environment(ARTIFACTORY_TOKEN=TOKEN), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert gone.wait(TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL
    assert moving(artifactory) == "1.1"
    again = publisher.run(made, *arguments)
    assert again.returncode == 0, again.stderr
    told = json.loads((publisher.output / "publication.json").read_text())
    assert (told["version"], told["moved"], told["replaced"]) == ("1.1", True, before)
    assert told["sha256"] == artifactory.items["models/model.zip"].checksums["sha256"]
    sidecar = json.loads((publisher.output / "model.zip.metadata.json").read_text())
    assert sidecar["valohai.alias"] == "model-prod"


# ------------------------------------------------------------ the protocol by itself


@dataclass
class Desk:
    """A publication in this process, and two bundles that its devices trust."""

    publication: Publication
    old: Path
    new: Path


@pytest.fixture
def desk(artifactory: Artifactory, tmp_path: Path) -> Desk:
    return Desk(publication(artifactory.url), *write_bundles(tmp_path, "1.0", "1.1"))


def test_again_is_no_upload(desk: Desk, artifactory: Artifactory) -> None:
    first = desk.publication.publish(desk.old, "1.0", {})
    assert (first.already_there, first.moved) == (False, True)
    puts = sum(asked.method == "PUT" for asked in artifactory.asked)
    again = desk.publication.publish(desk.old, "1.0", {})
    assert (again.already_there, again.moved) == (True, True)
    assert sum(asked.method == "PUT" for asked in artifactory.asked) == puts


def test_a_version_never_changes(desk: Desk, artifactory: Artifactory) -> None:
    desk.publication.publish(desk.old, "1.0", {})
    with pytest.raises(ConflictError, match="other bytes"):
        desk.publication.publish(desk.new, "1.0", {})
    sums = artifactory.items["models/sitewatch/1.0/model.zip"].checksums
    assert sums["sha256"] == checksums_of(desk.old).sha256


def test_an_older_version_does_not_replace_a_newer(desk: Desk, artifactory: Artifactory) -> None:
    desk.publication.publish(desk.new, "1.1", {})
    with pytest.raises(ConflictError, match=r"leads to 1\.1, which is newer than 1\.0"):
        desk.publication.publish(desk.old, "1.0", {})
    assert moving(artifactory) == "1.1"
    desk.publication.publish(desk.old, "1.0", {}, allow_downgrade=True)
    assert moving(artifactory) == "1.0"


@pytest.mark.parametrize("with_one_before", [True, False])
def test_a_move_that_cannot_be_verified_is_undone(
    desk: Desk, artifactory: Artifactory, monkeypatch: pytest.MonkeyPatch, with_one_before: bool
) -> None:
    if with_one_before:
        desk.publication.publish(desk.old, "1.0", {"site": "north"})
    before = artifactory.items.get("models/model.zip")
    right = Publication._verify

    def wrong(self: Publication, path: str, sums: Any) -> None:
        right(self, path, sums)
        if path == "models/model.zip":
            raise ServiceError("is something else")

    monkeypatch.setattr(Publication, "_verify", wrong)
    with pytest.raises(ServiceError, match="is something else"):
        desk.publication.publish(desk.new, "1.1", {})
    after = artifactory.items.get("models/model.zip")
    if before is None:
        assert after is None
    else:
        assert after is not None
        assert (after.checksums, after.properties) == (before.checksums, before.properties)
    assert "models/sitewatch/1.1/model.zip" in artifactory.items


def test_a_bundle_that_devices_would_not_trust_is_not_led_to(
    desk: Desk, artifactory: Artifactory, tmp_path: Path
) -> None:
    desk.publication.publish(desk.old, "1.0", {})
    unsigned = tmp_path / "unsigned.zip"
    unsigned.write_bytes(bundle(version="1.2", signature=None).to_bytes())
    with pytest.raises(TrustError):
        desk.publication.publish(unsigned, "1.2", {})
    assert moving(artifactory) == "1.0"


def test_somebody_who_may_not_overwrite_leaves_the_moving_name(
    desk: Desk, artifactory: Artifactory
) -> None:
    desk.publication.publish(desk.old, "1.0", {})
    with pytest.raises(ServiceError, match=r"403 \(Forbidden\)"):
        publication(artifactory.url, token=APPENDER.token).publish(desk.new, "1.1", {})
    assert moving(artifactory) == "1.0"


def test_what_is_there_already_is_not_sent_again(desk: Desk, artifactory: Artifactory) -> None:
    artifactory.put("models/other.zip", desk.old.read_bytes())
    desk.publication.publish(desk.old, "1.0", {})
    sent = [
        asked for asked in artifactory.asked
        if asked.method == "PUT" and "x-checksum-deploy" not in asked.headers
    ]  # fmt: skip
    assert sent == []


@pytest.mark.parametrize("path", ["../x", "a;b", "a//b", "", "a/./b", "a b", "a%2e"])
def test_paths_mean_what_they_say(desk: Desk, path: str) -> None:
    with pytest.raises(SitewatchError, match="is not a path"):
        desk.publication.server.find(path)
