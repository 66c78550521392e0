"""The demonstration itself: one round of the loop, then a bad model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from scripts.looping import access, archives, faulty, leaks, pool, services
from scripts.looping.agent import Agents
from scripts.looping.annotator import Annotator, StandIn, Truth
from scripts.looping.cameras import HELD_FRAMES
from scripts.looping.fleet import Fleet
from scripts.looping.gist import gist, map50, reason
from scripts.looping.leaks import ArgumentWatch
from scripts.looping.narration import Narrator, cpu_s
from scripts.looping.plan import Plan
from scripts.looping.result import Result, Row
from scripts.looping.services import CANARY, FLEET, Services, Switchboard
from scripts.looping.valohai import Execution, Order, Runner
from tests.support import planted
from tests.support.s3_server import BUCKET

TRAINING, WEEKLY = "continuous-training", "weekly-collection"
TOO_FEW = 23
"""Exit code of ``jfrog-connect.py``: too few devices succeeded."""

EXPORT_NAME, POOL = "label-studio.json", "golden"

Done = Mapping[str, Execution]
"""What nodes of a pipeline made."""


class Loop:
    """One run.

    Args:
        plan: what is run.
        work: an empty folder that every account can enter.
        narrator: says what happens.
        annotator: makes whoever labels, given what is on the pictures.
    """

    def __init__(
        self,
        plan: Plan,
        work: Path,
        narrator: Narrator,
        annotator: Callable[[Truth], Annotator] = StandIn,
    ) -> None:
        self._plan, self._work, self._narrator = plan, work, narrator
        self._annotator = annotator
        self._result = Result({name: Row() for name in plan.devices})

    def run(self) -> Result:
        """Everything, from the first model to the search for secrets.

        Raises:
            NotShownError: something did not happen as it should.
            AssertionError: likewise, where a stand-in noticed it.
        """
        say, plan = self._narrator, self._plan
        with ExitStack() as stack:
            watch = stack.enter_context(ArgumentWatch())
            switchboard = Switchboard()
            say.step(
                "services: moto (S3, STS, IAM), Artifactory's and Connect's stand-ins, Mosquitto"
            )
            cloud = stack.enter_context(
                services.running(self._work / "services", plan.devices, switchboard)
            )
            runner = self._runner(cloud)
            first = self._first_model(runner, cloud)
            fleet = stack.enter_context(Fleet(plan, self._work, cloud, say))
            self._watch(cloud, fleet, first)
            registry = f"{cloud.artifactory.url}/artifactory"
            agents = Agents(fleet.devices, registry, cloud.secrets.fleet)
            switchboard.agents = agents
            collected = self._collect(runner, cloud, fleet, agents)
            labels = self._label(collected, cloud)
            second = self._second_model(runner, cloud, fleet, first, labels)
            self._bad_model(runner, cloud, fleet, second, agents)
            self._search(cloud, agents, watch)
        self._result.elapsed_s, self._result.cpu_s = say.elapsed_s, cpu_s()
        return self._result

    # ------------------------------------------------------------ models

    def _runner(self, cloud: Services) -> Runner:
        own = {"AWS_EC2_METADATA_DISABLED": "true", "OMP_WAIT_POLICY": "passive"}
        folder = self._work / "executions"
        folder.mkdir()
        return Runner(folder, secrets=cloud.variables, environment=planted.environment(**own))

    def _first_model(self, runner: Runner, cloud: Services) -> Done:
        plan = self._plan
        self._narrator.step("a first model, published")
        made = runner.pipeline(TRAINING, plan.first, done=plan.first_done, told=self._told)
        if "prepare" in made:
            pool.write(made["prepare"].folder / "tmp/prepared", self._work / POOL)
        return runner.pipeline(
            TRAINING, {"publish": self._publishing(cloud)}, done=made, told=self._told
        )

    def _second_model(
        self, runner: Runner, cloud: Services, fleet: Fleet, first: Done, labels: Order
    ) -> Done:
        self._narrator.step(
            f"pipeline {TRAINING}: labels back, a data set that has grown, training, the gate, "
            f"canary ({CANARY}), fleet ({FLEET})"
        )
        plan = self._plan
        orders = {
            "labels": labels,
            **self._grown(first),
            "publish": self._publishing(cloud),
            "connect": _rollout(cloud),
        }
        done = runner.pipeline(TRAINING, orders, done=plan.next_done, told=self._told)
        old, new = (map50(done["export"].output(f"{of}.jsonl")) for of in ("production", "metrics"))
        self._result.map50 = (old, new)
        self._narrator.check(new > old, f"mean mAP50 {old:.3f} -> {new:.3f}: the gate was open")
        fleet.report(_version(done["publish"]), "every device reports the new version")
        for name, model in fleet.models().items():
            self._result.rows[name].after = model
        return done

    def _grown(self, first: Done) -> dict[str, Order]:
        """The plan's orders for the second model, with what the first one left."""
        orders = dict(self._plan.next)
        if "prepare" in orders:
            # What was prepared is the data set from now on, its persons included.
            prepared = first["prepare"].output("prepared.tar")
            dataset = archives.renamed(prepared, "hardhat", self._work / "grown")
            orders["prepare"] = _with_input(orders["prepare"], "dataset", dataset)
        if "train" in orders:
            # Training goes on from the first model: minutes would not do from COCO's weights.
            weights = str(first["train"].output("best.pt"))
            orders["train"] = replace(orders["train"], arguments=("--weights", weights))
        if "export" in orders:
            production = first["publish"].output("model.zip")
            orders["export"] = _with_input(orders["export"], "production", production)
        return orders

    def _publishing(self, cloud: Services, **parameters: object) -> Order:
        golden = self._plan.golden
        if golden is not None and (self._work / POOL).exists():
            golden = [*golden, str(self._work / POOL)]
        server = f"{cloud.artifactory.url}/artifactory"
        return Order(
            parameters={
                "artifactory": server, "golden": golden, **self._plan.asked, **parameters
            }
        )  # fmt: skip

    def _told(self, execution: Execution) -> None:
        self._narrator.tell(f"{execution.step}: {gist(execution)}")

    # ------------------------------------------------------------ pictures and labels

    def _watch(self, cloud: Services, fleet: Fleet, first: Done) -> None:
        say, plan, rows = self._narrator, self._plan, self._result.rows
        say.step(f"{len(plan.devices)} devices, each with its camera and the first model")
        fleet.start(first["publish"].output("model.zip"))
        fleet.report(_version(first["publish"]), "every device watches with it")
        for name, model in fleet.models().items():
            rows[name].before = model
        frames = HELD_FRAMES * max(len(view) for view in plan.views)
        rate = plan.frames_per_s
        say.step(f"the devices watch ({frames / rate:.0f} s, {rate} frames a second)")
        fleet.watch()
        for name, device in fleet.devices.items():
            rows[name].kept = len(device.captures())
        say.check(
            all(row.kept for row in rows.values()),
            f"each keeps pictures worth a label, {sum(row.kept for row in rows.values())} in all; "
            f"{cloud.alerts()} alerts by MQTT",
        )

    def _collect(self, runner: Runner, cloud: Services, fleet: Fleet, agents: Agents) -> Done:
        say, rows = self._narrator, self._result.rows
        say.step(f"pipeline {WEEKLY}: credentials, upload, what arrived, tasks")
        parameters = {
            "role-arn": services.ROLE_ARN, "bucket": BUCKET, "prefix": services.PREFIX,
            "artifactory": f"{cloud.artifactory.url}/artifactory",
            "flow_id": cloud.flows["upload-captures"], "group": [CANARY, FLEET],
            "fleet-share": 1.0,
        }  # fmt: skip
        arguments = (*_stand_in(cloud), "--s3-url", cloud.s3.url, "--sts-url", cloud.s3.url)
        orders = {"collect": Order(parameters=parameters, arguments=arguments), "tasks": Order()}
        kept = {name: device.captures() for name, device in fleet.devices.items()}
        done = runner.pipeline(WEEKLY, orders, told=self._told)
        told = json.loads(done["collect"].output("arrived.json").read_text())
        for name, row in rows.items():
            row.arrived = told["by_device"].get(name, {}).get("captures", 0)
        # The camera goes on meanwhile: what gave way to something better did not have to travel.
        left = [
            name
            for name, device in fleet.devices.items()
            if kept[name] & device.captures() - device.stored()
        ]
        say.check(
            not left and all(row.arrived for row in rows.values()),
            f"what each device kept has arrived, {told['captures']} in all",
        )
        say.check(
            access.only_puts(cloud.s3, access.session_key(agents.scripts[0])),
            "the devices' credentials may neither list, read, delete, nor write elsewhere",
        )
        gone = not [path for path in cloud.artifactory.items if path.startswith("collect/")]
        say.check(gone, "the script with the credentials is gone from Artifactory")
        return done

    def _label(self, collected: Done, cloud: Services) -> Order:
        truth = Truth([one for view in self._plan.views for one in view], self._work / "truth")
        annotator = self._annotator(truth)
        self._narrator.step(f"labels by {annotator.name}")
        bucket = cloud.pictures(self._work / "bucket")
        pictures = {
            f"s3://{BUCKET}/{services.PREFIX}/{path.relative_to(bucket)}": path
            for path in bucket.rglob("*.jpg")
        }
        tasks = collected["tasks"].output("label-studio-tasks.json")
        exported = self._work / EXPORT_NAME
        exported.write_text(annotator.label(tasks, pictures))
        drawn = json.loads(exported.read_text())
        boxes = sum(len(task["annotations"][0]["result"]) for task in drawn)
        self._narrator.check(
            len(drawn) == len(json.loads(tasks.read_text())),
            f"every task is labelled: {len(drawn)}, {boxes} boxes of the set's ground truth",
        )
        return Order({"exports": [exported], "captures": [bucket]})

    # ------------------------------------------------------------ the bad model

    def _bad_model(
        self, runner: Runner, cloud: Services, fleet: Fleet, second: Done, agents: Agents
    ) -> None:
        plan, say = self._plan, self._narrator
        good = _version(second["publish"])
        version = _after(good)
        say.step(f"a bad model is forced through the gate as {version}: {plan.fault.name}")
        bundle = second["export"].output("bundle.tar")
        packed, quiet = faulty.spoil(bundle, plan.fault, self._work / "spoiled")
        order = self._publishing(cloud, force=True, golden=[str(quiet)])
        published = runner.step(
            "publish", Order({"bundle": [packed]}, order.parameters, ("--version", version))
        )
        self._told(published)
        publication = published.output("publication.json")

        def roll_out(**parameters: object) -> None:
            order = _with_input(_rollout(cloud, **parameters), "publication", publication)
            self._told(runner.step("connect", order, codes=(TOO_FEW,)))

        before = len(agents.log)
        roll_out()
        asked = {line.partition(":")[0] for line in agents.log[before:]}
        say.check(asked == {plan.devices[0]}, f"the canary stops it; {FLEET} was never asked")
        fleet.report(good, "the canary came back by itself")
        say.step("the same once more, with nobody asking the canary")
        roll_out(canary=None)
        fleet.report(good, "every device came back by itself")
        for name, device in fleet.devices.items():
            self._result.rows[name].last = device.model()
            frames = device.running.status["frames"]
            say.check(
                frames["failed"] == 0,
                f"{name}: {frames['processed']} frames by one process since its start, none failed",
            )
        said = "\n".join(agents.log[before:])
        say.check(
            said.count(f"{version}: rolled back to {good}") >= len(plan.devices),
            f"each says why: {reason(said)}",
        )

    # ------------------------------------------------------------ secrets

    def _search(self, cloud: Services, agents: Agents, watch: ArgumentWatch) -> None:
        self._narrator.step("planted secrets are looked for")
        found = [access.session_key(script) for script in agents.scripts]
        secrets = [
            cloud.secrets.operator, cloud.secrets.fleet, cloud.secrets.connect,
            cloud.secrets.release_key, cloud.s3.admin.secret,
            *{key.secret for key in found}, *{str(key.token) for key in found},
        ]  # fmt: skip
        texts: dict[str, str | bytes] = {
            "arguments": "\n".join(watch.seen),
            "answers of devices": "\n".join(agents.log),
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
            any("upload.sh" in arguments for arguments in watch.seen),
            f"{len(secrets)} secrets are in none of {files} files (logs, outputs, captures), nor "
            f"in the arguments of {len(watch.seen)} processes, addresses, answers or messages",
        )


def _rollout(cloud: Services, **parameters: object) -> Order:
    flow = cloud.flows["update-model"]
    return Order(parameters={"flow_id": flow, **parameters}, arguments=_stand_in(cloud))


def _stand_in(cloud: Services) -> tuple[str, ...]:
    """Arguments by which a step talks to the stand-in for Connect, and is quick about it."""
    return ("--connect", cloud.connect.url, "--poll", "1", "--calls-per-minute", "0")


def _with_input(order: Order, name: str, path: Path) -> Order:
    return replace(order, inputs={**order.inputs, name: [path]})


def _version(published: Execution) -> str:
    return str(json.loads(published.output("publication.json").read_text())["version"])


def _after(version: str) -> str:
    """The next version, with as many numbers."""
    head, dot, last = version.rpartition(".")
    return f"{head}{dot}{int(last) + 1}"
