"""The steps of the demonstration: drop, work, what came back, what arrived, what is gone, what is proven."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from exchanged import api, messages
from exchanged.demo import samples
from exchanged.demo.show import Show
from exchanged.demo.world import World

GOOD, OLD, WRONG = "一月", "二月", "三月"
_FIRST = 14  # findings shown


def tell(world: World, show: Show) -> int:
    """Every step in order. Gives 0 when two batches went through and one came back."""
    secrets = _drop(world, show)
    done = _work(world, show)
    _rejected(world, show, _of(done, "rejected"))
    sent = _of(done, "closed")
    opened = [_arrived(world, show, one["batch"]) for one in sent]
    gone = _destroyed(world, show, sent, secrets)
    proven = _proven(world, show, sent)
    _end(world, show)
    return 0 if len(sent) == 2 and all(opened) and gone and proven else 1


def _of(done: dict[str, Any], state: str) -> list[dict[str, Any]]:
    return [one for one in done["batches"] if one["state"] == state]


def _drop(world: World, show: Show) -> list[str]:
    """Sample files into the drop folder; gives ID numbers that must not be found afterwards."""
    show.step("demo.drop", folder=str(world.directory / "drop"))
    folder = world.directory / "samples"
    folder.mkdir()
    valid, old, wrong = samples.rows(200, 1), samples.rows(120, 2), samples.spoilt(40, 3)
    made = [
        (samples.write_xlsx(folder / f"{GOOD}.xlsx", valid, "示范省职业资格证书数据表"), "demo.sample_xlsx", 200),
        (samples.write_csv(folder / f"{OLD}.csv", old), "demo.sample_csv", 120),
        (samples.write_xlsx(folder / f"{WRONG}.xlsx", wrong, "示范省职业资格证书数据表"), "demo.sample_wrong", 40),
    ]
    for number, stem in enumerate((GOOD, OLD, WRONG)):
        made.append((samples.write_scan(folder / f"{stem}.pdf", number), "demo.sample_scan", 1))
    for path, _, _ in made:
        (world.directory / "drop" / path.name).write_bytes(path.read_bytes())
    show.table(
        [(path.name, messages.size(path.stat().st_size), show.say(code, rows=count)) for path, code, count in made],
        ("bold", "dim", ""),
    )
    return [str(row["证件号码"]) for row in (valid[0], valid[-1], old[0], old[-1])]


def _work(world: World, show: Show) -> dict[str, Any]:
    """`exchanged once`, with the states it passes through."""
    show.step("demo.work")
    done: dict[str, Any] = {}
    failure: list[BaseException] = []

    def once() -> None:
        try:
            done.update(api.open_exchange(world.config).once())
        except BaseException as error:
            failure.append(error)

    started = time.monotonic()
    worker = threading.Thread(target=once)
    worker.start()
    _watch(world, show, worker.is_alive)
    worker.join()
    if failure:
        raise failure[0]
    show.line("demo.took", "dim", seconds=f"{time.monotonic() - started:.1f}")
    return done


def _watch(world: World, show: Show, at_work: Callable[[], bool]) -> None:
    """Tell every change of state while the work goes on."""
    seen: dict[str, str] = {}
    with show.busy("demo.working"):
        going = True
        while going:
            going = at_work()
            for one in _batches(world):
                if seen.get(one["batch"]) != one["state"]:
                    seen[one["batch"]] = one["state"]
                    _state(show, one)
            time.sleep(0.03 if going else 0)


def _batches(world: World) -> list[dict[str, Any]]:
    if not (world.directory / "state" / "ledger.db").exists():
        return []
    return list(reversed(api.open_exchange(world.config).list()))


def _state(show: Show, one: dict[str, Any]) -> None:
    state = messages.text(f"state.{one['state']}", show.language)
    colour = {"closed": "green", "rejected": "yellow", "held": "red"}.get(one["state"], "")
    rows = "" if one["rows"] is None else show.say("demo.rows", rows=one["rows"])
    show.raw(f"{one['stem']}  →  {state}  {rows}", colour)


def _rejected(world: World, show: Show, batches: Sequence[dict[str, Any]]) -> None:
    for one in batches:
        folder = world.directory / "rejected" / one["batch"]
        show.step("demo.rejected", stem=str(one["stem"]))
        report = json.loads((folder / "report.json").read_text("utf-8"))
        findings = report["findings"]
        show.table(
            [
                (show.say("demo.place", row=found["row"] or 0), found["column"] or "", found["message"])
                for found in findings[:_FIRST]
            ],
            ("dim", "bold", "yellow"),
        )
        if len(findings) > _FIRST:
            show.line("demo.more", "dim", count=len(findings) - _FIRST)
        show.line(
            "demo.given_back", folder=str(folder), files=", ".join(sorted(path.name for path in folder.iterdir()))
        )


def _arrived(world: World, show: Show, batch: str) -> bool:
    """What the national side finds: it opens the package with its own key."""
    from exchanged.errors import IntegrityFailure, NotYet
    from exchanged.sealing import package
    from exchanged.sealing.gnupg import Gnupg

    parcel = world.inbox / f"{batch}.pgp"
    show.step("demo.arrived", file=parcel.name)
    theirs = Gnupg(world.national / "gnupg", world.recipient, (world.recipient,))
    out = world.national / "opened" / batch
    out.parent.mkdir(exist_ok=True)
    try:
        found = package.open_package(parcel, theirs, out, (world.signer,))
    except (IntegrityFailure, NotYet, OSError) as error:
        show.bad("demo.not_opened", reason=getattr(error, "code", type(error).__name__))
        return False
    show.good("demo.signature", fingerprint=str(found["signer"]), time=str(found["signed"]))
    show.good("demo.manifest", rows=found["rows"], digest=str(found["digest"]))
    show.table([(one["name"], messages.size(one["bytes"]), one["sha256"][:16] + "…") for one in found["files"]])
    for count in found["manifest"]["counts"][:4]:
        show.raw("  ".join(str(count[key]) for key in ("qualification", "direction", "level", "count")), "dim")
    return True


def _destroyed(world: World, show: Show, batches: Sequence[dict[str, Any]], secrets: Sequence[str]) -> bool:
    """What is left of the data on this side: nothing that a search finds."""
    show.step("demo.destroyed")
    exchange = api.open_exchange(world.config)
    records = [one for batch in batches for one in exchange.show(batch["batch"])["facts"].get("deletion", [])]
    for stem, batch in ((batch["stem"], batch["batch"]) for batch in batches):
        gone = exchange.show(batch)["facts"].get("deletion", [])
        show.table(
            [
                (str(stem), show.kind(one["file"].partition("-")[0]), show.kind(one["method"]), one["filesystem"])
                for one in gone
            ],
            ("bold",),
        )
    caveats = sorted({caveat for one in records for caveat in one["caveats"]})
    if caveats:
        show.line("demo.caveats", "dim", caveats=", ".join(show.kind(one) for one in caveats))
    looked, hits = _search(world.directory, ("drop", "forms", "receipts", "state"), secrets)
    if hits:
        show.bad("demo.found", hits=hits, files=looked)
    else:
        show.good("demo.nothing_found", files=looked)
    return not hits and bool(records)


def _search(directory: Path, folders: Sequence[str], secrets: Sequence[str]) -> tuple[int, int]:
    """Files looked at below the folders, and those that hold one of the texts in any usual encoding."""
    marks = [text.encode(encoding) for text in secrets for encoding in ("utf-8", "utf-16-le")]
    files = [path for folder in folders for path in (directory / folder).rglob("*") if path.is_file()]
    return len(files), sum(any(mark in path.read_bytes() for mark in marks) for path in files)


def _proven(world: World, show: Show, batches: Sequence[dict[str, Any]]) -> bool:
    show.step("demo.proven")
    verdict = api.open_exchange(world.config).audit()
    if verdict["ok"]:
        show.good("demo.audit", events=verdict["events"], evidence=verdict["evidence"])
    else:
        show.bad("demo.audit_failed", problems=len(verdict["problems"]))
    for one in batches:
        show.raw(str(world.directory / "state" / "evidence" / f"{one['batch']}.json"), "dim")
    for path in sorted((world.directory / "receipts").glob("*.txt")):
        show.raw(str(path), "dim")
    return bool(verdict["ok"])


def _end(world: World, show: Show) -> None:
    show.step("demo.end")
    show.table(
        [
            (name + "/", show.say(f"demo.folder_{name}"))
            for name in ("samples", "rejected", "receipts", "state", "national")
        ],
        ("bold",),
    )
    show.line("demo.next", config=str(world.config))
    show.raw(str(world.directory), "bold green")
