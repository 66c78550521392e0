"""The pause between two frames, in which another thread may have the interpreter.

Loading a model holds Python's interpreter lock for as long as the runtime packs its weights (17 to
27 ms on the x86-64 development machine for the shipped model in ai-edge-litert, hardly at all in
tflite-runtime), and neither priorities nor smaller steps can change that from outside. Begun just
after a frame, while the loop waits for the next one, it delays nobody; begun at any other moment it
delays a frame by its full length. An inference of another model lets the lock go, but takes the
processor's cores; it too goes unnoticed in the pause.
"""

from __future__ import annotations

import threading
from typing import Final

PATIENCE_S: Final = 1.0
"""Without a frame for so long there is no loop to delay, or one whose frames are far apart."""


class QuietMoments:
    """Hands pauses of the loop to one other thread."""

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._closed = False

    def begin(self) -> None:
        """Called by the loop when a frame is done with and it is about to wait for the next."""
        self._begun.set()

    def wait(self) -> None:
        """Returns at the beginning of the next pause, at the latest after :data:`PATIENCE_S`."""
        if self._closed:
            return
        self._begun.clear()
        self._begun.wait(PATIENCE_S)

    def close(self) -> None:
        """The loop has ended: nobody needs to wait any more."""
        self._closed = True
        self._begun.set()
