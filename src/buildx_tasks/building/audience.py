"""Who is told of a build while it goes on: a terminal, a log, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from buildx_tasks.building.failures import Failure
    from buildx_tasks.building.watched import Event, Watched


class Watcher(Protocol):
    """Told of one bake, in the thread that builds; each method may print."""

    def happened(self, event: Event) -> None:
        """Take note of a cell that has started, or has ended."""

    def said(self, line: str) -> None:
        """Take note of a line of buildx that is about no step."""

    def went_on(self) -> None:
        """Take note that some time has passed."""


class Audience(Protocol):
    """Told of all bakes of a build."""

    def building(self, bake: Watched) -> AbstractContextManager[Watcher]:
        """Return what is told of a bake while it goes on."""

    def failed(self, failures: Sequence[Failure]) -> None:
        """Take note of what failed, after all else."""
