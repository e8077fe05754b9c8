"""Fixtures of the suite live in `tests/support`, each beside what it starts."""

from __future__ import annotations

import importlib.util

pytest_plugins = [
    name
    for name in (
        "tests.support.gpghome",
        "tests.support.sshd",
        "tests.support.token",
        "tests.support.world",
        "tests.support.sweep",
    )
    if importlib.util.find_spec(name)
]
