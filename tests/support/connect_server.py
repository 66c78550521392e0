"""A stand-in for JFrog Connect: a small real HTTP server that follows its documented interface.

It is no Connect. It has projects with groups of devices, update flows as YAML (version 2) and
deployments, which it runs on simulated devices: each step of a flow is handed to a callback, which
does what an agent would; without a callback, agents fetch their work and report
(:mod:`tests.support.connect_agents`). Where the documentation leaves an answer open (the body of
the 201, where results are), a test chooses it. It fails on demand: refusals, errors, slow and
broken answers.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.support.connect_agents import AGENTS, Desk, UnknownDeviceError
from tests.support.http_server import FileHandler, Server

_INPUT = re.compile(r"\$\{\{\s*inputs\.([A-Za-z0-9_-]+)\s*\}\}")
V2 = re.compile(r"/api/v2/(?P<project>[^/]+)/(?P<rest>.+)")


class Created(StrEnum):
    """What the body of the 201 holds; the documentation does not say."""

    UUID = "uuid"
    NUMBER = "number"
    """As the vendor's own test has it: a number."""
    NESTED = "nested"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Step:
    """Of a flow, with the values of its inputs filled in.

    Attributes:
        kind: ``command_step`` or ``artifact_step``.
        run: the command of a command step.
        with_: the fields of another.
    """

    kind: str
    run: str = ""
    with_: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a step on a device.

    Attributes:
        code: exit code.
        output: what it printed.
    """

    code: int
    output: str = ""


Runs = Callable[[str, Step], Outcome]
"""Does a step on the device of that name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer that a client must cope with; used once.

    Attributes:
        status: of HTTP; 0 closes the connection without an answer.
        headers: further ones.
        carried_out: whether the request is carried out all the same.
        delay_s: before the answer.
        method: it waits for; "" for any.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    carried_out: bool = False
    delay_s: float = 0.0
    method: str = ""


@dataclass(slots=True)
class Deployment:
    """A flow on devices.

    Attributes:
        uuid: its name; number: as a number.
        comment: of who started it.
        app: name and version.
        statuses: by device.
        outputs: last output by device.
    """

    uuid: str
    number: int
    comment: str
    app: Mapping[str, str]
    statuses: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _ConnectHandler(FileHandler):
    def do_GET(self) -> None:  # noqa: N802
        self._answer()

    do_POST = do_GET  # noqa: N815

    def _answer(self) -> None:
        connect: Connect = self.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        fault = connect.next_fault(self.command)
        if fault is not None:
            if fault.carried_out:
                self._do(connect, body)
            time.sleep(fault.delay_s)
            if fault.status == 0:
                self.close_connection = True
                return
            if fault.status != 200:
                self._json(fault.status, {"error_message": "try again"}, fault.headers)
                return
        self._json(*self._do(connect, body))

    def _do(self, connect: Connect, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            if match := V2.fullmatch(parts.path):
                if self.headers.get("Authorization") != f"Bearer {connect.token}":
                    raise _RefusedError(401, "bad token")
                if unquote(match["project"]) != connect.project:
                    raise _RefusedError(404, "no such project")
                return connect.v2(self.command, match["rest"], query, body)
            if parts.path.startswith("/v1/"):
                return connect.v1(self.command, parts.path.removeprefix("/v1/"), json.loads(body))
            if parts.path.startswith(AGENTS):
                if self.headers.get("Authorization") != f"Bearer {connect.token}":
                    raise _RefusedError(401, "bad token")
                return connect.agent(self.command, parts.path.removeprefix(AGENTS), body)
            raise _RefusedError(404, "not found")
        except _RefusedError as refused:
            return refused.status, {"error_message": str(refused)}

    def _json(self, status: int, document: Any, headers: Mapping[str, str] | None = None) -> None:
        self.reply(
            status,
            b"" if document is None else json.dumps(document).encode(),
            {"Content-Type": "application/json", **(headers or {})},
        )


class Connect(Server):
    """The stand-in.

    Attributes:
        deployments: started so far, in order.
        faults: answers to come, in order.
        created: what the 201 holds.
        status_path: where results are, below the project; "" for nowhere.
        rollback: command that a device runs after a step that failed ("General Rollback").
        per_page: devices a page at most.

    Args:
        token: accepted in both versions.
        project: its key and name.
        groups: names of devices, by group.
        runs: does the steps; called from several threads at once, one a device. None: agents poll
            for them.
        workers: devices that are at work at once.
    """

    handler: type[BaseHTTPRequestHandler] = _ConnectHandler  # type: ignore[misc]

    def __init__(
        self,
        *,
        token: str,
        groups: Mapping[str, Sequence[str]],
        runs: Runs | None,
        project: str = "site",
        workers: int = 2,
    ) -> None:
        super().__init__()
        self.token = token
        self.project = project
        self.groups = {name: list(devices) for name, devices in groups.items()}
        self.deployments: list[Deployment] = []
        self.faults: deque[Fault] = deque()
        self.created = Created.UUID
        self.status_path = "deployments/{deployment}/devices"
        self.rollback = ""
        self.per_page = 1000
        self._flows: dict[str, Mapping[str, Any]] = {}
        self._runs = runs
        self._lock = threading.Lock()
        self._desk = Desk(device for devices in self.groups.values() for device in devices)
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._worker) for _ in range(workers)]

    def __enter__(self) -> Any:
        for thread in self._threads:
            thread.start()
        return super().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
        super().__exit__(*exc_info)

    def add_flows(self, text: str) -> list[str]:
        """Makes flows of YAML, as ``POST …/update-flows`` does; their ids.

        Raises:
            _RefusedError: it is no YAML, or a step is of no kind known here.
        """
        try:
            document = yaml.safe_load(text)
            flows = document["flows"]
            # "on" without quotation marks is a boolean in YAML 1.1.
            inputs = document.get("on", document.get(True, {}))["workflow-dispatch"]["inputs"]
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise _RefusedError(400, "no flows") from error
        made = []
        for flow in flows.values():
            for step in flow["steps"]:
                if step["name"] not in ("command_step", "artifact_step"):
                    raise _RefusedError(400, f"no such step: {step['name']}")
            uuid = f"f-{len(self._flows):04x}-0733"
            self._flows[uuid] = {**flow, "inputs": set(inputs)}
            made.append(uuid)
        return made

    def next_fault(self, method: str) -> Fault | None:
        """Takes the next fault, if it is meant for this method."""
        with self._lock:
            if self.faults and self.faults[0].method in ("", method):
                return self.faults.popleft()
        return None

    # ------------------------------------------------------------ version 2

    def v2(self, method: str, rest: str, query: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        if (method, rest) == ("POST", "update-flows"):
            names = self.add_flows(body.decode())
            return 200, {"status": "success", "update_flows": [{"uuid": name} for name in names]}
        if (method, rest) == ("POST", "deployments"):
            return 201, self._start_v2(json.loads(body))
        if (method, rest) == ("GET", "deployments"):
            with self._lock:
                return 200, {
                    "deployments": [
                        {"deployment_uuid": one.uuid, "comment": one.comment, "type": "update"}
                        for one in self.deployments
                    ]
                }
        if (method, rest) == ("GET", "devices"):
            return 200, self._devices_v2(query)
        for one in self.deployments:
            named = (one.uuid, str(one.number))
            if method == "GET" and rest in [
                self.status_path.replace("{deployment}", name) for name in named
            ]:
                with self._lock:
                    return 200, {
                        "devices": [
                            {
                                **self._device(device),
                                "deployment_status": status,
                                "output": one.outputs.get(device, ""),
                            }
                            for device, status in one.statuses.items()
                        ]
                    }
        raise _RefusedError(404, "not found")

    def _devices_v2(self, query: Mapping[str, str]) -> Mapping[str, Any]:
        group = query.get("group_name", "")
        if group not in self.groups:
            raise _RefusedError(404, "no such group")
        first = int(query.get("after", "0"))
        size = min(self.per_page, int(query.get("limit", "100")))
        names = self.groups[group]
        page = [self._device(name) for name in names[first : first + size]]
        more = first + size < len(names)
        return {"devices": page, **({"after": str(first + size)} if more else {})}

    def _start_v2(self, document: Mapping[str, Any]) -> Any:
        configuration = document["deployment_configuration"]
        if "filters" not in document["device_filter"] or "flow_uuid" not in configuration:
            raise _RefusedError(400, "filters and flow_uuid are required")
        made = self._start(
            configuration["flow_uuid"],
            [group["name"] for group in document["device_filter"].get("groups", [])],
            str(configuration.get("comment", "")),
            configuration.get("app", {}),
            configuration.get("parameters_mapping", {}),
        )
        match self.created:
            case Created.UUID:
                return {"deployment_uuid": made.uuid}
            case Created.NUMBER:
                return {"deployment_uuid": made.number}
            case Created.NESTED:
                return {"status": "success", "message": {"deployment": {"id": made.uuid}}}
            case Created.NOTHING:
                return {"status": "success"}

    # ------------------------------------------------------------ version 1

    def v1(self, method: str, rest: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        if body.get("user_token") != self.token:
            raise _RefusedError(401, "bad token")
        if (method, rest) == ("POST", "deploy_update"):
            chosen, told = body["devices_filter"], body["metadata"]
            if chosen["project"]["name"] != self.project:
                raise _RefusedError(400, "no such project")
            groups = [group["name"] for group in chosen["groups"]]
            self._start(body["flow_id"], groups, told["comment"], told.get("app", {}), {})
            return 200, {"message": "Success"}
        if (method, rest) == ("GET", "devices_details"):
            return 200, self._details(body)
        if (method, rest) == ("POST", "set_update_trigger"):
            return 200, {"message": "Success"}
        raise _RefusedError(404, "not found")

    def _details(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        group = body["group_name"]
        if group not in self.groups:
            raise _RefusedError(400, "no such group")
        if body["limit"] > 50:
            raise _RefusedError(400, "limit is at most 50")
        first, last = body["offset"], body["offset"] + body["limit"]
        names = self.groups[group]
        with self._lock:
            devices = [
                {
                    **self._device(name),
                    "project": self.project,
                    "group": group,
                    "updates": [
                        {
                            "update_id": one.number,
                            "update_status": one.statuses[name],
                            "update_version": one.app.get("version", ""),
                            "comment": one.comment,
                        }
                        for one in self.deployments
                        if name in one.statuses
                    ],
                }
                for name in names[first:last]
            ]
        return {"more": last < len(names), "message": devices}

    # ------------------------------------------------------------ deployments

    def _device(self, name: str) -> dict[str, str]:
        return {"device_uuid": f"d-{name}", "device_name": name, "device_state": "online"}

    def _start(
        self,
        flow: str,
        groups: Sequence[str],
        comment: str,
        app: Mapping[str, str],
        parameters: Mapping[str, str],
    ) -> Deployment:
        if flow not in self._flows:
            raise _RefusedError(400, "no such flow")
        if missing := self._flows[flow]["inputs"] - parameters.keys():
            raise _RefusedError(400, f"no value for {', '.join(sorted(missing))}")
        if not set(groups) <= self.groups.keys():
            raise _RefusedError(400, "no such group")
        steps = [filled(step, parameters) for step in self._flows[flow]["steps"]]
        devices = [device for group in groups for device in self.groups[group]]
        with self._lock:
            number = 109_209 + len(self.deployments)
            made = Deployment(
                f"dp-{number:08x}", number, comment, app, dict.fromkeys(devices, "pending")
            )
            self.deployments.append(made)
        if self._runs is None:
            self._desk.assign(made.uuid, devices, steps, self.rollback)
            return made
        runs = self._runs
        for device in devices:
            self._work.put(lambda device=device: self._run(made, device, steps, runs))  # type: ignore[misc]
        return made

    # ------------------------------------------------------------ agents of simulated devices

    def agent(self, method: str, rest: str, body: bytes) -> tuple[int, Any]:
        """What a simulated device's agent asks; see :mod:`tests.support.connect_agents`."""
        device, _, action = rest.partition("/")
        try:
            if (method, action) == ("GET", "work"):
                work = self._desk.work(device)
                return (204, None) if work is None else (200, work)
            if (method, action) == ("POST", "report"):
                told = json.loads(body)
                if news := self._desk.report(
                    device, told["deployment"], told["step"], told["code"]
                ):
                    (made,) = (one for one in self.deployments if one.uuid == told["deployment"])
                    self._note(made, device, news, str(told["output"]))
                return 200, {"status": "success"}
        except UnknownDeviceError as error:
            raise _RefusedError(404, "no such device") from error
        raise _RefusedError(404, "not found")

    def _run(self, deployment: Deployment, device: str, steps: Sequence[Step], runs: Runs) -> None:
        self._note(deployment, device, "in_progress", "")
        for step in steps:
            outcome = runs(device, step)
            if outcome.code != 0:
                if self.rollback:
                    runs(device, Step("command_step", run=self.rollback))
                self._note(deployment, device, "failed", outcome.output)
                return
            self._note(deployment, device, "in_progress", outcome.output)
        self._note(deployment, device, "success", None)

    def _note(self, deployment: Deployment, device: str, status: str, said: str | None) -> None:
        with self._lock:
            deployment.statuses[device] = status
            if said is not None:
                deployment.outputs[device] = said.strip().rpartition("\n")[2]

    def _worker(self) -> None:
        while (job := self._work.get()) is not None:
            job()


def filled(step: Mapping[str, Any], parameters: Mapping[str, str]) -> Step:
    """A step with the values of its inputs."""

    def fill(text: object) -> str:
        return _INPUT.sub(lambda match: parameters[match[1]], str(text))

    fields = {name: fill(value) for name, value in step.get("with", {}).items()}
    return Step(step["name"], fill(step.get("run", "")), fields)
