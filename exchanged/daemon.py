"""The daemon: one loop that wakes up, lets the engine do a round, and tells systemd that it moves.

Takes   the path of the configuration; signals: TERM drains the steps in hand and stops, HUP reloads
Gives   an exit status
Redo    the engine's: a restart goes on where the last one ended
Ends    when told to; a fault in the loop ends it with an error, for systemd to start it anew

Events of the drop folder are only a hint: the folder is listed at every rescan all the same.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
import signal
import socket
import time
from pathlib import Path
from types import FrameType
from typing import Any

from exchanged import __version__, api, config, disk, log, overview
from exchanged.engine import Engine
from exchanged.errors import ConfigError, IntegrityFailure, NotYet
from exchanged.inspector import Inspector
from exchanged.settings import Settings

PULSE = 1.0  # seconds between rounds when nothing happens
NEAR = 2  # days before a reporting day
DRAIN = 75.0  # seconds that steps in hand are given at stop
BROKEN = 30.0  # and then, once their connection was cut


def notify(*lines: str) -> None:
    """Tell systemd; nothing where it does not listen."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path or not lines:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.sendto("\n".join(lines).encode(), "\0" + path[1:] if path[0] == "@" else path)


class Bell:
    """Wakes the loop. It takes no lock, so that a signal's handler may ring it whatever the loop is at."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def ring(self) -> None:
        """Let the next `wait` end at once."""
        os.eventfd_write(self._fd, 1)

    def wait(self, seconds: float) -> None:
        """Wait until it is rung, or has been since it was heard last; this long at most."""
        self._poll.poll(seconds * 1000)

    def heard(self) -> bool:
        """Whether it was rung since this was asked last."""
        try:
            return os.eventfd_read(self._fd) > 0
        except BlockingIOError:
            return False


class Watch:
    """Wakes the loop when something happens in the drop folder, where the kernel tells; says when it has gone blind."""

    def __init__(self, folder: Path, bell: Bell) -> None:
        self._folder = folder
        self._bell = bell
        self._observer: Any = None
        self._identity: tuple[int, int] | None = None

    def check(self) -> None:
        """Start watching, or start again where the watch or the folder is not the one it was."""
        try:
            state = self._folder.stat()
        except OSError:
            self.stop()
            return
        identity = (state.st_dev, state.st_ino)
        if self._observer is not None and identity == self._identity and self._alive():
            return
        self.stop()
        if "remote" in disk.filesystem(self._folder)[1]:
            return  # a network share: events of other machines never come, the rescan finds their files
        self._identity = identity
        self._start()

    def _alive(self) -> bool:
        """Whether all its threads live; a folder that is removed while somebody has it open can end the reader."""
        reader = getattr(self._observer, "_inotify_fd", self._observer)
        return all(one.is_alive() for one in (self._observer, reader, *self._observer.emitters))

    def _start(self) -> None:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        bell = self._bell

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type not in ("opened", "closed_no_write"):
                    bell.ring()

        try:
            observer = Observer()
            observer.schedule(Handler(), str(self._folder), recursive=True)
            observer.start()
        except OSError:
            return  # no inotify to be had: the rescan does it alone
        self._observer = observer

    def stop(self) -> None:
        """End the watch."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
            self._observer = None


class Daemon:
    """The loop and what it has heard."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._bell = Bell()
        self._stop: int | None = None
        self._reload = False
        self._rescan = 0.0
        self._watch = Watch(engine.settings.folders.drop, self._bell)
        self._inspector = Inspector(path, engine.audited)
        self._told = ""
        self._reminded: dt.date | None = None

    def run(self) -> None:
        """Work until told to stop."""
        self._listen()
        started = time.monotonic()
        log.emit("daemon.started", version=__version__, pid=os.getpid())
        try:
            self._engine.recover()
            self._watch.check()
            notify("READY=1")
            log.emit("daemon.ready", seconds=round(time.monotonic() - started, 3))
            while self._stop is None:
                self._round()
        except IntegrityFailure as failure:
            log.emit(failure.code)
            raise
        except disk.DurabilityLost:
            log.emit("disk.sync_failed")
            raise
        finally:
            self._inspector.stop()
        self._finish()

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        self._stop = number
        self._bell.ring()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._reload = True
        self._bell.ring()

    def _round(self) -> None:
        try:
            moved = self._work()
        except NotYet as problem:  # the ledger cannot be read just now
            self._engine.say(problem.code, reason=problem.code)
            moved = False
        notify("WATCHDOG=1")
        if moved:
            return
        if self._engine.busy:
            self._engine.wait(0.1)
        else:
            self._bell.wait(self._pause())

    def _work(self) -> bool:
        """What there is to do in one round. True if anything has happened."""
        if self._reload and not self._engine.sending:
            moved = self._engine.drain(0.1)
            if moved:
                self._change()
        else:  # what is being sent may take hours: meanwhile the rest goes on, and a reload waits for its end
            moved = self._engine.tick(look=self._looks(), send=not self._reload)
        self._engine.rest()
        self._engine.post()
        self._remind()
        self._inspector.look()
        notify(*self._status())
        return moved

    def _looks(self) -> bool:
        """Whether to list the drop folder in this round."""
        moment = time.monotonic()
        if self._bell.heard() or self._engine.unsettled or moment >= self._rescan:
            if moment >= self._rescan:
                self._watch.check()
                self._rescan = moment + self._engine.settings.intake.rescan
            return True
        return False

    def _pause(self) -> float:
        """Seconds to sleep: short while a file settles, else the pulse that also feeds systemd's watchdog."""
        settle = self._engine.settings.intake.settle
        return min(PULSE, max(0.05, settle / 4)) if self._engine.unsettled else PULSE

    def _remind(self) -> None:
        """Say once a day that a reporting day is near while batches are open."""
        day = dt.date.today()
        if day == self._reminded:
            return
        self._reminded = day
        window, pending = overview.next_window(self._engine.settings, day), self._engine.open_count()
        left = (dt.date.fromisoformat(window) - day).days if window else NEAR + 1
        if pending and left <= NEAR:
            log.emit("calendar.window_near", time=window, days=left, pending=pending)

    def _status(self) -> tuple[str, ...]:
        text = f"STATUS={self._engine.open_count()} open" + (", delivery paused" if self._engine.ledger.paused else "")
        if text == self._told:
            return ()
        self._told = text
        return (text,)

    def _change(self) -> None:
        """Validate, then swap: a configuration that cannot be used changes nothing."""
        self._reload = False
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = config.load(self._path)
        except ConfigError as error:
            for problem in error.problems[:20]:
                log.emit(
                    "daemon.reload_refused", setting=problem.path or None, code=problem.code, count=len(error.problems)
                )
        else:
            self._swap(settings)
        notify("READY=1")

    def _swap(self, settings: Settings) -> None:
        if settings.folders.state != self._engine.settings.folders.state:
            log.emit("daemon.reload_refused", setting="folders.state", code="config.needs_restart", count=1)
            return
        self._watch.stop()
        try:
            self._engine.reload(settings)
        except NotYet as problem:
            log.emit("daemon.reload_refused", setting="folders.state", code=problem.code, count=1)
        else:
            log.emit("daemon.reloaded")
        self._watch = Watch(self._engine.settings.folders.drop, self._bell)
        self._watch.check()
        self._rescan = 0.0

    def _finish(self) -> None:
        notify("STOPPING=1")
        log.emit("daemon.stopping", signal=signal.Signals(self._stop or 0).name)
        self._watch.stop()
        ends = time.monotonic() + DRAIN
        while not self._engine.drain(1.0):
            notify("WATCHDOG=1")
            if time.monotonic() > ends:
                self._engine.break_off()
                self._engine.drain(BROKEN)
                break
        self._engine.post(final=True)
        log.emit("daemon.stopped", pending=self._engine.open_count())


def run(path: Path | None = None) -> int:
    """The daemon, in the foreground. Raises ConfigError, or NotYet("daemon.running")."""
    where = config.find(path)
    exchange = api.Exchange(config.load(where))
    with exchange.engine() as engine:
        Daemon(engine, where).run()
    return 0
