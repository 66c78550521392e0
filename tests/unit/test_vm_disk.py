"""The disk with a volatile write cache that the machines' power cuts are made on."""

from __future__ import annotations

import random
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vm import disk
from tests.vm.disk import BLOCK_BYTES, CachedDisk, DiskServer

BLOCKS = 8

pytestmark = pytest.mark.once


def block(value: int) -> bytes:
    return bytes([value]) * BLOCK_BYTES


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disk") / "disk"


def opened(path: Path) -> CachedDisk:
    path.write_bytes(block(0) * BLOCKS)
    return CachedDisk(path)


def durable(path: Path, number: int) -> int:
    return path.read_bytes()[number * BLOCK_BYTES]


writes = st.tuples(st.just("write"), st.integers(0, BLOCKS - 1), st.integers(1, 255), st.booleans())
actions = st.lists(st.one_of(writes, st.just(("flush",))), max_size=20)


@given(actions=actions, seed=st.integers(0, 99), kept=st.sampled_from([0.0, 0.5, 1.0]))
def test_what_was_flushed_survives_and_of_the_rest_what_was_once_written(
    path: Path, actions: list[tuple[object, ...]], seed: int, kept: float
) -> None:
    found = opened(path)
    seen = [0] * BLOCKS
    possible = [{0} for _ in range(BLOCKS)]
    for action in actions:
        if action[0] == "flush":
            found.flush()
            possible = [{value} for value in seen]
        else:
            _, number, value, through = action
            assert isinstance(number, int)
            assert isinstance(value, int)
            found.write(number * BLOCK_BYTES, block(value), through=bool(through))
            seen[number] = value
            possible[number] = {value} if through else possible[number] | {value}
        assert found.read(0, BLOCKS * BLOCK_BYTES) == b"".join(map(block, seen))
    found.lose_power(random.Random(seed), kept)
    assert found.read(0, BLOCKS * BLOCK_BYTES) == path.read_bytes()
    assert all(durable(path, number) in possible[number] for number in range(BLOCKS))
    found.close()


def test_nothing_or_everything_of_the_cache_is_kept(path: Path) -> None:
    found = opened(path)
    found.write(0, block(1) + block(2))
    assert found.lose_power(random.Random(0), 0.0) == 2
    assert durable(path, 0) == durable(path, 1) == 0
    found.write(0, block(1) + block(2))
    assert found.lose_power(random.Random(0), 1.0) == 0
    assert (durable(path, 0), durable(path, 1)) == (1, 2)
    found.close()


class Client:
    """As much of an NBD client as it takes."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        assert self._receive(18).startswith(b"NBDMAGICIHAVEOPT")
        self._socket.sendall(struct.pack(">I", 3))
        for option in (8, 7):  # structured replies, which it does not know; go
            self._socket.sendall(b"IHAVEOPT" + struct.pack(">II", option, 6) + bytes(6))
        assert struct.unpack(">QIII", self._receive(20))[1:] == (8, (1 << 31) | 1, 0)
        assert struct.unpack(">QIII", self._receive(20))[1:] == (7, 3, 12)
        assert struct.unpack(">HQH", self._receive(12))[1] == BLOCKS * BLOCK_BYTES
        assert struct.unpack(">QIII", self._receive(20))[1:] == (7, 1, 0)

    def send(self, command: int, *, data: bytes = b"", length: int = 0, flags: int = 0) -> None:
        size = len(data) or length
        head = struct.pack(">IHHQQI", disk.REQUEST_MAGIC, flags, command, 7, 0, size)
        self._socket.sendall(head + data)

    def ask(self, command: int, *, data: bytes = b"", length: int = 0, flags: int = 0) -> bytes:
        self.send(command, data=data, length=length, flags=flags)
        assert struct.unpack(">IIQ", self._receive(16)) == (disk.REPLY_MAGIC, 0, 7)
        return self._receive(length)

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            part = self._socket.recv(length - len(received))
            assert part, "the server hung up"
            received += part
        return received

    def hang_up(self) -> None:
        self._socket.close()


def test_it_is_served_and_loses_power(path: Path, tmp_path: Path) -> None:
    found = opened(path)
    with DiskServer(found, tmp_path / "socket") as server:
        client = Client(tmp_path / "socket")
        client.ask(1, data=block(1))
        assert client.ask(0, length=BLOCK_BYTES) == block(1)
        assert durable(path, 0) == 0
        client.ask(3)
        assert durable(path, 0) == 1
        client.ask(1, data=block(2))
        client.ask(1, data=block(3), flags=1)  # FUA
        assert durable(path, 0) == 3
        client.ask(1, data=block(4))
        client.hang_up()
        assert server.lose_power(random.Random(0), 0.0) == 1

        client = Client(tmp_path / "socket")
        assert client.ask(0, length=BLOCK_BYTES) == block(3)
        server.stop_after(1)
        client.send(1, data=block(5))
        assert server.stopped.wait(60)
        client.hang_up()
        assert server.lose_power(random.Random(0), 0.0) == 1
    found.close()
