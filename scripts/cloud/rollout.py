"""A flow on a group, and on the next only after the share of successes holds on the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from scripts.cloud.errors import RolloutError, ServiceError
from scripts.cloud.fleet import Connect, Device, Order, Result, Status
from scripts.cloud.report import table, tell
from scripts.cloud.timing import Timing

FAILED_POLLS_MAX = 5
"""Questions in a row that Connect does not answer; each is asked several times already."""


class Verdict(StrEnum):
    """Of a stage."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Stage:
    """A group, and what is asked of it.

    Attributes:
        group: its name.
        share: of its devices must succeed, above 0 to 1.
        decided_early: whether the stage ends as soon as nothing can change the verdict.
    """

    group: str
    share: float
    decided_early: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long, and how often it is asked."""

    timeout_s: float = 3600.0
    poll_s: float = 15.0


@dataclass(frozen=True, slots=True)
class StageReport:
    """What became of a stage.

    Attributes:
        stage: it.
        deployment: Connect's name for it; may be "".
        results: of every device of the group.
        verdict: on it.
        timed_out: whether the time was up before every device had come to an end.
    """

    stage: Stage
    deployment: str
    results: tuple[Result, ...]
    verdict: Verdict
    timed_out: bool


def judge(results: Sequence[Result], share: float) -> Verdict:
    """Whether so many succeed; open as long as the devices under way can turn it. Pure."""
    # A tolerance far below one device: 0.9 of 10 is 9, whatever floating point makes of it.
    needed = share * len(results) - 1e-9
    count = Counter(result.status for result in results)
    succeeded = count[Status.SUCCESS]
    under_way = sum(not result.status.final for result in results)
    if succeeded >= needed and results:
        return Verdict.HOLDS
    return Verdict.OPEN if results and succeeded + under_way >= needed else Verdict.FAILS


def merged(devices: Sequence[Device], results: Sequence[Result]) -> tuple[Result, ...]:
    """A result for every device of the group; those not told of are pending. Pure."""
    told = {result.device.uuid: result for result in results}
    named = {result.device.name: result for result in results}
    return tuple(
        replace(found, device=device)
        if (found := told.get(device.uuid) or named.get(device.name)) is not None
        else Result(device, Status.PENDING)
        for device in devices
    )


@dataclass(frozen=True, slots=True)
class Rollout:
    """Runs stages.

    Attributes:
        connect: the service.
        order: what runs on each group; the group is the stage's, and ends the comment.
        waiting: how long.
        timing: clock and sleep.
    """

    connect: Connect
    order: Order
    waiting: Waiting = field(default_factory=Waiting)
    timing: Timing = field(default_factory=Timing)

    def run(self, stages: Sequence[Stage]) -> list[StageReport]:
        """One stage after the other; those after one that fails are not started.

        Raises:
            ServiceError: Connect refuses or cannot be reached.
            RolloutError: a group is empty.
        """
        reports: list[StageReport] = []
        for stage in stages:
            reports.append(self._run(stage))
            if reports[-1].verdict is not Verdict.HOLDS:
                break
        return reports

    def start(self, group: str) -> str:
        """Starts the flow on a group and does not wait."""
        return self.connect.start(self._order(group))

    def _order(self, group: str) -> Order:
        """For a group; its comment is its own, since deployments are found again by it."""
        return replace(self.order, group=group, comment=f"{self.order.comment} {group}")

    def _run(self, stage: Stage) -> StageReport:
        devices = self.connect.devices(stage.group)
        if not devices:
            raise RolloutError(
                "has no devices, so it proves nothing",
                where=f"group {stage.group}",
                hint="Names of groups are case-sensitive",
            )
        order = self._order(stage.group)
        deployment = self.connect.start(order)
        tell(f"{stage.group}: flow {order.flow} started on {len(devices)} devices")
        until_s = self.timing.monotonic_s() + self.waiting.timeout_s
        results = merged(devices, ())
        failed_polls = 0
        while True:
            try:
                results = merged(devices, self.connect.results(order, deployment))
                failed_polls = 0
            except ServiceError as error:
                failed_polls += 1
                if failed_polls == FAILED_POLLS_MAX:
                    raise
                tell(f"{stage.group}: {error}")
            verdict = judge(results, stage.share)
            complete = all(result.status.final for result in results)
            if complete or (stage.decided_early and verdict is not Verdict.OPEN):
                return StageReport(stage, deployment, results, verdict, timed_out=False)
            if self.timing.monotonic_s() + self.waiting.poll_s > until_s:
                ended = Verdict.FAILS if verdict is Verdict.OPEN else verdict
                return StageReport(stage, deployment, results, ended, timed_out=True)
            self.timing.sleep(self.waiting.poll_s)


def rendered(report: StageReport) -> str:
    """A stage for people: a line a device, and one of sums."""
    rows = [
        (result.device.name, result.device.uuid, str(result.status), printable(result.note))
        for result in sorted(report.results, key=lambda result: result.device.name)
    ]
    count = Counter(str(result.status) for result in report.results)
    sums = ", ".join(f"{number} {status}" for status, number in sorted(count.items()))
    ended = "; the time is up" if report.timed_out else ""
    last = (
        f"{report.stage.group}: {sums}; {report.stage.share:.0%} must succeed: "
        f"{report.verdict}{ended}"
    )
    return f"{table(('device', 'uuid', 'status', 'note'), rows)}\n{last}"


def check(reports: Sequence[StageReport], stages: Sequence[Stage]) -> None:
    """Raises unless every stage held.

    Raises:
        RolloutError: one did not; those after it were not started.
    """
    last = reports[-1]
    if last.verdict is Verdict.HOLDS:
        return
    succeeded = sum(result.status is Status.SUCCESS for result in last.results)
    spared = [stage.group for stage in stages[len(reports) :]]
    raise RolloutError(
        f"{succeeded} of {len(last.results)} devices succeeded, and {last.stage.share:.0%} must",
        where=f"group {last.stage.group}",
        hint=f"Not started on {', '.join(spared)}" if spared else "",
    )


def printable(text: str) -> str:
    """Somebody else's text on one line, and short."""
    return "".join(each if each.isprintable() else " " for each in text)[:120]
