"""Connecting: whom we trust, who we are, how long a connection is kept, and what the probe says."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from exchanged.batch import Parcel
from exchanged.errors import NotYet
from exchanged.messages import text
from exchanged.stages.deliver import deliver
from exchanged.transports import Endpoint, courier, ssh
from exchanged.transports.keys import pinned
from exchanged.transports.probe import probe
from exchanged.transports.sftp import Sftp
from exchanged.transports.ssh import Socket
from tests.support import oddserver as odd
from tests.support.proxy import Proxy
from tests.support.sshd import SSHD, Sshd, free_port, keygen


@pytest.fixture(scope="module")
def rsa_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    server = Sshd(tmp_path_factory.mktemp("rsa"), kind="rsa").start()
    yield server
    server.stop()


def trouble(endpoint: Endpoint) -> NotYet:
    going = Sftp(endpoint)
    with pytest.raises(NotYet) as caught:
        going.connect()
    assert not going.kept()
    return caught.value


def reaches(endpoint: Endpoint) -> str:
    going = Sftp(endpoint)
    try:
        return going.connect().host_key
    finally:
        going.close()


def shown(public: str) -> str:
    """The fingerprint as OpenSSH itself writes it."""
    run = subprocess.run(["ssh-keygen", "-lf", "-"], input=public, check=True, capture_output=True, text=True)
    return run.stdout.split()[1]


def test_a_changed_host_key_is_refused_with_both_fingerprints_before_anything_of_ours_is_shown(
    sshd: Sshd, tmp_path: Path
) -> None:
    other = keygen(tmp_path / "other")
    asked: list[int] = []

    def identity() -> bytes:
        asked.append(1)
        return sshd.identity.read_bytes()

    mismatch = trouble(sshd.endpoint("/", host_keys=(other,), identity=identity))
    assert mismatch.code == "delivery.host_key_mismatch"
    assert dict(mismatch.facts) == {"expected": shown(other), "offered": shown(sshd.host_key)}
    assert asked == []


def test_a_host_that_shows_another_kind_of_key_is_refused_with_both_fingerprints(sshd: Sshd, rsa_host: Sshd) -> None:
    mismatch = trouble(rsa_host.endpoint("/", host_keys=(sshd.host_key,)))
    assert dict(mismatch.facts) == {"expected": shown(sshd.host_key), "offered": shown(rsa_host.host_key)}


@pytest.mark.parametrize("pins", [(), ("ssh-ed25519 AAAA",), ("ssh-ed25519",), ("/nowhere/known_hosts",)])
def test_nothing_usable_pinned_means_nobody_is_trusted(sshd: Sshd, pins: tuple[str, ...]) -> None:
    mismatch = trouble(sshd.endpoint("/", host_keys=pins))
    assert (mismatch.code, mismatch.facts["expected"]) == ("delivery.host_key_mismatch", "none")
    assert f"for 127.0.0.1:{sshd.port} no key is pinned" in text(mismatch.code, "en", **mismatch.facts)


def test_any_of_several_pinned_keys_will_do_and_rsa_is_one(sshd: Sshd, rsa_host: Sshd) -> None:
    both = (sshd.host_key, rsa_host.host_key)
    assert reaches(sshd.endpoint("/", host_keys=both)) == shown(sshd.host_key)
    assert reaches(rsa_host.endpoint("/", host_keys=both)) == shown(rsa_host.host_key)


@pytest.mark.parametrize("hashed", [False, True])
def test_a_known_hosts_file_as_openssh_writes_it_is_understood(sshd: Sshd, tmp_path: Path, hashed: bool) -> None:
    known = tmp_path / "known_hosts"
    scan = subprocess.run(
        ["ssh-keyscan", "-p", str(sshd.port), "127.0.0.1"], check=True, capture_output=True, text=True
    )
    known.write_text("# our server\n\n" + scan.stdout)
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
        assert not [line for line in known.read_text().splitlines() if line.startswith("127.0.0.1")]
    assert reaches(sshd.endpoint("/", host_keys=(str(known),))) == shown(sshd.host_key)


def test_known_hosts_lines_for_others_or_revoked_do_not_count(sshd: Sshd, tmp_path: Path) -> None:
    known, key = tmp_path / "known_hosts", sshd.host_key
    here = f"[127.0.0.1]:{sshd.port}"

    def pins(text: str) -> tuple[bytes, ...]:
        known.write_text(text)
        return pinned((str(known),), "127.0.0.1", sshd.port)

    assert len(pins(f"other,{here} {key} comment\n")) == 1
    assert pins(f"127.0.0.1 {key}\n") == ()
    assert pins(f"{here} {key}\n@revoked {here} {key}\n") == ()
    assert pins(f"{here} {key}\n@revoked * {key}\n") == pins(f"@revoked * {key}\n{here} {key}\n") == ()
    assert pins(f"@cert-authority {here} {key}\n") == ()
    assert pins(f"{here} ssh-rsa {key.split()[1]}\n") == ()
    assert pins(f"{here} ssh-ed25519 not-base64!\n") == ()
    assert pins("|1|bad|hash ssh-ed25519 AAAA\n\x00\n@revoked\n") == ()


def test_a_key_the_server_does_not_know_is_a_refused_login(sshd: Sshd, tmp_path: Path) -> None:
    public = keygen(tmp_path / "stranger")
    refused = trouble(sshd.endpoint("/", identity=(tmp_path / "stranger").read_bytes))
    assert (refused.code, refused.facts["key"]) == ("delivery.login_refused", shown(public))


@pytest.mark.parametrize(
    ("kind", "form"), [("ed25519", ""), ("ecdsa", ""), ("rsa", ""), ("rsa", "PEM"), ("ecdsa", "PEM")]
)
def test_every_usual_kind_of_private_key_logs_in(sshd: Sshd, tmp_path: Path, kind: str, form: str) -> None:
    public = keygen(tmp_path / "key", kind, form=form)
    with (sshd.folder / "authorized").open("a") as authorized:
        authorized.write(public + "\n")
    assert reaches(sshd.endpoint("/", identity=(tmp_path / "key").read_bytes))


def test_a_private_key_that_cannot_be_used_is_named_by_a_word(sshd: Sshd, tmp_path: Path) -> None:
    keygen(tmp_path / "locked", passphrase="not told")

    def problem(identity: Callable[[], bytes]) -> str:
        missing = trouble(sshd.endpoint("/", identity=identity))
        assert missing.code == "delivery.identity_missing"
        return str(missing.facts["problem"])

    assert problem((tmp_path / "nowhere").read_bytes) == "unreadable"
    assert problem((tmp_path / "locked").read_bytes) == "encrypted"
    assert problem(lambda: b"password: hunter2") == "not-a-key"
    assert problem(lambda: "证书".encode()) == "unreadable"
    assert problem(lambda: (tmp_path / "locked.pub").read_bytes()) == "not-a-key"


def test_nobody_listening_is_unreachable_and_says_why() -> None:
    endpoint = Endpoint("127.0.0.1", "jx", lambda: b"", (), "/", port=free_port())
    assert dict(trouble(endpoint).facts) == {"error": "ECONNREFUSED"}


def test_a_connection_is_closed_after_it_has_been_idle_and_made_again_when_needed(sshd: Sshd) -> None:
    going = Sftp(sshd.endpoint("/", idle=0.2))
    going.connect()
    going.rest()
    assert going.kept()
    time.sleep(0.3)
    going.rest()
    assert not going.kept()
    assert going.connect() is going.connect()
    going.close()
    going.close()


def test_closing_ends_the_servers_side_too(sshd: Sshd) -> None:
    going = Sftp(sshd.endpoint("/"))
    going.connect()
    assert sshd.sessions()
    started = time.monotonic()
    going.close()
    assert time.monotonic() - started < 0.5
    for _ in range(100):
        if not sshd.sessions():
            return
        time.sleep(0.05)
    pytest.fail("a session is left")


def test_strong_algorithms_are_chosen(sshd: Sshd) -> None:
    going = Sftp(sshd.endpoint("/"))
    assert going.connect().line.cipher == "aes256-gcm@openssh.com"
    going.close()


@pytest.mark.parametrize("algorithms", ["Ciphers aes128-cbc,3des-cbc", "MACs hmac-sha1\nCiphers aes256-ctr"])
def test_a_server_that_offers_weak_algorithms_only_is_refused(tmp_path: Path, algorithms: str) -> None:
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    server = Sshd(tmp_path / "weak", extra=algorithms).start()
    try:
        refused = trouble(server.endpoint("/"))
        assert (refused.code, dict(refused.facts)) == ("delivery.session_refused", {"operation": "algorithms"})
    finally:
        server.stop()


def test_a_server_that_says_goodbye_because_it_is_busy_has_refused_no_login(sshd: Sshd) -> None:
    line = ssh.dial(sshd.endpoint("/"))
    transport = line._transport
    for reason in (12, 2):  # too many connections; protocol error
        message = paramiko.Message()
        message.add_int(reason), message.add_string("x"), message.add_string("")
        message.rewind()
        transport._parse_disconnect(message)
        assert (transport.dismissed in ssh.REFUSED) == (reason == 2)
    line.close()


def test_a_server_that_hangs_up_on_a_strange_key_refuses_the_login(tmp_path: Path) -> None:
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    server = Sshd(tmp_path / "strict", extra="MaxAuthTries 1").start()
    try:
        keygen(tmp_path / "stranger")
        stranger = server.endpoint("/", identity=(tmp_path / "stranger").read_bytes)
        assert trouble(stranger).code == "delivery.login_refused"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("extra", "code"),
    [("MaxSessions 0", "delivery.session_refused"), ("ForceCommand /bin/false", "delivery.session_refused")],
)
def test_a_login_without_sftp_is_refused(tmp_path: Path, extra: str, code: str) -> None:
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    server = Sshd(tmp_path / "shell", extra=extra).start()
    try:
        assert trouble(server.endpoint("/")).code == code
    finally:
        server.stop()


def test_the_probe_tries_everything_and_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    going = Sftp(sshd.endpoint(tmp_path, verify="readback"))
    lines = probe(going)
    going.close()
    assert [line.name for line in lines] == ["connect", "folders", "write", "verify", "rename", "delete", "room"]
    assert all(line.ok and line.code is None for line in lines)
    assert lines[0].facts["host_key"] == shown(sshd.host_key)
    assert int(lines[-1].facts["free"]) > 0
    assert list(tmp_path.iterdir()) == []


def test_the_probe_stops_at_what_fails_and_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    def last(**over: Any) -> tuple[str, str | None]:
        lines = probe(Sftp(sshd.endpoint(**{"inbox": tmp_path, **over})))
        assert all(line.ok for line in lines[:-1])
        assert not lines[-1].ok
        return lines[-1].name, lines[-1].code

    assert last(port=free_port()) == ("connect", "delivery.unreachable")
    assert last(host_keys=()) == ("connect", "delivery.host_key_mismatch")
    assert last(inbox=str(tmp_path / "nowhere")) == ("folders", "delivery.inbox_missing")
    assert last(temp=str(tmp_path / "nowhere")) == ("folders", "delivery.inbox_missing")
    assert last(verify="hash") == ("verify", "delivery.hash_unsupported")
    assert list(tmp_path.iterdir()) == []


def test_the_probe_accepts_a_server_that_moves_files_away_only_where_that_is_configured(tmp_path: Path) -> None:
    with odd.odd_server(tmp_path, odd.Swallows) as port:
        lines = probe(Sftp(odd.endpoint(port)))
        assert (lines[-1].name, lines[-1].code) == ("rename", "delivery.gone")
        lines = probe(Sftp(odd.endpoint(port, moved_away=True)))
        assert [line.name for line in lines if line.ok] == [
            "connect",
            "folders",
            "write",
            "verify",
            "rename",
            "room",
        ]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[Path, Endpoint]]:
    """The demonstration's server in its own process."""
    root = tmp_path / "root"
    (root / "inbox").mkdir(parents=True)
    keygen(tmp_path / "host")
    (tmp_path / "authorized").write_text(keygen(tmp_path / "user") + "\n")
    arguments = [
        "--root",
        str(root),
        "--host-key",
        str(tmp_path / "host"),
        "--authorized",
        str(tmp_path / "authorized"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "exchanged.transports.server", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    identity = (tmp_path / "user").read_bytes
    yield root, Endpoint("127.0.0.1", "demo", identity, (said["host_key"],), "/inbox", port=said["port"])
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_the_demo_server_takes_a_package_and_ends_with_its_input(demo: tuple[Path, Endpoint], tmp_path: Path) -> None:
    import hashlib

    root, endpoint = demo
    data = b"package" * 10_000
    (tmp_path / "package").write_bytes(data)
    package = Parcel(str(tmp_path / "package"), len(data), hashlib.sha256(data).hexdigest())
    going = courier("sftp", endpoint)
    assert deliver(package, "demo-1", going).remote == "/inbox/demo-1.pgp"
    assert deliver(package, "demo-1", going).already
    assert [line.ok for line in probe(going)] == [True] * 7
    going.close()
    assert (root / "inbox" / "demo-1.pgp").read_bytes() == data
    assert len(list((root / "inbox").iterdir())) == 1


def test_the_demo_server_lets_nobody_out_of_its_folder(demo: tuple[Path, Endpoint], tmp_path: Path) -> None:
    root, endpoint = demo
    (tmp_path / "secret").write_text("secret")
    (root / "inbox" / "link").symlink_to(tmp_path)
    (root / "inbox" / "file").symlink_to(tmp_path / "secret")
    going = Sftp(endpoint)
    server = going.connect()
    looked = server.look("/../secret", "/inbox/../../secret", "/inbox/link/secret", "/inbox/file")
    assert [entry.kind for entry in looked] == ["absent", "absent", "unknown", "other"]
    with pytest.raises(Exception, match="open: "):
        server.digest("/inbox/file", 6)
    going.close()


def test_the_demo_server_lets_no_stranger_in(demo: tuple[Path, Endpoint], tmp_path: Path) -> None:
    from dataclasses import replace

    keygen(tmp_path / "stranger")
    assert trouble(replace(demo[1], identity=(tmp_path / "stranger").read_bytes)).code == "delivery.login_refused"


def test_an_endpoint_does_not_show_its_key() -> None:
    assert "identity" not in repr(Endpoint("h", "u", lambda: b"secret", (), "/"))


def test_the_contract_of_transports_is_light_to_import() -> None:
    code = "import sys, exchanged.transports, exchanged.stages.deliver; print('paramiko' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"


def test_a_stalled_peer_that_takes_nothing_ends_in_time(sshd: Sshd, tmp_path: Path) -> None:
    with Proxy(sshd.port, up=21, stall=True) as proxy:
        started = time.monotonic()
        assert trouble(sshd.endpoint("/", port=proxy.port, timeout=0.5)).code == "delivery.timeout"
        assert time.monotonic() - started < 3


def test_a_port_that_swallows_everything_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        started = time.monotonic()
        code = trouble(Endpoint("127.0.0.1", "u", lambda: b"", (), "/", port=port, timeout=0.5)).code
        assert code in {"delivery.timeout", "delivery.unreachable"}
        assert time.monotonic() - started < 3


def test_a_socket_whose_peer_takes_nothing_gives_up_after_its_patience() -> None:
    near, far = socket.socketpair()
    going = Socket(near, patience=0.3)
    going.settimeout(0.05)
    started = time.monotonic()
    with far, going, pytest.raises(ConnectionAbortedError):
        while time.monotonic() - started < 5:
            try:
                going.send(b"x" * 65536)
            except TimeoutError:
                continue
    assert 0.3 <= time.monotonic() - started < 2
