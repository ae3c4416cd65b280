"""Who is told of a build: what that takes is loaded once something is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from buildx_tasks.building.audience import Watcher
    from buildx_tasks.building.failures import Failure
    from buildx_tasks.building.watched import Watched


class Builds:
    """An :class:`~buildx_tasks.building.audience.Audience` that prints.

    ``flags`` are those that a command has to repeat to do the same again.
    """

    def __init__(self, flags: Sequence[str] = ()) -> None:
        self._flags = flags

    def building(self, bake: Watched) -> AbstractContextManager[Watcher]:
        """Show the cells that are built, or a line for each that started and ended."""
        from buildx_tasks.reports import watching

        return watching.watcher(bake)

    def failed(self, failures: Sequence[Failure]) -> None:
        """Print what failed, and how to go on."""
        from buildx_tasks.reports import watching

        watching.print_failures(failures, self._flags)
