from __future__ import annotations

from daemon.mqtt.suspicion import GIVE_UP_TRIES, SUSPECT_TRIES, Suspicion


def broken(times: int, *, position: int = 4) -> Suspicion:
    suspicion = Suspicion()
    for _ in range(times):
        suspicion = suspicion.ended(position, delivered=0)
    return suspicion


def test_it_grows_only_over_one_message_without_any_delivery() -> None:
    assert not broken(SUSPECT_TRIES - 1).confirmed
    assert broken(SUSPECT_TRIES).confirmed
    assert not broken(GIVE_UP_TRIES - 1).hopeless
    assert broken(GIVE_UP_TRIES).hopeless


def test_a_delivery_or_an_idle_connection_ends_it() -> None:
    assert broken(5).ended(4, delivered=1) == Suspicion()
    assert broken(5).ended(None, delivered=0) == Suspicion()


def test_another_message_begins_anew() -> None:
    assert broken(5).ended(6, delivered=0) == Suspicion(6, 1)


def test_from_the_first_break_on_messages_go_one_by_one() -> None:
    assert not Suspicion().one_by_one
    assert broken(1).one_by_one
