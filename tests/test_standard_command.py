"""The `standard` and `explain` commands: all that the standard asks, as the configuration changes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from exchanged import api, config
from exchanged.standard.fields import FIELDS
from exchanged.standard.rules import FIXED, RULES
from exchanged.views.page import plain
from exchanged.views.system import standard_page
from tests.test_cli import run
from tests.test_config import LEAST

SAID = api.standard()
both = pytest.mark.parametrize("language", ["zh", "en"])


def settings(tmp_path: Path, language: str) -> str:
    edition = tmp_path / "further.csv"
    columns = "edition,name,occupation,direction,effective_from,effective_to,exit_batch"
    edition.write_text(f"{columns}\n2025,项,新职业,,2025-01-01,,\n", "utf-8")
    return f"""{LEAST}language: {language}
standard:
  severity: {{id-region: error, total-row: "off", name-suspicious: hold}}
  direction_placeholders: [不分方向]
  catalogues: [{edition}]
"""


def by_rule(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["rule"]: one for one in said["rules"]}


def test_every_field_code_rule_and_edition_is_told() -> None:
    assert [(one["order"], one["name"], one["max_length"], one["required"]) for one in SAID["fields"]] == [
        (field.order, field.name, field.max_length, True) for field in FIELDS
    ]
    assert [one["key"] for one in SAID["fields"] if one["codes"]] == ["gender", "id_type", "level"]
    assert len(SAID["codes"]) == 24
    assert {one["id_type"] for one in SAID["numbers"]} == {
        one["code"] for one in SAID["codes"] if one["field"] == "id_type"
    }
    assert list(by_rule(SAID)) == list(RULES)
    assert {rule for rule, one in by_rule(SAID).items() if one["fixed"]} == FIXED
    assert [(one["name"], one["start"], one["end"]) for one in SAID["catalogues"]] == [
        ("2017", "2017-09-12", "2021-11-22"),
        ("2021", "2021-11-23", None),
    ]


def test_the_patterns_of_id_numbers_are_those_that_are_asked_for() -> None:
    for one in SAID["numbers"]:
        assert re.compile(one["pattern"]).fullmatch("") is None


def test_the_configuration_changes_what_is_in_force(tmp_path: Path) -> None:
    said = api.standard(config.parse(settings(tmp_path, "zh")))
    rules = by_rule(said)
    assert {
        rule: (rules[rule]["severity"], rules[rule]["default"])
        for rule in ("id-region", "total-row", "name-suspicious", "required")
    } == {
        "id-region": ("error", "warn"),
        "total-row": ("off", "error"),
        "name-suspicious": ("hold", "warn"),
        "required": ("error", "error"),
    }
    assert said["direction_placeholders"] == ["不分方向"]
    assert [(one["name"], one["entries"], one["in_force"]) for one in said["catalogues"]][-1] == ("2025", 1, True)


@both
def test_the_command_takes_the_configuration(tmp_path: Path, language: str) -> None:
    path = tmp_path / "exchanged.yaml"
    path.write_text(settings(tmp_path, language), "utf-8")
    path.chmod(0o600)
    said = json.loads(run("--config", path, "standard", "--json").stdout)
    assert by_rule(said)["id-region"]["severity"] == "error"
    shown = run("--config", path, "standard").stdout
    marks = {"zh": ("错误（默认提醒）", "现行"), "en": ("error (by default warning)", "in force")}[language]
    assert all(mark in shown for mark in marks) and "不分方向" in shown and "2025" in shown


def test_a_rule_is_explained_with_its_severity_in_force(tmp_path: Path) -> None:
    path = tmp_path / "exchanged.yaml"
    path.write_text(settings(tmp_path, "zh"), "utf-8")
    path.chmod(0o600)
    assert "  提醒  " in run("explain", "id-region").stdout
    assert "  错误  " in run("--config", path, "explain", "id-region").stdout


@both
def test_the_page_has_words_for_everything(language: str) -> None:
    shown = plain(standard_page(SAID, language))
    assert not re.search(r"\b(field|standard|note|form|scope|severity|answer)\.\w|[{}]|None", shown)
    assert all(rule in shown for rule in RULES) and all(field.name in shown for field in FIELDS)
