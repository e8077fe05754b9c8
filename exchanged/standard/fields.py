"""The twelve fields of the standard (Annex 2), in its order. `max_length` counts characters (code points)."""

from __future__ import annotations

from dataclasses import dataclass

from exchanged.standard.tables import rows


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its Chinese name is what headers and findings say, its key is what columns are called inside."""

    order: int
    name: str
    key: str
    max_length: int
    required: bool = True
    example: str = ""
    note: str = ""


FIELDS: tuple[Field, ...] = tuple(
    Field(
        int(row["order"]),
        row["name"],
        row["key"],
        int(row["max_length"]),
        row["required"] == "yes",
        row["example"],
        row["note"],
    )
    for row in rows("fields")
)
BY_KEY: dict[str, Field] = {field.key: field for field in FIELDS}
BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
