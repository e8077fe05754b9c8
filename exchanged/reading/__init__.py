"""Opens a spreadsheet whose content nobody vouches for, and gives its rows as columns.

Takes   an open seekable binary file (never a path), the clerk's name of it, the limits
Gives   a `Reading`: where the data is, findings of scope file, chunks of rows with exact row numbers
Redo    it only reads
Ends    never by an exception for bad input: a damaged, locked, oversized or hostile file is a reading with one finding.
        Memory and processor time are the caller's to limit (a child process); MemoryError passes through
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import BinaryIO
from xml.parsers.expat import ExpatError

from exchanged.batch import Finding, Limits, Reading, Severity
from exchanged.reading import sniff
from exchanged.reading.trouble import Trouble, damaged, too_large

__all__ = ["read"]

_DAMAGE = (
    zlib.error,
    zipfile.BadZipFile,
    ExpatError,
    struct.error,
    UnicodeError,
    ValueError,
    LookupError,
    OverflowError,
    NotImplementedError,
    EOFError,
    RecursionError,
    AssertionError,
)


def read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    """Opens one spreadsheet.

    Findings that forbid its use altogether come alone, with no chunks; findings about columns come with the rows of
    the other columns. Chunks can be taken once.
    """
    try:
        return _read(source, name, limits)
    except Trouble as trouble:
        return _failed(name, trouble)
    except _DAMAGE:
        return _failed(name, damaged("damaged"))


def _read(source: BinaryIO, name: str, limits: Limits) -> Reading:
    if source.seek(0, 2) > limits.file:
        raise too_large("bytes", limits.file)
    source.seek(0)
    head = source.read(sniff.HEAD)
    found = sniff.kind(head, source, name)
    if found == "encrypted":
        raise Trouble("file-encrypted")
    if found not in sniff.READABLE:
        raise Trouble("file-type", found=found or "unknown")
    if found == "csv":
        from exchanged.reading import csvfile

        return csvfile.read(source, name, limits)
    if found == "xlsx":
        from exchanged.reading import xlsx

        return xlsx.read(source, name, limits)
    if found == "ods":
        from exchanged.reading import ods

        return ods.read(source, name, limits)
    from exchanged.reading import xls

    return xls.read(source, name, limits)


def _failed(name: str, trouble: Trouble) -> Reading:
    finding = Finding(trouble.rule, Severity.ERROR, name, facts=trouble.facts)
    return Reading(name, None, 0, False, (finding,), iter(()))
