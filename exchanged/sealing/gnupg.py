"""Closing and opening a parcel with GnuPG: signed by one key and encrypted to every recipient, in one pass.

Takes   what to seal, as something that writes into a pipe, and the name of the package
Gives   the package under its name, durable; or its content, when it is one that a trusted key signed
Redo    output has a temporary name until the verdict on it is whole; a redo begins anew
Ends    NotYet when a key, the passphrase, the token or gpg itself is not there; IntegrityFailure when a package that
        is opened is not what it should be
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import termios
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from exchanged import disk
from exchanged.batch import Fact, Parcel
from exchanged.errors import IntegrityFailure, NotYet
from exchanged.sealing import keys, process, status
from exchanged.sealing.keyring import COMMON, Keyring
from exchanged.sealing.keys import Standing, State
from exchanged.sealing.status import Outcome, Signature

OPEN_LIMIT = 2 << 30
_PIPE = 1 << 20
_ROOM = 1 << 16

_SEALING = (
    *("--rfc4880", "--cipher-algo", "AES256", "--digest-algo", "SHA256", "--compress-algo", "none"),
    *("--no-encrypt-to", "--sign", "--encrypt", "--output", "-"),
)
_BAD_SECRET = frozenset({11, 87})
_NO_SECRET = frozenset({85, 86, 99, 177, 198})
_CARD = frozenset({91, 108, 109, 110, 111, 112, 119, 120, 123})
_BLOCKED, _AGENT = 130, frozenset({77, 78})


class Gnupg:
    """The keys of one unit, by full fingerprints, and what is done with them. May be used from several threads.

    `timeout` is how many seconds gpg may make no progress. `passphrase` is asked for each time it is needed and gives
    None for a key without one.
    """

    def __init__(
        self,
        home: Path,
        sign_with: str,
        encrypt_to: tuple[str, ...],
        passphrase: Callable[[], str | None] = lambda: None,
        timeout: float = 60.0,
        *,
        program: str = "gpg",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.home = home.absolute()
        self.sign_with = sign_with.upper()
        self.encrypt_to = tuple(fingerprint.upper() for fingerprint in encrypt_to)
        self._passphrase, self._timeout, self._program, self._clock = passphrase, timeout, program, clock
        self._keyring = Keyring(self.home, (self.sign_with, *self.encrypt_to), program, timeout)

    def keys(self) -> list[dict[str, Fact | None]]:
        """Every configured key: fingerprint, role (signer, recipient), state (see `keys.State`), expires (RFC 3339)."""
        return [
            {"fingerprint": one.fingerprint, "role": one.role, "state": one.state.value, "expires": _iso(one.expires)}
            for one in self._standings()
        ]

    def glance(self, shared: Callable[[], bool]) -> list[dict[str, Fact | None]]:
        """`keys`, for one who only looks: an agent that gpg had to start for it is ended again, unless it is shared."""
        with process.visiting(self.home, shared):
            return self.keys()

    def check(self) -> Standing:
        """The signing key, when all keys may be used now. Raises NotYet with the code of the first that may not."""
        signer, *recipients = self._standings()
        for one in (signer, *recipients):
            if not one.usable:
                raise _unusable(one)
        return signer

    def prove(self, shared: Callable[[], bool]) -> None:
        """Sign nothing, to see that key and passphrase fit. Not for tokens, which count wrong PINs. Raises NotYet."""
        with process.visiting(self.home, shared):
            signer = self.check()
            process.forget_secrets(self.home)
            argv = ["--local-user", f"{_exact(signer)}!", "--detach-sign", "--output", "-"]
            nothing, nowhere = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
            outcome = self._run(argv, lambda: None, nothing, nowhere, lambda: None)
        if outcome.exit or not outcome.has("SIG_CREATED"):
            raise self._failure(outcome, signer)

    def seal(self, write: Callable[[int], None], target: Path) -> Parcel:
        """Seal what `write` puts into the pipe it is given, as the file `target`.

        `write` must raise when it cannot give everything: then nothing is kept and its exception comes out here.
        Raises NotYet. `target` appears whole, durable and with mode 0600, or not at all.
        """
        signer = self.check()
        temp = disk.temp_name(target)
        try:
            outcome = self._encrypt(write, temp, target.stem, signer)
            if not status.sealed(outcome, signer.key.fingerprint if signer.key else ""):
                raise self._full(temp) or self._failure(outcome, signer)
            parcel = Parcel(str(target), temp.stat().st_size, disk.sha256(temp))
            disk.commit(temp, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temp.unlink()
            raise
        return parcel

    def unseal(self, package: Path, target: Path, trusted: Collection[str], limit: int = OPEN_LIMIT) -> Signature:
        """Put a package's content into the file `target`, when the one signature on it is good and by a trusted key.

        `trusted` holds full fingerprints, `limit` is in bytes. Raises NotYet or IntegrityFailure; nothing is kept then.
        """
        temp = disk.temp_name(target)
        try:
            with os.fdopen(_create(temp), "wb") as sink:
                signature = self._decrypt(package, sink, trusted, limit)
            disk.commit(temp, target)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.destroy(temp)
            raise
        return signature

    def read(self, package: Path, trusted: Collection[str], limit: int = 1 << 24) -> tuple[bytes, Signature]:
        """The content of a small package, such as a receipt, in memory. Raises as `unseal` does."""
        from io import BytesIO

        sink = BytesIO()
        signature = self._decrypt(package, sink, trusted, limit)
        return sink.getvalue(), signature

    def recover(self) -> None:
        """Clear what a gpg that was killed left in the key folder."""
        process.clear_locks(self.home)

    def close(self) -> None:
        """End the agent that gpg has started; it forgets the passphrase with that. Clear what gpg could not."""
        process.kill_agents(self.home)
        process.clear_locks(self.home)

    def _encrypt(self, write: Callable[[int], None], temp: Path, name: str, signer: Standing) -> Outcome:
        argv = [*self._argv(f"{name}.tar.gz", signer), *_SEALING]
        reading, writing = os.pipe()
        try:
            output = _create(temp)
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        with contextlib.suppress(OSError):  # there is a limit for each user
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE)
        fed = threading.Event()

        def act() -> None:
            write(writing)
            fed.set()
            os.close(writing)

        def progress() -> object:
            """gpg gets on while its output grows; while it waits for input the delay is not its own."""
            with contextlib.suppress(OSError):  # fed and closed just now
                if not fed.is_set() and not _queued(writing):
                    return object()
            return temp.stat().st_size

        try:
            return self._run(argv, act, reading, output, progress)
        finally:
            if not fed.is_set():
                os.close(writing)

    def _argv(self, name: str, signer: Standing) -> list[str]:
        argv = ["--set-filename", name, "--local-user", f"{_exact(signer)}!"]
        for one in self._standings()[1:]:
            subkey = one.key is not None and one.key.fingerprint == one.fingerprint
            argv += ["--recipient", f"{one.fingerprint}!" if subkey else one.fingerprint]
        return argv

    def _decrypt(self, package: Path, sink: BinaryIO, trusted: Collection[str], limit: int) -> Signature:
        self._keyring.expect_home()
        reading, writing = os.pipe()
        try:
            source = os.open(package, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        copied = 0

        def act() -> None:
            nonlocal copied
            while piece := os.read(reading, _PIPE):
                copied += len(piece)
                if copied > limit:
                    raise IntegrityFailure("package.too_large", limit=limit)
                sink.write(piece)

        try:
            outcome = self._run(["--output", "-", "--decrypt"], act, source, writing, lambda: copied)
        finally:
            os.close(reading)
        lacking = outcome.error in _BAD_SECRET | _NO_SECRET | _CARD | _AGENT | {_BLOCKED}
        if outcome.stalled or (lacking and not outcome.has("DECRYPTION_OKAY")):
            raise self._failure(outcome, None)
        verdict = status.opened(outcome, {one.upper() for one in trusted})
        if isinstance(verdict, str):
            raise IntegrityFailure(verdict)
        return verdict

    def _run(
        self, argv: Sequence[str], act: Callable[[], None], stdin: int, stdout: int, progress: Callable[[], object]
    ) -> Outcome:
        secret = self._secret(stdin, stdout)
        mode = ("--pinentry-mode", "error" if secret is None else "loopback")
        base = [self._program, "--homedir", str(self.home), *COMMON, *mode]
        outcome = process.run(
            [*base, *argv], act, stdin=stdin, stdout=stdout, secret=secret, progress=progress, timeout=self._timeout
        )
        if outcome.stalled or outcome.flooded:
            process.kill_agents(self.home)
        return outcome

    def _secret(self, *owned: int) -> str | None:
        """The passphrase. Files that were opened for gpg are closed when it cannot be had."""
        try:
            return self._passphrase()
        except BaseException as error:
            for fd in owned:
                os.close(fd)
            if isinstance(error, OSError):
                raise NotYet("sealing.passphrase_missing") from None
            raise

    def _full(self, temp: Path) -> NotYet | None:
        """gpg does not say that the disk is full, so the disk is asked, while the output still lies there."""
        return NotYet("disk.full") if disk.free(temp.parent) < _ROOM else None

    def _failure(self, outcome: Outcome, signer: Standing | None) -> NotYet:
        """What kept gpg from sealing or opening, as precisely as it can be known."""
        error = outcome.error
        if outcome.stalled or outcome.flooded:
            on_token = signer is not None and signer.state is State.TOKEN
            return NotYet("sealing.token_absent" if on_token or outcome.flooded else "sealing.timeout")
        if error in _BAD_SECRET:
            return NotYet("sealing.passphrase_wrong", again=False)
        if error == _BLOCKED:
            return NotYet("sealing.pin_blocked", again=False)
        if error in _NO_SECRET:
            return NotYet("sealing.passphrase_missing")
        if error in _CARD:
            return NotYet("sealing.token_absent")
        if error in _AGENT:
            return NotYet("sealing.agent_unavailable", socket=str(self.home / "S.gpg-agent"))
        self._keyring.forget()
        bad = next((one for one in self._standings() if not one.usable), None)
        return _unusable(bad) if bad else NotYet("sealing.gpg_failed", exit=outcome.exit, error=error)

    def _standings(self) -> list[Standing]:
        blocks, now = self._keyring.blocks(), self._clock()
        signer = keys.signer(blocks, self.sign_with, now)
        return [signer, *(keys.recipient(blocks, one, now) for one in self.encrypt_to)]


def _unusable(one: Standing) -> NotYet:
    if one.state is State.FUTURE:
        return NotYet("sealing.clock_wrong", fingerprint=one.fingerprint)
    code = f"sealing.{one.role}_{one.state.value.replace('-', '_')}"
    return NotYet(code, fingerprint=one.fingerprint, expires=_iso(one.expires) or "")


def _exact(signer: Standing) -> str:
    return signer.key.fingerprint if signer.key else signer.fingerprint


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _queued(pipe: int) -> int:
    """Bytes that wait in a pipe to be read."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), "little")
