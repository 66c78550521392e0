from __future__ import annotations

from daemon.mqtt.live import Live, LiveMessages

NOTHING = Live(state=None, picture=None, announce=False)


def test_only_the_newest_is_due_and_only_once() -> None:
    live = LiveMessages()
    assert live.take() == NOTHING
    live.put_state(b"old")
    live.put_state(b"new")
    live.put_picture(b"JPEG")
    assert live.take() == Live(state=b"new", picture=b"JPEG", announce=False)
    assert live.take() == NOTHING


def test_a_new_connection_gets_the_last_state_again_and_no_old_picture() -> None:
    live = LiveMessages()
    live.put_state(b"last")
    live.take()
    live.put_picture(b"asked for over the old connection")
    live.begin_connection()
    assert live.take() == Live(state=b"last", picture=None, announce=True)


def test_before_the_first_state_there_is_none_to_send() -> None:
    live = LiveMessages()
    live.begin_connection()
    assert live.take() == Live(state=None, picture=None, announce=True)
