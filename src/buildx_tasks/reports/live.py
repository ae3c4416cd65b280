"""The live display of everything that takes its time: rows of what runs, and a line of what all comes to.

It is on standard error, as wide and as high as the terminal is at that moment, and nothing of it stays
but where it was interrupted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.machine import interruption, output
from buildx_tasks.reports.tables import columns_of, padded
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.text import Text

_EVERY = 0.2  # seconds between two frames
_LEAST = 24  # columns, and
_LOWEST = 4  # lines, with less than which only the last line is shown
_NAMES, _FACTS = 0.45, 0.3  # of the width that names and facts may take
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_SPINNING = "|/-\\"

STYLES = {"failed": "bold red", "waiting": "dim", "log": "red", "total": "bold"}


class Row(NamedTuple):
    """A row: what it is about, what that does, and facts at the right; ``kind`` is one of STYLES.

    The fact that counts most comes first, and stands at the edge; where there is little room the others
    are left out.
    What is of kind ``running`` has a mark that moves; a ``log`` is a line below the row before it.
    """

    kind: str
    name: str
    what: str = ""
    facts: Sequence[str] = ()


class Frame(NamedTuple):
    """What is shown at a moment: rows, the most important first, and what all comes to.

    ``folded`` says what the rows are that have no room, as in ``cells``.
    """

    rows: Sequence[Row]
    total: str
    folded: str = "more"


def is_shown() -> bool:
    """Say whether a person sees it."""
    return output.can_draw()


@contextmanager
def display(frame: Callable[[], Frame], *, alone: bool = True) -> Iterator[Display]:
    """Show a frame while the work goes on, anew whenever something has changed.

    ``frame`` is called in a thread of its own, unless who works calls :meth:`Display.refresh` often
    and is not left ``alone`` with it.
    """
    shown = Display(frame)
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(_EVERY):
            shown.refresh()

    thread = threading.Thread(target=go_on, daemon=True)
    is_whole = False
    with output.hushed(), output.displayed(shown.make_way), interruption.drawn():
        try:
            shown.begin()
            if alone:
                thread.start()
            yield shown
            is_whole = True
        finally:
            with interruption.deferred():
                stop.set()
                if thread.ident:
                    thread.join()
                shown.end(is_whole=is_whole)


class Display:
    """What is on the terminal now, and how to change it; methods may be called from any thread."""

    def __init__(self, frame: Callable[[], Frame]) -> None:
        from rich.console import Console

        self._frame = frame
        self._console: Console = Console(stderr=True, highlight=False)
        self._lock = threading.RLock()
        self._widths: list[int] = []  # of the lines that are there, in columns
        self._last = 0.0

    def begin(self) -> None:
        """Show the first frame."""
        self._write(_HIDE)
        self.refresh(now=True)

    def refresh(self, *, now: bool = False) -> None:
        """Show a new frame, where the last one is old enough."""
        with self._lock:
            if output.is_midline():
                return
            if now or time.monotonic() - self._last >= _EVERY:
                self._write(self._gone() + self._drawn())
                self._last = time.monotonic()

    def make_way(self) -> None:
        """Take it away until the next frame."""
        with self._lock:
            if self._widths:
                gone, self._widths = self._gone(), []
                self._write(gone)

    def say(self, *lines: str) -> None:
        """Print lines that stay, above all that moves."""
        with self._lock:
            gone, text = self._gone(), "".join(f"{line}\n" for line in lines)
            self._widths = []
            self._write(gone + text)
            self.refresh(now=True)

    def end(self, *, is_whole: bool) -> None:
        """Take it away; where the work was broken off the last state stays."""
        with self._lock:
            gone, left = self._gone(), ""
            try:
                left = "" if is_whole else self._drawn() + "\n"
            finally:
                self._widths = []
                self._write(gone + left + _SHOW)

    def _drawn(self) -> str:
        columns, lines = output.terminal_size()
        drawn = laid_out(self._frame(), columns - 1, lines - 1, int(time.monotonic() / _EVERY))
        drawn = [
            _encodable(line, getattr(sys.stderr, "encoding", None) or "utf-8") for line in drawn
        ]
        self._widths = [line.cell_len for line in drawn]
        if os.environ.get("NO_COLOR"):  # bold and dim are styles, too
            return "\n".join(line.plain for line in drawn)
        with self._console.capture() as captured:
            for number, line in enumerate(drawn):
                end = "\n" if number < len(drawn) - 1 else ""
                self._console.print(line, end=end, no_wrap=True, overflow="ignore", crop=False)
        return captured.get()

    def _gone(self) -> str:
        """Return what takes away the lines that are there; a narrower terminal has wrapped them."""
        if not self._widths:
            return ""
        columns, lines = output.terminal_size()
        rows = sum(max(1, -(-wide // columns)) for wide in self._widths)
        up = min(rows, lines) - 1
        return "\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J"

    def _write(self, text: str) -> None:
        output.draw(text)


def laid_out(frame: Frame, columns: int, lines: int, beat: int = 0) -> list[Text]:
    """Return a frame's lines, none wider than ``columns``, and not more than ``lines``."""
    from rich.text import Text

    rows = [_tame(row) for row in frame.rows]
    if columns < _LEAST or lines < _LOWEST:
        rows = []
    elif len(rows) > lines - 1:
        kept = rows[: lines - 2]
        folded = sum(row.kind != "log" for row in rows[len(kept) :])
        rows = [*kept, Row("waiting", f"… {folded} {frame.folded}")]
    widest = max((columns_of(row.name) for row in rows if row.what or row.facts), default=0)
    names = min(widest, int(columns * _NAMES))
    drawn = [_line(row, columns, names, beat) for row in rows]
    drawn.append(Text(_cut(printable(frame.total), columns), style=STYLES["total"]))
    return drawn


def _encodable(line: Text, encoding: str) -> Text:
    """Return a line whose characters are all in an encoding: one that is escaped is too wide."""
    from rich.text import Text

    try:
        line.plain.encode(encoding)
    except UnicodeEncodeError:
        shown = line.plain.replace("…", "~").encode(encoding, "replace").decode(encoding)
        return Text(shown, style=line.style)
    return line


def _tame(row: Row) -> Row:
    facts = tuple(map(printable, row.facts))
    return Row(row.kind, printable(row.name), printable(row.what), facts)


def _line(row: Row, columns: int, names: int, beat: int) -> Text:
    from rich.text import Text

    if row.kind == "log":
        return Text(_cut(f"  | {row.name}", columns), style=STYLES["log"])
    mark = {"running": _SPINNING[beat % len(_SPINNING)], "failed": "x"}.get(row.kind, " ")
    style = STYLES.get(row.kind, "")
    if not row.what and not row.facts:
        return Text(_cut(f"{mark} {row.name}", columns), style=style)
    kept = list(row.facts)
    while len(kept) > 1 and columns_of(", ".join(kept)) > columns * _FACTS:
        kept.pop()
    facts = _cut(", ".join(reversed(kept)), columns - names - 4)
    room = columns - names - 4 - (columns_of(facts) + 2 if facts else 0)
    middle = padded(_cut(row.what, room), room) if room > 0 else ""
    name = padded(_cut(row.name, names), names)
    text = f"{mark} {name}  {middle}" + (f"  {facts}" if facts else "")
    return Text(_cut(text.rstrip(), columns), style=style)


def _cut(text: str, most: int) -> str:
    if columns_of(text) <= most:
        return text
    if most < 1:
        return ""
    from rich.cells import set_cell_size

    return f"{set_cell_size(text, most - 1)}…"
