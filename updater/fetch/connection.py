"""Connections that end when the time is up, whatever their peer does.

The time-outs of sockets begin anew with each byte: a server that sends one header letter every few
seconds would hold us for days. So every connection is registered when it is made, and a timer shuts
down what is open; the read that waits there then ends at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Deadline:
    """Shuts down all connections after a time; a context in which the time runs.

    Args:
        seconds: from entering the context.
    """

    def __init__(self, seconds: float) -> None:
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._connections: list[socket.socket] = []
        self.expired = False

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self.release()

    def watch(self, connection: socket.socket) -> None:
        """Registers a connection.

        Its descriptor is copied: TLS takes the original away, and shutting down a copy ends both.
        """
        with self._lock:
            self._connections.append(connection.dup())
            if self.expired:
                self._shut_down()

    def release(self) -> None:
        """Forgets all connections, since they are closed."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):  # the peer was quicker
                connection.shutdown(socket.SHUT_RDWR)


class DeadlineAdapter(HTTPAdapter):
    """Makes connections as requests does, and registers each.

    Args:
        deadline: where.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._pools = _watched_pools(deadline)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As in requests, which calls it once when it is made."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As in requests, which calls it for each proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _watched_pools(deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools by scheme, whose connections register themselves.

    ``_new_conn`` opens the socket, before TLS and before a proxy is spoken to, in urllib3 1.26 as
    in 2; there is no public place as early. Were it renamed, the deadline's test would say so.
    """

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            deadline.watch(connection)
            return connection

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            deadline.watch(connection)
            return connection

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
