"""The command line keeps its promises: exit statuses, one JSON document, plain words, no traceback, no data."""

from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exchanged.commands import COMMANDS
from exchanged.commands.trouble import Usage, report
from exchanged.views import page as pages
from tests.support.records import HEADERS, records

ID_COLUMN = HEADERS.index("证件号码")
ENGLISH = {"LANG": "en_US.UTF-8"}


def run(*words: str | Path, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One command in its own process, without a configuration of this machine."""
    clean = {"PATH": os.environ["PATH"], "LANG": "zh_CN.UTF-8", "EXCHANGED_CONFIG": "", **(env or {})}
    command = [sys.executable, "-m", "exchanged", *map(str, words)]
    return subprocess.run(
        command, env=clean, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADERS)
        writer.writerows([[row[name] for name in HEADERS] for row in rows])
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return table(tmp_path / "一月.csv", records(20, seed=1))


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    rows = records(20, seed=1)
    rows[3]["性别"] = ""
    for row in rows[5:17]:
        row["证件号码"] = row["证件号码"][:-1] + ("1" if row["证件号码"][-1] != "1" else "2")
    return table(tmp_path / "二月.csv", rows)


# --- help and usage ---------------------------------------------------------------------------------------------------


def test_help_names_every_command_in_the_users_language() -> None:
    zh, en = run("--help"), run("--help", env=ENGLISH)
    assert zh.returncode == en.returncode == 0
    for name in COMMANDS:
        assert f"    {name} " in zh.stdout and f"    {name} " in en.stdout
    assert "用法：" in zh.stdout and "Usage: " in en.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0 and "用法：exchanged" in done.stdout
    assert ("--json" in done.stdout) == COMMANDS[name].json


HEAVY = {"numpy", "pandas", "pyarrow", "paramiko", "cryptography", "pikepdf", "pypdfium2", "structlog", "yaml"}


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("check", "--help")])
def test_help_loads_no_large_library(words: tuple[str, ...]) -> None:
    code = "import sys; from exchanged.cli import main; main(sys.argv[1:])"
    argv = [sys.executable, "-X", "importtime", "-c", code, *words]
    told = subprocess.run(argv, capture_output=True, text=True, check=False).stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines() if "|" in line}
    assert "exchanged" in loaded and not loaded & HEAVY


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("exchanged 0.")


@pytest.mark.parametrize(
    "words",
    [(), ("chek",), ("check",), ("check", "--limit", "-1", "x"), ("check", "--lim", "1", "x"), ("withdraw", "x")],
)
def test_wrong_usage_is_status_2_with_the_usage(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "用法：" in done.stderr and done.stdout == ""


# --- language ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [("language: en\n", "Usage"), ("language: zh\n", "用法"), ('language: "en"  # x\n', "Usage"), ("", "用法")],
)
def test_the_language_is_that_of_the_configuration(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "exchanged.yaml"
    path.write_text(line)
    other = {"LANG": "de_DE.UTF-8"}
    assert run("--config", path, "--help", env=other).stdout.startswith(expected)
    assert run("--help", env=other | {"EXCHANGED_CONFIG": str(path)}).stdout.startswith(expected)


@pytest.mark.parametrize(
    ("locale", "expected"), [("zh_CN.UTF-8", "用法"), ("C", "用法"), ("en_GB.UTF-8", "Usage"), ("pl_PL.UTF-8", "Usage")]
)
def test_without_a_configuration_it_is_that_of_the_locale(locale: str, expected: str) -> None:
    assert run("--help", env={"LANG": locale}).stdout.startswith(expected)


# --- check ------------------------------------------------------------------------------------------------------------


def test_a_valid_table_is_status_0_with_counts_and_digest(good: Path) -> None:
    done = run("check", good)
    assert done.returncode == 0, done.stderr
    assert "✓ 通过" in done.stdout and "数量统计" in done.stdout and "sha256:" in done.stdout
    assert done.stderr == ""


def test_an_invalid_table_is_status_1_with_findings_grouped_by_rule(bad: Path) -> None:
    done = run("check", bad)
    assert done.returncode == 1
    assert "身份证校验码错误  id-checksum  12 处" in done.stdout
    assert "第 7、8、9、10、11、12、13、14… 行  证件号码" in done.stdout
    assert "必填字段为空  required  1 处" in done.stdout
    assert "\x1b" not in done.stdout


def test_json_is_one_document_as_the_contract_has_it(bad: Path) -> None:
    done = run("check", bad, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 1 and done.stderr == ""
    assert said["format"] == "exchanged-check/1" and said["verdict"] == "invalid" and said["rows"] == 20
    assert said["summary"]["by_rule"] == {"id-checksum": 12, "required": 1}
    assert said["findings"][0].keys() == {"rule", "severity", "file", "sheet", "row", "column", "message"}


def test_the_limit_caps_the_findings_never_the_summary(bad: Path) -> None:
    said = json.loads(run("check", bad, "--json", "--limit", "0").stdout)
    assert len(said["findings"]) == 13
    assert json.loads(run("check", bad, "--json", "--limit", "5").stdout)["summary"] == said["summary"]


def test_no_value_of_a_cell_is_shown(bad: Path, tmp_path: Path) -> None:
    report_page = tmp_path / "report.html"
    shown = run("check", bad, "--report", report_page).stdout + run("check", bad, "--json").stdout
    shown += report_page.read_text("utf-8")
    with bad.open(encoding="utf-8", newline="") as file:
        for row in list(csv.reader(file))[1:]:
            assert row[0] not in shown and row[4] not in shown and row[ID_COLUMN] not in shown


def test_check_changes_nothing_where_the_files_lie(good: Path) -> None:
    before = {path: path.read_bytes() for path in good.parent.iterdir()}
    run("check", good)
    assert {path: path.read_bytes() for path in good.parent.iterdir()} == before


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, json_too: list[str]) -> None:
    done = run("check", tmp_path / "no.xlsx", *json_too)
    assert done.returncode == 2 and "找不到文件" in done.stderr
    if json_too:
        assert json.loads(done.stdout)["code"] == "cli.no_file"


def test_a_folder_or_a_pipe_is_wrong_usage_and_never_a_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert run("check", tmp_path).returncode == 2
    assert run("check", tmp_path / "pipe.csv").returncode == 2


def test_a_configuration_that_is_named_is_used(good: Path, tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("unit: {code: JX}\nunknown: 1\n")
    done = run("--config", config, "check", good)
    assert done.returncode == 78


def test_output_survives_a_locale_that_cannot_say_it(good: Path) -> None:
    done = run(
        "check",
        good.rename(good.with_name("a.csv")),
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0 and done.stderr == "" and "\\u901a\\u8fc7" in done.stdout


def test_a_name_that_is_no_utf8_is_checked_like_any_other(good: Path) -> None:
    odd = good.rename(good.with_name("\udcff.csv"))
    done = run("check", odd, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0]["name"] == "\udcff.csv"


def test_a_reader_that_stops_early_is_no_error(bad: Path) -> None:
    command = f"{sys.executable} -m exchanged standard | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    del bad


def test_a_reader_that_left_does_not_make_wrong_data_right(bad: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for words in (("check", bad), ("check", bad, "--json"), ("--help",)):
        argv = [sys.executable, "-m", "exchanged", *map(str, words)]
        done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (0 if words == ("--help",) else 1, "")
    os.close(writer)


def test_a_log_that_nobody_reads_changes_no_status() -> None:
    """The line that says what has happened was written to a pipe without a reader; Python would end with 120."""
    reader, writer = os.pipe()
    os.close(reader)
    act = "cli._run = lambda _: 3 * sys.stdout.write('x')"
    code = f"import sys; from exchanged import cli; {act}; sys.exit(cli.main(['run']))"
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=env
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (3, "")


def test_an_output_that_cannot_be_written_is_said_and_is_no_verdict(good: Path, bad: Path) -> None:
    with Path("/dev/full").open("w") as full:
        for words in (("check", good), ("check", bad), ("check", good, "--json"), ("standard",), ("--version",)):
            argv = [sys.executable, "-m", "exchanged", *map(str, words)]
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            assert done.returncode == 3, done.stderr
            assert "Traceback" not in done.stderr
            assert words == ("--version",) or "28" in done.stderr  # ENOSPC


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_change_no_verdict(good: Path, bad: Path, closed: str) -> None:
    for path, expected in ((good, 0), (bad, 1)):
        line = f"{sys.executable} -m exchanged check {path} {closed}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (expected, "")


def test_a_place_that_is_no_folder_is_a_mistaken_call(good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (("open", good, "-o", tmp_path / "file"), ("open", good, "-o", "/proc/none"), ("demo", "/proc/none")):
        done = run(*words)
        assert done.returncode == 2, done.stderr
        assert str(words[-1]) in done.stderr


def test_a_signer_that_is_no_fingerprint_is_a_mistaken_call(good: Path, tmp_path: Path) -> None:
    done = run("open", good, "-o", tmp_path / "out", "--signer", "ABCD")
    assert done.returncode == 2
    assert "--signer" in done.stderr


# --- configuration, codes, bugs ---------------------------------------------------------------------------------------


def test_a_wrong_configuration_is_status_78_with_every_problem_at_once(tmp_path: Path) -> None:
    path = tmp_path / "exchanged.yaml"
    path.write_text("languag: zh\nunit: {code: JX}\nintake: {settle: soon}\n")
    done = run("--config", path, "status", "--json")
    assert done.returncode == 78
    assert all(part in done.stderr for part in ("languag", "unit.code", "intake.settle", "unit.name"))
    problems = json.loads(done.stdout)["problems"]
    assert {"languag", "unit.code", "intake.settle"} <= {one["path"] for one in problems}
    assert "soon" not in done.stderr


@pytest.mark.parametrize("code", ["id-checksum", "delivery.host_key_mismatch", "batch.deferred", "held"])
def test_explain_knows_rules_reasons_events_and_states(code: str) -> None:
    for env in ({}, ENGLISH):
        done = run("explain", code, env=env)
        assert done.returncode == 0 and done.stdout.startswith(code) and len(done.stdout) > len(code) + 40


def test_explain_names_the_nearest_code_it_knows() -> None:
    done = run("explain", "id-cheksum")
    assert done.returncode == 2 and "id-checksum" in done.stderr


def test_the_standard_is_told_in_words_and_json() -> None:
    said = json.loads(run("standard", "--json").stdout)
    assert len(said["fields"]) == 12 and len(said["rules"]) == 65 and len(said["catalogues"]) >= 2
    shown = run("standard").stdout
    assert "catalogue" not in shown.split("规则")[0] and "2021-11-23" in shown


def test_an_unexpected_error_is_status_70_with_class_and_place_but_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = type("A", (), {"language": "zh", "json": False})()
    secret = "11000019900307001X"
    try:
        pages.width(None)  # type: ignore[arg-type]
    except AttributeError as error:
        error.args = (secret,)
        assert report(error, arguments) == 70
    said = capsys.readouterr().err
    assert "AttributeError" in said and "messages/__init__.py:" in said and secret not in said


def test_a_usage_error_keeps_its_code_as_a_fact() -> None:
    assert Usage("cli.unknown_code", code="x").facts == {"code": "x"}


def test_a_signal_ends_a_command_with_its_own_status(tmp_path: Path) -> None:
    big = table(tmp_path / "big.csv", records(3000, seed=2) * 150)
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with subprocess.Popen(
            [sys.executable, "-m", "exchanged", "check", big, "--limit", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        ) as child:
            at_work = Path(f"/proc/{child.pid}/task/{child.pid}/children")
            while not at_work.read_text():  # before, it is Python that starts, and answers in its own way
                time.sleep(0.02)
            child.send_signal(number)
            _, err = child.communicate(timeout=60)
        assert child.returncode == status and "Traceback" not in err


# --- pages ------------------------------------------------------------------------------------------------------------


def test_on_a_terminal_there_is_colour_and_the_same_words(bad: Path) -> None:
    leader, follower = pty.openpty()
    env = {"PATH": os.environ["PATH"], "LANG": "zh_CN.UTF-8", "TERM": "xterm-256color", "COLUMNS": "100"}
    command = [sys.executable, "-m", "exchanged", "check", str(bad)]
    with subprocess.Popen(command, env=env, stdout=follower, stderr=subprocess.DEVNULL) as child:
        os.close(follower)
        shown = b""
        while True:
            try:
                block = os.read(leader, 65536)
            except OSError:
                break
            if not block:
                break
            shown += block
    os.close(leader)
    assert child.returncode == 1
    assert b"\x1b[" in shown and "身份证校验码错误" in shown.decode()


def test_columns_stand_under_one_another_with_chinese_words() -> None:
    page = pages.Page()
    page.table([["保安员", "1"], ["社会体育指导员", "20"], ["a", "300"]], right=(1,))
    lines = pages.plain(page).splitlines()
    assert len({pages.width(line) for line in lines}) == 1


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\rb", "a\nb", "a\u202eb", "a\udcffb", "a\x7fb", "a\u2066b"])
def test_a_hostile_name_cannot_act_on_the_terminal(name: str) -> None:
    page = pages.Page()
    page.line(name)
    shown = pages.plain(page)
    assert shown.count("\n") == 1
    assert shown.rstrip("\n").isprintable()
    shown.encode("utf-8")


def test_an_honest_name_is_shown_as_it_is() -> None:
    assert pages.clean("一月　新增（二）·𠮷.xlsx") == "一月　新增（二）·𠮷.xlsx"
