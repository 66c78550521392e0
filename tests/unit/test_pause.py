"""A pause that ends by itself."""

from __future__ import annotations

from daemon.pause import Pause


def test_a_pause_runs_out_can_be_replaced_and_ended() -> None:
    now = [100.0]
    pause = Pause(now_s=lambda: now[0])
    assert pause.left_s is None
    pause.begin(60)
    assert pause.left_s == 60
    now[0] = 130.0
    assert pause.left_s == 30
    pause.begin(10)
    assert pause.left_s == 10
    now[0] = 140.0
    assert pause.left_s is None
    pause.begin(10)
    pause.end()
    assert pause.left_s is None
