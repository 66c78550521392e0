"""A server that answers each connection with bytes that a test wrote, right or wrong."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

Answer = bytes | Callable[[], Iterator[bytes]]
"""What is sent: at once, or piece by piece as a generator yields it."""


class RawServer:
    """A context in which it serves; the last answer serves all further connections.

    Attributes:
        asked: heads of the requests, in order.
        url: its address, without a slash at the end.

    Args:
        answers: one for each connection.
    """

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.asked: list[str] = []
        self.answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    def __enter__(self) -> RawServer:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def trickle(self, start: bytes, piece: bytes, pause_s: float) -> Callable[[], Iterator[bytes]]:
        """An answer that never ends: ``start``, then ``piece`` after each pause."""

        def pieces() -> Iterator[bytes]:
            yield start
            while not self._closing.is_set():
                time.sleep(pause_s)
                yield piece

        return pieces

    def silence(self) -> Callable[[], Iterator[bytes]]:
        """An answer that never begins."""

        def pieces() -> Iterator[bytes]:
            self._closing.wait()
            yield b""

        return pieces

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (more := connection.recv(65536)):
                head += more
            if not head:
                return
            self.asked.append(head.decode("latin-1"))
            answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
            for piece in [answer] if isinstance(answer, bytes) else answer():
                connection.sendall(piece)
