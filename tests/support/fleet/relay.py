"""The network between some devices and a server, which can go: a relay of TCP connections."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

PIECE_BYTES = 65_536
END_S = 10.0


class Relay:
    """Passes on what comes, in a thread of its own, until it is told not to.

    Args:
        port: of the server, on this machine.

    Attributes:
        port: where devices connect.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._open = True
        self._passing = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Relay:
        self._thread.start()
        self._server = self._run(self._listen())
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def silence(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._run(self._silence())

    def cut(self) -> None:
        """Connections are gone, new ones are refused."""
        self._run(self._cut())

    def mend(self) -> None:
        """Undoes both."""
        self._run(self._mend())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(END_S)

    async def _listen(self) -> asyncio.Server:
        self._passing.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)

    async def _silence(self) -> None:
        self._passing.clear()

    async def _cut(self) -> None:
        self._open = False
        for writer in self._writers:
            writer.transport.abort()
        self._passing.set()

    async def _mend(self) -> None:
        self._open = True
        self._passing.set()

    async def _end(self) -> None:
        self._server.close()
        await self._cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        await self._passing.wait()
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        for source, target in ((reader, upstream[1]), (upstream[0], writer)):
            pump = asyncio.create_task(self._pump(source, target))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(PIECE_BYTES):
                    await self._passing.wait()
                    writer.write(piece)
                    await writer.drain()
            writer.close()
        finally:
            self._writers.discard(writer)
