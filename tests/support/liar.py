"""An SFTP server that lies on order, on asyncssh's server, in a process of its own.

    python -m tests.support.liar --root DIR --host-key FILE --authorized FILE --port N --manner NAME

Prints its port when it listens; ends with its standard input. The manners are the subclasses of `Honest` below.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

try:
    import asyncssh
except ImportError:  # the tests that need it say so
    asyncssh = None

MANNERS: dict[str, type] = {}

if asyncssh is not None:

    class Honest(asyncssh.SFTPServer):  # type: ignore[misc]
        """asyncssh's own server: lies about nothing."""

        root = b""

        def __init__(self, chan: Any) -> None:
            super().__init__(chan, chroot=self.root)

        def __init_subclass__(cls) -> None:
            MANNERS[cls.__name__] = cls

        def real(self, path: bytes) -> Path:
            return Path(os.fsdecode(self.map_path(path)))

    MANNERS["Honest"] = Honest

    class Truncates(Honest):
        """Says that it has written all, and writes only what lies in the first 10,000 bytes."""

        def write(self, file_obj: object, offset: int, data: bytes) -> Any:
            super().write(file_obj, offset, data[: max(0, 10_000 - offset)])
            return len(data)

    class Changes(Honest):
        """Stores the last byte of every write wrongly."""

        def write(self, file_obj: object, offset: int, data: bytes) -> Any:
            return super().write(file_obj, offset, data[:-1] + bytes([data[-1] ^ 1]))

    class Forgets(Honest):
        """Acknowledges everything, and has no file once it is closed."""

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            made = super().open(path, pflags, attrs)
            if pflags & asyncssh.FXF_WRITE:
                self.real(path).unlink()
            return made

    class Shuts(Honest):
        """Lets nobody read what has its final name."""

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            if path.endswith(b".pgp"):
                raise asyncssh.SFTPPermissionDenied("no")
            return super().open(path, pflags, attrs)

    class Clips(Honest):
        """Loses a byte while it renames."""

        def rename(self, oldpath: bytes, newpath: bytes) -> Any:
            os.truncate(self.real(oldpath), self.real(oldpath).stat().st_size - 1)
            return super().rename(oldpath, newpath)

    class Swaps(Honest):
        """Changes a byte while it renames."""

        def rename(self, oldpath: bytes, newpath: bytes) -> Any:
            with self.real(oldpath).open("r+b") as file:
                first = file.read(1)[0]
                file.seek(0)
                file.write(bytes([first ^ 1]))
            return super().rename(oldpath, newpath)

    class Takes(Honest):
        """Moves a file away as soon as it has its final name."""

        def rename(self, oldpath: bytes, newpath: bytes) -> Any:
            super().rename(oldpath, newpath)
            taken = Path(os.fsdecode(self.root)).with_name("taken")
            taken.mkdir(exist_ok=True)
            self.real(newpath).rename(taken / f"{len(list(taken.iterdir()))}")

    class HangsUp(Honest):
        """Renames, and hangs up instead of saying so."""

        def rename(self, oldpath: bytes, newpath: bytes) -> Any:
            super().rename(oldpath, newpath)
            self.channel.get_connection().abort()

    class NoRename(Honest):
        """Refuses to rename."""

        def rename(self, oldpath: bytes, newpath: bytes) -> Any:
            raise asyncssh.SFTPPermissionDenied("no")

        posix_rename = rename

    class OnlyPosix(Honest):
        """Knows no rename but the one that replaces what is there."""

        def rename(self, oldpath: bytes, newpath: bytes) -> Any:
            raise asyncssh.SFTPOpUnsupported("no")

    class NoStat(Honest):
        """Refuses to tell what lies where."""

        def lstat(self, path: bytes) -> Any:
            raise asyncssh.SFTPPermissionDenied("no")

        stat = fstat = lstat

    class Full(Honest):
        """Has no room: refuses to write, in SFTP's only words for it, and says how much is free when asked."""

        def write(self, file_obj: object, offset: int, data: bytes) -> Any:
            raise asyncssh.SFTPFailure("Failure")

        def statvfs(self, path: bytes) -> Any:
            return asyncssh.SFTPVFSAttrs(
                bsize=4096, frsize=4096, blocks=1000, bfree=2, bavail=2, files=100, ffree=50, favail=50
            )

    class Endless(Honest):
        """A folder whose list has no end; a mark is left when it has been asked for."""

        async def scandir(self, path: bytes) -> AsyncIterator[Any]:
            Path(os.fsdecode(self.root)).with_name("asked").touch()
            while True:
                yield asyncssh.SFTPName(b"x" * 200, attrs=asyncssh.SFTPAttrs())


async def _serve(options: argparse.Namespace) -> None:
    manner = MANNERS[options.manner]
    manner.root = os.fsencode(options.root)  # type: ignore[attr-defined]
    server = await asyncssh.listen(
        "127.0.0.1",
        options.port,
        server_host_keys=[str(options.host_key)],
        authorized_client_keys=str(options.authorized),
        sftp_factory=manner,
    )
    sys.stdout.write(f"{server.get_port()}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    server.close()


@contextlib.contextmanager
def liar(manner: str, root: Path, host_key: Path, authorized: Path, port: int = 0) -> Iterator[int]:
    """A server of this manner over `root`; its port. Its process is ended by its standard input, or by its pid."""
    arguments = ["--root", str(root), "--host-key", str(host_key), "--authorized", str(authorized)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.liar", *arguments, "--port", str(port), "--manner", manner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("root", "host-key", "authorized"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--manner", required=True)
    asyncio.run(_serve(parser.parse_args()))
    os._exit(0)  # clients may still be connected


if __name__ == "__main__":
    main()
