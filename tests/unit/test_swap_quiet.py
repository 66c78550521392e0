"""Who waits for a pause goes on in one, and never for ever."""

from __future__ import annotations

import threading

from daemon.swap.quiet import QuietMoments
from tests.support.daemon_process import wait_for


def test_a_pause_lets_the_other_thread_go_on() -> None:
    quiet = QuietMoments()
    waiting = threading.Thread(target=quiet.wait)
    waiting.start()

    def gone_on() -> bool:
        quiet.begin()
        return not waiting.is_alive()

    wait_for(gone_on, "the end of the wait")


def test_without_frames_it_goes_on_all_the_same() -> None:
    QuietMoments().wait()


def test_without_a_loop_nobody_waits() -> None:
    quiet = QuietMoments()
    quiet.close()
    for _ in range(100):  # a hundred seconds, if it waited
        quiet.wait()
