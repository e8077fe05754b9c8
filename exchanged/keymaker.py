"""Makes keys: an OpenPGP key to sign and to be answered with, and an SSH key to log in with.

Takes   where they go, and a name without personal data
Gives   a fingerprint, or the public line for the server's operator
Redo    never replaces a key; a second call makes another OpenPGP key, and keeps the SSH key that is there
Ends    NotYet when gpg is missing or refuses
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from exchanged import disk
from exchanged.errors import NotYet

AGENT_CONF = "auto-expand-secmem 0x100000\n"  # without it, RSA signatures side by side fail for want of locked memory
LONGEST_HOME = 80  # bytes; the agent's socket has little room for its name
_DEADLINE = 120


def home(path: Path) -> Path:
    """A key folder with the settings that the agent needs. Raises NotYet("setup.path_long")."""
    if len(os.fsencode(path)) > LONGEST_HOME:
        raise NotYet("setup.path_long", path=str(path), limit=LONGEST_HOME)
    disk.folder(path, 0o700)
    if not (path / "gpg-agent.conf").exists():
        disk.write(path / "gpg-agent.conf", AGENT_CONF.encode())
    return path


def openpgp(folder: Path, name: str, passphrase: str = "", expire: str = "2y") -> str:
    """A new Ed25519 key that certifies and signs, with a subkey to encrypt to; gives its full fingerprint."""
    secret = ("--pinentry-mode", "loopback", "--passphrase-fd", "0")
    said = gpg(folder, *secret, "--quick-gen-key", name, "ed25519", "sign,cert", expire, given=passphrase)
    made = [line.split()[-1] for line in said.splitlines() if "KEY_CREATED" in line]
    if not made:
        raise NotYet("setup.gpg_failed")
    gpg(folder, *secret, "--quick-add-key", made[0], "cv25519", "encr", expire, given=passphrase)
    return made[0]


def exported(folder: Path, fingerprint: str) -> bytes:
    """The public key, armoured, to hand to the other side."""
    return str(_ring(folder).export_keys(fingerprint)).encode()


def import_key(folder: Path, armoured: bytes) -> None:
    """Take another side's public key in."""
    if not _ring(folder).import_keys(armoured).fingerprints:
        raise NotYet("setup.gpg_failed")


def _ring(folder: Path) -> Any:
    import gnupg

    try:
        return gnupg.GPG(gnupghome=str(folder), options=["--no-options"])
    except OSError:
        raise NotYet("setup.gpg_failed") from None


def ssh(path: Path, comment: str) -> str:
    """A new Ed25519 key in OpenSSH's format, mode 0600; gives the public line. One that is there is kept."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if path.exists():
        key = form.load_ssh_private_key(path.read_bytes(), None)
    else:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        disk.write(path, private, 0o600)
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return f"{public.decode('ascii')} {comment}"


def gpg(folder: Path, *arguments: str, given: str = "") -> str:
    """Run gpg on a key folder; gives its status lines. Raises NotYet when it fails."""
    common = ("--no-options", "--batch", "--no-tty", "--yes", "--disable-dirmngr", "--status-fd", "1")
    done = _run(["gpg", "--homedir", str(folder), *common, *arguments], f"{given}\n".encode(), subprocess.PIPE)
    if done.returncode:
        raise NotYet("setup.gpg_failed")
    return done.stdout.decode("utf-8", "replace")


def end_agent(folder: Path) -> None:
    """End the agent that gpg started for a key folder."""
    argv = ["gpgconf", "--homedir", str(folder), "--kill", "all"]
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_DEADLINE)


def _run(argv: list[str], given: bytes, out: int) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            argv,
            input=given,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
            cwd="/",
            timeout=_DEADLINE,
            check=False,
        )
    except OSError:
        raise NotYet("sealing.gpg_missing") from None
    except subprocess.TimeoutExpired:
        end_agent(Path(argv[2]))
        raise NotYet("sealing.timeout") from None
