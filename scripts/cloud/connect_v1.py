"""JFrog Connect's interface, version 1 ("legacy"): agents from 7.0 on do not serve it.

The token is a member of each body. A deployment has no name of its own: it is found again on the
devices by its comment. It knows no parameters of flows, and allows three calls a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.cloud.errors import ServiceError
from scripts.cloud.fleet import Device, Order, Result, Status, first_text, status_of
from scripts.cloud.http import Client, UnclearError
from updater.errors import UsageError

CALLS_PER_MINUTE = 3
PAGE = 50
PAGES_MAX = 1000
START_ATTEMPTS = 3


@dataclass(slots=True)
class ConnectV1:
    """The service.

    Attributes:
        client: without a token in its headers.
        token: of the account.
        project: its name.
    """

    client: Client
    token: str = field(repr=False)
    project: str

    def devices(self, group: str) -> tuple[Device, ...]:
        """The devices of a group."""
        return tuple(_device(one) for one in self._details(group))

    def start(self, order: Order) -> str:
        """Starts a flow; where it is not clear whether it was, the devices are asked first."""
        if order.parameters:
            raise UsageError(
                f"version 1 knows no parameters ({', '.join(sorted(order.parameters))})",
                where="--parameter",
                hint="Use --api v2, or a flow that needs none",
            )
        app = {"app": {"name": order.app, "version": order.version}} if order.app else {}
        document = {
            "user_token": self.token,
            "flow_id": order.flow,
            "devices_filter": {
                "project": {"name": self.project},
                "groups": [{"name": order.group}],
                "filters": [],
            },
            "metadata": {"comment": order.comment, **app},
        }
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                self.client.ask("POST", "v1/deploy_update", document=document, once=True)
            except UnclearError:
                if self.results(order, ""):
                    return ""
                if attempt == START_ATTEMPTS:
                    raise
                continue
            return ""
        raise AssertionError("the last attempt returns or raises")

    def results(self, order: Order, deployment: str) -> tuple[Result, ...]:
        """How far it is, on the devices that have got it."""
        found = []
        for one in self._details(order.group):
            updates = one.get("updates")
            for update in updates if isinstance(updates, list) else ():
                if isinstance(update, dict) and update.get("comment") == order.comment:
                    status = status_of(update.get("update_status")) or Status.IN_PROGRESS
                    found.append(Result(_device(one), status))
        return tuple(found)

    def _details(self, group: str) -> Iterator[Mapping[str, Any]]:
        for page in range(PAGES_MAX):
            document = {
                "user_token": self.token,
                "project_name": self.project,
                "group_name": group,
                "limit": PAGE,
                "offset": page * PAGE,
            }
            reply = self.client.ask("GET", "v1/devices_details", document=document)
            answer = reply.json()
            devices = answer.get("message") if isinstance(answer, dict) else None
            if not isinstance(devices, list):
                raise ServiceError("the answer holds no devices", where=reply.where)
            yield from (one for one in devices if isinstance(one, dict))
            if answer.get("more") is not True:
                return
        raise ServiceError(f"more than {PAGES_MAX} pages of devices", where=group)


def _device(one: Mapping[str, Any]) -> Device:
    name = first_text(one, ("device_name",))
    uuid = first_text(one, ("device_uuid",)) or name
    if not uuid:
        raise ServiceError("a device without a name", where="v1/devices_details")
    return Device(uuid, name or uuid)
