"""Reports vocational qualification certificates to the national platform, and proves it.

The public names: `check` (the verdict on spreadsheets), `frame` (their normalised records as a pandas DataFrame),
`Exchange` (one unit's batches), `Finding` and `Severity`. They are loaded when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchanged.api import Exchange, check, frame
    from exchanged.batch import Finding, Severity

__version__ = "0.1.0"
__all__ = ["Exchange", "Finding", "Severity", "__version__", "check", "frame"]

_HOMES = {
    "check": "exchanged.api",
    "frame": "exchanged.api",
    "Exchange": "exchanged.api",
    "Finding": "exchanged.batch",
    "Severity": "exchanged.batch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name]), name)
