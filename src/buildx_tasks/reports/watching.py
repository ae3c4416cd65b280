"""What a person sees of a build: the cells that run on a terminal, a line for each event in a log.

A failure is the last thing that is shown: where it is written, what it printed, and how to go on.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks import sizes
from buildx_tasks.building import watched
from buildx_tasks.errors import as_called
from buildx_tasks.machine import output
from buildx_tasks.reports import duration, live, plural
from buildx_tasks.text import inert, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.building.audience import Watcher
    from buildx_tasks.building.failures import Failure
    from buildx_tasks.building.watched import CellState, Event, Watched

_MOST_NAMED = 3  # cells that a line about waiting names
_MOST_LOG = 8  # lines of a failed step's log while others still run
_WIDEST = 200  # characters of an instruction in a line
_LONGEST = 400  # of an error
_ORDER = (watched.FAILED, watched.RUNNING, watched.WAITING, watched.STOPPED)


@contextmanager
def watcher(bake: Watched) -> Iterator[Watcher]:
    """Yield what to tell of a bake."""
    if not live.is_shown():
        lines = _Lines(bake)
        with output.doing(lines.waiting):
            yield lines
        return
    with live.display(lambda: frame(bake, time.time()), alone=False) as shown:
        yield _Live(shown)


class _Lines:
    """Says a line for each event, and what a step printed that failed."""

    def __init__(self, bake: Watched) -> None:
        self._bake = bake
        self._told: set[str] = set()  # digests of steps, of which several cells can be

    def happened(self, event: Event) -> None:
        step = event.step
        printed: Sequence[str] = ()
        if step and event.status == watched.FAILED and step.digest not in self._told:
            self._told.add(step.digest)
            printed = list(_printed(self._bake.log_of(step), step.printed + len(step.begun)))
        _say("\n".join((line(event), *printed)))

    def said(self, text: str) -> None:
        _say(inert(text))

    def went_on(self) -> None:
        """Say nothing: a log has what happened."""

    def waiting(self) -> str:
        """Return what is waited for."""
        cells = self._bake.cells.values()
        running = [one for one in cells if one.status == watched.RUNNING]
        ended = sum(one.status == watched.BUILT for one in cells)
        named = ", ".join(map(_doing, running[:_MOST_NAMED])) or "docker buildx bake"
        more = ", …" if len(running) > _MOST_NAMED else ""
        return f"{ended} of {len(cells)} built; {named}{more}"


class _Live:
    """Shows what runs, and lets stay what buildx says."""

    def __init__(self, shown: live.Display) -> None:
        self._shown = shown

    def happened(self, event: Event) -> None:
        self._shown.refresh(now=event.status == watched.FAILED)

    def said(self, text: str) -> None:
        self._shown.say(inert(text))

    def went_on(self) -> None:
        self._shown.refresh()


def frame(bake: Watched, now: float) -> live.Frame:
    """Return what is shown of a bake at a moment, in seconds since 1970."""
    cells = list(bake.cells.values())
    rows: list[live.Row] = []
    for status in _ORDER:
        its = [one for one in cells if one.status == status]
        # Of those that have begun, some only wait for BuildKit.
        for cell in sorted(its, key=lambda one: one.current is None):
            rows += _rows(bake, cell, now)
    found = Counter(one.status for one in cells)
    parts = [f"{found[watched.BUILT]} of {len(cells)} built"]
    parts += [f"{found[one]} {one}" for one in _ORDER if found[one]]
    parts.append(duration(now - bake.began))
    moved = sum(step.bytes for step in bake.steps.values())
    if moved:
        parts.append(sizes.text(moved))
    return live.Frame(rows, ", ".join(parts), "more cells")


def _rows(bake: Watched, cell: CellState, now: float) -> Iterator[live.Row]:
    if cell.status == watched.WAITING:
        yield live.Row("waiting", cell.id, _step(cell) if cell.current else "waits")
        return
    yield live.Row(cell.status, cell.id, _step(cell), tuple(_facts(cell, now)))
    if cell.status == watched.FAILED:
        for step in cell.steps.values():
            if step.is_wrong and not step.is_canceled:
                yield from (live.Row("log", text) for text in bake.log_of(step)[-_MOST_LOG:])


def _facts(cell: CellState, now: float) -> Iterator[str]:
    if cell.started is not None:
        yield duration((cell.ended or now) - cell.started)
    yield "emulated" if cell.is_emulated else "native"
    if cell.cached:
        yield f"{cell.cached} cached"
    if cell.bytes:
        yield sizes.text(cell.bytes)


def _step(cell: CellState) -> str:
    """Return which step it is at, as in ``4/9 build RUN go build ./...``."""
    step = cell.current or next((s for s in list(cell.steps.values()) if s.is_wrong), None)
    if step is None:
        return (
            f"{cell.done}/{cell.total} {'to be exported' if cell.done == cell.total else 'waits'}"
        )
    if not step.what.counts:
        return step.what.name
    number = min(cell.done + 1, cell.total)
    stage = step.what.place.rpartition(" ")[0]
    return " ".join(filter(None, (f"{number}/{cell.total}", stage, step.what.name)))


def _doing(cell: CellState) -> str:
    return f"{cell.id} at {printable(_step(cell)[:_WIDEST])}"


def line(event: Event) -> str:
    """Return the line of a log about an event."""
    cell = event.cell
    if event.status == watched.RUNNING:
        return f"{cell.id}: started{' (emulated)' if cell.is_emulated else ''}"
    if event.status == watched.BUILT:
        known = f", {cell.cached} cached" if cell.cached else ""
        took = (cell.ended or 0) - (cell.started or cell.ended or 0)
        return f"{cell.id}: built, {plural(cell.total, 'step')}{known}, {duration(took)}"
    what = printable(event.step.what.name[:_WIDEST]) if event.step else ""
    word = "FAILED" if event.status == watched.FAILED else "stopped"
    return f"{cell.id}: {word}{f' at {what}' if what else ''}"


def print_failures(failures: Sequence[Failure], again: Sequence[str] = ()) -> None:
    """Print what failed: ``again`` are the flags that this run had besides its selection."""
    for failure in failures:
        print("\n".join(_told(failure, again)), file=sys.stderr, flush=True)


def _told(failure: Failure, again: Sequence[str]) -> Iterator[str]:
    yield ""
    cells = ", ".join(failure.cells) or "the build"
    yield f"--- {cells} failed at {printable(failure.where or failure.name[:_WIDEST])}"
    if not failure.source:
        yield printable(failure.name)
    before = 0
    for number, text in failure.source:
        if before and number > before + 1:
            yield f"       … {number - before - 1} lines"
        before = number
        mark = ">" if number == failure.line else " "
        yield f"{mark} {number:>4} | {printable(text, kept=chr(9))}".rstrip()
    yield from _printed(failure.log, failure.printed)
    yield _shortened(printable(failure.error))
    if failure.cause:
        yield as_called(f"likely: {failure.cause}")
    target, platform = failure.again
    if target:
        words = ["invoke", "build", "-t", target, *(("-p", platform) if platform else ()), *again]
        yield as_called(f"again: {shlex.join(words)}")


def _printed(log: Sequence[str], lines: int) -> Iterator[str]:
    """Yield the last lines that a step printed, of so many."""
    left = lines - len(log)
    if log:
        yield "it printed:" if left <= 0 else f"it printed, after {plural(left, 'other line')}:"
    # At the start of a line, a program's words could be a command to GitHub's runner.
    yield from (f"| {inert(printable(text, kept=chr(9)))}" for text in log)


def _shortened(error: str) -> str:
    """Return an error without the middle of a long command, which stands above."""
    if len(error) <= _LONGEST:
        return error
    return f"{error[: _LONGEST // 2]} … {error[-_LONGEST // 2 :]}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
