from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from daemon.outbox.policy import Entry, Limits, make_room

sizes = st.integers(1, 50)
entries = st.builds(
    Entry,
    sequence=st.just(0),
    expendable=st.booleans(),
    messages=st.integers(1, 2),
    size_bytes=sizes,
)


def numbered(held: list[Entry]) -> list[Entry]:
    return [replace(entry, sequence=number) for number, entry in enumerate(held, start=1)]


def plan_for(incoming: Entry, held: list[Entry], limits: Limits) -> tuple[bool, list[Entry]]:
    plan = make_room(
        incoming,
        held_messages=sum(entry.messages for entry in held),
        held_bytes=sum(entry.size_bytes for entry in held),
        limits=limits,
        expendable=(entry for entry in held if entry.expendable),
        lasting=(entry for entry in held if not entry.expendable),
    )
    return plan.accept, list(plan.drop)


def fits(held: list[Entry], limits: Limits) -> bool:
    return (
        sum(entry.messages for entry in held) <= limits.max_messages
        and sum(entry.size_bytes for entry in held) <= limits.max_bytes
    )


held_lists = st.lists(entries, max_size=12).map(numbered)
limits_all = st.builds(Limits, max_messages=st.integers(1, 20), max_bytes=st.integers(1, 400))


@given(held_lists, entries, limits_all)
def test_what_stays_fits(held: list[Entry], incoming: Entry, limits: Limits) -> None:
    incoming = replace(incoming, sequence=len(held) + 1)
    accept, drop = plan_for(incoming, held, limits)
    if accept:
        assert fits([each for each in held if each not in drop] + [incoming], limits)


@given(held_lists, entries, limits_all)
def test_nothing_goes_without_need(held: list[Entry], incoming: Entry, limits: Limits) -> None:
    incoming = replace(incoming, sequence=len(held) + 1)
    accept, drop = plan_for(incoming, held, limits)
    if fits([*held, incoming], limits):
        assert (accept, drop) == (True, [])
    if drop:  # all but the last drop would not have been enough
        kept = [each for each in held if each not in drop[:-1]]
        assert not fits([*kept, incoming], limits)


@given(held_lists, entries, limits_all)
def test_updates_go_before_starts_and_ends_and_the_oldest_first(
    held: list[Entry], incoming: Entry, limits: Limits
) -> None:
    incoming = replace(incoming, sequence=len(held) + 1)
    _, drop = plan_for(incoming, held, limits)
    updates = [each for each in held if each.expendable]
    others = [each for each in held if not each.expendable]
    assert drop == (updates + others)[: len(drop)]


@given(held_lists, entries, limits_all)
def test_an_update_never_pushes_out_a_start_or_an_end(
    held: list[Entry], incoming: Entry, limits: Limits
) -> None:
    incoming = replace(incoming, sequence=len(held) + 1, expendable=True)
    accept, drop = plan_for(incoming, held, limits)
    assert all(each.expendable for each in drop)
    lasting = [each for each in held if not each.expendable]
    assert accept == fits([*lasting, incoming], limits)


@given(held_lists, entries, limits_all)
def test_a_start_is_refused_only_if_it_is_larger_than_everything(
    held: list[Entry], incoming: Entry, limits: Limits
) -> None:
    incoming = replace(incoming, sequence=len(held) + 1, expendable=False)
    accept, _ = plan_for(incoming, held, limits)
    assert accept == fits([incoming], limits)


def test_an_entry_goes_with_its_snapshot() -> None:
    held = [Entry(1, expendable=True, messages=2, size_bytes=100)]
    accept, drop = plan_for(
        Entry(2, expendable=False, messages=1, size_bytes=10), held, Limits(2, 1000)
    )
    assert accept
    assert drop == held
