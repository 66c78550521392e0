"""``scripts/jfrog-connect.py`` against the stand-in for Connect, which runs the real flow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.cloud import connect_v1
from scripts.cloud.connect_v1 import ConnectV1
from scripts.cloud.connect_v2 import ConnectV2
from scripts.cloud.errors import ServiceError
from scripts.cloud.fleet import Order
from scripts.cloud.http import Client, Retry, UnclearError
from scripts.cloud.rollout import Rollout, Stage, Verdict, Waiting
from scripts.cloud.timing import RateLimit, Timing
from tests.support import planted
from tests.support.connect_server import Connect, Created, Fault, Outcome, Step
from updater.errors import UsageError

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
FLOW = (ROOT / "packaging/connect/update-model.yaml").read_text()
PLAIN = """
flows: {plain: {steps: [{name: command_step, run: /bin/true}]}}
'on': {workflow-dispatch: {inputs: {}}}
"""
TOKEN = "connect-t0ken-hunter2"
PUBLICATION = {
    "version": "1.1",
    "artifactory_path": "models/sitewatch/1.1/model.zip",
    "sha256": "ab" * 32,
}
QUICK = Timing(sleep=lambda seconds: None)
TIMEOUT_S = 120.0


@dataclass
class Devices:
    """What simulated devices do with the steps of a flow.

    Attributes:
        bad: devices on which the installation fails.
        done: steps, by device, in order.
    """

    bad: Sequence[str] = ()
    done: list[tuple[str, Step]] = field(default_factory=list)

    def __call__(self, device: str, step: Step) -> Outcome:
        self.done.append((device, step))
        if "install" in step.run and device in self.bad:
            return Outcome(13, "starting\nsitewatch-update: 1.1: rolled back to 1.0\n")
        return Outcome(0, "1.1 is committed")


@pytest.fixture
def devices() -> Devices:
    return Devices()


@pytest.fixture
def connect(devices: Devices) -> Iterator[Connect]:
    groups = {
        "Test": ["cam-1", "cam-2"],
        "Production": [f"cam-{number}" for number in range(3, 10)],
        "Empty": [],
    }
    with Connect(token=TOKEN, groups=groups, runs=devices) as server:
        server.add_flows(FLOW)
        server.add_flows(PLAIN)
        yield server


UPDATE, SIMPLE = "f-0000-0733", "f-0001-0733"


def run(connect: Connect, folder: Path, *arguments: object) -> Any:
    """The step as a process, the token in its environment."""
    publication = folder / "publication.json"
    publication.write_text(json.dumps(PUBLICATION))
    command: list[object] = [sys.executable, "scripts/jfrog-connect.py", "--flow_id", UPDATE]
    command += ["--app_name", "sitewatch", "--project", "site", "--connect", connect.url]
    command += ["--publication", publication, "--output", folder / "out", "--poll", "0.05"]
    command += ["--calls-per-minute", "0", *arguments]
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, env=planted.environment(CONNECT_TOKEN=TOKEN),
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def v2(connect: Connect, **options: Any) -> ConnectV2:
    """A client in this process that does not wait between attempts."""
    client = Client(
        connect.url, headers={"Authorization": f"Bearer {TOKEN}"}, secrets=(TOKEN,),
        retry=Retry(attempts=3), timing=QUICK,
    )  # fmt: skip
    return ConnectV2(client, "site", **options)


def order(group: str = "Test", flow: str = SIMPLE, **parameters: str) -> Order:
    return Order(flow, group, "sitewatch", "1.1", "sitewatch 1.1 deadbeef", parameters)


def test_canary_then_fleet(connect: Connect, devices: Devices, tmp_path: Path) -> None:
    done = run(connect, tmp_path, "--canary", "Test", "--group", "Production")
    assert done.returncode == 0, done.stderr
    canary, fleet = connect.deployments
    assert set(canary.statuses) == {"cam-1", "cam-2"}
    assert len(fleet.statuses) == 7
    installs = [step.run for _, step in devices.done if "install" in step.run]
    assert len(installs) == 9
    assert all(f'--sha256 "{"ab" * 32}"' in run for run in installs)
    first = devices.done[0][1]
    assert first.with_["artifactory-path"] == PUBLICATION["artifactory_path"]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["group"], line["success"]) for line in lines] == [("Test", 2), ("Production", 7)]
    table = (tmp_path / "out/rollout.json").read_text()
    assert {device["note"] for stage in json.loads(table) for device in stage["devices"]} == {
        "1.1 is committed"
    }
    assert "cam-3   d-cam-3  success  1.1 is committed" in done.stderr
    texts = {"output": done.stdout, "errors": done.stderr}
    planted.assert_nowhere([TOKEN], texts=texts, folders=[tmp_path])


def test_a_bad_canary_stops_it(connect: Connect, devices: Devices, tmp_path: Path) -> None:
    devices.bad = ["cam-2"]
    connect.rollback = "/usr/share/sitewatch/connect/rollback-model.sh"
    done = run(connect, tmp_path, "--canary", "Test", "--group", "Production", "--group", "Empty")
    assert done.returncode == 23, done.stderr
    assert len(connect.deployments) == 1
    assert "sitewatch-update: 1.1: rolled back to 1.0" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "error: group Test: 1 of 2 devices succeeded, and 90% must. "
        "Not started on Production, Empty"
    )
    assert ("cam-2", Step("command_step", run=connect.rollback)) in devices.done


def test_a_share_that_holds_goes_on(connect: Connect, devices: Devices, tmp_path: Path) -> None:
    devices.bad = ["cam-2", "cam-5"]
    shares = ("--share", "0.5", "--fleet-share", "0.8")
    done = run(connect, tmp_path, "--canary", "Test", "--group", "Production", *shares)
    assert done.returncode == 0, done.stderr
    assert "1 failed, 6 success; 80% must succeed: holds" in done.stderr


def test_the_legacy_interface(connect: Connect, devices: Devices, tmp_path: Path) -> None:
    done = run(connect, tmp_path, "--api", "v1", "--flow_id", SIMPLE, "--group", "Production")
    assert done.returncode == 0, done.stderr
    assert [step.run for _, step in devices.done] == ["/bin/true"] * 7
    assert not any("authorization" in asked.headers for asked in connect.asked)
    assert not any(TOKEN in asked.target for asked in connect.asked)
    planted.assert_nowhere([TOKEN], texts={"errors": done.stderr, "output": done.stdout})


def test_without_waiting(connect: Connect, tmp_path: Path) -> None:
    done = run(connect, tmp_path, "--no-wait", "--group", "Test", "--group", "Production")
    assert done.returncode == 0, done.stderr
    names = [json.loads(line)["deployment"] for line in done.stdout.splitlines()]
    assert names == [one.uuid for one in connect.deployments]
    assert run(connect, tmp_path, "--no-wait", "--canary", "Test", "--group", "x").returncode == 2


def test_refusals(connect: Connect, tmp_path: Path) -> None:
    for arguments, code, message in (
        (("--group", "Nobody"), 20, "404 (Not Found): no such group"),
        (("--group", "Empty"), 23, "has no devices"),
        (("--group", "Test", "--flow_id", "f-ffff"), 20, "400 (Bad Request): no such flow"),
        (("--group", "Test", "--project", "x"), 20, "404 (Not Found): no such project"),
        (("--group", "Test", "--canary", "Test"), 2, "named twice"),
        (("--group", "Test", "--connect", "http://192.0.2.1"), 2, "in the clear"),
        (("--group", "Test", "--parameter", "x"), 2, "is not NAME=VALUE"),
        (("--group", "Test", "--share", "0"), 2, "is not a share"),
        (
            ("--group", "Test", "--api", "v1", "--parameter", "a=b"), 2,
            "version 1 knows no parameters (a)",
        ),
    ):  # fmt: skip
        done = run(connect, tmp_path, *arguments)
        assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert connect.deployments == []


@pytest.mark.parametrize("created", Created)
def test_whatever_the_201_holds(connect: Connect, created: Created) -> None:
    connect.created = created
    client = v2(connect)
    name = client.start(order())
    assert name in (connect.deployments[0].uuid, str(connect.deployments[0].number))
    stages = [Stage("Test", 1.0), Stage("Production", 1.0)]
    reports = Rollout(client, order(), Waiting(timeout_s=30.0, poll_s=0.01)).run(stages)
    assert [report.verdict for report in reports] == [Verdict.HOLDS, Verdict.HOLDS]


@pytest.mark.parametrize("path", ["deployments/{deployment}", "deployments/{deployment}/status"])
def test_wherever_results_are(connect: Connect, path: str) -> None:
    connect.status_path = path
    client = v2(connect, status_paths=(path,))
    name = client.start(order())
    assert {result.device.uuid for result in client.results(order(), name)} == {
        "d-cam-1", "d-cam-2",
    }  # fmt: skip


def test_results_nowhere(connect: Connect) -> None:
    connect.status_path = "elsewhere"
    client = v2(connect)
    name = client.start(order())
    with pytest.raises(ServiceError, match="Name the address with --status-path"):
        client.results(order(), name)


@pytest.mark.parametrize("fault", [Fault(429, {"Retry-After": "7"}), Fault(500), Fault(0)])
def test_a_start_that_was_not_carried_out_is_made_again(connect: Connect, fault: Fault) -> None:
    connect.faults.append(fault)
    v2(connect).start(order())
    assert len(connect.deployments) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(500, carried_out=True), Fault(0, carried_out=True), Fault(504, carried_out=True)],
)
@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_start_that_was_carried_out_is_not_made_twice(
    connect: Connect, fault: Fault, api: str
) -> None:
    connect.faults.append(fault)
    if api == "v2":
        assert v2(connect).start(order()) == connect.deployments[0].uuid
    else:
        ConnectV1(Client(connect.url, timing=QUICK), TOKEN, "site").start(order())
    assert len(connect.deployments) == 1


def test_a_start_that_never_gets_through(connect: Connect) -> None:
    connect.faults.extend([Fault(500, method="POST")] * 3)
    with pytest.raises(UnclearError):
        v2(connect).start(order())
    assert connect.deployments == []


def test_what_the_service_asks_for_is_waited(connect: Connect) -> None:
    slept_s: list[float] = []
    connect.faults.append(Fault(429, {"Retry-After": "7"}))
    client = v2(connect)
    client.client.timing = Timing(sleep=slept_s.append)
    assert len(client.devices("Production")) == 7
    assert slept_s == [7.0]


def test_a_slow_answer_is_an_error_and_asked_again(connect: Connect) -> None:
    connect.faults.append(Fault(200, delay_s=1.0))
    client = v2(connect)
    client.client.timeout_s = (1.0, 0.2)
    assert len(client.devices("Production")) == 7


def test_pages(connect: Connect) -> None:
    connect.per_page = 2
    assert len(v2(connect).devices("Production")) == 7
    connect.groups["Large"] = [f"cam-{number}" for number in range(120)]
    legacy = ConnectV1(Client(connect.url, timing=QUICK), TOKEN, "site")
    assert len({device.uuid for device in legacy.devices("Large")}) == 120


def test_three_calls_a_minute(connect: Connect) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    timing = Timing(lambda: now[0], sleep)
    client = Client(connect.url, limit=RateLimit(3, timing=timing), timing=timing)
    legacy = ConnectV1(client, TOKEN, "site")
    for _ in range(7):
        legacy.devices("Test")
    assert now[0] == 120.0


def test_a_thousand_devices_in_the_legacy_interface(connect: Connect) -> None:
    connect.groups["Large"] = [f"cam-{number}" for number in range(1000)]
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    timing = Timing(lambda: now[0], sleep)
    limit = RateLimit(connect_v1.CALLS_PER_MINUTE, timing=timing)
    legacy = ConnectV1(Client(connect.url, limit=limit, timing=timing), TOKEN, "site")
    assert len(legacy.devices("Large")) == 1000
    assert len(connect.asked) == 20
    first_s = now[0]
    assert len(legacy.devices("Large")) == 1000
    assert (first_s, now[0] - first_s) == (6 * 60.0, 7 * 60.0)


def test_a_wrong_token_does_not_show(connect: Connect) -> None:
    client = Client(connect.url, secrets=("wr0ng-hunter2",))
    with pytest.raises(ServiceError, match=r"401 \(Unauthorized\): bad token") as caught:
        ConnectV1(client, "wr0ng-hunter2", "site").devices("Test")
    assert "hunter2" not in repr((caught.value, client, ConnectV1(client, "wr0ng-hunter2", "site")))


def test_no_parameters_in_the_legacy_interface(connect: Connect) -> None:
    with pytest.raises(UsageError, match=r"knows no parameters \(sha256\)"):
        ConnectV1(Client(connect.url), TOKEN, "site").start(order(sha256="x"))


def test_flows_are_made_as_documented(connect: Connect) -> None:
    client = v2(connect).client
    headers = {"Content-Type": "application/yaml"}
    path = "api/v2/site/update-flows"
    reply = client.ask("POST", path, headers=headers, content=FLOW.encode())
    (made,) = reply.json()["update_flows"]
    v2(connect).start(order(flow=made["uuid"], **{"artifactory-path": "p", "sha256": ""}))
    with pytest.raises(ServiceError, match="no flows"):
        client.ask("POST", path, headers=headers, content=b"steps: []")
