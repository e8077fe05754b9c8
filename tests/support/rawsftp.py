"""A server that lets us in and then speaks SFTP word by word, as it is told to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import paramiko

from exchanged.transports import wire as w
from tests.support import oddserver as odd

Answer = tuple[int, bytes]
OK: Answer = (w.STATUS, w.number(w.OK))
UNSUPPORTED: Answer = (w.STATUS, w.number(8))
HANDLE: Answer = (w.HANDLE, w.text("1"))


@contextlib.contextmanager
def raw(
    answers: Mapping[int, Answer | Callable[[bytes], Answer | None]], extensions: Sequence[str] = ()
) -> Iterator[tuple[int, list[int]]]:
    """The server's port, and the kinds of what it was asked so far.

    answers: what it says to each kind of request, or how to find out from the request; OK where nothing is said;
    None hangs up. When the client has hung up, 0 is the last thing it was asked.
    """
    asked: list[int] = []

    def exactly(channel: paramiko.Channel, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = channel.recv(size - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got

    def say(channel: paramiko.Channel, packet: bytes) -> None:
        channel.sendall(w.text(packet))

    def speak(channel: paramiko.Channel) -> None:
        try:
            exactly(channel, int.from_bytes(exactly(channel, 4)))
            told = b"".join(w.text(name) + w.text("1") for name in extensions)
            say(channel, bytes([w.VERSION]) + w.number(3) + told)
            while True:
                packet = exactly(channel, int.from_bytes(exactly(channel, 4)))
                asked.append(packet[0])
                answer = answers.get(packet[0], OK)
                found = answer(packet[5:]) if callable(answer) else answer
                if found is None:
                    return
                say(channel, bytes([found[0]]) + packet[1:5] + found[1])
        except (EOFError, OSError):
            asked.append(0)
        finally:
            channel.close()

    with odd.subsystem(speak) as port:
        yield port, asked
