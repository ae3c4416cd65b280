"""A build's reference and its builder in; what it did, as the builder has recorded it, out.

The engine's own builder is asked over its socket (``engine/history.py``), in a hundredth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.builders import choice
from buildx_tasks.engine import statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.language.config import Builder
    from buildx_tasks.machine.commands import Commands

_SECONDS = 10  # for an answer


def replay(
    commands: Commands, builder: Builder | None, reference: str
) -> Iterator[statuses.Status]:
    """Yield what BuildKit said while a build went on, by the last part of buildx's reference.

    Nothing is yielded without a record, or where buildx knows no records (before 0.20).
    """
    words = ("history", "logs", "--progress", "rawjson", reference)
    result = commands.query_within(choice.command(builder, *words), _SECONDS)
    for line in result.stderr.splitlines() if result and result.ok else ():
        status = statuses.of_line(line.encode())
        if status is not None:
            yield status
