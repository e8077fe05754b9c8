"""What the form's QR code says, and the print below it: which batch, which data, which page of how many.

`EXCHANGED1/<batch>/<first 32 hex digits of the table's digest>/<rows>/<page>/<pages>`
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEX = 32  # digits of the digest that a code carries
_TEXT = re.compile(
    r"EXCHANGED1/(?P<batch>[A-Za-z0-9._-]{1,80})/(?P<digest>[0-9a-f]{32})"
    r"/(?P<rows>[0-9]{1,10})/(?P<page>[1-9][0-9]{0,3})/(?P<pages>[1-9][0-9]{0,3})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Code:
    """One page's code. `digest`: the first 32 hex digits of the SHA-256 of certificates.csv."""

    batch: str
    digest: str
    rows: int
    page: int
    pages: int

    @property
    def text(self) -> str:
        """The code as it is printed."""
        return f"EXCHANGED1/{self.batch}/{self.digest}/{self.rows}/{self.page}/{self.pages}"

    def same_data(self, digest: str, rows: int) -> bool:
        """Whether it was printed for this table. `digest`: "sha256:" and 64 hex digits."""
        return digest.partition(":")[2].startswith(self.digest) and rows == self.rows


def parse(text: str) -> Code | None:
    """The code that a text is, or None."""
    found = _TEXT.fullmatch(text)
    if found is None or int(found["page"]) > int(found["pages"]):
        return None
    return Code(found["batch"], found["digest"], int(found["rows"]), int(found["page"]), int(found["pages"]))


def short_digest(digest: str) -> str:
    """The part of a table's digest ("sha256:…") that codes carry."""
    return digest.partition(":")[2][:HEX]
