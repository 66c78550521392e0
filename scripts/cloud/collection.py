"""A weekly run: credentials out, pictures in, credentials gone."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from scripts.cloud import aws, handover
from scripts.cloud.artifactory import Artifactory, checked_path, checksums_of
from scripts.cloud.aws import Amazon, Arrived, Temporary
from scripts.cloud.errors import ServiceError
from scripts.cloud.handover import SCRIPT_NAME, Way
from scripts.cloud.http import Client
from scripts.cloud.report import table, tell
from scripts.cloud.rollout import Rollout, Stage, StageReport
from updater.errors import SitewatchError
from updater.upload.names import Destination

CLOSED = (401, 403, 404)
"""What a repository answers to somebody who may not read it."""


@dataclass(frozen=True, slots=True)
class ScriptPlace:
    """Where the upload script lies for the time of a run.

    Attributes:
        server: of the repository.
        stranger: the same server, without credentials.
        path: of the script, the repository in front.
    """

    server: Artifactory
    stranger: Client
    path: str

    @contextlib.contextmanager
    def holding(self, content: bytes) -> Iterator[None]:
        """The script is there as long as the context; whatever ends it, it is deleted.

        Raises:
            ServiceError: it cannot be put there, everybody could read it, or it stays there.
        """
        try:
            self.server.deploy(self.path, checksums_of(content), content, {})
            reply = self.stranger.ask("GET", checked_path(self.path), accept=range(200, 500))
            if reply.status not in CLOSED:
                raise ServiceError(
                    f"a stranger who asks for the credentials is answered {reply.status}",
                    where=self.path,
                    hint="Give a repository that only the flow's account can read",
                )
            yield
        except BaseException:
            try:
                self._delete()
            except SitewatchError as second:
                tell(f"error: {second}")
            raise
        self._delete()

    def _delete(self) -> None:
        try:
            self.server.delete(self.path)
            gone = self.server.find(self.path) is None
        except ServiceError as error:
            raise ServiceError(
                f"the credentials could not be deleted: {error.what}",
                where=self.path,
                hint="Delete it by hand; until they end they can put objects into the run's folder",
            ) from error
        if not gone:
            raise ServiceError("is still there after it was deleted", where=self.path)
        tell(f"{self.path}: deleted")


@dataclass(frozen=True, slots=True)
class Collection:
    """A run.

    Attributes:
        amazon: how it is reached.
        destination: the run's folder.
        rollout: of the flow; its parameters are added to.
        way: to hand the credentials over.
        script: where; None for parameters.
        hand_path: whether the flow has a parameter that takes the script's path.
    """

    amazon: Amazon
    destination: Destination
    rollout: Rollout
    way: Way
    script: ScriptPlace | None
    hand_path: bool = True

    def run(
        self, credentials: Temporary, stages: Sequence[Stage]
    ) -> tuple[list[StageReport], Mapping[str, Arrived]]:
        """Runs the flow with credentials, and counts what arrived.

        Raises:
            ServiceError: a service refuses or cannot be reached.
            RolloutError: a group is empty.
        """
        if self.script is None:
            told = handover.parameters(credentials, self.destination)
            reports = self._with(told).run(stages)
        else:
            content = handover.script(credentials, self.destination, self.amazon)
            told = {"artifactory-path": self.script.path} if self.hand_path else {}
            with self.script.holding(content):
                reports = self._with(told).run(stages)
        return reports, aws.arrived(self.amazon, self.destination)

    def _with(self, parameters: Mapping[str, str]) -> Rollout:
        order = self.rollout.order
        told = {**order.parameters, **parameters}
        return replace(self.rollout, order=replace(order, parameters=told))


def run_name(now: datetime | None = None) -> str:
    """A name that no other run has, in the order of time."""
    now = now or datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def script_path(repository: str, folder: str, run: str) -> str:
    """Of a run's script; nobody guesses it."""
    return checked_path("/".join(filter(None, (repository, folder, run, SCRIPT_NAME))))


def rendered(found: Mapping[str, Arrived]) -> str:
    """What arrived, for people: a line a device, and one of sums."""
    rows = [
        (device, str(one.captures), str(one.pictures), f"{one.size_bytes / 1e6:.1f}")
        for device, one in found.items()
    ]
    sums = (
        "all",
        str(sum(one.captures for one in found.values())),
        str(sum(one.pictures for one in found.values())),
        f"{sum(one.size_bytes for one in found.values()) / 1e6:.1f}",
    )
    return table(("device", "captures", "pictures", "MB"), [*rows, sums])
