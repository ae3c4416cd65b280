"""What a person sees of a verification: a line for each cell as it ends, then the whole table."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.machine import output
from buildx_tasks.reports import duration, live
from buildx_tasks.reports.tables import print_table
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.verification.results import CellResult, CheckResult, Report
    from buildx_tasks.verification.verify import Watcher

_MOST_NAMED = 3  # cells that a line about waiting names
_MOST_CHARACTERS = 4_000  # of a line
_MOST_LINES = 20  # of each stream of a failed check; the written reports hold all


@contextmanager
def watcher(cells: int) -> Iterator[Watcher]:
    """Yield what to tell of each cell: a terminal shows those that run, a log those that ended."""
    if not live.is_shown():
        lines = _Lines(cells)
        with output.doing(lines.waiting):
            yield lines
        return
    seen = _Live(cells)
    with live.display(seen.frame) as shown:
        seen.shown = shown
        yield seen


class _Lines:
    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._ended = 0
        self._running: dict[str, None] = {}

    def started(self, unit_id: str) -> None:
        """Say nothing: a log has what ended."""
        self._running[unit_id] = None

    def ended(self, result: CellResult) -> None:
        self._ended += 1
        self._running.pop(result.id, None)
        print(_line(result), file=sys.stderr, flush=True)

    def waiting(self) -> str:
        """Return what is waited for."""
        running = list(self._running)
        more = ", …" if len(running) > _MOST_NAMED else ""
        named = ", ".join(running[:_MOST_NAMED]) or "the engine"
        return f"{self._ended} of {self._cells} verified; {named}{more}"


class _Live:
    """Shows the cells that run; a line stays of each that has ended."""

    def __init__(self, cells: int) -> None:
        self.shown: live.Display
        self._cells = cells
        self._ended: Counter[str] = Counter()
        self._began = time.monotonic()
        self._running: dict[str, float] = {}

    def started(self, unit_id: str) -> None:
        self._running[unit_id] = time.monotonic()

    def ended(self, result: CellResult) -> None:
        self._running.pop(result.id, None)
        self._ended[result.status] += 1
        self.shown.say(_line(result))

    def frame(self) -> live.Frame:
        """Return what is shown now."""
        now = time.monotonic()
        rows = [
            live.Row("running", name, facts=(duration(now - since),))
            for name, since in list(self._running.items())
        ]
        parts = [f"{sum(self._ended.values())} of {self._cells} verified"]
        parts += [f"{self._ended[word]} {word}" for word in ("FAIL",) if self._ended[word]]
        total = ", ".join([*parts, duration(now - self._began)])
        return live.Frame(rows, total, "more cells")


def _line(result: CellResult) -> str:
    if result.since:
        return f"{_named(result)}: {result.status}, as on {result.since}"
    seconds = f" ({result.seconds:.1f} s)" if result.seconds else ""
    return f"{_named(result)}: {result.status}{seconds}"


def _named(result: CellResult) -> str:
    """Return a result's id; that of the whole image looks like a target, and is about its index."""
    return result.id if result.platform else f"{result.id} (index)"


def print_report(report: Report, *, full: bool = False) -> None:
    """Print the table of all cells, what the failed ones printed, and what all comes to."""
    print_table(
        ("cell", "result", "manifest digest", "seconds", ""),
        [
            (
                _named(result),
                result.status,
                result.digest or "-",
                "known" if result.since else f"{result.seconds:.1f}",
                "" if result.problems else _tame(_remark(result)),
            )
            for result in report.results
        ],
        full=full,
        below={
            number: [_tame(problem) for problem in result.problems]
            for number, result in enumerate(report.results)
        },
    )
    for result in report.failed:
        for check in result.checks:
            if check.status == "FAIL":
                print("\n".join(_output(result, check)), end="", flush=True)
    if report.results:
        print(_sum(report), flush=True)


def _sum(report: Report) -> str:
    """Return one line, as in ``118 of 120 ok, 1 FAIL, 1 skip``."""
    found = Counter(result.status for result in report.results)
    others = [f"{found[name]} {name}" for name in ("FAIL", "skip", "unchecked") if found[name]]
    return ", ".join([f"{found['ok']} of {len(report.results)} ok", *others])


def _remark(result: CellResult) -> str:
    """Return what is worth knowing of a cell that did not fail."""
    if not result.checks:
        return "no [verify] table says what to expect"
    remarks = [
        f"{check.name}: {_WORDS[check.status]} ({check.reason})"
        for check in result.checks
        if check.status in _WORDS
    ]
    return "; ".join(remarks)


_WORDS = {"skip": "skipped", "xfail": "fails, as is known"}


def _output(result: CellResult, check: CheckResult) -> Iterator[str]:
    for stream, text in (("stdout", check.stdout), ("stderr", check.stderr)):
        lines = text.rstrip("\n").split("\n") if text.strip() else []
        if lines:
            yield f"--- {result.id} {check.name}, {stream}"
        if len(lines) > _MOST_LINES:
            yield f"({len(lines) - _MOST_LINES} lines before these are in the written reports)"
        # At the start of a line, a program's words could be a command to GitHub's runner.
        yield from (f"| {_tame(line)}" for line in lines[-_MOST_LINES:])
    if check.enter:
        yield f"--- {result.id} {check.name}, its container is kept; enter it with"
        yield check.enter
    yield ""


def _tame(line: str) -> str:
    # The older form of the runner's commands counts anywhere in a line.
    shown = printable(line[:_MOST_CHARACTERS], kept="\t").replace("##[", "# #[")
    return shown if len(line) <= _MOST_CHARACTERS else f"{shown}… ({len(line):,} characters)"
