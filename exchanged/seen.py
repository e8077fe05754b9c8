"""Whether something is there, as far as this process may look.

`Path.is_dir` and its like raise, before Python 3.14, where a folder above may not be searched; to us it is not there.
"""

from __future__ import annotations

import os
from pathlib import Path


def folder(path: Path | str) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(path)  # noqa: PTH112


def file(path: Path | str) -> bool:
    """Whether a file is there."""
    return os.path.isfile(path)  # noqa: PTH113


def anything(path: Path | str) -> bool:
    """Whether anything is there."""
    return os.path.exists(path)  # noqa: PTH110
