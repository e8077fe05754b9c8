"""The demonstration's server, as whoever looks around in it with `sftp` sees it, and whoever speaks to it badly."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from exchanged.transports import Denied, Entry
from exchanged.transports import wire as w
from exchanged.transports.sftp import Sftp
from tests.support import oddserver as odd

OPENDIR = 11


def test_a_person_can_look_around_in_it(tmp_path: Path) -> None:
    if shutil.which("sftp") is None:
        pytest.skip("no sftp program on this machine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "package.pgp").write_bytes(b"sealed")
    (root / "other").write_bytes(b"other")
    key = tmp_path / "key"
    odd.USER_KEY.write_private_key_file(str(key))
    key.chmod(0o600)

    def sftp(*commands: str) -> subprocess.CompletedProcess[str]:
        options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={os.devnull}", "IdentitiesOnly=yes")
        flags = [flag for option in options for flag in ("-o", option)]
        return subprocess.run(
            ["sftp", "-q", "-F", "none", *flags, "-P", str(port), "-i", str(key), "-b", "-", "jx@127.0.0.1"],
            input="\n".join(commands),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    with odd.odd_server(root) as port:
        seen = sftp("ls -1", f"get package.pgp {tmp_path / 'got'}", "mkdir looked-at", "ls -1")
        assert seen.returncode == 0, seen.stderr
        lines = [line for line in seen.stdout.splitlines() if not line.startswith("sftp>")]
        assert [line for line in lines if "Fetching" not in line] == [
            *("other", "package.pgp"),
            *("looked-at", "other", "package.pgp"),
        ]
        assert (tmp_path / "got").read_bytes() == b"sealed"
        for refused in ("ls nowhere", "mkdir other", "rename other package.pgp"):
            assert sftp(refused).returncode == 1, refused
    assert (root / "package.pgp").read_bytes() == b"sealed"
    assert (root / "other").read_bytes() == b"other"


def test_a_rename_never_replaces_a_file_by_whatever_name_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"there")
    with odd.odd_server(tmp_path) as port:
        courier = Sftp(odd.endpoint(port))
        server = courier.connect()
        with pytest.raises(Denied) as denied:
            server.rename("/a", "/b")
        assert denied.value.reason == "failure"
        over = (w.text("posix-rename@openssh.com"), w.text("/a"), w.text("/b"))
        assert courier.connect()._wire.one(w.EXTENDED, *over).status not in (None, w.OK)
        courier.close()
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"new", b"there")


def test_a_handle_is_good_only_for_what_it_was_opened_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    with odd.odd_server(tmp_path) as port:
        courier = Sftp(odd.endpoint(port))
        wire = courier.connect()._wire

        def handle(flags: int) -> bytes:
            return w.text(w.handle(wire.one(w.OPEN, w.text("/a"), w.number(flags), w.number(0)), "open"))

        with pytest.raises(Denied):
            w.done(wire.one(w.WRITE, handle(w.READING), w.long(0), w.text(b"x")), "write")
        with pytest.raises(Denied):
            w.done(wire.one(w.READ, handle(w.WRITING), w.long(0), w.number(1)), "read")
        assert courier.connect().look("/a") == [Entry("file", 7)], "and the session goes on"
        courier.close()
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["/nowhere", "/a", "/out/root"])
def test_what_is_no_folder_of_its_own_has_no_list(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"content")
    (root / "out").symlink_to(tmp_path)
    with odd.odd_server(root) as port:
        courier = Sftp(odd.endpoint(port))
        opened = courier.connect()._wire.one(OPENDIR, w.text(name))
        assert opened.kind == w.STATUS
        assert opened.status not in (w.OK, w.EOF)
        courier.close()
