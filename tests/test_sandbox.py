"""The sandbox: what a job gives back, how it ends, and what it can not do while it runs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pytest

from exchanged import confinement, conversation, sandbox
from exchanged.batch import Checks
from exchanged.sandbox import Bounds, Died, JobError, Sandbox
from tests.support import jobs, records

SMALL = Bounds(memory=512 << 20, cpu=20, wall=20.0)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(jobs.JOBS, {}) as each:
        yield each


def opened(text: str) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(text.encode())
    file.flush()
    return file


def gone(pid: int) -> bool:
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def deed(box: Sandbox, name: str, limits: Bounds = SMALL) -> sandbox.Answer:
    return box.run("misbehave", {"deed": name}, limits=limits)


# What a job gives back


def test_a_job_gets_its_arguments_and_files_and_answers(box: Sandbox) -> None:
    with opened("你好") as first, opened("再见") as second:
        answer = box.run("echo", {"name": "一月.xlsx", "payload": 3}, [first.fileno(), second.fileno()], limits=SMALL)
    assert answer.value["args"]["name"] == "一月.xlsx"
    assert answer.value["files"] == ["你好", "再见"]
    assert answer.payload == b"\0\0\0"
    assert answer.value["pid"] not in (os.getpid(), box.pid)


def test_a_file_is_read_from_its_start_however_often_it_was_read_before(box: Sandbox) -> None:
    with opened("text") as file:
        file.seek(2)
        for _ in range(2):
            assert box.run("echo", {}, [file.fileno()], limits=SMALL).value["files"] == ["text"]


def test_arguments_values_and_payload_may_be_larger_than_a_message(box: Sandbox) -> None:
    text = "职业资格" * 100_000
    answer = box.run("echo", {"text": text, "payload": 10_000_001}, limits=SMALL)
    assert answer.value["args"]["text"] == text
    assert answer.payload == bytes(10_000_001)


def test_more_files_than_one_message_carries_arrive_in_order(box: Sandbox) -> None:
    files = [opened(str(number)) for number in range(300)]
    try:
        answer = box.run("echo", {}, [file.fileno() for file in files], limits=SMALL)
    finally:
        for file in files:
            file.close()
    assert answer.value["files"] == [str(number) for number in range(300)]


def test_progress_is_told_in_order_while_the_job_runs(box: Sandbox) -> None:
    told: list[int] = []
    box.run("echo", {"steps": 1000}, limits=SMALL, on_progress=told.append)
    assert told == list(range(1000))


def test_a_job_writes_to_a_pipe_and_closes_it(box: Sandbox) -> None:
    reader, writer = os.pipe()
    with opened("through the pipe") as file:
        box.run("echo", {}, [file.fileno()], limits=SMALL, out=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"through the pipe"


def test_only_jobs_of_the_dict_are_run(box: Sandbox) -> None:
    with pytest.raises(KeyError):
        box.run("os:system", {"command": "true"})


def test_jobs_of_several_threads_run_side_by_side(box: Sandbox) -> None:
    box.run("echo", {}, limits=SMALL)
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(box.run("sleep", {"seconds": 0.5}, limits=SMALL).value))
        for _ in range(6)
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"slept": True}] * 6
    assert time.monotonic() - start < 2.5


# How it ends


@pytest.mark.parametrize(
    ("name", "limits", "reason", "cause"),
    [
        ("eat", Bounds(memory=256 << 20, cpu=20, wall=20), "memory", 0),
        ("be busy", Bounds(memory=256 << 20, cpu=1, wall=20), "time", signal.SIGXCPU),
        ("spin", Bounds(memory=256 << 20, cpu=1, wall=20), "time", signal.SIGKILL),
        ("sleep", Bounds(memory=256 << 20, cpu=20, wall=0.3), "time", signal.SIGALRM),
        ("abort", SMALL, "memory", signal.SIGABRT),
        ("fault", SMALL, "crash", signal.SIGSEGV),
        ("leave with a status", SMALL, "crash", signal.SIGABRT),
        ("panic", SMALL, "crash", signal.SIGABRT),
        ("give up", SMALL, "crash", signal.SIGABRT),
        ("leave", SMALL, "crash", signal.SIGABRT),
    ],
)
def test_a_child_that_dies_is_an_answer(box: Sandbox, name: str, limits: Bounds, reason: str, cause: int) -> None:
    with pytest.raises(Died) as died:
        deed(box, name, limits)
    assert (died.value.reason, died.value.signal) == (reason, cause)
    assert box.run("echo", {"x": 1}, limits=SMALL).value["args"] == {"x": 1}


def test_a_child_that_ignores_its_alarm_is_ended_by_the_parent(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "GRACE", 0.3)
    start = time.monotonic()
    with pytest.raises(Died) as died:
        deed(box, "ignore the alarm", Bounds(memory=256 << 20, cpu=5, wall=0.3))
    assert died.value.reason == "time"
    assert time.monotonic() - start < 5


def test_a_job_that_is_given_up_is_ended(box: Sandbox) -> None:
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        box.run("sleep", {"seconds": 60}, limits=SMALL, on_progress=stop)
    assert gone(pids[0])


def test_an_answer_over_its_bound_is_refused(box: Sandbox) -> None:
    with pytest.raises(Died):
        box.run("echo", {"payload": 2_000_000}, limits=Bounds(memory=512 << 20, cpu=5, wall=20, answer=1_000_000))


def test_an_exception_leaves_as_class_and_place_of_ours(box: Sandbox) -> None:
    with pytest.raises(JobError) as failed:
        box.run("fault_of_ours", {}, limits=SMALL)
    assert failed.value.kind == "AttributeError"
    assert failed.value.place.startswith("exchanged/stages/confirm.py:")


@pytest.mark.parametrize("name", ["complain", "complain by name"])
def test_the_text_of_an_exception_never_leaves(box: Sandbox, name: str) -> None:
    with pytest.raises(JobError) as failed:
        deed(box, name)
    told = f"{failed.value} {failed.value.__dict__} {failed.value.__cause__} {failed.value.__context__}"
    assert jobs.SECRET not in told
    assert "张" not in told


def test_a_module_that_is_missing_is_told(tmp_path: Path) -> None:
    with Sandbox({"x": "exchanged.no_such_module:run"}, {}) as box, pytest.raises(JobError) as failed:
        box.run("x", {"much": "x" * 1_000_000})
    assert failed.value.kind == "ModuleNotFoundError"


def test_a_library_may_use_threads(box: Sandbox) -> None:
    assert box.run("threads", {}, limits=SMALL).value == {"sum": 499500}


# What it can not do


@pytest.mark.skipif(not all(confinement.available().values()), reason="this kernel lacks Landlock or seccomp")
def test_a_child_can_neither_read_nor_write_nor_talk_nor_start_anything(box: Sandbox, tmp_path: Path) -> None:
    key, allowed = tmp_path / "key", tmp_path / "edition.csv"
    key.write_text("secret")
    allowed.write_text("2021")
    args = {"key": str(key), "allowed": str(allowed), "target": str(tmp_path / "made")}
    worked = box.run("probe", args, limits=SMALL, reads=[str(allowed)]).value
    assert [name for name, done in worked.items() if done] == ["read what it may"]
    assert key.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["edition.csv", "key"]


def test_a_child_sees_only_its_own_descriptors_and_no_variable_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_PASSPHRASE", "hunter2")
    with opened("x") as held, opened("y") as given, Sandbox(jobs.JOBS, {}) as box:
        os.set_inheritable(held.fileno(), True)
        seen = box.run("surroundings", {}, [given.fileno()], limits=SMALL).value
    assert "SIGNING_PASSPHRASE" not in seen["environ"]
    assert set(seen["environ"]) <= {
        *("PATH", "TMPDIR", "LANG", "LC_CTYPE", "ARROW_DEFAULT_MEMORY_POOL", "JE_ARROW_MALLOC_CONF"),
        *(
            "OPENBLAS_NUM_THREADS",
            "OMP_NUM_THREADS",
            "MALLOC_ARENA_MAX",
            "MALLOC_MMAP_THRESHOLD_",
            "MALLOC_TRIM_THRESHOLD_",
        ),
    }
    links = sorted(link.partition(":")[0] for link in seen["fds"].values())
    assert links[:3] == ["/dev/null"] * 3
    assert len([link for link in links if link == "socket"]) == 1
    assert len(links) == 5  # the three above, the line, the file
    assert seen["limits"] == {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}


def test_no_argument_shows_in_a_process_list(box: Sandbox) -> None:
    lines: list[str] = []

    def look(pid: int) -> None:
        lines.extend(Path(f"/proc/{each}/cmdline").read_text() for each in (pid, box.pid))

    box.run("sleep", {"seconds": 0, "name": jobs.SECRET}, limits=SMALL, on_progress=look)
    assert lines
    assert not any(jobs.SECRET in line for line in lines)


# The zygote


def test_the_zygote_has_one_thread_with_everything_loaded() -> None:
    modules = sorted({module for some in sandbox.PRELOAD.values() for module in some})
    with Sandbox(jobs.JOBS, {"echo": modules}) as box:
        box.run("echo", {}, limits=SMALL)
        assert len(list(Path(f"/proc/{box.pid}/task").iterdir())) == 1


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_child_finds_everything_large_already_loaded(kind: str) -> None:
    book = openpyxl.Workbook()
    rows = [list(records.HEADERS), *([*row.values()] for row in records.records(5))]
    for row in rows:
        book.worksheets[0].append(row)
    args = {"names": ["一月"], "checks": asdict(Checks(today="2026-01-01")), "index": False}
    with tempfile.TemporaryFile() as file, Sandbox(jobs.JOBS, sandbox.PRELOAD) as box:
        file.write("".join(",".join(row) + "\r\n" for row in rows).encode()) if kind == "csv" else book.save(file)
        file.flush()
        seen = box.run("check", args, [file.fileno()], limits=Bounds(memory=1 << 30, cpu=20, wall=30)).value
    assert seen["rows"] == 5
    assert [name for name in seen["loaded"] if name.partition(".")[0] not in sys.stdlib_module_names] == []


def test_a_zygote_with_a_second_thread_does_not_fork() -> None:
    with Sandbox(jobs.JOBS, {"echo": ["tests.support.threaded"]}) as box, pytest.raises(Died) as died:
        box.run("echo", {}, limits=SMALL)
    assert died.value.reason == "crash"


def test_a_zygote_waits_for_a_thread_that_is_about_to_end() -> None:
    with Sandbox(jobs.JOBS, {"echo": ["tests.support.ending"]}) as box:
        assert box.run("echo", {"x": 1}, limits=SMALL).value["args"] == {"x": 1}


def test_a_zygote_that_died_between_jobs_is_started_again(box: Sandbox) -> None:
    box.run("echo", {}, limits=SMALL)
    first = box.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert box.run("echo", {"x": 2}, limits=SMALL).value["args"] == {"x": 2}
    assert box.pid != first


def test_a_job_whose_zygote_dies_is_run_once_more(box: Sandbox) -> None:
    pids: list[int] = []

    def kill_the_first(pid: int) -> None:
        pids.append(pid)
        if len(pids) == 1 and box.pid:
            os.kill(box.pid, signal.SIGKILL)

    assert box.run("sleep", {"seconds": 0.2}, limits=SMALL, on_progress=kill_the_first).value == {"slept": True}
    assert len(pids) == 2
    assert gone(pids[0])


def test_a_job_that_writes_out_is_not_run_twice(box: Sandbox) -> None:
    reader, writer = os.pipe()
    pids: list[int] = []

    def kill(pid: int) -> None:
        pids.append(pid)
        if box.pid:
            os.kill(box.pid, signal.SIGKILL)

    with os.fdopen(reader), os.fdopen(writer, "w"), pytest.raises(Died):
        box.run("sleep", {"seconds": 5}, limits=SMALL, out=writer, on_progress=kill)
    assert len(pids) == 1


def test_a_zygote_at_rest_is_ended_and_comes_back() -> None:
    with Sandbox(jobs.JOBS, {}, idle=0.2) as box:
        box.run("echo", {}, limits=SMALL)
        box.rest()
        pid = box.pid
        assert pid is not None
        time.sleep(0.3)
        box.rest()
        assert box.pid is None
        assert gone(pid)
        assert box.run("echo", {"x": 3}, limits=SMALL).value["args"] == {"x": 3}


def test_closing_ends_running_jobs_at_once() -> None:
    pids: list[int] = []
    ended: list[BaseException] = []
    began = threading.Event()

    def run() -> None:
        try:
            box.run("sleep", {"seconds": 60}, limits=SMALL, on_progress=lambda pid: (pids.append(pid), began.set())[1])
        except Died as died:
            ended.append(died)

    box = Sandbox(jobs.JOBS, {})
    thread = threading.Thread(target=run)
    thread.start()
    assert began.wait(20)
    box.close()
    thread.join(10)
    assert len(ended) == 1
    assert gone(pids[0])


def test_zygote_and_children_end_when_the_daemon_is_killed() -> None:
    program = (
        "import json, sys\n"
        "from exchanged.sandbox import Sandbox\n"
        "from tests.support import jobs\n"
        "box = Sandbox(jobs.JOBS, {})\n"
        "tell = lambda pid: print(json.dumps([pid, box.pid]), flush=True)\n"
        "box.run('sleep', {'seconds': 60}, on_progress=tell)\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    assert daemon.stdout is not None
    with io.TextIOWrapper(daemon.stdout) as told:
        child, zygote = json.loads(told.readline())
        daemon.kill()
        daemon.wait()
    assert gone(child)
    assert gone(zygote)


def test_a_wall_that_the_kernel_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = SimpleNamespace(syscall=lambda *_: -1, prctl=lambda *_: -1)
    monkeypatch.setattr(confinement, "_libc", refusing)
    assert confinement.available() == {"landlock": False, "seccomp": False}
