from __future__ import annotations

import io

from updater.fetch import PlainProgress, Received, TerminalProgress, progress_on
from updater.fetch.progress import NOTES_MAX, PLAIN_STEPS, amount

MEBIBYTE = 1024 * 1024


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_rewritten() -> None:
    stream, now_s = io.StringIO(), 0.0
    with TerminalProgress(stream, clock=lambda: now_s) as progress:
        for held in range(0, 11):
            progress(Received(held * MEBIBYTE, 10 * MEBIBYTE))
            now_s += 0.1
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") == 6, "every other one, and the last"
    assert stream.getvalue().endswith("\r10.0 of 10.0 MiB (100 %)\n")


def test_a_note_stays_on_the_terminal() -> None:
    stream = io.StringIO()
    with TerminalProgress(stream, clock=lambda: 1.0) as progress:
        progress(Received(5 * MEBIBYTE, 10 * MEBIBYTE))
        progress(Received(5 * MEBIBYTE, 10 * MEBIBYTE, "lost"))
    shown = stream.getvalue().splitlines()
    assert [line.strip() for line in shown if line] == ["5.0 of 10.0 MiB (50 %)", "lost"]


def test_plain_lines_are_few_whatever_the_size() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as progress:
        for held in range(0, 200_000_001, 50_000):
            progress(Received(held, 200_000_000))
    lines = stream.getvalue().splitlines()
    assert len(lines) == PLAIN_STEPS
    assert lines[-1] == "190.7 of 190.7 MiB (100 %)"


def test_plain_lines_of_an_unknown_size_double() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as progress:
        for held in range(0, 256 * MEBIBYTE + 1, MEBIBYTE):
            progress(Received(held, None))
    assert stream.getvalue().splitlines() == [f"{2**n}.0 MiB" for n in range(9)]


def test_notes_are_bounded() -> None:
    stream = io.StringIO()
    with PlainProgress(stream) as progress:
        for _ in range(1000):
            progress(Received(0, None, "no connection"))
    assert len(stream.getvalue().splitlines()) == NOTES_MAX


def test_what_fits_the_stream() -> None:
    assert isinstance(progress_on(Terminal()), TerminalProgress)
    assert isinstance(progress_on(io.StringIO()), PlainProgress)


def test_amounts() -> None:
    assert amount(Received(0, 0)) == "0.0 MiB"
    assert amount(Received(MEBIBYTE, None)) == "1.0 MiB"
    assert amount(Received(MEBIBYTE, 3 * MEBIBYTE)) == "1.0 of 3.0 MiB (33 %)"
