"""JFrog Connect's interface, version 2.

Documented: devices of a group, starting a deployment, listing deployments. Not documented at the
time of writing: the body of the 201, and where the devices' results are; so both are read by what
they hold rather than by where, and the address of the results can be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from scripts.cloud.errors import ServiceError
from scripts.cloud.fleet import (
    Device,
    Order,
    Result,
    first_text,
    objects_in,
    status_of,
)
from scripts.cloud.http import Client, Reply, UnclearError

ADDRESS = "https://api.connect.jfrog.io"
PAGE = 1000
PAGES_MAX = 100
START_ATTEMPTS = 3
STATUS_PATHS = ("deployments/{deployment}/devices", "deployments/{deployment}")
"""Where results may be, in the order in which they are looked for."""

_DEPLOYMENT = ("deployment_uuid", "deployment_id", "uuid", "id")
_STATUS = ("deployment_status", "update_status", "status")
_NOTE = ("error_message", "output", "note")


@dataclass(slots=True)
class ConnectV2:
    """The service.

    Attributes:
        client: with the token.
        project: key of the project, which is called fleet today.
        status_paths: see :data:`STATUS_PATHS`.
    """

    client: Client
    project: str
    status_paths: tuple[str, ...] = STATUS_PATHS
    _status_path: str = field(default="", init=False)

    def devices(self, group: str) -> tuple[Device, ...]:
        """The devices of a group."""
        found: dict[str, Device] = {}
        after = ""
        for _ in range(PAGES_MAX):
            asked = {"group_name": group, "limit": PAGE, **({"after": after} if after else {})}
            document = self._get("devices", asked).json()
            before = len(found)
            for one in objects_in(document):
                if device := _device(one):
                    found[device.uuid] = device
            after = _after(document)
            if not after or len(found) == before:
                return tuple(found.values())
        raise ServiceError(f"more than {PAGES_MAX} pages of devices", where=group)

    def start(self, order: Order) -> str:
        """Starts a flow; where it is not clear whether it was, that is looked up first."""
        configuration: dict[str, Any] = {"flow_uuid": order.flow, "comment": order.comment}
        if order.app:
            version = {"version": order.version} if order.version else {}
            configuration["app"] = {"name": order.app, **version}
        if order.parameters:
            configuration["parameters_mapping"] = dict(order.parameters)
        document = {
            "device_filter": {"groups": [{"name": order.group}], "filters": []},
            "deployment_configuration": configuration,
        }
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                reply = self.client.ask(
                    "POST", self._path("deployments"), accept=(200, 201, 202), document=document,
                    once=True,
                )  # fmt: skip
            except UnclearError:
                if (found := self._find(order.comment)) is not None:
                    return found
                if attempt == START_ATTEMPTS:
                    raise
                continue
            return _named(reply) or self._find(order.comment) or ""
        raise AssertionError("the last attempt returns or raises")

    def results(self, order: Order, deployment: str) -> tuple[Result, ...]:
        """How far it is.

        Raises:
            ServiceError: Connect tells nothing about single devices at the known addresses.
        """
        deployment = deployment or self._find(order.comment) or ""
        if not deployment:
            raise ServiceError(
                f"does not list the deployment {order.comment!r}", where=f"project {self.project}"
            )
        answered = False
        for path in (self._status_path,) if self._status_path else self.status_paths:
            named = path.replace("{deployment}", quote(deployment, safe=""))
            reply = self.client.ask("GET", self._path(named), accept=(200, 404, 405))
            answered = answered or reply.status == 200
            if reply.status == 200 and (found := results_in(reply.json())):
                self._status_path = path
                return found
        if not answered:
            raise ServiceError(
                "tells nothing about single devices at any address known here",
                where=f"deployment {deployment}",
                hint="Name the address with --status-path",
            )
        return ()

    def _find(self, comment: str) -> str | None:
        """What the deployment with this comment is called; None if there is none."""
        after = ""
        for _ in range(PAGES_MAX):
            asked = {"limit": PAGE, **({"after": after} if after else {})}
            document = self._get("deployments", asked).json()
            for one in objects_in(document):
                if one.get("comment") == comment and (name := first_text(one, _DEPLOYMENT)):
                    return name
            after = _after(document)
            if not after:
                return None
        return None

    def _get(self, path: str, asked: Mapping[str, object]) -> Reply:
        return self.client.ask("GET", f"{self._path(path)}?{urlencode(asked)}")

    def _path(self, path: str) -> str:
        return f"api/v2/{quote(self.project, safe='')}/{path}"


def results_in(document: Any) -> tuple[Result, ...]:
    """Every device with a status that we know, wherever they are in an answer."""
    found: dict[str, Result] = {}
    for one in objects_in(document):
        device, status = _device(one), status_of(first_text(one, _STATUS))
        if device is not None and status is not None:
            found[device.uuid] = Result(device, status, first_text(one, _NOTE))
    return tuple(found.values())


def _device(one: Mapping[str, Any]) -> Device | None:
    uuid, name = first_text(one, ("device_uuid", "device_id")), first_text(one, ("device_name",))
    if not uuid and not name:
        return None
    return Device(uuid or name, name or uuid)


def _named(reply: Reply) -> str:
    """What the started deployment is called, if the answer says so."""
    try:
        document = reply.json()
    except ServiceError:
        return ""
    return next(
        (name for one in objects_in(document) if (name := first_text(one, _DEPLOYMENT))), ""
    )


def _after(document: Any) -> str:
    """Where the next page begins; "" on the last."""
    return first_text(document, ("after", "next", "cursor")) if isinstance(document, dict) else ""
