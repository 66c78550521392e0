"""systemd's notifications, read from a real notification socket."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.notify import Notifier


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.setblocking(False)

        def read() -> list[str]:
            messages = []
            while True:
                try:
                    messages.append(receiver.recv(4096).decode())
                except BlockingIOError:
                    return messages

        yield read


def test_ready_comes_with_the_first_frame_and_only_once(heard: Callable[[], list[str]]) -> None:
    notifier = Notifier(watchdog_usec=0)
    assert heard() == []
    notifier.frame_processed("watching")
    notifier.frame_processed("watching")
    assert heard() == ["READY=1\nSTATUS=watching\nWATCHDOG=1"]


def test_the_watchdog_is_fed_by_frames(heard: Callable[[], list[str]]) -> None:
    notifier = Notifier(watchdog_usec=1)
    notifier.frame_processed("watching")
    heard()
    notifier.frame_processed("watching")
    assert heard() == ["WATCHDOG=1"]


def test_a_long_watchdog_is_not_fed_with_every_frame(heard: Callable[[], list[str]]) -> None:
    notifier = Notifier(watchdog_usec=3_600_000_000)
    notifier.frame_processed("watching")
    heard()
    for _ in range(50):
        notifier.frame_processed("watching")
    assert heard() == []


def test_a_status_is_said_once(heard: Callable[[], list[str]]) -> None:
    notifier = Notifier(watchdog_usec=0)
    notifier.status("a")
    notifier.status("a")
    notifier.status("b")
    assert heard() == ["STATUS=a", "STATUS=b"]


def test_reload_and_stop(heard: Callable[[], list[str]]) -> None:
    notifier = Notifier(watchdog_usec=0)
    notifier.reloading()
    notifier.reloaded()
    notifier.stopping("end of file")
    reloading, reloaded, stopping = heard()
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert reloaded == "READY=1"
    assert stopping == "STOPPING=1\nSTATUS=end of file"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.frame_processed("watching")
    notifier.stopping("done")
