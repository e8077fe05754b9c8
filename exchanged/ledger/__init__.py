"""The ledger: the only code that opens the database."""

from exchanged.ledger.books import Record, Source
from exchanged.ledger.history import Comparison, Entries, Entry, Ledger, Place, Question, Reported
from exchanged.ledger.store import GENESIS, Event, event_hash, now, to_json

__all__ = [
    "GENESIS",
    "Comparison",
    "Entries",
    "Entry",
    "Event",
    "Ledger",
    "Place",
    "Question",
    "Record",
    "Reported",
    "Source",
    "event_hash",
    "now",
    "to_json",
]
