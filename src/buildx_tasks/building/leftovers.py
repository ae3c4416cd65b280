"""A build that did not come to its end in; what it left in the engine's store, noted, out."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from typing import TYPE_CHECKING

from buildx_tasks.building.results import time_of
from buildx_tasks.engine.faults import all_errors
from buildx_tasks.errors import EngineError
from buildx_tasks.images import store
from buildx_tasks.machine.interruption import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.workspace import Workspace


@contextlib.contextmanager
def noted(workspace: Workspace, plan: Plan) -> Iterator[list[bool]]:
    """Note what was left where the building inside raises, or puts something into the list.

    bake puts each image into the store as it is done: those before the failed one are there, and
    ``clean`` has to know of them.
    """
    began, here = time.monotonic(), dt.datetime.now(dt.timezone.utc)
    failed: list[bool] = []
    try:
        yield failed
    except BaseException:
        failed.append(True)
        raise
    finally:
        if failed and not workspace.commands.is_dry:
            # Nothing about it is worth to hide why the build failed.
            with deferred(), contextlib.suppress(EngineError, *all_errors()):
                if workspace.engine.is_local:  # on whose clock its times are
                    start = here
                else:
                    asked = workspace.engine.get
                    start = by_clock(lambda: asked("/info").good()["SystemTime"], began)
                _note(workspace, plan, start)


def _note(workspace: Workspace, plan: Plan, start: dt.datetime) -> None:
    engine = workspace.engine
    entries: list[dict[str, Any]] = []
    for target in plan.images:
        for tag in target.tags:
            facts = store.inspected(engine, tag) or {}
            tagged = facts.get("Metadata", {}).get("LastTagTime") or ""
            if tagged and time_of(tagged) >= start:
                entries.append({"target": target.name, "tags": [tag], "digest": facts["Id"]})
    if entries:
        workspace.ledger.record("left", entries)


def by_clock(asked: Callable[[], str], moment: float) -> dt.datetime:
    """Return when a moment of ``time.monotonic()`` was by the clock that is asked, or later.

    A busy engine answers seconds after it was asked. The moment may come out too late by as much,
    never too early: what a person tagged just before it is not ours.
    """
    passed = time.monotonic() - moment
    return time_of(asked()) - dt.timedelta(seconds=passed)
