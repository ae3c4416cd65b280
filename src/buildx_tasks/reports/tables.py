"""Rows in; a table on standard output: whole in a log, as wide as the terminal where a person reads."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.machine import output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    Rows = Sequence[Sequence[str]]

_GAP = "  "
_INDENT = "    "  # of what stands below its row
_LEAST_LAST = 24  # characters that the last column wraps in; with less it stands below its row
_LEAST = 12  # characters that a column is cut to: a short digest's
_SHORT = 12  # of a digest, for people
_DIGEST = re.compile(r"\b(?:sha256:)([0-9a-f]{12})[0-9a-f]{52}\b")

# Styles by the first word of a cell, for terminals only.
_STYLES = {
    "ok": "green",
    "FAIL": "bold red",
    "xfail": "yellow",
    "skip": "yellow",
    "unchecked": "yellow",
}


class Line(NamedTuple):
    """One line of a table: cells of their columns' widths; or one that stands below its row."""

    cells: tuple[str, ...]
    is_heading: bool = False


def print_table(
    headings: Sequence[str],
    rows: Rows,
    *,
    full: bool = False,
    below: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Print rows under headings, ``below`` some of them (by number) lines of their own.

    On a terminal digests are shortened and columns cut to its width, unless ``full``.
    """
    most = None if full else width()
    if most:
        rows = [[shortened(cell) for cell in row] for row in rows]
    lines = laid_out(headings, rows, below, most)
    if _is_plain():
        print("\n".join(_GAP.join(line.cells).rstrip() for line in lines), flush=True)
    else:
        print_lines([_painted(line) for line in lines])


def width() -> int | None:
    """Return the columns of the terminal that a person reads on; None where it is none."""
    return shutil.get_terminal_size().columns if output.is_person_there() else None


def shortened(text: str) -> str:
    """Return a text with digests as docker shortens them: enough to tell them apart."""
    return _DIGEST.sub(r"\1", text)


def cut(text: str, most: int) -> str:
    """Return a text in so many columns, with … where something is missing; @PLATFORM stays."""
    if columns_of(text) <= most:
        return text
    from rich.cells import set_cell_size

    name, at, behind = text.rpartition("@")
    room = most - columns_of(f"…{at}{behind}")
    if name and room > 0:
        return f"{set_cell_size(name, room).rstrip()}…@{behind}"
    return set_cell_size(text, max(0, most - 1)).rstrip() + "…"


def laid_out(
    headings: Sequence[str], rows: Rows, below: Mapping[int, Sequence[str]], most: int | None
) -> list[Line]:
    """Return a table's lines, none wider than ``most``; only words in columns but the last are lost."""
    widths = [max(map(columns_of, column)) for column in zip(headings, *rows)]
    last_below = False
    if most is not None and _total(widths) > most:
        room = most - _total(widths[:-1]) - len(_GAP)
        last_below = room < _LEAST_LAST and widths[-1] > room
        if last_below:
            widths = widths[:-1]
            _narrow(widths, most)
        else:
            widths[-1] = room
    lines = []
    for number, row in enumerate([headings, *rows], start=-1):
        first, *more = _row(row, widths, is_heading=number < 0)
        lines += [first, *more]
        if last_below and number >= 0 and row[-1]:
            lines += _below(row[-1], most)
        for text in below.get(number, ()) if number >= 0 else ():
            lines += _below(text, most)
    return lines


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():  # and printable: rich is loaded for what is not
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, wide: int) -> str:
    """Return a text with spaces behind it, as many as make it so wide."""
    return text + " " * (wide - columns_of(text))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _narrow(widths: list[int], most: int) -> None:
    """Take from the widest columns until all fit, or none can give more."""
    for least in (_LEAST, 1):
        while _total(widths) > most and max(widths) > least:
            widths[widths.index(max(widths))] -= 1


def _row(row: Sequence[str], widths: Sequence[int], *, is_heading: bool) -> list[Line]:
    """Return a row's lines: the last column wraps, the others are cut."""
    cells = [padded(cut(text, wide), wide) for text, wide in zip(row, widths)]
    if len(widths) < len(row):
        return [Line(tuple(cells), is_heading)]
    first, *more = textwrap.wrap(row[-1], max(1, widths[-1])) or [""]
    indent = tuple(" " * wide for wide in widths[:-1])
    lines = [Line((*cells[:-1], first), is_heading)]
    return [*lines, *(Line((*indent, part)) for part in more)]


def _below(text: str, most: int | None) -> list[Line]:
    if most is None:
        return [Line((_INDENT + text,))]
    parts = textwrap.wrap(text, max(20, most - len(_INDENT)))
    return [Line((_INDENT + part,)) for part in parts]


def _painted(line: Line) -> Text:
    from rich.text import Text

    text = Text()
    for number, cell in enumerate(line.cells):
        style = "bold" if line.is_heading else _STYLES.get(cell.strip(), "")
        text.append(_GAP if number else "")
        text.append(cell, style=style)
    text.rstrip()
    return text


def _is_plain() -> bool:
    return not output.is_person_there() or bool(os.environ.get("NO_COLOR"))


def print_lines(lines: Sequence[Text]) -> None:
    """Print lines as they are; styles show on a terminal alone, and not where ``NO_COLOR`` is set."""
    if _is_plain():
        print("\n".join(line.plain for line in lines), flush=True)
        return
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as capture:
        for line in lines:
            console.print(line, soft_wrap=True)
    print(capture.get(), end="", flush=True)
