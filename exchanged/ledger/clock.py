"""Whether the machine's clock can be believed: it is compared with the last time at which it was.

Takes   the wall clock, and the time that is kept beside the events
Gives   a verdict; by a clock that is not believed nothing is checked, signed, sent back or destroyed
Redo    only the kept time moves, at most once an hour, and only by a clock that is believed
Ends    NotYet("sealing.clock_wrong") until the clock is right again, or the operator says that it is
"""

from __future__ import annotations

import datetime as dt
import time

from exchanged.errors import NotYet
from exchanged.ledger.store import Store

BACK = 3600.0  # seconds that a clock may be set back: what time services correct without anybody's doing
AHEAD = 400 * 86400.0  # seconds without any work after which a clock that runs ahead is the likelier story
FRESH = 3600.0
_KEY = "clock"


class Clock(Store):
    """The part of the ledger that remembers what time it was."""

    def trusts_clock(self) -> bool:
        """Whether the time now agrees with what was recorded. Raises NotYet when the ledger cannot be written."""
        last, moment = self._last(), time.time()
        if last is not None and not last - BACK <= moment <= last + AHEAD:
            return False
        if last is None or moment > last + FRESH:
            self.believe_clock()
        return True

    def expect_clock(self) -> None:
        """Raises NotYet("sealing.clock_wrong") when the clock cannot be believed."""
        if not self.trusts_clock():
            last = dt.datetime.fromtimestamp(self._last() or 0).astimezone()
            raise NotYet("sealing.clock_wrong", time=last.isoformat(timespec="seconds"))

    def believe_clock(self, moment: float | None = None) -> None:
        """What the clock says now (or said then) is right: by what was recorded, or by the operator's word."""
        self.remember(_KEY, str(int(time.time() if moment is None else moment)))

    def _last(self) -> float | None:
        """When the clock was believed last; in a ledger that was never asked, the time of its last event, for good."""
        kept = self.remembered(_KEY)
        if kept is not None:
            return float(kept)
        with self.reading():
            row = self._db.execute("SELECT time FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            return None
        self.believe_clock(dt.datetime.fromisoformat(row[0]).timestamp())
        return float(self.remembered(_KEY) or 0)
