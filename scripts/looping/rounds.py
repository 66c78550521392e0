"""The demonstration itself: one round of the loop, then a bad model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.cloud.report import table
from scripts.looping import archives, faulty, leaks, pool, services
from scripts.looping.agent import Agents
from scripts.looping.annotator import StandIn, Truth
from scripts.looping.cameras import HELD_FRAMES, Cameras
from scripts.looping.device import Camera, Device
from scripts.looping.leaks import ArgumentWatch
from scripts.looping.narration import Narrator, NotShownError, cpu_s
from scripts.looping.plan import Plan
from scripts.looping.services import CANARY, FLEET, Services, Switchboard
from scripts.looping.valohai import Execution, Order, Runner
from tests.support import planted
from tests.support.s3_server import BUCKET, Key, closed

WAIT_S = 600.0
TRAINING, WEEKLY = "continuous-training", "weekly-collection"
TOO_FEW = 23
"""Exit code of ``jfrog-connect.py``: too few devices succeeded."""

EXPORT_NAME, POOL = "label-studio.json", "golden"


@dataclass
class Row:
    """What became of one device.

    Attributes:
        before: model at the beginning.
        kept, arrived: pictures, on the device and in the bucket.
        after: model after the roll-out.
        last: model after the bad one.
    """

    before: str = ""
    kept: int = 0
    arrived: int = 0
    after: str = ""
    last: str = ""


@dataclass
class Result:
    """Of the whole run.

    Attributes:
        rows: by device.
        map50: mean mAP50 of the first model and of the second, on the same photographs.
        elapsed_s, cpu_s: what it took.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    map50: tuple[float, float] = (0.0, 0.0)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    def rendered(self) -> str:
        """For people."""
        heading = ("device", "model before", "kept", "uploaded", "model after", "after the bad one")
        lines = [
            (name, row.before, str(row.kept), str(row.arrived), row.after, row.last)
            for name, row in self.rows.items()
        ]
        old, new = self.map50
        return (
            f"{table(heading, lines)}\n\nmean mAP50 on the same photographs: {old:.3f} -> {new:.3f}"
            f"\n{self.elapsed_s / 60:.1f} minutes, {self.cpu_s / 60:.1f} minutes of CPU time"
        )


class Loop:
    """One run.

    Args:
        plan: what is run.
        work: an empty folder that every account can enter.
        narrator: says what happens.
    """

    def __init__(self, plan: Plan, work: Path, narrator: Narrator) -> None:
        self._plan, self._work, self._narrator = plan, work, narrator
        self._result = Result({name: Row() for name in plan.devices})
        self._devices: dict[str, Device] = {}

    def run(self) -> Result:
        """Everything, from the first model to the search for secrets.

        Raises:
            NotShownError: something did not happen as it should.
            AssertionError: likewise, where a stand-in noticed it.
        """
        say = self._narrator
        with ExitStack() as stack:
            watch = stack.enter_context(ArgumentWatch())
            switchboard = Switchboard()
            say.step(
                "services: moto (S3, STS, IAM), Artifactory's and Connect's stand-ins, Mosquitto"
            )
            cloud = stack.enter_context(
                services.running(self._work / "services", self._plan.devices, switchboard)
            )
            runner = self._runner(cloud)
            first = self._first_model(runner, cloud)
            agents = stack.enter_context(self._fleet(cloud, first["publish"]))
            switchboard.agents = agents
            self._watch(cloud)
            collected = self._collect(runner, cloud, agents)
            exported = self._label(cloud, collected)
            second = self._second_model(runner, cloud, first, collected, exported)
            self._bad_model(runner, cloud, second, agents)
            shown = [device.running.log for device in self._devices.values()]
        self._search(cloud, agents, watch, shown)
        self._result.elapsed_s, self._result.cpu_s = say.elapsed_s, cpu_s()
        return self._result

    # ------------------------------------------------------------ models

    def _runner(self, cloud: Services) -> Runner:
        own = {"AWS_EC2_METADATA_DISABLED": "true", "OMP_WAIT_POLICY": "passive"}
        (self._work / "executions").mkdir()
        return Runner(
            self._work / "executions",
            secrets=cloud.variables,
            environment=planted.environment(**own),
        )

    def _first_model(self, runner: Runner, cloud: Services) -> Mapping[str, Execution]:
        self._narrator.step("a first model, published")
        made = runner.pipeline(
            TRAINING, self._plan.first, done=self._plan.first_done, told=self._told
        )
        if "prepare" in made:
            pool.write(made["prepare"].folder / "tmp/prepared", self._work / POOL)
        done = runner.pipeline(
            TRAINING, {"publish": self._publishing(cloud)}, done=made, told=self._told
        )
        self._result.map50 = (_map50(done["export"].output("metrics.jsonl")), 0.0)
        return done

    def _second_model(
        self,
        runner: Runner,
        cloud: Services,
        first: Mapping[str, Execution],
        collected: Mapping[str, Execution],
        exported: Path,
    ) -> Mapping[str, Execution]:
        self._narrator.step(
            f"pipeline {TRAINING}: labels back, a data set that has grown, training, the gate, "
            f"canary ({CANARY}), fleet ({FLEET})"
        )
        orders = dict(self._plan.next)
        orders["labels"] = Order(
            {"exports": [exported], "captures": [collected["collect"].output("captures.tar")]},
            {"source": [f"label-studio:exports/{exported.name}"]},
        )
        if "prepare" in orders:
            # What was prepared is the data set from now on, its persons included.
            grown = first["prepare"].output("prepared.tar")
            dataset = archives.renamed(grown, "hardhat", self._work / "grown")
            orders["prepare"] = _with_input(orders["prepare"], "dataset", dataset)
        if "train" in orders:
            # Training goes on from the first model: minutes would not do from COCO's weights.
            weights = str(first["train"].output("best.pt"))
            orders["train"] = replace(orders["train"], arguments=("--weights", weights))
        if "export" in orders:
            production = first["publish"].output("model.zip")
            orders["export"] = _with_input(orders["export"], "production", production)
        orders["publish"] = self._publishing(cloud)
        orders["connect"] = self._rollout(cloud)
        done = runner.pipeline(TRAINING, orders, done=self._plan.next_done, told=self._told)
        figures = (done["export"].output(f"{name}.jsonl") for name in ("production", "metrics"))
        old, new = map(_map50, figures)
        self._result.map50 = (old, new)
        self._narrator.check(new > old, f"mean mAP50 {old:.3f} -> {new:.3f}: the gate was open")
        version = json.loads(done["publish"].output("publication.json").read_text())["version"]
        self._report(cloud, version, "every device reports the new version")
        for name, row in self._result.rows.items():
            row.after = self._devices[name].model()
        return done

    def _publishing(self, cloud: Services, **parameters: object) -> Order:
        server = f"{cloud.artifactory.url}/artifactory"
        golden = self._plan.golden
        if golden is not None and (self._work / POOL).exists():
            golden = [*golden, str(self._work / POOL)]
        return Order(parameters={"artifactory": server, "golden": golden, **parameters})

    def _rollout(self, cloud: Services, **parameters: object) -> Order:
        flow = cloud.flows["update-model"]
        return Order(parameters={"flow_id": flow, **parameters}, arguments=_stand_in(cloud))

    def _told(self, execution: Execution) -> None:
        self._narrator.tell(f"{execution.step}: {_gist(execution)}")

    # ------------------------------------------------------------ the fleet

    @contextmanager
    def _fleet(self, cloud: Services, published: Execution) -> Iterator[Agents]:
        plan, say = self._plan, self._narrator
        say.step(f"{len(plan.devices)} devices, each with its camera and the first model")
        with (
            Cameras(self._work / "frames", plan.views, plan.frames_per_s) as cameras,
            ExitStack() as stack,
        ):
            for name, url in zip(plan.devices, cameras.urls, strict=True):
                source = {"kind": "rtsp", "location": url, "frames_per_second": plan.frames_per_s}
                device = Device(
                    name, self._work / "devices" / name,
                    Camera(source, plan.captures, plan.probation),
                    cloud.broker.port, cloud.public_key,
                )  # fmt: skip
                self._devices[name] = device
                device.install(published.output("model.zip"))
                device.start()
                stack.callback(device.stop)
            wait_for(lambda: all(d.frames > 0 for d in self._devices.values()), "first frames")
            version = json.loads(published.output("publication.json").read_text())["version"]
            self._report(cloud, version, "every device watches with it")
            for name, row in self._result.rows.items():
                row.before = self._devices[name].model()
            token = cloud.secrets.fleet
            yield Agents(self._devices, f"{cloud.artifactory.url}/artifactory", token)

    def _watch(self, cloud: Services) -> None:
        frames = HELD_FRAMES * max(len(view) for view in self._plan.views)
        rate = self._plan.frames_per_s
        self._narrator.step(f"the devices watch ({frames / rate:.0f} s, {rate} frames a second)")
        wait_for(
            lambda: all(device.frames >= frames for device in self._devices.values()),
            f"{frames} frames on each device",
        )
        for name, row in self._result.rows.items():
            row.kept = self._devices[name].captures()
        kept = sum(row.kept for row in self._result.rows.values())
        self._narrator.check(
            all(row.kept > 0 for row in self._result.rows.values()),
            f"each keeps pictures worth a label, {kept} in all; {cloud.alerts()} alerts by MQTT",
        )

    def _report(self, cloud: Services, version: str, what: str) -> None:
        """Every device's updater, daemon and last MQTT state name a version."""
        wait_for(
            lambda: cloud.models() == dict.fromkeys(self._plan.devices, version),
            f"MQTT says {version} for every device",
        )
        wait_for(lambda: all(d.model() == version for d in self._devices.values()), what)
        self._narrator.check(True, f"{what}: {version} (status --json, daemon, MQTT)")

    # ------------------------------------------------------------ pictures and labels

    def _collect(self, runner: Runner, cloud: Services, agents: Agents) -> Mapping[str, Execution]:
        self._narrator.step(f"pipeline {WEEKLY}: credentials, upload, what arrived, tasks")
        arguments = (*_stand_in(cloud), "--s3-url", cloud.s3.url, "--sts-url", cloud.s3.url)
        parameters = {
            "role-arn": services.ROLE_ARN, "bucket": BUCKET, "prefix": services.PREFIX,
            "artifactory": f"{cloud.artifactory.url}/artifactory",
            "flow_id": cloud.flows["upload-captures"], "group": [CANARY, FLEET],
            "fleet-share": 1.0,
        }  # fmt: skip
        orders = {"collect": Order(parameters=parameters, arguments=arguments), "tasks": Order()}
        done = runner.pipeline(WEEKLY, orders, told=self._told)
        told = json.loads(done["collect"].output("arrived.json").read_text())
        for name, row in self._result.rows.items():
            row.arrived = told["by_device"].get(name, {}).get("captures", 0)
        self._narrator.check(
            all(row.arrived >= row.kept for row in self._result.rows.values()),
            f"what each device kept has arrived, {told['captures']} in all",
        )
        self._narrator.check(
            refused(cloud, _session_key(agents.scripts[0])),
            "the devices' credentials may neither list, read nor delete",
        )
        gone = not [path for path in cloud.artifactory.items if path.startswith("collect/")]
        self._narrator.check(gone, "the script with the credentials is gone from Artifactory")
        return done

    def _label(self, cloud: Services, collected: Mapping[str, Execution]) -> Path:
        truth = Truth([one for view in self._plan.views for one in view], self._work / "truth")
        annotator = StandIn(truth)
        self._narrator.step(f"labels by {annotator.name}, who draws the set's ground truth")
        copy = self._work / "bucket"
        archives.unpack(collected["collect"].output("captures.tar"), copy)
        address = json.loads(collected["collect"].output("arrived.json").read_text())["address"]
        pictures = {
            f"{address.rstrip('/')}/{path.relative_to(copy)}": path for path in copy.rglob("*.jpg")
        }
        tasks = collected["tasks"].output("label-studio-tasks.json")
        exported = self._work / EXPORT_NAME
        exported.write_text(annotator.label(tasks, pictures))
        drawn = json.loads(exported.read_text())
        boxes = sum(len(task["annotations"][0]["result"]) for task in drawn)
        self._narrator.tell(f"{len(drawn)} tasks, {boxes} boxes")
        return exported

    # ------------------------------------------------------------ the bad model

    def _bad_model(
        self,
        runner: Runner,
        cloud: Services,
        second: Mapping[str, Execution],
        agents: Agents,
    ) -> None:
        plan, say = self._plan, self._narrator
        good = json.loads(second["publish"].output("publication.json").read_text())["version"]
        version = f"{good}.1"
        say.step(f"a bad model is forced through the gate as {version}: {plan.fault.name}")
        packed, quiet = faulty.spoil(
            second["export"].output("bundle.tar"), plan.fault, self._work / "spoiled"
        )
        order = self._publishing(cloud, force=True, golden=[str(quiet)])
        published = runner.step(
            "publish", Order({"bundle": [packed]}, order.parameters, ("--version", version))
        )
        self._told(published)
        publication = {"publication": [published.output("publication.json")]}

        def roll_out(**parameters: object) -> Execution:
            order = self._rollout(cloud, **parameters)
            return runner.step(
                "connect",
                Order(publication, order.parameters, order.arguments),
                codes=(TOO_FEW,),
            )

        before = len(agents.log)
        stopped = roll_out()
        self._told(stopped)
        asked = {line.partition(":")[0] for line in agents.log[before:]}
        say.check(asked == {plan.devices[0]}, f"the canary stops it; {FLEET} was never asked")
        self._report(cloud, good, "the canary came back by itself")
        say.step("the same once more, with nobody asking the canary")
        self._told(roll_out(canary=None))
        self._report(cloud, good, "every device came back by itself")
        for name, row in self._result.rows.items():
            device = self._devices[name]
            row.last = device.model()
            frames = device.running.status["frames"]
            say.check(
                (row.last, frames["failed"]) == (good, 0),
                f"{name}: {frames['processed']} frames by one process since its start, none failed",
            )
        said = "\n".join(agents.log[before:])
        say.check(
            said.count(f"{version}: rolled back to {good}") >= len(plan.devices),
            f"each says why: {_reason(said)}",
        )

    # ------------------------------------------------------------ secrets

    def _search(
        self, cloud: Services, agents: Agents, watch: ArgumentWatch, logs: Sequence[str]
    ) -> None:
        self._narrator.step("planted secrets are looked for")
        found = [_session_key(script) for script in agents.scripts]
        secrets = [
            cloud.secrets.operator, cloud.secrets.fleet, cloud.secrets.connect,
            cloud.secrets.release_key, cloud.s3.admin.secret,
            *{key.secret for key in found}, *{str(key.token) for key in found},
        ]  # fmt: skip
        texts: dict[str, str | bytes] = {
            "arguments": "\n".join(watch.seen),
            "answers of devices": "\n".join(agents.log),
            "logs": "\n".join(logs),
            "addresses": "\n".join(
                asked.target for asked in (*cloud.connect.asked, *cloud.artifactory.asked)
            ),
            "deployments": repr(cloud.connect.deployments),
            "messages": b"\n".join(one.payload for one in cloud.subscriber.arrivals),
            **dict(cloud.deployed()),
        }
        # Artifactory's own storage keeps what was deleted; docs/cloud.md says what to do about it.
        folders = [path for path in self._work.iterdir() if path.name != services.STORAGE]
        files = leaks.search(secrets, texts, folders)
        self._narrator.check(
            len(watch.seen) > len(self._plan.devices),
            f"{len(secrets)} secrets are in none of {files} files, {len(watch.seen)} processes' "
            "arguments, answers, addresses or messages",
        )


# ------------------------------------------------------------ small things


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Waits until something happens.

    Raises:
        NotShownError: it never did.
    """
    until_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until_s:
            raise NotShownError(f"never happened: {what}")
        time.sleep(0.5)


def refused(cloud: Services, key: Key) -> bool:
    """Whether the credentials of a run are good for nothing but putting objects."""
    asked: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("list_objects_v2", {"Bucket": BUCKET}),
        ("get_object", {"Bucket": BUCKET, "Key": next(iter(cloud.s3.versions()))}),
        ("delete_object", {"Bucket": BUCKET, "Key": next(iter(cloud.s3.versions()))}),
        ("put_object", {"Bucket": BUCKET, "Key": "elsewhere", "Body": b"x"}),
    )
    with closed(cloud.s3.client("s3", key)) as client:
        for action, arguments in asked:
            try:
                getattr(client, action)(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] != "AccessDenied":
                    return False
            else:
                return False
    return True


def _with_input(order: Order, name: str, path: Path) -> Order:
    return replace(order, inputs={**order.inputs, name: [path]})


def _session_key(script: str) -> Key:
    line = next(line for line in script.splitlines() if line.startswith("{"))
    found = json.loads(line)
    return Key(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def _stand_in(cloud: Services) -> tuple[str, ...]:
    """Arguments by which a step talks to the stand-in for Connect, and is quick about it."""
    return ("--connect", cloud.connect.url, "--poll", "1", "--calls-per-minute", "0")


def _map50(path: Path) -> float:
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return float(next(line["map50"] for line in reversed(lines) if "map50" in line))


_GIST = (
    "captures", "tasks", "pictures", "prelabels", "labelled", "kept", "relabelled", "removed",
    "added", "train", "val", "map50", "version", "gain",
)  # fmt: skip


def _gist(execution: Execution) -> str:
    """The last figures of a step that say most."""
    lines = [json.loads(line) for line in execution.said.splitlines() if line.startswith("{")]
    if groups := [line for line in lines if "verdict" in line]:
        return "; ".join(
            f"group {line['group']}: {line['success']} succeeded, {line['failed']} failed, "
            f"verdict: {line['verdict']}"
            for line in groups
        )
    found = {name: line[name] for line in lines for name in _GIST if name in line}
    return ", ".join(f"{name} {_short(value)}" for name, value in found.items()) or "done"


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _reason(said: str) -> str:
    line = next((line for line in said.splitlines() if "rolled back to" in line), "")
    return line.partition("rolled back to ")[2].partition(": ")[2] or "nothing"
