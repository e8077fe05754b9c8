"""The standard in force as one document: fields, codes, number forms, rules, catalogue editions.

Takes   the overrides of severities, further edition files, the placeholders of no direction, a day
Gives   `exchanged-standard/1`, ready for JSON
Redo    it only reads
Ends    ConfigError when a further edition file cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exchanged.standard import rules, tables
from exchanged.standard.catalogue import Catalogue
from exchanged.standard.codes import CODES
from exchanged.standard.fields import BY_KEY, FIELDS


def standard(
    today: str,
    *,
    severity: Mapping[str, str] | None = None,
    catalogues: Sequence[Path] = (),
    placeholders: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole document. `severity` of a rule is the one in force, `default` that of the standard."""
    return {
        "format": "exchanged-standard/1",
        "fields": [_field(field.key) for field in FIELDS],
        "codes": [{"field": row["field"], "code": row["code"], "name": row["name"]} for row in tables.rows("codes")],
        "numbers": [
            {"id_type": row["code"], "name": row["name"], "pattern": row["number_pattern"], "check": row["checksum"]}
            for row in sorted(tables.rows("id-types"), key=lambda row: row["code"])
        ],
        "direction_placeholders": list(placeholders),
        "rules": [_rule(rule, severity) for rule in rules.RULES.values()],
        "catalogues": _editions(Catalogue.load(catalogues), today),
    }


def _field(key: str) -> dict[str, Any]:
    field = BY_KEY[key]
    return {
        "order": field.order,
        "name": field.name,
        "key": key,
        "max_length": field.max_length,
        "required": field.required,
        "example": field.example,
        "note": field.note,
        "codes": key if key in CODES else None,
    }


def _rule(rule: rules.Rule, overrides: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "scope": rule.scope,
        "severity": str(rules.severity(rule.name, overrides)),
        "default": str(rule.severity),
        "fixed": rule.name in rules.FIXED,
        "fields": list(rule.fields),
        "meaning": rule.meaning,
        "zh": rule.zh,
        "en": rule.en,
    }


def _editions(catalogue: Catalogue, today: str) -> list[dict[str, Any]]:
    now = catalogue.edition(today)
    return [
        {"name": one.name, "start": one.start, "end": one.end, "entries": one.entries, "in_force": one.name == now}
        for one in catalogue.editions()
    ]
