"""What a child that opens hostile input may still do: use some memory and time, answer, and nothing else.

Limits (setrlimit, an alarm) always hold. Landlock (no file but the program's own may be opened, none written, no TCP
connection) and seccomp (no program started, no process made, no socket opened) hold where the kernel offers them;
`available` says which, for `doctor`. None of it needs privileges.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_LANDLOCK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}  # by version of Landlock
_ALL_FILE_RIGHTS = (1 << 16) - 1
_ALL_NET_RIGHTS = 0b11
_ALL_SCOPES = 0b11

# Refused with EPERM: new programs, sockets, other processes, the kernel's wider surface.
_REFUSED: Mapping[str, tuple[int, ...]] = {
    # socket connect accept bind listen fork vfork execve kill ptrace mount umount2 add_key request_key keyctl unshare
    # accept4 perf_event_open open_by_handle_at setns process_vm_readv process_vm_writev bpf execveat userfaultfd
    # pidfd_send_signal io_uring_setup pidfd_open pidfd_getfd
    "x86_64": (41, 42, 43, 49, 50, 57, 58, 59, 62, 101, 165, 166, 248, 249, 250, 272, 288, 298, 304, 308, 310, 311)
    + (321, 322, 323, 424, 425, 434, 438),
    "aarch64": (198, 203, 202, 200, 201, 221, 129, 117, 40, 39, 217, 218, 219, 97, 242, 241, 265, 268, 270, 271)
    + (280, 281, 282, 424, 425, 434, 438),
}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
FILES = 64  # that any job may have open
_CLONE_THREAD = 0x10000
_X32 = 0x40000000
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def die_with_parent() -> None:
    """End when the parent ends. Only for a parent with one thread: the kernel watches the thread that forked."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)


def guard_self() -> None:
    """Leave no core, let nobody attach, gain no privileges."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def apply(limits: Mapping[str, Any], reads: Sequence[str], files: int, jobs: int) -> None:
    """Confine this process for good. `limits` as in `sandbox.Bounds`, `reads`: paths it may open for reading."""
    guard_self()
    _landlock([*_program_paths(), *reads])
    _seccomp()
    _limit(resource.RLIMIT_FSIZE, limits["written"])
    _limit(resource.RLIMIT_NOFILE, max(files, FILES) + 32)
    # the soft limit of `start_clock` must come first: its signal tells a busy child from one that was killed
    _limit(resource.RLIMIT_CPU, jobs * limits["cpu"], slack=3)
    _limit(resource.RLIMIT_AS, _address_space() + limits["memory"])
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def start_clock(limits: Mapping[str, Any]) -> None:
    """Give this process so many seconds from now: of processor time, and by the wall clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    top = resource.getrlimit(resource.RLIMIT_CPU)[1]
    until = math.ceil(used.ru_utime + used.ru_stime) + limits["cpu"]
    resource.setrlimit(resource.RLIMIT_CPU, (min(until, top), top))
    signal.setitimer(signal.ITIMER_REAL, limits["wall"])


def prepare() -> None:
    """Work out once, in the zygote, what every child needs."""
    _program_paths()
    if platform.machine() in _AUDIT_ARCH:
        _filter(platform.machine())


def available() -> dict[str, bool]:
    """Which of the two walls beyond plain limits can be put up here: a child tries."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            guard_self()
            os.write(writing, bytes([_landlock(()), _seccomp()]))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        landlock, seccomp = answer.read() or (False, False)
    os.waitpid(child, 0)
    return {"landlock": bool(landlock), "seccomp": bool(seccomp)}


def _limit(what: int, value: int, *, slack: int = 0) -> None:
    hard = resource.getrlimit(what)[1]
    top = value + slack if hard == resource.RLIM_INFINITY else min(value + slack, hard)
    resource.setrlimit(what, (min(value, top), top))


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as source:  # noqa: PTH123
        return int(source.read().split()[0]) * resource.getpagesize()


@cache
def _program_paths() -> list[str]:
    own = [sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parent), "/usr/lib", "/lib", "/proc/self"]
    return [*own, "/usr/share/zoneinfo", "/etc/localtime", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom"]


def _landlock_version() -> int:
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)))


def _landlock(paths: Sequence[str]) -> bool:
    version = _landlock_version()
    if not version:
        return False
    rights = _FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)
    fields = [rights] + [_ALL_NET_RIGHTS] * (version >= 4) + [_ALL_SCOPES] * (version >= 6)
    wanted = struct.pack(f"={len(fields)}Q", *fields)
    rules = int(_libc.syscall(_LANDLOCK_CREATE, wanted, ctypes.c_size_t(len(wanted)), 0))
    if rules < 0:
        return False
    for path in paths:
        _allow_reading(rules, path)
    restricted = int(_libc.syscall(_LANDLOCK_RESTRICT, rules, 0))
    os.close(rules)
    return restricted == 0


def _allow_reading(rules: int, path: str) -> None:
    try:
        there = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    rights = _READ_FILE | _READ_DIR if Path(path).is_dir() else _READ_FILE
    _libc.syscall(_LANDLOCK_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", rights, there), 0)
    os.close(there)


def _seccomp() -> bool:
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        return False
    program = _filter(machine)
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    return int(_libc.prctl(_PR_SET_SECCOMP, 2, described, 0, 0)) == 0


@cache
def _filter(machine: str) -> bytes:
    """A classic BPF program over the call's number, its machine, and for clone its flags."""
    steps = [_op(0x20, 4), _op(0x15, _AUDIT_ARCH[machine], 1, 0), _op(0x06, _KILL), _op(0x20, 0)]
    if machine == "x86_64":
        steps += [_op(0x35, _X32, 0, 1), _op(0x06, _KILL)]
    for number in _REFUSED[machine]:
        steps += [_op(0x15, number, 0, 1), _op(0x06, _EPERM)]
    steps += [_op(0x15, _CLONE3, 0, 1), _op(0x06, _ENOSYS)]  # the C library then uses clone, whose flags can be seen
    steps += [_op(0x15, _CLONE[machine], 0, 3), _op(0x20, 16), _op(0x45, _CLONE_THREAD, 1, 0), _op(0x06, _EPERM)]
    return b"".join([*steps, _op(0x06, _ALLOW)])


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
