"""What a person sees of the things that a task is at: a line for each, on a terminal."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.reports import duration, live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.machine.things import Things


@contextmanager
def shown(things: Things) -> Iterator[None]:
    """Show them until this is left, where some are named; a log has the task's own lines."""
    if not live.is_shown() or not things.waiting:
        yield
        return
    with live.display(lambda: frame(things, time.monotonic())):
        yield


def frame(things: Things, now: float) -> live.Frame:
    """Return what is shown at a moment, in seconds of :func:`time.monotonic`."""
    rows = [
        live.Row("running", name, what, (duration(now - since),))
        for name, (what, since) in list(things.running.items())
    ]
    rows += [live.Row("waiting", name, "waits") for name in list(things.waiting)]
    return live.Frame(rows, f"{things.count}, {duration(now - things.began)}", "more")
