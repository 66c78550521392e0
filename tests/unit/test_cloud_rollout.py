from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.cloud import rollout
from scripts.cloud.errors import RolloutError, ServiceError
from scripts.cloud.fleet import Device, Order, Result, Status, objects_in
from scripts.cloud.rollout import Rollout, Stage, Verdict, Waiting, judge, merged
from scripts.cloud.timing import RateLimit, Timing

ORDER = Order("f-1", "", "app", "1.0", "a comment")
DONE = st.sampled_from(list(Status))


def results(*statuses: Status) -> tuple[Result, ...]:
    return tuple(
        Result(Device(f"d-{number}", f"cam-{number}"), status)
        for number, status in enumerate(statuses)
    )


OK, BAD, OFF, WORK = Status.SUCCESS, Status.FAILED, Status.PENDING, Status.IN_PROGRESS


@pytest.mark.parametrize(
    ("statuses", "share", "verdict"),
    [
        ([OK] * 9 + [BAD], 0.9, Verdict.HOLDS),
        ([OK] * 9 + [OFF], 0.9, Verdict.HOLDS),
        ([OK] * 8 + [BAD, BAD], 0.9, Verdict.FAILS),
        ([OK] * 8 + [BAD, WORK], 0.9, Verdict.OPEN),
        ([OK] * 8 + [BAD, Status.ABORTED], 0.8, Verdict.HOLDS),
        ([OFF], 0.1, Verdict.OPEN),
        ([], 0.1, Verdict.FAILS),
    ],
)
def test_verdict(statuses: list[Status], share: float, verdict: Verdict) -> None:
    assert judge(results(*statuses), share) is verdict


@given(st.lists(DONE, min_size=1, max_size=30), st.floats(0.01, 1.0), st.data())
def test_a_verdict_stands_whatever_comes(
    statuses: list[Status], share: float, data: st.DataObject
) -> None:
    before = judge(results(*statuses), share)
    later = [status if status.final else data.draw(DONE) for status in statuses]
    if before is not Verdict.OPEN:
        assert judge(results(*later), share) is before
    if all(status.final for status in statuses):
        assert before is not Verdict.OPEN


def test_devices_that_are_not_told_of_are_pending() -> None:
    devices = [Device("d-1", "cam-1"), Device("d-2", "cam-2"), Device("d-3", "cam-3")]
    told = [Result(Device("d-1", "d-1"), OK), Result(Device("cam-2", "cam-2"), BAD)]
    found = merged(devices, told)
    assert [result.status for result in found] == [OK, BAD, OFF]
    assert [result.device for result in found] == devices


@dataclass
class Clock:
    """Time that passes when somebody sleeps."""

    now_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now_s, self.sleep, lambda: 0.5)


@dataclass
class FakeConnect:
    """A fake of Connect: what it answers, poll by poll, by group."""

    answers: Mapping[str, Sequence[tuple[Result, ...] | ServiceError]]
    started: list[str] = field(default_factory=list)
    _left: dict[str, Iterator[tuple[Result, ...] | ServiceError]] = field(default_factory=dict)

    def devices(self, group: str) -> tuple[Device, ...]:
        answers = [one for one in self.answers[group] if not isinstance(one, ServiceError)]
        return tuple(result.device for result in answers[0])

    def start(self, order: Order) -> str:
        self.started.append(order.group)
        self._left[order.group] = iter(self.answers[order.group])
        return f"dp-{order.group}"

    def results(self, order: Order, deployment: str) -> tuple[Result, ...]:
        answer = next(self._left[order.group])
        if isinstance(answer, ServiceError):
            raise answer
        return answer


CANARY, FLEET = Stage("Test", 0.9, decided_early=True), Stage("Production", 1.0)


def test_the_fleet_after_the_canary() -> None:
    clock = Clock()
    connect = FakeConnect(
        {"Test": [results(OFF, WORK), results(OK, OK)], "Production": [results(OK, OK, OK)]}
    )
    made = Rollout(connect, ORDER, Waiting(100.0, 10.0), clock.timing)
    reports = made.run([CANARY, FLEET])
    assert connect.started == ["Test", "Production"]
    assert [report.verdict for report in reports] == [Verdict.HOLDS, Verdict.HOLDS]
    assert clock.slept_s == [10.0]
    rollout.check(reports, [CANARY, FLEET])


def test_a_canary_that_fails_spares_the_fleet_at_once() -> None:
    clock = Clock()
    connect = FakeConnect({"Test": [results(BAD, OFF)], "Production": [results(OK)]})
    reports = Rollout(connect, ORDER, timing=clock.timing).run([CANARY, FLEET])
    assert connect.started == ["Test"]
    assert clock.slept_s == []
    with pytest.raises(RolloutError, match=r"0 of 2 devices succeeded.*Not started on Production"):
        rollout.check(reports, [CANARY, FLEET])


def test_devices_that_stay_away_count_against_it_when_the_time_is_up() -> None:
    clock = Clock()
    connect = FakeConnect({"Production": [results(OK, OFF)] * 100})
    (report,) = Rollout(connect, ORDER, Waiting(60.0, 15.0), clock.timing).run([FLEET])
    assert (report.verdict, report.timed_out, clock.now_s) == (Verdict.FAILS, True, 60.0)
    assert "1 pending, 1 success; 100% must succeed: fails; the time is up" in (
        rollout.rendered(report)
    )
    enough = Stage("Production", 0.5)
    (report,) = Rollout(connect, ORDER, Waiting(60.0, 15.0), Clock().timing).run([enough])
    assert (report.verdict, report.timed_out) == (Verdict.HOLDS, True)


def test_a_question_without_an_answer_is_asked_again() -> None:
    error = ServiceError("the service answers 500")
    connect = FakeConnect({"Production": [*[error] * 4, results(OK)]})
    (report,) = Rollout(connect, ORDER, timing=Clock().timing).run([FLEET])
    assert report.verdict is Verdict.HOLDS
    connect = FakeConnect({"Production": [*[error] * 5, results(OK)]})
    with pytest.raises(ServiceError):
        Rollout(connect, ORDER, timing=Clock().timing).run([FLEET])


def test_an_empty_group_proves_nothing() -> None:
    with pytest.raises(RolloutError, match="has no devices"):
        Rollout(FakeConnect({"Production": [()]}), ORDER).run([FLEET])


def test_a_table() -> None:
    (report,) = Rollout(FakeConnect({"Test": [results(OK)]}), ORDER).run([CANARY])
    assert rollout.rendered(report).splitlines() == [
        "device  uuid  status   note",
        "cam-0   d-0   success",
        "Test: 1 success; 90% must succeed: holds",
    ]


@given(st.lists(st.floats(0.0, 30.0), max_size=40), st.integers(1, 5))
def test_never_more_calls_in_a_window(pauses_s: list[float], calls: int) -> None:
    clock = Clock()
    limit = RateLimit(calls, 60.0, clock.timing)
    made_s = []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        limit.wait()
        made_s.append(clock.now_s)
    for first, last in zip(made_s, made_s[calls:], strict=False):
        assert last - first >= 60.0 - 1e-6


def test_objects_come_outer_ones_first_however_many() -> None:
    devices = [{"device_name": f"cam-{number}", "of": {"n": number}} for number in range(100_000)]
    found = list(objects_in({"page": [devices], "after": "x"}))
    assert len(found) == 1 + 2 * len(devices)
    assert found[1 : 1 + len(devices)] == devices
    assert found[-1] == {"n": len(devices) - 1}
