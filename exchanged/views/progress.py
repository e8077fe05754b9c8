"""A bar on standard error while long work runs; nothing when that is no terminal or the work is short."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE = 0.7  # seconds before a bar appears


class Progress:
    """Called with how many rows are done so far. `said` makes words of that number."""

    def __init__(self, label: str, said: Callable[[int], str], *, on: bool = True) -> None:
        self._label, self._said = label, said
        self._on = on and sys.stderr.isatty()
        self._start = time.monotonic()
        self._bar: tuple[Bar, TaskID] | None = None

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar[0].stop()

    def __call__(self, done: int) -> None:
        if not self._on or (self._bar is None and time.monotonic() - self._start < PATIENCE):
            return
        self._bar = self._bar or self._begin()
        bar, task = self._bar
        bar.update(task, completed=done, count=self._said(done))

    def _begin(self) -> tuple[Bar, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        bar = Bar(*columns, console=Console(stderr=True, highlight=False), transient=True)
        bar.start()
        return bar, bar.add_task(self._label, total=None, count="")
