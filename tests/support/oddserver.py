"""Real SSH servers that misbehave on order, in threads of this process, and TCP servers that are none at all."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko

from exchanged.transports import Endpoint
from exchanged.transports.server import Door, Folder, Handle, serve

HOST_KEY = paramiko.ECDSAKey.generate()
USER_KEY = paramiko.ECDSAKey.generate()


def _pem() -> bytes:
    from io import StringIO

    out = StringIO()
    USER_KEY.write_private_key(out)
    return out.getvalue().encode()


def endpoint(port: int, **over: Any) -> Endpoint:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "user": "jx",
        "identity": _pem,
        "host_keys": (f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}",),
        "inbox": "/",
        "timeout": 3.0,
    }
    return Endpoint(**{**values, **over})


@contextlib.contextmanager
def odd_server(root: Path, folder: type[Folder] = Folder) -> Iterator[int]:
    """A server over `root` with this way of handling files; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        allowed = frozenset({USER_KEY.asbytes()})
        threading.Thread(target=serve, args=(listener, HOST_KEY, allowed, root, folder), daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def subsystem(handler: Callable[[paramiko.Channel], None]) -> Iterator[int]:
    """A server that lets us in, and then speaks whatever `handler` speaks instead of SFTP."""

    class Speaks(paramiko.SubsystemHandler):
        def start_subsystem(self, name: str, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
            with contextlib.suppress(OSError, EOFError):
                handler(channel)

    def accept(client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        transport.add_server_key(HOST_KEY)
        transport.set_subsystem_handler("sftp", Speaks)
        door = Door(frozenset({USER_KEY.asbytes()}), Path("/nonexistent"))
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            transport.start_server(event=threading.Event(), server=door)

    with tcp(accept) as port:
        yield port


@contextlib.contextmanager
def tcp(handler: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server; `handler` gets every connection."""

    def loop() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                handler(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=loop, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


class Flips(Folder):
    """Stores one byte wrongly."""

    def open(self, path: str, flags: int, attr: Any) -> Any:
        handle = super().open(path, flags, attr)

        class Wrong(Handle):
            def write(self, offset: int, data: Any) -> int:
                return super().write(offset, bytes(data[:-1]) + b"\x00" if data[-1] else bytes(data[:-1]) + b"\x01")

        if isinstance(handle, Handle):
            handle.__class__ = Wrong
        return handle


class Stingy(Folder):
    """Gives at most 1000 bytes an answer."""

    def open(self, path: str, flags: int, attr: Any) -> Any:
        handle = super().open(path, flags, attr)

        class Short(Handle):
            def read(self, offset: int, length: int) -> bytes | int:
                return super().read(offset, min(length, 1000))

        if isinstance(handle, Handle):
            handle.__class__ = Short
        return handle


class Swallows(Folder):
    """Takes a file away as soon as it has its final name."""

    def rename(self, oldpath: str, newpath: str) -> int:
        result = super().rename(oldpath, newpath)
        taken = self._root / "taken"
        taken.mkdir(exist_ok=True)
        self._real(newpath).rename(taken / f"{len(list(taken.iterdir()))}{newpath.replace('/', '_')}")
        return result


class Mumbles(Folder):
    """Renames, and says that it failed."""

    def rename(self, oldpath: str, newpath: str) -> int:
        super().rename(oldpath, newpath)
        return paramiko.sftp.SFTP_FAILURE


class Clips(Folder):
    """Loses the last byte while renaming."""

    def rename(self, oldpath: str, newpath: str) -> int:
        result = super().rename(oldpath, newpath)
        real = self._real(newpath)
        real.write_bytes(real.read_bytes()[:-1])
        return result


class Once(Folder):
    """Lets a file be written once, and never opened for writing again."""

    def open(self, path: str, flags: int, attr: Any) -> Any:
        if flags & 3 and self._real(path).exists():
            return paramiko.sftp.SFTP_PERMISSION_DENIED
        return super().open(path, flags, attr)


class Sleeps(Folder):
    """Never answers a rename in time."""

    def rename(self, oldpath: str, newpath: str) -> int:
        time.sleep(2)
        return super().rename(oldpath, newpath)
