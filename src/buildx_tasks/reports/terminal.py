"""The person at the terminal, or who reads the log: told of a verification and a push as they go on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from buildx_tasks.reports import cells, tables, uploads
from buildx_tasks.reports.building import Builds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from buildx_tasks.publishing import upload
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.verification import verify
    from buildx_tasks.verification.results import Report


class Terminal(Builds):
    """An Audience of builds, verifications and pushes that prints.

    ``full`` shortens nothing on a terminal; ``verbose`` tells of each layer and platform in a log.
    """

    def __init__(self, *, full: bool = False, verbose: bool = False) -> None:
        super().__init__()
        self._full = full
        self._verbose = verbose

    def said(self, line: str) -> None:
        """Print a line beside the task's output proper."""
        print(line, file=sys.stderr, flush=True)

    def verifying(self, number: int) -> AbstractContextManager[verify.Watcher]:
        """Show the cells that run, or a line for each that ended."""
        return cells.watcher(number)

    def reported(self, report: Report) -> None:
        """Print the table of all cells."""
        cells.print_report(report, full=self._full)

    def uploading(self) -> AbstractContextManager[upload.Watcher]:
        """Show the bytes of each layer on a terminal."""
        return uploads.watcher(verbose=self._verbose)

    def moved(self, item: Published) -> None:
        """Print a tag with its digest: as a reference that can be copied, where it is whole."""
        if tables.width() is None or self._full:
            print(f"{item.tag}@{item.digest}", flush=True)
        else:
            how = "was there" if item.was == item.digest else "moved"
            print(tables.shortened(f"{item.tag}  {item.digest}  {how}"), flush=True)
        for platform, digest in item.manifests.items() if self._verbose else ():
            print(f"  {platform!s:<15} {digest}", flush=True)

    def published(self, items: Sequence[Published]) -> None:
        """Print what all tags come to, as in ``12 tags moved, 3 were there already``."""
        there = sum(item.was == item.digest for item in items)
        moved = len(items) - there
        parts = [f"{moved} tag{'' if moved == 1 else 's'} moved"] if moved or not there else []
        if there:
            what = "" if moved else f" tag{'' if there == 1 else 's'}"
            parts.append(f"{there}{what} {'was' if there == 1 else 'were'} there already")
        print(", ".join(parts), flush=True)
