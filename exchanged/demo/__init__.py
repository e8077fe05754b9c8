"""`exchanged demo`: the whole way on this machine, each step shown, with a real server and throw-away keys.

Takes   an empty or new directory (a temporary one by default)
Gives   the directory, in which everything can be looked at afterwards
Redo    another directory, or the same one emptied
Ends    NotYet when the directory is not empty or gpg is missing; 1 when something did not go as it should
"""

from __future__ import annotations

import tempfile
from pathlib import Path


def run(directory: Path | None = None, language: str = "zh") -> int:
    """Show the whole way. Gives 0 when everything ended as it should."""
    from exchanged.demo.show import Show
    from exchanged.demo.story import tell
    from exchanged.demo.world import build

    show = Show(language)
    where = directory.absolute() if directory else Path(tempfile.mkdtemp(prefix="exchanged-demo-"))
    show.title("demo.title", path=str(where))
    with show.busy("demo.preparing"):
        world = build(where)
    try:
        return tell(world, show)
    finally:
        world.close()
