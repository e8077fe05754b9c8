"""No cell value, ID number, name or passphrase gets anywhere but the batch's own files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import canaries, records, scans
from tests.support.world import World

WORDS = ("金丝雀", "KANARIE", "vogel7")


def planted(world: World) -> list[str]:
    """Drop batches that pass, fail and break, every free cell of which holds a canary; gives what must not be found."""
    rows = records.records(30, 5)
    for index, row in enumerate(rows):
        row["姓名"] = f"金丝雀{'甲乙丙丁'[index % 4]}"
        row["职业方向"] = "金丝雀方向" if row["职业资格"] != "社会体育指导员" else row["职业方向"]
        row["鉴定中心"], row["发证机关"] = "金丝雀鉴定中心", "金丝雀人力资源和社会保障厅"
    told = [row[name] for row in rows for name in ("证件号码", "证书编号")]
    world.put("好.csv", records.csv_text(rows).encode())
    world.put("好.pdf", scans.scan())
    for number, name in enumerate(records.HEADERS):
        wrong = [dict(row) for row in records.records(5, 50 + number)]
        for row in wrong:
            row[name] = f"KANARIE{number}号"
            told.append(row["证件号码"])
        world.put(f"错{number}.csv", records.csv_text(wrong).encode("gb18030"))
        world.put(f"错{number}.pdf", scans.scan())
    header = ",".join([*records.HEADERS[:-1], "vogel7列"]) + "\r\n"
    world.put("表头.csv", (header + "vogel7," * 11 + "vogel7\r\n").encode())
    world.put("破.xlsx", b"PK\x03\x04 vogel7" * 50)
    world.put("破2.csv", b'"vogel7' * 3 + b"\xff\xff\x81")
    return told


def searched(paths: Iterator[Path], told: list[str]) -> list[str]:
    """Where any of it stands."""
    return canaries.found(paths, [*WORDS, *told])


def watch_processes(stop: threading.Event, seen: set[bytes]) -> None:
    """Command lines and environments of everything that runs meanwhile."""
    while not stop.is_set():
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                for what in ("cmdline", "environ", "comm"):
                    try:
                        seen.add((entry / what).read_bytes())
                    except OSError:
                        continue
        time.sleep(0.01)


@pytest.mark.slow
def test_canaries_in_every_field_are_found_nowhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure(intake={"settle": "0s"})
    temp = world.root / "tmp"
    temp.mkdir()
    monkeypatch.setenv("TMPDIR", str(temp))
    told = planted(world)
    stop, seen = threading.Event(), set[bytes]()
    watcher = threading.Thread(target=watch_processes, args=(stop, seen))
    watcher.start()
    try:
        done = world.run("once", "--json")
        outputs = [done.stdout, done.stderr]
        for command in (("status", "--json"), ("list", "--json"), ("audit", "--json"), ("status",), ("list",)):
            outputs.append(world.run(*command).stdout)
        for batch in world.ask("list")["batches"]:
            outputs.append(world.run("show", batch["batch"], "--json").stdout)
            outputs.append(world.run("show", batch["batch"]).stdout)
    finally:
        stop.set()
        watcher.join()
    states = [batch["state"] for batch in world.ask("list")["batches"]]
    assert states.count("closed") >= 1, done.stderr
    assert states.count("rejected") >= 12
    assert len(states) == 16
    assert set(states) == {"closed", "rejected"}
    (world.root / "outputs").write_text("\n".join(outputs))
    (world.root / "processes").write_bytes(b"\n".join(seen))
    places = [world.root / name for name in ("state", "tmp", "receipts", "inbox", "drop", "outputs", "processes")]
    files = (path for place in places for path in ([place] if place.is_file() else place.rglob("*")))
    assert searched(files, told) == []
    reports = (path for path in world.rejected.rglob("report.*"))
    assert searched(reports, told) == []


def test_the_search_for_canaries_can_find_one(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("… 金丝雀 …", encoding="utf-16")
    assert searched(iter([tmp_path / "x"]), [])


@pytest.mark.slow
def test_a_check_prints_no_cell_value(world: World) -> None:
    told = planted(world)
    outputs = []
    for path in sorted(world.drop.glob("*")):
        if path.suffix != ".pdf":
            for more in ((), ("--json",)):
                done = world.run("check", str(path), *more)
                assert done.returncode in (0, 1), done.stderr
                outputs.append((done.stdout + done.stderr).replace(str(path), ""))
    # directions stand in the counts of a valid check
    (world.root / "outputs").write_text("\n".join(outputs).replace("金丝雀方向", "").replace("KANARIE8号", ""))
    assert searched(iter([world.root / "outputs"]), told) == []
