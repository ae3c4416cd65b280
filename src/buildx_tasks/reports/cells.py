"""What a person sees of a verification: a line for each cell as it ends, then the whole table."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.reports import live
from buildx_tasks.reports.tables import print_table
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from buildx_tasks.verification.results import CellResult, CheckResult, Report
    from buildx_tasks.verification.verify import Watcher

_MOST_LINES = 20  # of each stream of a failed check; the written reports hold all


@contextmanager
def watcher(cells: int) -> Iterator[Watcher]:
    """Yield what to tell of each cell: a terminal shows those that run, a log those that ended."""
    if not live.is_shown():
        yield _Lines()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with live.display(*columns, BarColumn(), MofNCompleteColumn()) as progress:
        yield _Live(progress, cells)


class _Lines:
    def started(self, unit_id: str) -> None:
        """Say nothing: a log has what ended."""

    def ended(self, result: CellResult) -> None:
        print(_line(result), file=sys.stderr, flush=True)


class _Live:
    def __init__(self, progress: Progress, cells: int) -> None:
        self._progress = progress
        self._all = progress.add_task("verify", total=cells)
        self._running: dict[str, TaskID] = {}

    def started(self, unit_id: str) -> None:
        self._running[unit_id] = self._progress.add_task(unit_id, total=None)

    def ended(self, result: CellResult) -> None:
        from rich.text import Text

        running = self._running.pop(result.id, None)
        if running is not None:
            self._progress.remove_task(running)
        self._progress.advance(self._all)
        self._progress.console.print(Text(_line(result)))


def _line(result: CellResult) -> str:
    if result.since:
        return f"{result.id}: {result.status}, as on {result.since}"
    seconds = f" ({result.seconds:.1f} s)" if result.seconds else ""
    return f"{result.id}: {result.status}{seconds}"


def print_report(report: Report) -> None:
    """Print the table of all cells, and below it what the failed ones printed."""
    print_table(
        ("cell", "result", "manifest digest", "seconds", ""),
        [
            (
                result.id,
                result.status,
                result.digest or "-",
                "known" if result.since else f"{result.seconds:.1f}",
                _tame("; ".join(result.problems) or _remark(result)),
            )
            for result in report.results
        ],
    )
    for result in report.failed:
        for check in result.checks:
            if check.status == "FAIL":
                print("\n".join(_output(result, check)), end="", flush=True)


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
    return printable(line, kept="\t").replace("##[", "# #[")
