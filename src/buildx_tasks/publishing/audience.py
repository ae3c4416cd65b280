"""Who is told of a verification and a push while they go on: a terminal, a log, or nobody."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from buildx_tasks.images.graph import Blob
    from buildx_tasks.publishing import upload
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.verification import verify
    from buildx_tasks.verification.results import CellResult, Report


class Audience(Protocol):
    """Told of all that goes on; each method may print."""

    def said(self, line: str) -> None:
        """Take note of a remark."""

    def verifying(self, number: int) -> AbstractContextManager[verify.Watcher]:
        """Return what is told of so many cells while they are verified."""

    def reported(self, report: Report) -> None:
        """Take note of a whole verification."""

    def uploading(self) -> AbstractContextManager[upload.Watcher]:
        """Return what is told of each layer while it is sent."""

    def moved(self, item: Published) -> None:
        """Take note of a tag that moved, and was read back."""


class Nobody:
    """An Audience that nothing is told."""

    def said(self, line: str) -> None:
        """As an Audience."""

    @contextmanager
    def verifying(self, number: int) -> Iterator[verify.Watcher]:  # noqa: ARG002
        """As an Audience."""
        yield _Unwatched()

    def reported(self, report: Report) -> None:
        """As an Audience."""

    @contextmanager
    def uploading(self) -> Iterator[upload.Watcher]:
        """As an Audience."""
        yield _Unwatched()

    def moved(self, item: Published) -> None:
        """As an Audience."""


class _Unwatched:
    def started(self, unit_id: str) -> None:
        """As a verify.Watcher."""

    def ended(self, result: CellResult) -> None:
        """As a verify.Watcher."""

    def planned(self, repository: Repository, blob: Blob) -> None:
        """As an upload.Watcher."""

    def sent(self, repository: Repository, blob: Blob, through: int) -> None:
        """As an upload.Watcher."""

    def present(self, repository: Repository, blob: Blob, how: str) -> None:
        """As an upload.Watcher."""
