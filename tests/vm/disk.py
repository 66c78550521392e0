"""A disk with a volatile write cache, and what a power cut leaves on it.

What was written since the last flush is in the cache. When the power goes, each block of it may
have reached the disk or not, in any order, as no disk promises more; what was flushed is there.
qemu reaches it as a network block device (NBD):
https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK_BYTES = 4096
"""What is written whole or not at all. The machine is told that it is the disk's sector."""


class CachedDisk:
    """A file behind a write cache in memory.

    Args:
        path: of the file, whose content is what is durable; a multiple of the block's size.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR)
        self.size_bytes = os.fstat(self._file).st_size
        self._cache: dict[int, list[bytes]] = {}
        self.writes = 0

    def close(self) -> None:
        """Lets go of the file, without what is in the cache."""
        os.close(self._file)

    def read(self, offset: int, length: int) -> bytes:
        """What the machine sees: what it wrote last."""
        found = bytearray(os.pread(self._file, length, offset))
        if self._cache:
            for place in range(0, length, BLOCK_BYTES):
                if versions := self._cache.get(offset + place):
                    found[place : place + BLOCK_BYTES] = versions[-1]
        return bytes(found)

    def write(self, offset: int, data: bytes, *, through: bool = False) -> None:
        """Writes whole blocks; ``through`` the cache where they must be durable at once."""
        self.writes += 1
        for place in range(0, len(data), BLOCK_BYTES):
            block, content = offset + place, data[place : place + BLOCK_BYTES]
            if through:
                self._cache.pop(block, None)
                os.pwrite(self._file, content, block)
            else:
                self._cache.setdefault(block, []).append(content)

    def flush(self) -> None:
        """Makes all that was written durable."""
        for block, versions in self._cache.items():
            os.pwrite(self._file, versions[-1], block)
        self._cache.clear()

    def lose_power(self, chance: random.Random, kept: float) -> int:
        """Empties the cache, of which an accidental part has reached the disk.

        Args:
            chance: that chooses it.
            kept: probability that a block has; in which of its versions is chance, too.

        Returns:
            How many blocks were lost.
        """
        lost = 0
        for block in sorted(self._cache):
            if chance.random() < kept:
                os.pwrite(self._file, chance.choice(self._cache[block]), block)
            else:
                lost += 1
        self._cache.clear()
        return lost


class _Option(IntEnum):
    ABORT = 2
    GO = 7


class _Command(IntEnum):
    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3


HANDSHAKE = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 0b11)
"""Fixed newstyle, without padding."""
OPTION, OPTION_REPLY = struct.Struct(">8sII"), struct.Struct(">QIII")
OPTION_REPLY_MAGIC = 0x3E889045565A9
ACKNOWLEDGED, EXPORT_INFO, UNSUPPORTED = 1, 3, (1 << 31) | 1
EXPORT = struct.Struct(">HQH")
FLUSHES_AND_WRITES_THROUGH = 0b1101
REQUEST, REPLY = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
WRITE_THROUGH = 1


class DiskServer:
    """Serves a disk to one machine after another. Use as a context.

    Args:
        disk: to be served.
        path: of the socket.
    """

    def __init__(self, disk: CachedDisk, path: Path) -> None:
        self.disk = disk
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self.drive = f"file=nbd:unix:{path},format=raw"
        self._stop_after: int | None = None
        self.stopped = threading.Event()
        self._in_use = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def stop_after(self, writes: int) -> None:
        """After so many more writes it answers nothing, and says so by ``stopped``."""
        self._stop_after = self.disk.writes + writes

    def lose_power(self, chance: random.Random, kept: float) -> int:
        """As :meth:`CachedDisk.lose_power`, once the machine is dead; the next is served again."""
        with self._in_use:
            self._stop_after = None
            self.stopped.clear()
            return self.disk.lose_power(chance, kept)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed: it is over
            with connection, self._in_use:
                try:
                    self._shake_hands(connection)
                    while self._answer(connection):
                        pass
                except (ConnectionError, EOFError):
                    pass  # the machine was killed, which is what we are here for

    def _shake_hands(self, connection: socket.socket) -> None:
        connection.sendall(HANDSHAKE)
        _receive(connection, 4)
        while True:
            _, option, length = OPTION.unpack(_receive(connection, OPTION.size))
            _receive(connection, length)
            if option == _Option.ABORT:
                raise EOFError
            if option != _Option.GO:
                connection.sendall(OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, UNSUPPORTED, 0))
                continue
            export = EXPORT.pack(0, self.disk.size_bytes, FLUSHES_AND_WRITES_THROUGH)
            for kind, data in ((EXPORT_INFO, export), (ACKNOWLEDGED, b"")):
                head = OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, kind, len(data))
                connection.sendall(head + data)
            return

    def _answer(self, connection: socket.socket) -> bool:
        """Answers a request; whether another may come."""
        request = REQUEST.unpack(_receive(connection, REQUEST.size))
        magic, flags, command, handle, offset, length = request
        if magic != REQUEST_MAGIC:
            raise AssertionError(f"no request: {request}")
        found = b""
        if command == _Command.READ:
            found = self.disk.read(offset, length)
        elif command == _Command.WRITE:
            data = _receive(connection, length)
            self.disk.write(offset, data, through=bool(flags & WRITE_THROUGH))
        elif command == _Command.FLUSH:
            self.disk.flush()
        else:
            return False
        if self._stop_after is not None and self.disk.writes >= self._stop_after:
            self.stopped.set()
            while connection.recv(1 << 16):  # until the machine is dead
                pass
            return False
        connection.sendall(REPLY.pack(REPLY_MAGIC, 0, handle) + found)
        return True


def _receive(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        if not (part := connection.recv(length - len(received))):
            raise EOFError
        received += part
    return bytes(received)
