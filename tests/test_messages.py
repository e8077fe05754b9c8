"""Everything that people can meet has a text, in both languages, and no text can fail to render."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged import log, messages
from exchanged.states import State

ROOT = Path(__file__).parent.parent / "exchanged"
RULES = list(csv.DictReader((ROOT / "standard" / "data" / "rules.csv").read_text("utf-8").splitlines()))
PROBLEMS = {"NotYet", "Held", "IntegrityFailure", "Usage", "Misshapen", "ConfigProblem"}
CODE = re.compile(r"[a-z_]+\.[a-z_]+")

both = pytest.mark.parametrize("language", messages.LANGUAGES)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the program, with the name that is called."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield name, node


def codes_raised() -> set[str]:
    """Codes that stand as they are in a raised problem or in `text(…)`."""
    found = set()
    for name, call in calls():
        if name in PROBLEMS or name in {"text", "say"}:
            place = 1 if name == "ConfigProblem" else 0  # its first argument is the path of a key
            words = [arg.value for arg in call.args[place : place + 1] if isinstance(arg, ast.Constant)]
            found |= {word for word in words if isinstance(word, str) and CODE.fullmatch(word)}
    return found


def known(language: str) -> set[str]:
    return set().union(*(messages.codes(part, language) for part in messages.PARTS))


@pytest.mark.parametrize("part", messages.PARTS)
def test_both_languages_have_the_same_codes(part: str) -> None:
    assert messages.codes(part, "zh") == messages.codes(part, "en")


@both
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule"])
def test_a_rule_without_facts_reads_as_the_standard_has_it(rule: dict[str, str], language: str) -> None:
    assert messages.rule_text(rule["rule"], None, {}, language) == rule[language]


@both
def test_every_event_reason_and_state_can_be_explained(language: str) -> None:
    codes = [*log.EVENTS, *(str(state) for state in State)]
    assert [code for code in codes if not messages.explain(code, language)] == []


@both
def test_every_reason_says_what_to_do(language: str) -> None:
    assert [code for code in log.REASONS if not messages.advice(code, language)] == []


@both
def test_every_code_that_the_program_raises_has_a_text(language: str) -> None:
    assert sorted(codes_raised() - known(language)) == []


def test_every_event_that_the_program_emits_is_listed_with_its_fields() -> None:
    wrong = []
    for name, call in calls():
        event = call.args[0].value if name == "emit" and call.args and isinstance(call.args[0], ast.Constant) else None
        if event is None:
            continue
        fields = {word.arg for word in call.keywords if word.arg and word.arg != "batch"}
        listed = log.EVENTS.get(str(event))
        if listed is None or fields - set(listed.fields):
            wrong.append((event, sorted(fields - set(listed.fields if listed else ()))))
    assert wrong == []


@both
def test_every_text_renders_with_all_its_facts_and_with_none(language: str) -> None:
    for code in sorted(known(language)):
        raw = messages._entry(code, language)
        assert raw is not None
        for template in raw.values():
            names = set(re.findall(r"\{(\w+)", template))
            full = messages._render(template, dict.fromkeys(names, 7), language)
            assert not re.search(r"[{}]|\[\]", full), code
            assert re.search(r"\[[^\]]*\]", full) is None, code
            messages._render(template, {}, language)


@both
def test_both_languages_use_the_same_facts(language: str) -> None:
    del language
    for code in sorted(known("zh")):
        zh, en = messages._entry(code, "zh"), messages._entry(code, "en")
        assert zh and en
        assert zh.keys() == en.keys(), code
        for key in zh:
            assert set(re.findall(r"\{(\w+)", zh[key])) == set(re.findall(r"\{(\w+)", en[key])), code


def test_a_part_in_brackets_stands_only_with_its_facts() -> None:
    assert (
        messages.rule_text("duplicate-certificate", "证书编号", {"first": 2}, "zh") == "批内证书编号重复，与第 2 行相同"
    )
    named = messages.rule_text("duplicate-certificate", "证书编号", {"first": 2, "first_name": "一月.xlsx"}, "zh")
    assert named == "批内证书编号重复，与“一月.xlsx”第 2 行相同"


def test_a_missing_column_names_the_likely_candidate() -> None:
    said = messages.rule_text("column-missing", "证书编号", {"candidate": "证书号"}, "zh")
    assert "证书编号" in said and "证书号" in said


def test_a_fact_is_never_rendered_as_a_template() -> None:
    assert "{limit}" in messages.text("setup.folder", "zh", path="/a/{limit}[x]")


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_problems_of_a_configuration_and_of_a_package_can_be_explained(language: str) -> None:
    """The log names them: daemon.failed, daemon.reload_refused; so does `open --json`."""
    codes = {*messages.codes("problems", language), "package.altered", "package.signer_revoked"}
    assert [code for code in codes if not messages.explain(code, language)] == []
    assert messages.explain("field.batch", language) is None


def test_an_unknown_code_is_shown_as_itself() -> None:
    assert messages.text("no.such_code", "zh") == "no.such_code"
    assert messages.explain("no.such_code", "en") is None


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (200_000_000, "200 MB"), (3 * 10**12, "3.0 TB")]
)
def test_sizes_read_as_people_say_them(count: int, said: str) -> None:
    assert messages.size(count) == said


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [(0, "0秒", "0 s"), (61, "1分钟1秒", "1 min 1 s"), (266400, "3天2小时", "3 d 2 h"), (-5, "0秒", "0 s")],
)
def test_durations_read_as_people_say_them(seconds: float, zh: str, en: str) -> None:
    assert (messages.duration(seconds, "zh"), messages.duration(seconds, "en")) == (zh, en)
