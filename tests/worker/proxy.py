"""A TCP proxy in front of PostgreSQL that can cut, stall and drop: faults of the network, on the real server."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Self

from sqlalchemy import make_url


class Fault(StrEnum):
    NONE = "none"
    STALL = "stall"  # takes what comes and passes nothing on, in either direction
    MUTE = "mute"  # passes requests on and drops the replies: a commit is done, its answer lost
    CUT = "cut"  # breaks every connection and refuses new ones


class Proxy:
    """Between `address` on the loopback and the server's socket."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self.fault = Fault.NONE
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.fault = Fault.CUT
        self._server.close()
        self._break_all()

    @property
    def url(self) -> str:
        """The database behind the proxy."""
        port = self._server.getsockname()[1]
        through = self._target.set(host="127.0.0.1", port=port, query={})
        return through.render_as_string(hide_password=False)

    def set(self, fault: Fault) -> None:
        """From now on; CUT breaks what is open as well."""
        self.fault = fault
        if fault is Fault.CUT:
            self._break_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.fault is Fault.CUT:
                client.close()
                continue
            upstream = self._connect()
            self._open |= {client, upstream}
            for source, sink, is_reply in ((client, upstream, False), (upstream, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, is_reply), daemon=True).start()

    def _connect(self) -> socket.socket:
        folder = self._target.query.get("host") or self._target.host
        port = self._target.query.get("port") or self._target.port or 5432
        if isinstance(folder, str) and folder.startswith("/"):
            found = socket.socket(socket.AF_UNIX)
            found.connect(str(Path(folder) / f".s.PGSQL.{port}"))
            return found
        return socket.create_connection((str(folder), int(str(port))))

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(65_536):
                if self.fault is Fault.STALL or (self.fault is Fault.MUTE and is_reply):
                    continue
                sink.sendall(chunk)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._open.discard(end)

    def _break_all(self) -> None:
        for end in tuple(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
