"""What everybody needs who starts a server or a daemon for a while: a port, and an end."""

from __future__ import annotations

import socket
import subprocess


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str], timeout_s: float) -> None:
    """Asks a process to end, and ends it where it does not in time. One that has ended is left.

    Args:
        process: a child of ours; it has been waited for afterwards.
        timeout_s: how long it may take.
    """
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
