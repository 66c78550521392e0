from __future__ import annotations

import select

from daemon.mqtt.wakeup import Wakeup


def heard(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup.descriptor], [], [], 0)[0])


def test_a_ring_is_heard_until_it_is_silenced() -> None:
    wakeup = Wakeup()
    assert not heard(wakeup)
    wakeup.ring()
    wakeup.ring()
    assert heard(wakeup)
    wakeup.silence()
    assert not heard(wakeup)
    wakeup.silence()
    wakeup.close()


def test_after_the_end_nobody_listens_and_ringing_is_allowed() -> None:
    wakeup = Wakeup()
    wakeup.close()
    wakeup.ring()
    wakeup.close()
