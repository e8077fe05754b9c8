"""The ledger: the only code that opens the database."""

from exchanged.ledger.books import Ledger, Record, Reported, Source
from exchanged.ledger.store import GENESIS, Event, event_hash, now

__all__ = ["GENESIS", "Event", "Ledger", "Record", "Reported", "Source", "event_hash", "now"]
