"""A pause that ends by itself."""

from __future__ import annotations

from daemon.pause import Pause


def test_a_pause_runs_out_can_be_replaced_and_ended() -> None:
    now = [100.0]
    pause = Pause(now_s=lambda: now[0])

    def left_s() -> float | None:  # a property would keep the type of the last assertion
        return pause.left_s

    assert left_s() is None
    pause.begin(60)
    assert left_s() == 60
    now[0] = 130.0
    assert left_s() == 30
    pause.begin(10)
    assert left_s() == 10
    now[0] = 140.0
    assert left_s() is None
    pause.begin(10)
    pause.end()
    assert left_s() is None
