"""``sitewatch-update upload`` as the weekly flow calls it, and as a user of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.faulty_proxy import FaultyProxy, s3_error
from tests.support.s3_server import BUCKET, DESTINATION, DEVICE, PREFIX, Key, S3Server
from tests.support.uploads import ROOMY, Uploader, credentials_of, fill, keys_of, marked
from tests.support.users import acting_as, open_folder
from updater.errors import UploadError
from updater.upload.body import Pace
from updater.upload.credentials import parse
from updater.upload.s3 import Bucket, Endpoint
from updater.upload.upload import ATTEMPTS, Upload

VALUES = (0.2, 0.9, 0.5)
DAEMON, GROUP, UPLOAD = 64_001, 64_001, 64_002
COMMAND = "import sys; from updater.cli import main; sys.exit(main())"
TIMEOUT_S = 300.0
AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    found = S3Server(tmp_path_factory.mktemp("moto") / "moto.log")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def key(server: S3Server) -> Key:
    return server.temporary_key()


@dataclass(frozen=True, slots=True)
class Device:
    """A device with three captures of the daemon's user, and the updater of another user.

    Attributes:
        root: of the project.
        folder: everything of this device.
        captures: its captures.
        names: theirs.
        credentials: a file with the temporary ones.
        url: of S3.
    """

    root: Path
    folder: Path
    captures: Path
    names: list[str]
    credentials: Path
    url: str

    def run(
        self, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        common = ["--store", self.folder / "store", "--user", "no-such-account"]
        place = ["--captures", self.captures, "--endpoint-url", self.url]
        return subprocess.run(
            [sys.executable, "-c", COMMAND, "upload", *map(str, [*common, *place, *arguments])],
            cwd=self.root,
            env={**own, "NO_PROXY": "*", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def upload(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """The command with what it needs."""
        named = ["--credentials", self.credentials, "--bucket", BUCKET, "--prefix", PREFIX]
        return self.run(*named, "--device", DEVICE, *arguments)


@pytest.fixture
def device(project_root: Path, server: S3Server, key: Key) -> Iterator[Device]:
    server.empty()
    with open_folder() as folder:
        captures, store, file = folder / "captures", folder / "store", folder / "sts.json"
        store.mkdir()
        if AS_ROOT:
            os.chown(store, UPLOAD, GROUP)  # whose account the command takes
        with acting_as(DAEMON, GROUP) if AS_ROOT else contextlib.nullcontext():
            names = fill(captures, VALUES)
        file.touch(mode=0o600)
        file.write_text(json.dumps({"Credentials": key.as_sts_says()}))
        yield Device(project_root, folder, captures, names, file, server.url)


def test_the_weekly_flow(device: Device, server: S3Server) -> None:
    done = device.upload()
    assert done.returncode == 0, done.stderr
    assert sorted(server.objects()) == sorted(keys_of(device.captures, device.names, DESTINATION))
    assert marked(device.captures) == set(device.names)
    (line,) = done.stdout.splitlines()
    assert line.startswith("3 captures stored (0.")
    assert line.endswith(f" MB) in s3://{BUCKET}/{PREFIX}/{DEVICE}")
    again = device.upload()
    assert (again.returncode, again.stdout.split()[0]) == (0, "0")
    assert len(server.versions()) == 6


@pytest.mark.skipif(not AS_ROOT, reason="another user needs root")
def test_marks_are_the_updaters_own(device: Device) -> None:
    device.upload()
    for name in device.names:
        assert (device.captures / f"{name}.stored").stat().st_uid == UPLOAD
        assert (device.captures / f"{name}.jpg").stat().st_uid == DAEMON


def test_as_json(device: Device) -> None:
    picture = device.captures / f"{device.names[0]}.jpg"
    picture.write_bytes(picture.read_bytes()[:-1])
    done = device.upload("--json", "--max-files", 1, "--max-bytes", "10M", "--max-rate", "0")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("size_bytes") > 0
    assert found == {
        "destination": f"s3://{BUCKET}/{PREFIX}/{DEVICE}",
        "stored": 1,
        "already_there": 0,
        "left": 2,
        "gone": 0,
        "damaged": [],
    }
    last = device.upload("--json")
    (problem,) = json.loads(last.stdout)["damaged"]
    assert str(picture) in problem
    assert "left out" in last.stderr
    assert device.upload().stdout.strip().endswith(", 1 damaged and left out")


def test_credentials_of_the_environment(device: Device, key: Key) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_SESSION_TOKEN": key.token or "",
        # What else botocore would look at must not matter.
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": "/no/such/file",
    }
    done = device.run("--bucket", BUCKET, "--prefix", PREFIX, environment=environment)
    assert done.returncode == 0, done.stderr
    assert marked(device.captures) == set(device.names)


def test_the_configuration_says_where_and_how_much(device: Device) -> None:
    config = device.folder / "update.toml"
    config.write_text(f'[upload]\ncaptures = "{device.captures}"\nmax_files = 2\n')
    named = ["--credentials", device.credentials, "--bucket", BUCKET, "--prefix", f"/{PREFIX}/"]
    done = device.run("--config", config, *named)
    assert done.returncode == 0, done.stderr
    assert len(marked(device.captures)) == 2


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_file_that_everybody_can_read(device: Device, server: S3Server) -> None:
    device.credentials.chmod(0o644)
    done = device.upload()
    assert done.returncode == 14
    assert last_line(done).startswith(f"sitewatch-update: {device.credentials}: others may read")
    assert server.objects() == {}


def test_expired_credentials(device: Device, key: Key, server: S3Server) -> None:
    device.credentials.write_text(json.dumps(key.as_sts_says("2020-01-01T00:00:00Z")))
    done = device.upload()
    assert done.returncode == 14
    assert "the credentials expired at 2020-01-01 00:00:00 UTC" in last_line(done)
    assert last_line(done).endswith("Bring new ones: the weekly flow makes them")
    assert server.objects() == {}
    assert marked(device.captures) == set()


def test_no_credentials(device: Device) -> None:
    done = device.run("--bucket", BUCKET, "--prefix", PREFIX)
    assert done.returncode == 14
    assert "no credentials. Name a file with --credentials, or set AWS_" in last_line(done)


def test_another_bucket(device: Device) -> None:
    done = device.upload("--bucket", "other-bucket")
    assert done.returncode == 14
    assert "the credentials may not put objects there. Check --bucket" in last_line(done)
    assert last_line(done).endswith("0 captures were stored before, 3 wait for the next run")


def test_another_upload_at_work(device: Device) -> None:
    descriptor = os.open(device.captures, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = device.upload()
    finally:
        os.close(descriptor)
    assert done.returncode == 12
    assert "another upload is at work" in last_line(done)


def test_captures_that_are_not_there(device: Device) -> None:
    done = device.upload("--captures", device.folder / "none")
    assert done.returncode == 8
    assert last_line(done).startswith(f"sitewatch-update: {device.folder}/none: no such folder")


@pytest.mark.skipif(not AS_ROOT, reason="another user needs root")
def test_captures_of_another_group(device: Device, server: S3Server) -> None:
    os.chown(device.captures, DAEMON, 64_009)
    done = device.upload()
    assert done.returncode == 8
    assert f"user {UPLOAD} cannot read and write it" in last_line(done)
    assert server.objects() == {}, "what could not be marked would be sent again and again"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bucket", "NOT A BUCKET"),
        ("--prefix", "../up"),
        ("--device", "*"),
        ("--max-bytes", "many"),
        ("--max-bytes", "0"),
        ("--max-files", "0"),
    ],
)
def test_arguments_that_make_no_sense(device: Device, arguments: tuple[str, str]) -> None:
    done = device.upload(*arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr


# ---------------------------------------------------------------- secrets


def test_no_secret_is_left_anywhere(device: Device, key: Key) -> None:
    secrets = [text for text in (key.secret, key.token, key.key_id) if text]
    runs = [
        device.upload("--max-files", 1),
        device.upload("--bucket", "other-bucket"),
        device.upload("--region", "not a region"),
        device.upload("--endpoint-url", "not a url"),
    ]
    shown = "".join(done.stdout + done.stderr for done in runs)
    files = [p for p in device.folder.rglob("*") if p.is_file() and p != device.credentials]
    for secret in secrets:
        assert secret not in shown
        assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert [done.returncode for done in runs] == [0, 14, 14, 14]
    assert "Traceback" not in shown


def test_no_secret_is_logged_though_everything_is(
    server: S3Server, key: Key, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.empty()
    fill(tmp_path / "captures", VALUES)
    with FaultyProxy(server.url) as proxy:
        told = s3_error(403, "SignatureDoesNotMatch", f"you sent {key.secret} and {key.token}")
        proxy.fault = lambda number: s3_error(500, "X", f"{key.key_id}") if number == 0 else (
            told if number == 3 else None
        )  # fmt: skip
        with pytest.raises(UploadError) as caught:
            Uploader(tmp_path / "captures", proxy.url, key).run()
    for secret in (key.secret, key.token, key.key_id):
        assert secret is not None
        assert secret not in caplog.text
        assert secret not in str(caught.value)
    assert "trying again" in caplog.text


# ---------------------------------------------------------------- the way there


@pytest.fixture
def captures(tmp_path: Path, server: S3Server) -> Path:
    server.empty()
    fill(tmp_path / "captures", VALUES)
    return tmp_path / "captures"


def run(captures: Path, endpoint: Endpoint, key: Key) -> int:
    """An upload that waits for nothing; how many captures it stored."""
    bucket = Bucket(BUCKET, endpoint, credentials_of(key))
    try:
        upload = Upload(captures, DESTINATION, bucket, pace=Pace(0), sleep=lambda _: None)
        return len(upload.run(ROOMY).stored)
    finally:
        bucket.close()


def test_through_a_proxy(captures: Path, server: S3Server, key: Key) -> None:
    with FaultyProxy(server.url) as proxy:
        assert run(captures, Endpoint(url=server.url, proxy=proxy.url), key) == 3
        assert [seen.path.startswith(server.url) for seen in proxy.seen] == [True] * 6


def test_the_environments_proxy_unless_told_otherwise(
    captures: Path, server: S3Server, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(server.url) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        run(captures, Endpoint(url=server.url, proxy="none"), key)
        assert proxy.seen == []
        for path in captures.glob("*.stored"):
            path.unlink()
        run(captures, Endpoint(url=server.url), key)
        assert len(proxy.seen) == 6


def test_an_authority_of_ones_own(
    captures: Path, server: S3Server, key: Key, tmp_path: Path
) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    with FaultyProxy(server.url, tls=ours.issue("server")) as proxy:
        endpoint = Endpoint(url=proxy.url, proxy="none", ca_file=other.certificate)
        with pytest.raises(UploadError, match=rf"CERTIFICATE_VERIFY_FAILED.*\({ATTEMPTS} att"):
            run(captures, endpoint, key)
        assert proxy.seen == []
        endpoint = Endpoint(url=proxy.url, proxy="none", ca_file=ours.certificate)
        assert run(captures, endpoint, key) == 3


@pytest.mark.parametrize(
    "endpoint", [Endpoint(url="nonsense"), Endpoint(region="no region", url="http://127.0.0.1:1")]
)
def test_an_end_point_that_cannot_be(endpoint: Endpoint) -> None:
    key = parse(b'{"AccessKeyId": "A", "SecretAccessKey": "B"}', where="x")
    with pytest.raises(UploadError, match="Check --endpoint-url and --region"):
        Bucket(BUCKET, endpoint, key)


# ---------------------------------------------------------------- memory


def test_memory_does_not_grow_with_the_pictures(
    project_root: Path, server: S3Server, key: Key, tmp_path: Path
) -> None:
    key_file = tmp_path / "key.json"
    key_file.touch(mode=0o600)
    key_file.write_text(json.dumps(key.as_sts_says()))

    def most_bytes(size_bytes: int, count: int) -> int:
        folder = tmp_path / f"captures-{size_bytes}"
        fill(folder, [0.5] * count, picture=lambda number: bytes([number]) * size_bytes)
        place = [folder, server.url, key_file, BUCKET, PREFIX, DEVICE]
        output = subprocess.run(
            [sys.executable, "-m", "tests.support.upload_process", *map(str, place)],
            cwd=project_root, capture_output=True, text=True, timeout=TIMEOUT_S, check=True,
        ).stdout  # fmt: skip
        assert len(marked(folder)) == count
        return int(output.split()[1])

    small, large = most_bytes(10_000, 1), most_bytes(20_000_000, 3)
    assert large - small < 8_000_000
