"""``scripts/collect.py``: moto's STS and S3, the stand-ins, and the real upload on each device."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from daemon.captures.buffer import CaptureBuffer
from scripts.cloud import aws, collection
from scripts.cloud.artifactory import Artifactory as Server
from scripts.cloud.aws import Amazon
from scripts.cloud.collection import ScriptPlace
from scripts.cloud.errors import ServiceError
from scripts.cloud.http import Client
from tests.support import planted
from tests.support.artifactory import Account, Artifactory
from tests.support.captures import SetClock, config, decision, jpeg
from tests.support.connect_server import Connect, Outcome, Step
from tests.support.s3_server import ANYBODY_MAY_ASSUME, BUCKET, OTHER_BUCKET, Key, S3Server, closed
from tests.support.users import acting_as, open_folder
from updater.errors import UsageError
from updater.fetch.credentials import Credentials
from updater.upload.names import Destination
from updater.upload.policy import POLICY_MAX_CHARACTERS, session_policy

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging/connect"
PREFIX = "weekly"
ROLE = "arn:aws:iam::123456789012:role/collector"
OPERATOR, FLEET = "operator-t0ken-hunter2", "fleet-t0ken-hunter2"
CONNECT_TOKEN = "connect-t0ken-hunter2"
ACCOUNTS = (
    Account("operator", token=OPERATOR, deploy=True, overwrite=True),
    Account("fleet", token=FLEET),
)
NAMES = ("gate", "crane", "far-away")
DAEMON, UPLOAD = 64_001, 64_002
UPLOAD_COMMAND = "import sys; from updater.cli import main; sys.exit(main())"
TIMEOUT_S = 300.0
AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    found = S3Server(tmp_path_factory.mktemp("moto") / "moto.log")
    with closed(found.client("iam", found.admin)) as iam:
        iam.create_role(
            RoleName="collector",
            AssumeRolePolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [ANYBODY_MAY_ASSUME]}
            ),
        )
        # The role's own policy: moto ignores that of the session.
        iam.put_role_policy(
            RoleName="collector",
            PolicyName="write-only",
            PolicyDocument=session_policy(Destination(BUCKET, "x", PREFIX)).replace("/x/", "/"),
        )
    yield found
    found.stop()


@pytest.fixture
def operator(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Key:
    """Whose credentials this process has in its environment."""
    for name, value in environment_of(s3.admin).items():
        monkeypatch.setenv(name, value)
    return s3.admin


def environment_of(key: Key) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@dataclass
class Fleet:
    """Simulated devices: real captures, the real upload, and an agent that does a flow's steps.

    Attributes:
        folder: that every user of this machine can reach.
        artifactory: that the agent downloads from.
        away: devices on which a step fails.
        scripts: upload scripts as they were downloaded.
    """

    folder: Path
    artifactory: Artifactory
    away: tuple[str, ...] = ()
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in NAMES:
            (self.folder / name / "store").mkdir(parents=True)
            (self.folder / name).chmod(0o777)
            (self.folder / name / "run").mkdir(mode=0o700)
            if AS_ROOT:
                os.chown(self.folder / name / "store", UPLOAD, DAEMON)
            with acting_as(DAEMON, DAEMON) if AS_ROOT else contextlib.nullcontext():
                clock = SetClock()
                buffer = CaptureBuffer(
                    config(self.folder / name / "captures"), name, clock=clock.clock()
                )
                for number in range(1 + len(name) % 3):
                    found = decision(value=0.5, sequence=number, monotonic_s=clock.monotonic_s)
                    # A picture of its own for each, so that none is another's twin.
                    buffer.store(found, jpeg(10 * NAMES.index(name) + number))
                    clock.passes(60.0)

    def captures(self, name: str) -> int:
        return len(list((self.folder / name / "captures").glob("*.jpg")))

    def __call__(self, name: str, step: Step) -> Outcome:
        if name in self.away:
            return Outcome(1, "no network")
        home = self.folder / name
        if step.kind == "artifact_step":
            url = f"{self.artifactory.url}/artifactory/{step.with_['artifactory-path']}"
            got = requests.get(url, headers={"Authorization": f"Bearer {FLEET}"}, timeout=30)
            if got.status_code != 200:
                return Outcome(1, str(got.status_code))
            self.scripts.append(got.text)
            (home / "run/upload.sh").write_bytes(got.content)
            return Outcome(0)
        if "install -d" in step.run:
            return Outcome(0)
        return self._upload(name, step.run)

    def _upload(self, name: str, command: str) -> Outcome:
        """Runs a step's command with this device's folders in the place of the real ones."""
        home = self.folder / name
        stub = home / "sitewatch-update"
        stub.write_text(
            f'#!/bin/sh\nshift\nexec "{sys.executable}" -c "{UPLOAD_COMMAND}" upload "$@" '
            f'--store "{home}/store" --captures "{home}/captures" --user no-such-account\n'
        )
        stub.chmod(0o755)

        def own(text: str) -> str:
            text = text.replace("/usr/bin/sitewatch-update", str(stub))
            return text.replace("/run/sitewatch-", f"{home}/run/sitewatch-")

        script = home / "run/upload.sh"
        if script.exists():
            script.write_text(own(script.read_text()))
        command = command.replace("/run/sitewatch-collect/upload.sh", str(script))
        done = subprocess.run(
            ["/bin/sh", "-c", own(command)], cwd=ROOT, capture_output=True, text=True,
            env={**planted.environment(), "XDG_RUNTIME_DIR": str(home / "run"),
                 "AWS_ENDPOINT_URL_S3": os.environ.get("TEST_S3_URL", "")},
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        return Outcome(done.returncode, done.stderr + done.stdout)


@dataclass
class Scene:
    """All of it."""

    fleet: Fleet
    artifactory: Artifactory
    connect: Connect
    s3: S3Server
    output: Path

    def run(self, *arguments: object, flow: str = "f-0000-0733", **more: str) -> Any:
        """The step as a process."""
        command: list[object] = [
            sys.executable, "scripts/collect.py", "--role-arn", ROLE, "--bucket", BUCKET,
            "--prefix", PREFIX, "--s3-url", self.s3.url, "--sts-url", self.s3.url,
            "--artifactory", f"{self.artifactory.url}/artifactory", "--connect", self.connect.url,
            "--project", "site", "--group", "Production", "--flow_id", flow, "--poll", "0.05",
            "--calls-per-minute", "0", "--output", self.output, *arguments,
        ]  # fmt: skip
        return subprocess.run(
            list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=TIMEOUT_S,
            env=planted.environment(
                **environment_of(self.s3.admin),
                ARTIFACTORY_TOKEN=OPERATOR, CONNECT_TOKEN=CONNECT_TOKEN, **more,
            ),
        )  # fmt: skip


@pytest.fixture
def scene(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    s3.empty()
    monkeypatch.setenv("TEST_S3_URL", s3.url)
    with open_folder() as folder, Artifactory(tmp_path / "blobs", accounts=ACCOUNTS) as artifactory:
        fleet = Fleet(folder, artifactory)
        with Connect(token=CONNECT_TOKEN, groups={"Production": NAMES}, runs=fleet) as connect:
            for name in ("upload-captures", "upload-captures-parameters"):
                connect.add_flows((PACKAGING / f"{name}.yaml").read_text())
            yield Scene(fleet, artifactory, connect, s3, tmp_path / "out")


@contextlib.contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """The arguments of every process of this machine that anybody could have seen meanwhile."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            seen.update(
                planted.arguments_of(int(path.name))
                for path in Path("/proc").iterdir()
                if path.name.isdecimal()
            )

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def secrets_in(script: str) -> list[str]:
    """What an upload script must keep to itself."""
    line = next(line for line in script.splitlines() if line.startswith("{"))
    found = json.loads(line)
    return [found["SecretAccessKey"], found["SessionToken"]]


def test_a_week(scene: Scene) -> None:
    with watched_arguments() as seen:
        done = scene.run("--tool", "label-studio", "--tool", "labelbox")
    assert done.returncode == 0, done.stderr
    told = json.loads((scene.output / "arrived.json").read_text())
    captures = {name: scene.fleet.captures(name) for name in NAMES}
    assert {name: one["captures"] for name, one in told["by_device"].items()} == captures
    keys = scene.s3.objects()
    assert len(keys) == 2 * sum(captures.values())
    assert all(key.startswith(f"{PREFIX}/{told['run']}/") for key in keys)
    assert re.search(r"^crane +3 +3 +0\.0", done.stderr, re.MULTILINE), done.stderr
    tasks = json.loads((scene.output / "tasks/label-studio-tasks.json").read_text())
    assert len(tasks) == sum(captures.values())
    images = {task["data"]["image"] for task in tasks}
    rows = json.loads((scene.output / "tasks/labelbox-data-rows.json").read_text())
    assert all(row["row_data"].startswith(f"https://{BUCKET}.s3.amazon") for row in rows)
    assert {image.removeprefix(f"s3://{BUCKET}/") for image in images} < set(keys)

    # Nothing of the credentials is left anywhere, or was ever to be seen.
    secrets = [*secrets_in(scene.fleet.scripts[0]), OPERATOR, CONNECT_TOKEN, scene.s3.admin.secret]
    assert len(scene.fleet.scripts) == len(NAMES)
    assert not [path for path in scene.artifactory.items if "collect" in path]
    assert any("upload.sh" in arguments for arguments in seen), "the watch saw nothing"
    planted.assert_nowhere(
        secrets,
        texts={
            "output": done.stdout,
            "errors": done.stderr,
            "arguments": "\n".join(seen),
            "addresses": str([asked.target for asked in scene.connect.asked]),
            "deployments": repr(scene.connect.deployments),
        },
        folders=[scene.output, scene.fleet.folder],
    )


def test_what_a_device_does_not_send_is_told_and_the_rest_counts(scene: Scene) -> None:
    scene.fleet.away = ("far-away",)
    done = scene.run()
    assert done.returncode == 23, done.stderr
    assert "2 of 3 devices succeeded" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["devices"] == 2
    assert not [path for path in scene.artifactory.items if "collect" in path]
    assert scene.run("--fleet-share", "0.6").returncode == 0


def test_as_parameters(scene: Scene) -> None:
    done = scene.run("--hand-over", "parameters", flow="f-0001-0733")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["devices"] == 3
    assert scene.fleet.scripts == []
    assert "SecretAccessKey" not in done.stdout + done.stderr


def test_the_script_goes_whatever_happens(scene: Scene) -> None:
    done = scene.run(flow="f-ffff")
    assert done.returncode == 20, done.stderr
    assert "no such flow" in done.stderr
    methods = [asked.method for asked in scene.artifactory.asked]
    assert (methods.count("PUT"), methods.count("DELETE")) == (2, 1)
    assert scene.artifactory.items == {}


def test_the_script_goes_when_the_run_is_ended(scene: Scene, tmp_path: Path) -> None:
    release = threading.Event()
    started = threading.Event()

    def waits(device: str, step: Step) -> Outcome:
        started.set()
        release.wait(TIMEOUT_S)
        return Outcome(0)

    with Connect(token=CONNECT_TOKEN, groups={"Production": NAMES}, runs=waits) as connect:
        connect.add_flows((PACKAGING / "upload-captures.yaml").read_text())
        scene.connect = connect
        ended = []
        thread = threading.Thread(target=lambda: ended.append(scene.run()))
        thread.start()
        assert started.wait(TIMEOUT_S)
        assert len(scene.artifactory.items) == 1
        for path in Path("/proc").iterdir():
            if path.name.isdecimal() and str(scene.output) in planted.arguments_of(int(path.name)):
                os.kill(int(path.name), 15)
        thread.join()
        release.set()
    assert ended[0].returncode == 143
    assert scene.artifactory.items == {}


def test_a_repository_that_everybody_reads_is_refused(scene: Scene) -> None:
    scene.artifactory.anonymous = Account("anybody")
    done = scene.run()
    assert done.returncode == 20
    assert "a stranger who asks for the credentials is answered 200" in done.stderr
    assert scene.artifactory.items == {}
    assert scene.connect.deployments == []


def test_credentials_that_cannot_be_deleted_are_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    appender = Account("appender", token="append-t0ken-hunter2", deploy=True)
    scene.artifactory.accounts = (appender,)
    shown = Credentials("Authorization", f"Bearer {appender.token}")
    client = Client(f"{scene.artifactory.url}/artifactory", headers=shown.headers)
    stranger = Client(f"{scene.artifactory.url}/artifactory")
    place = ScriptPlace(Server(client, shown), stranger, "models/collect/upload.sh")
    with pytest.raises(ServiceError, match="could not be deleted"), place.holding(b"#!/bin/sh\n"):
        pass


# ------------------------------------------------------------ Amazon's side by itself


def test_the_runs_credentials_put_objects_and_nothing_else(s3: S3Server, operator: Key) -> None:
    amazon = Amazon(s3_url=s3.url, sts_url=s3.url)
    destination = aws.run_destination(BUCKET, PREFIX, "run-1")
    found = aws.assume_role(amazon, ROLE, destination, duration_s=900)
    key = Key(found.key_id, found.secret, found.token)
    own = f"{PREFIX}/run-1/cam-1/2026/11/22/x.jpg"
    with closed(s3.client("s3", key)) as client:
        client.put_object(Bucket=BUCKET, Key=own, Body=b"x")
        refused = []
        actions: tuple[Callable[[], object], ...] = (
            lambda: client.get_object(Bucket=BUCKET, Key=own),
            lambda: client.delete_object(Bucket=BUCKET, Key=own),
            lambda: client.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX),
            lambda: client.put_object(Bucket=BUCKET, Key="elsewhere/x.jpg", Body=b"x"),
            lambda: client.put_object(Bucket=OTHER_BUCKET, Key=own, Body=b"x"),
            client.list_buckets,
            lambda: client.put_bucket_policy(Bucket=BUCKET, Policy="{}"),
            lambda: client.get_object_tagging(Bucket=BUCKET, Key=own),
            lambda: client.create_multipart_upload(Bucket=OTHER_BUCKET, Key=own),
        )
        for action in actions:
            with pytest.raises(client.exceptions.ClientError) as caught:
                action()
            refused.append(caught.value.response["Error"]["Code"])
    assert set(refused) == {"AccessDenied"}
    assert found.secret not in repr(found) + str(found)


def test_the_policy_opens_the_runs_folder_only() -> None:
    destination = aws.run_destination("pictures", "/weekly/", collection.run_name())
    policy = session_policy(destination, create_only=True)
    (statement,) = json.loads(policy)["Statement"]
    assert statement["Action"] == "s3:PutObject"
    assert statement["Resource"] == f"arn:aws:s3:::pictures/weekly/{destination.device}/*"
    assert len(policy) <= POLICY_MAX_CHARACTERS


@pytest.mark.parametrize("duration_s", [0, 899, 43_201])
def test_hours_that_sts_does_not_give(operator: Key, duration_s: int) -> None:
    with pytest.raises(UsageError, match="hours, and STS gives"):
        aws.assume_role(
            Amazon(), ROLE, aws.run_destination(BUCKET, PREFIX, "r"), duration_s=duration_s
        )


def test_more_time_than_asked_for_is_refused(s3: S3Server, operator: Key) -> None:
    amazon = Amazon(sts_url=s3.url)
    destination = aws.run_destination(BUCKET, PREFIX, "run-1")
    with pytest.raises(ServiceError, match="gave credentials for"):
        aws.assume_role(amazon, ROLE, destination, duration_s=900, now_unix_s=lambda: 0.0)


def test_refusals_do_not_show_the_operators_secret(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Key("AKIAWRONG", "wr0ng-s3cret-hunter2")
    for name, value in environment_of(key).items():
        monkeypatch.setenv(name, value)
    destination = aws.run_destination(BUCKET, PREFIX, "run-1")
    with pytest.raises(ServiceError, match="S3: refuses: InvalidAccessKeyId") as caught:
        aws.arrived(Amazon(s3_url=s3.url), destination)
    assert "hunter2" not in str(caught.value)


def test_foreign_names_are_counted_and_not_copied(
    s3: S3Server, operator: Key, tmp_path: Path
) -> None:
    s3.empty()
    folder = f"{PREFIX}/run-2"
    good = f"{folder}/cam-1/2026/11/22/0000000001-20261122T000000Z-00000000-000000000000"
    with closed(s3.client("s3", operator)) as client:
        for key in (
            f"{good}.jpg", f"{good}.json", f"{folder}/..%2f/x.json", f"{folder}/cam-1/../../x.json",
            f"{folder}/stray.json", f"{folder}/cam-1/2026/11/22/alone.json",
            f"{folder}/cam-2/2026/11/22/without.jpg",
        ):  # fmt: skip
            client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    amazon = Amazon(s3_url=s3.url)
    destination = aws.run_destination(BUCKET, PREFIX, "run-2")
    found = aws.arrived(amazon, destination)
    assert (found["cam-2"].captures, found["cam-2"].pictures) == (0, 1)
    left_out = aws.download(amazon, destination, found, tmp_path / "copy")
    copied = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in copied) == [".jpg", ".json"]
    assert {path.stem for path in copied} == {good.rpartition("/")[2]}
    assert left_out == 3
