"""The configuration: read as a whole, refused as a whole, every problem with its place."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from exchanged import config, sections
from exchanged.batch import Limits
from exchanged.errors import ConfigError, NotYet
from exchanged.standard import rules

EXAMPLE = Path(__file__).parent.parent / "config" / "exchanged.yaml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
LEAST = f"""
unit:
  code: jx
  name: 江西省职业技能鉴定指导中心
sealing:
  sign_with: 0123456789012345678901234567890123456789
  encrypt_to: [89ABCDEF0123456789ABCDEF0123456789ABCDEF]
delivery:
  host: sftp.example.org
  user: jx
  identity: sftp-key
  host_keys: ["{KEY}"]
"""


def problems(text: str) -> dict[str, str]:
    """Code of each problem, by path."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    return {problem.path: problem.code for problem in caught.value.problems}


def changed(**values: str) -> dict[str, str]:
    """The problems after adding keys to the least configuration, as `section.key`: YAML text."""
    text = LEAST
    for path, value in values.items():
        section, _, key = path.partition("__")
        head = f"\n{section}:\n"
        text = (
            text.replace(head, f"{head}  {key}: {value}\n")
            if head in text
            else f"{text}{section}: {{{key}: {value}}}\n"
        )
    return problems(text)


def test_the_least_configuration_has_the_documented_defaults() -> None:
    settings = config.parse(LEAST)
    assert settings.language == "zh"
    assert settings.folders.drop == Path("/srv/exchanged/drop")
    assert settings.intake.settle == 5
    assert settings.intake.confirmation_wait == 30 * 86400
    assert settings.intake.data_types == ("新增", "更正")
    assert settings.intake.limits == Limits(200_000_000, 2_000_000, 200, 2_000_000_000)
    assert settings.standard.direction_placeholders == ("无", "—", "-", "/")
    assert settings.standard.thresholds == {
        "many-awards": 4, "level-jump-days": 365, "daily-burst": 2000, "serial-gap": 100
    }  # fmt: skip
    assert settings.sealing.gnupg_home == Path("/var/lib/exchanged/gnupg")
    assert settings.sealing.passphrase is None
    assert (settings.delivery.port, settings.delivery.inbox, settings.delivery.verify) == (22, "/inbox", "readback")
    assert (settings.receipts.enabled, settings.receipts.poll) == (False, 300)
    assert (settings.deletion.after, settings.deletion.overwrite) == ("delivered", 1)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "::1", "a", "sftp-1.example.org"])
def test_a_host_is_a_name_or_an_address_of_either_kind(host: str) -> None:
    assert config.parse(LEAST.replace("sftp.example.org", f'"{host}"')).delivery.host == host


def test_the_documented_file_is_valid_and_shows_the_defaults() -> None:
    shown, least = config.load(EXAMPLE), config.parse(LEAST)
    for part in ("folders", "intake", "standard", "confirmation", "receipts", "deletion", "calendar", "credentials"):
        assert getattr(shown, part) == getattr(least, part), part
    assert (shown.delivery.timeout, shown.delivery.temp, shown.delivery.moved_away) == (60, None, False)


def test_the_documented_file_names_every_key() -> None:
    asked: set[str] = set()

    class Noted(sections.Section):
        def has(self, key: str) -> sections.Entry | None:
            asked.add(self.at(key))
            return super().has(key)

        def section(self, key: str) -> sections.Section:
            below = super().section(key)
            return Noted(below.path, below.entries, below.problems)

    tree = sections.tree(EXAMPLE.read_text("utf-8"), [])
    config._settings(Noted("", tree, []), None)
    written = {f"{name}.{key}" for name, entry in tree.items() if isinstance(entry.data, dict) for key in entry.data}
    assert {path for path in asked if path.count(".") == 1} == written


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    text = (
        LEAST.replace("code: jx", "code: JX!").replace("user: jx", "user: [a]") + "languag: en\nintake: {settle: 5}\n"
    )
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    found = {problem.path: problem for problem in caught.value.problems}
    assert set(found) == {"unit.code", "delivery.user", "languag", "intake.settle"}
    assert found["languag"].facts["nearest"] == "language"
    assert found["unit.code"].facts["line"] == 3


def test_everything_required_is_named_when_missing() -> None:
    assert set(problems("language: zh")) == {
        "unit.code",
        "unit.name",
        "sealing.sign_with",
        "sealing.encrypt_to",
        "delivery.host",
        "delivery.user",
        "delivery.identity",
        "delivery.host_keys",
    }


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("intake__settle", "5", "config.duration"),
        ("intake__settle", "5w", "config.duration"),
        ("intake__rescan", "0s", "config.duration_range"),
        ("intake__data_types", "[]", "config.list_short"),
        ("intake__data_types", "[../x]", "config.folder_name"),
        ("intake__limits", "{file: 3}", "config.size"),
        ("intake__limits", "{rows: many}", "config.number"),
        ("folders__drop", "drop", "config.path"),
        ("folders__drop", "/srv/../etc", "config.path"),
        ("standard__severity", "{id-checksum: fatal}", "config.choice"),
        ("standard__severity", "{no-such-rule: warn}", "config.unknown_key"),
        ("standard__severity", "[]", "config.mapping"),
        ("standard__thresholds", "{many-awards: 0}", "config.number"),
        ("standard__thresholds", "{many-awards: many}", "config.number"),
        ("standard__thresholds", "{level-jump-days: 365d}", "config.number"),
        ("standard__thresholds", "{daily-burst: -1}", "config.number"),
        ("standard__thresholds", "{serial-gap: 100000}", "config.number"),
        ("standard__thresholds", "{level-jump: 365}", "config.unknown_key"),
        ("standard__thresholds", "4", "config.mapping"),
        ("sealing__passphrase", "correct horse battery", "config.credential_name"),
        ("delivery__port", "0", "config.number"),
        ("delivery__verify", "maybe", "config.choice"),
        ("delivery__moved_away", "maybe", "config.truth"),
        ("delivery__inbox", "../other", "config.remote_path"),
        ("receipts__enabled", "true", "config.receipts_unsupported"),
        ("receipts__trusted", "[89ABCDEF]", "config.fingerprint"),
        ("deletion__overwrite", "-1", "config.number"),
        ("deletion__after", "acknowledged", "config.needs_receipts"),
        ("calendar__windows", "[{day: 32}]", "config.number"),
        ("calendar__windows", "[10]", "config.list_of_mappings"),
        ("unit__issuer_codes", "[1]", "config.issuer_code"),
        ("unit__centres", "中心", "config.list"),
        ("unit__centres", "[a, a]", "config.twice"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(path: str, value: str, code: str) -> None:
    found = changed(**{path: value})
    assert list(found.values()) == [code]
    assert next(iter(found)).startswith(path.split("__")[0])


@pytest.mark.parametrize(
    "value",
    [
        "[]",
        '["ssh-ed25519 AAAA…"]',
        '["AAAAC3NzaC1lZDI1NTE5AAAAI"]',
        f'["{KEY.replace("ed25519", "rsa")}"]',
        "relative",
    ],
)
def test_a_host_key_that_is_none_is_refused(value: str) -> None:
    found = problems(re.sub("host_keys: .*", f"host_keys: {value}", LEAST))
    assert next(iter(found)).startswith("delivery.host_keys")


def test_one_host_key_needs_no_list(tmp_path: Path) -> None:
    file = tmp_path / "exchanged.yaml"
    file.write_text(re.sub("host_keys: .*", f"host_keys: {KEY}", LEAST), "utf-8")
    assert config.load(file).delivery.host_keys == (KEY,)
    other = KEY[:-4] + "AAAB"
    file.write_text(re.sub("host_keys: .*", f"host_keys: |\n    {other}\n    {KEY}", LEAST), "utf-8")
    assert config.load(file).delivery.host_keys == (other, KEY)


def test_host_keys_may_be_a_known_hosts_file(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    file = tmp_path / "exchanged.yaml"
    file.write_text(re.sub("host_keys: .*", f"host_keys: {known}", LEAST), "utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert [(found.path, found.code) for found in caught.value.problems] == [
        ("delivery.host_keys", "config.file_missing")
    ]
    known.touch()
    assert config.load(file).delivery.known_hosts == known


def test_what_cannot_be_read_is_the_only_thing_that_is_said() -> None:
    for text in (f"{LEAST}\tlanguage: en\n", f"{LEAST}x: *none\n", f"{LEAST}---\nlanguage: en\n"):
        assert problems(text) == {"": "config.syntax"}


def test_files_that_are_named_are_told_together_with_everything_else(tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    catalogues = f"standard: {{catalogues: [/none.csv, {tmp_path}/wrong.csv, 3]}}"
    file = tmp_path / "exchanged.yaml"
    file.write_text(f"{LEAST}{catalogues}\ndeletion: {{after: acknowledged}}\nlanguag: en\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert {found.path: found.code for found in caught.value.problems} == {
        "standard.catalogues[0]": "config.file_missing",
        "standard.catalogues[1]": "config.catalogue_columns",
        "standard.catalogues[2]": "config.path",
        "deletion.after": "config.needs_receipts",
        "languag": "config.unknown_key",
    }


def test_a_rule_that_cannot_be_switched_off_is_not() -> None:
    for rule in rules.RULES:
        text = f"{LEAST}standard: {{severity: {{{rule}: off}}}}\n"
        if rule in rules.FIXED:
            assert problems(text) == {f"standard.severity.{rule}": "config.rule_fixed"}
        else:
            assert config.parse(text).standard.severity == {rule: "off"}


def test_yaml_does_not_guess_types() -> None:
    settings = config.parse(LEAST.replace("code: jx", "code: no").replace("user: jx", "user: 0x1F"))
    assert settings.unit.code == "no"
    assert settings.delivery.user == "0x1F"
    assert settings.sealing.sign_with == "0123456789012345678901234567890123456789"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("unit: [", "config.syntax"),
        ("- a\n- b\n", "config.mapping"),
        ("", "config.missing"),
        ("language: &x zh\nunit: *x\n", "config.alias"),
        (f"{LEAST}\nlanguage: zh\nlanguage: en\n", "config.duplicate_key"),
        ("x: " + "[" * 5000, "config.syntax"),
        ("\x00", "config.syntax"),
    ],
)
def test_what_is_no_sound_yaml_is_refused(text: str, code: str) -> None:
    assert code in problems(text).values()


def test_no_problem_shows_the_value() -> None:
    text = LEAST.replace("identity: sftp-key", "identity: 'BEGIN CANARY KEY'") + "sealing2: CANARY\n"
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    assert "CANARY" not in repr(caught.value.problems) + str(caught.value)


def test_other_folders_may_not_lie_in_the_drop_folder() -> None:
    assert changed(folders__rejected="/srv/exchanged/drop/back") == {"folders.rejected": "config.folder_overlap"}
    assert changed(folders__forms="/srv/exchanged/receipts") == {"folders.receipts": "config.folder_overlap"}
    assert changed(folders__receipts="/srv/exchanged/rejected/r") == {"folders.receipts": "config.folder_overlap"}
    assert changed(folders__state="/srv/exchanged/forms/s")["folders.state"] == "config.folder_overlap"
    assert changed(credentials__directory="/srv/exchanged/drop") == {"credentials.directory": "config.folder_overlap"}
    assert changed(sealing__gnupg_home="/srv/exchanged/drop/g") == {"sealing.gnupg_home": "config.folder_overlap"}


def test_a_file_that_cannot_be_read_is_a_configuration_problem(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.yaml", "config.file_missing"), (tmp_path, "config.file_unreadable")):
        with pytest.raises(ConfigError) as caught:
            config.load(path)
        assert caught.value.problems[0].code == code
    latin = tmp_path / "gbk.yaml"
    latin.write_bytes("language: zh # 中文".encode("gbk"))
    with pytest.raises(ConfigError) as caught:
        config.load(latin)
    assert caught.value.problems[0].code == "config.encoding"


def test_the_file_is_found_by_option_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGED_CONFIG", "/a")
    assert config.find("/b") == Path("/b")
    assert config.find() == Path("/a")
    monkeypatch.delenv("EXCHANGED_CONFIG")
    assert config.find() == Path("/etc/exchanged/exchanged.yaml")


def test_a_credential_comes_from_systemd_or_from_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, handed = tmp_path / "own", tmp_path / "handed"
    for folder in (own, handed):
        folder.mkdir()
    settings = config.parse(f"{LEAST}credentials: {{directory: {own}}}\n")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(NotYet, match=r"credentials\.missing"):
        config.credential(settings, "pin")
    (own / "pin").write_text("geheim \n")
    (own / "pin").chmod(0o640)
    with pytest.raises(NotYet, match=r"credentials\.open"):
        config.credential(settings, "pin")
    (own / "pin").chmod(0o600)
    assert config.credential(settings, "pin") == "geheim "
    (handed / "pin").write_text("other")
    (handed / "pin").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert config.credential(settings, "pin") == "other"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_credential_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "pin").touch(0)
    with pytest.raises(NotYet, match=r"credentials\.unreadable"):
        config.credential(config.parse(f"{LEAST}credentials: {{directory: {tmp_path}}}\n"), "pin")


def test_checks_carry_what_the_unit_configured() -> None:
    text = f"{LEAST}standard: {{severity: {{id-region: error}}, catalogues: [/x.csv], thresholds: {{serial-gap: 9}}}}\n"
    settings = config.parse(text)
    checks = config.checks(settings, "2026-11-23", limit=5)
    assert (checks.today, checks.severity, checks.catalogues) == ("2026-11-23", {"id-region": "error"}, ("/x.csv",))
    assert checks.thresholds == {"many-awards": 4, "level-jump-days": 365, "daily-burst": 2000, "serial-gap": 9}
    assert (checks.limit, checks.limits) == (5, Limits())
