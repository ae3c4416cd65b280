"""Rows in; a table on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH = 1000

# Styles by the first word of a cell, for terminals only.
_STYLES = {
    "ok": "green",
    "FAIL": "bold red",
    "xfail": "yellow",
    "skip": "yellow",
    "unchecked": "yellow",
}


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings on standard output; nothing is ever cut off."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row))
    # Wider than any row: a terminal wraps lines itself, and a digest cut in two cannot be copied.
    console = Console(width=_WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()), flush=True)
