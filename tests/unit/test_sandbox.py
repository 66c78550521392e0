"""The filter's program on a small interpreter of BPF, for every processor; the rest is in
``tests/integration/test_sandbox``, with real processes.
"""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.sandbox import AARCH64, ARM, X86_64, SystemCalls, filter_program, system_calls

KILL, ALLOW, EPERM = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
ALL = (X86_64, AARCH64, ARM)


def verdict(calls: SystemCalls, architecture: int, number: int) -> int:
    """What the program answers, run as ``Documentation/networking/filter.rst`` has it."""
    data = struct.pack("=II", number, architecture)
    program = filter_program(calls)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"code {code:#x}")


@pytest.mark.parametrize("calls", ALL)
@given(number=st.integers(0, 600))
def test_just_the_refused_calls_fail(calls: SystemCalls, number: int) -> None:
    expected = EPERM if number in calls.refused else ALLOW
    assert verdict(calls, calls.architecture, number) == expected


@pytest.mark.parametrize("calls", ALL)
def test_each_refused_call(calls: SystemCalls) -> None:
    assert len(set(calls.refused)) == 9
    for number in calls.refused:
        assert verdict(calls, calls.architecture, number) == EPERM


@pytest.mark.parametrize("calls", ALL)
@given(architecture=st.integers(0, 2**32 - 1), number=st.integers(0, 2**32 - 1))
def test_calls_of_another_architecture_end_the_process(
    calls: SystemCalls, architecture: int, number: int
) -> None:
    if architecture != calls.architecture:
        assert verdict(calls, architecture, number) == KILL


@given(number=st.integers(0x40000000, 2**32 - 1))
def test_the_second_numbering_of_x86_64_ends_the_process(number: int) -> None:
    assert verdict(X86_64, X86_64.architecture, number) == KILL


@pytest.mark.parametrize(
    ("machine", "wide", "calls"),
    [
        ("x86_64", True, X86_64),
        ("x86_64", False, None),
        ("aarch64", True, AARCH64),
        ("aarch64", False, ARM),  # 32 bits under a kernel of 64, as Raspberry Pi OS has it
        ("armv7l", False, ARM),
        ("armv6l", False, ARM),
        ("riscv64", True, None),
    ],
)
def test_the_numbers_of_this_process(machine: str, wide: bool, calls: SystemCalls | None) -> None:
    assert system_calls(machine, wide=wide) is calls
