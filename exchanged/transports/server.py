"""A small SFTP server for the demonstration, on loopback, in a process of its own. Not meant to face a network.

    python -m exchanged.transports.server --root DIR --host-key FILE --authorized FILE [--port 0]

Prints one JSON line {"port": …, "host_key": "ssh-ed25519 AAAA…"} when it listens; ends with its standard input.
A client sees DIR as /, cannot leave it by any path, and a rename never replaces a file.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import logging
import os
import posixpath
import socket
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)

from exchanged.transports import keys

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

OK = paramiko.sftp.SFTP_OK
FAILURE = paramiko.sftp.SFTP_FAILURE
ONLY_EVER = os.O_NOFOLLOW | os.O_CLOEXEC


class Door(paramiko.ServerInterface):
    """Lets in who holds one of the authorized keys, and to nothing but SFTP."""

    def __init__(self, authorized: frozenset[bytes], root: Path) -> None:
        self.root = root
        self._authorized = authorized

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL if key.asbytes() in self._authorized else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Handle(paramiko.SFTPHandle):
    """One open file, read and written at the offsets asked for."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def read(self, offset: int, length: int) -> bytes | int:
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            return _status(error)

    def write(self, offset: int, data: ReadableBuffer) -> int:
        try:
            left = memoryview(data)
            while left:
                written = os.pwrite(self._fd, left, offset)
                offset, left = offset + written, left[written:]
        except OSError as error:
            return _status(error)
        return OK

    def stat(self) -> paramiko.SFTPAttributes | int:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self._fd))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)


def _status(error: OSError) -> int:
    return paramiko.SFTPServer.convert_errno(error.errno or errno.EIO)


class Folder(paramiko.SFTPServerInterface):
    """The files below one folder. Links are not followed, so no path leads out of it."""

    def __init__(self, server: Door, *args: Any, **kwargs: Any) -> None:
        super().__init__(server, *args, **kwargs)
        self._root = server.root

    def _real(self, path: str) -> Path:
        real = self._root / posixpath.normpath("/" + path).lstrip("/")
        if real.parent.resolve() != real.parent and real != self._root:
            raise PermissionError(errno.EACCES, "link")
        return real

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        try:
            entries = list(self._real(path).iterdir())
            return [paramiko.SFTPAttributes.from_stat(entry.lstat(), entry.name) for entry in entries]
        except OSError as error:
            return _status(error)

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(self._real(path).lstat())
        except OSError as error:
            return _status(error)

    stat = lstat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        try:
            return Handle(os.open(self._real(path), flags | ONLY_EVER, 0o600))
        except OSError as error:
            return _status(error)

    def remove(self, path: str) -> int:
        return self._do(lambda: self._real(path).unlink())

    def rename(self, oldpath: str, newpath: str) -> int:
        def move() -> None:
            old, new = self._real(oldpath), self._real(newpath)
            os.link(old, new, follow_symlinks=False)  # unlike rename, refuses a name that is taken
            old.unlink()

        return self._do(move)

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        return self._do(lambda: self._real(path).mkdir(mode=0o700))

    def _do(self, work: Any) -> int:
        try:
            work()
        except FileExistsError:
            return FAILURE
        except OSError as error:
            return _status(error)
        return OK


def serve(
    listener: socket.socket,
    host_key: paramiko.PKey,
    authorized: frozenset[bytes],
    root: Path,
    folder: type[Folder] = Folder,
) -> None:
    """Take connections until the listener is closed; each is served by paramiko's own threads."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(client)
        transport.add_server_key(host_key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, folder)
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            transport.start_server(event=threading.Event(), server=Door(authorized, root))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="exchanged.transports.server", description="SFTP server for the demo")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host-key", type=Path, required=True)
    parser.add_argument("--authorized", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    host_key = keys.identity(options.host_key.read_bytes)
    lines = [line.split()[:2] for line in options.authorized.read_text().splitlines() if line.strip()]
    authorized = frozenset(keys.pinned((" ".join(line) for line in lines), "", 22))
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        threading.Thread(
            target=serve, args=(listener, host_key, authorized, options.root.resolve()), daemon=True
        ).start()
        public = f"{host_key.get_name()} {host_key.get_base64()}"
        _say(sys.stdout, {"port": listener.getsockname()[1], "host_key": public})
        sys.stdin.buffer.read()
    return 0


def _say(out: IO[str], value: dict[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
