"""The person at the terminal, or who reads the log: told of a verification and a push as they go on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from buildx_tasks.reports import cells, uploads

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from buildx_tasks.publishing import upload
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.verification import verify
    from buildx_tasks.verification.results import Report


class Terminal:
    """An :class:`~buildx_tasks.publishing.audience.Audience` that prints."""

    def said(self, line: str) -> None:
        """Print a line beside the task's output proper."""
        print(line, file=sys.stderr, flush=True)

    def verifying(self, number: int) -> AbstractContextManager[verify.Watcher]:
        """Show the cells that run, or a line for each that ended."""
        return cells.watcher(number)

    def reported(self, report: Report) -> None:
        """Print the table of all cells."""
        cells.print_report(report)

    def uploading(self) -> AbstractContextManager[upload.Watcher]:
        """Show the bytes of each layer, or a line for each."""
        return uploads.watcher()

    def moved(self, item: Published) -> None:
        """Print a tag with its digest, and the platforms' below it."""
        print(f"{item.tag}@{item.digest}", flush=True)
        for platform, digest in item.manifests.items():
            print(f"  {platform!s:<15} {digest}", flush=True)
