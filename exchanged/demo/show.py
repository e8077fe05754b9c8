"""What the demonstration looks like: numbered steps, tables, a spinner while something works; plain when piped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from exchanged.batch import Fact
from exchanged.messages import text
from exchanged.views.page import clean


class Show:
    """Writes to standard output; knows the language."""

    def __init__(self, language: str) -> None:
        from rich.console import Console

        self.language = language
        self.console = Console(highlight=False, emoji=False, markup=False)
        self._step = 0

    def say(self, code: str, **facts: Fact) -> str:
        """A text in the reader's language."""
        return clean(text(code, self.language, **facts))

    def title(self, code: str, **facts: Fact) -> None:
        self._print(self.say(code, **facts), "bold")

    def step(self, code: str, **facts: Fact) -> None:
        """The next step's heading."""
        self._step += 1
        self._print("")
        self._print(f"{self._step}. {self.say(code, **facts)}", "bold cyan")

    def line(self, code: str, style: str = "", **facts: Fact) -> None:
        self.raw(self.say(code, **facts), style)

    def raw(self, words: str, style: str = "") -> None:
        self._print(f"   {clean(words)}", style)

    def good(self, code: str, **facts: Fact) -> None:
        self._print(f"   ✓ {self.say(code, **facts)}", "green")

    def bad(self, code: str, **facts: Fact) -> None:
        self._print(f"   ✗ {self.say(code, **facts)}", "red")

    def kind(self, code: str) -> str:
        """The word for a code of ours, such as a file system's caveat."""
        word = text(f"kind.{code}", self.language)
        return code if word.startswith("kind.") else word

    def table(self, rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
        """Aligned columns, folded where the terminal is narrow."""
        from rich.padding import Padding
        from rich.table import Table

        grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for number in range(max((len(row) for row in rows), default=0)):
            grid.add_column(style=styles[number] if number < len(styles) else None, overflow="fold")
        for row in rows:
            grid.add_row(*(clean(cell) for cell in row))
        self.console.print(Padding(grid, (0, 0, 0, 3), expand=False))

    def _print(self, words: str, style: str = "") -> None:
        from rich.text import Text

        self.console.print(Text(words, style=style, end=""), soft_wrap=True)

    @contextlib.contextmanager
    def busy(self, code: str) -> Iterator[None]:
        """A spinner on a terminal, one line elsewhere."""
        if self.console.is_terminal:
            with self.console.status(self.say(code)):
                yield
        else:
            self.raw(self.say(code))
            yield
