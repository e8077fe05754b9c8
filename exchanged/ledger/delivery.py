"""Delivery as a whole: whether it is paused, and what withdrawn batches may have left on the server."""

from __future__ import annotations

from exchanged.ledger.store import Store


class Delivery(Store):
    """What concerns no batch alone."""

    @property
    def paused(self) -> bool:
        return bool(self._meta("paused"))

    def pause(self, paused: bool) -> None:
        """Stop or resume delivery as a whole."""
        with self.change():
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'paused'", ("yes" if paused else "",))
            self._append("delivery.paused" if paused else "delivery.resumed", None, {})
            if not paused:
                self.end_pause()

    def end_pause(self) -> None:
        """Within a change: what was stopped by a pause goes on."""
        self._db.execute("UPDATE batch SET next_attempt = 0 WHERE cleared = 0 AND reason = 'delivery.waiting'")

    # --- what withdrawn batches may have left on the server ---------------------------------------------------------

    def leave(self, batch: str) -> None:
        """Remember that an unfinished upload of this batch may lie on the server."""
        self.remember(f"left.{batch}", "")

    def left(self) -> list[str]:
        """Batches of which this is remembered."""
        with self.reading():
            rows = self._db.execute("SELECT key FROM meta WHERE key GLOB 'left.*' ORDER BY key").fetchall()
        return [row[0].removeprefix("left.") for row in rows]

    def swept(self, batch: str) -> None:
        """It lies there no more."""
        self.remember(f"left.{batch}", None)
