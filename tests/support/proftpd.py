"""A real ProFTPD with mod_sftp (Debian: proftpd-core, proftpd-mod-crypto) on loopback, as whoever runs the tests."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.sshd import free_port

_PROGRAM = shutil.which("proftpd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
PROFTPD = _PROGRAM if _PROGRAM and Path("/usr/lib/proftpd/mod_sftp.so").exists() else None

CONFIG = """
ModulePath /usr/lib/proftpd
{modules}LoadModule mod_sftp.c
ServerType standalone
ServerName test
Port {port}
DefaultAddress 127.0.0.1
SocketBindTight on
UseIPv6 off
User {user}
Group {group}
RootLogin on
RequireValidShell off
UseFtpUsers off
WtmpLog off
TransferLog none
SystemLog {folder}/log
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
AuthUserFile {folder}/users
AuthOrder mod_auth_file.c
AllowOverwrite on
AllowStoreRestart on
SFTPEngine on
SFTPHostKey {host_key}
SFTPAuthMethods publickey
SFTPAuthorizedUserKeys file:{folder}/keys
SFTPLog {folder}/sftp-log
"""


@contextlib.contextmanager
def proftpd(parent: Path, host_key: Path, user_key: Path) -> Iterator[tuple[int, str]]:
    """A running server that lets this key in; its port and the login name. Ended by its pid."""
    folder, port = parent / "proftpd", free_port()
    folder.mkdir(mode=0o755)
    who = pwd.getpwuid(os.geteuid())
    users = folder / "users"
    users.write_text(f"jx:*:{who.pw_uid}:{who.pw_gid}::{parent}:/bin/sh\n")
    users.chmod(0o600)
    public = subprocess.run(
        ["ssh-keygen", "-e", "-f", f"{user_key}.pub"], check=True, capture_output=True, text=True
    ).stdout
    (folder / "keys").write_text(public)
    group = grp.getgrgid(who.pw_gid).gr_name
    # a part of the program itself up to Debian 12
    modules = "LoadModule mod_xfer.c\n" if Path("/usr/lib/proftpd/mod_xfer.so").exists() else ""
    text = CONFIG.format(modules=modules, port=port, user=who.pw_name, group=group, folder=folder, host_key=host_key)
    (folder / "config").write_text(text)
    process = subprocess.Popen(
        [str(PROFTPD), "--nodaemon", "-c", str(folder / "config")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "errors").open("wb"),
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None:
                raise RuntimeError((folder / "errors").read_text())
            time.sleep(0.02)
        yield port, "jx"
    finally:
        process.terminate()
        process.wait()
