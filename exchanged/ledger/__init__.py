"""The ledger: the only code that opens the database."""

from exchanged.ledger.books import Record, Source
from exchanged.ledger.history import Ledger, Reported
from exchanged.ledger.store import GENESIS, Event, event_hash, now

__all__ = ["GENESIS", "Event", "Ledger", "Record", "Reported", "Source", "event_hash", "now"]
