"""``goss``: a container is started, and all that a file of goss says of it is looked at, from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import faults
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks import container, goss_resources
from buildx_tasks.verification.checks.inside import Inside
from buildx_tasks.verification.checks.streams import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.verification.check import Subject
    from buildx_tasks.verification.outside.expanding import GossTest
    from buildx_tasks.verification.outside.gossfile import Resource

_PAUSE = 0.25  # seconds between two looks
_ASKED = frozenset({"http", "addr"})  # from this machine


def look(subject: Subject, specs: Sequence[GossTest]) -> list[Found]:
    """Look at all resources of one file, in one container; return what was found of each.

    What is not as expected is looked at again until ``ready-within`` is over.

    Raises:
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
    start = specs[0].start
    try:
        container.require_timeouts(subject)
        with container.created(subject, start) as box:
            read = Output(box)
            try:
                containers.start(box)
                wrong = _looked(subject, box, specs, read)
            finally:
                stdout, stderr = read.close(0)
            found = [Found(tuple(one), (), stdout, stderr) for one in wrong]
            bad = next((n for n, one in enumerate(found) if one.problems), None)
            if bad is not None:
                hinted = container.with_hint(subject, box, found[bad])
                found[bad] = container.kept(subject, box, hinted)
            return found
    except RefusedError as refused:
        return [Found((str(refused),)) for _ in specs]


def _looked(subject: Subject, box: Any, specs: Sequence[GossTest], read: Output) -> list[list[str]]:
    inside = Inside(box)
    start, wait = specs[0].start, specs[0].wait
    unasked = "" if subject.engine.is_local else "the engine is not on this machine, which asks it"
    if wait:
        late = _until(box, inside, wait, start.wait_within, unasked)
        problems = [
            f"waited {start.wait_within:g} s for {one.kind} {one.id}: {text}"
            for one, wrong in zip(wait, late)
            for text in wrong
        ]
        if problems:
            return [problems] * len(specs)
    resources = [spec.resource for spec in specs]
    found = _until(box, inside, resources, start.ready_within, unasked)
    if read.ended and (ended := _ended(box)):
        # What was right before it ended is no verdict on what runs.
        return [[ended]] * len(specs)
    return found


def _until(
    box: Any, inside: Inside, resources: Sequence[Resource], seconds: float, unasked: str
) -> list[list[str]]:
    """Look until all is as expected, or the time is over; return what is wrong with each."""
    end = time.monotonic() + seconds
    wrong: list[list[str]] = [["it was not looked at"] for _ in resources]
    while True:
        inside.forget()
        if ended := _ended(box):
            return [[ended] for _ in resources]
        for number, resource in enumerate(resources):
            if wrong[number]:
                is_asked = unasked and resource.kind in _ASKED
                wrong[number] = [unasked] if is_asked else _problems(box, inside, resource)
        if not any(wrong) or time.monotonic() > end:
            return wrong
        time.sleep(_PAUSE)


def _problems(box: Any, inside: Inside, resource: Resource) -> list[str]:
    try:
        return goss_resources.problems(inside, resource)
    except faults.api_errors():
        if ended := _ended(box):  # meanwhile: that is no fault of the engine
            return [ended]
        raise


def _ended(box: Any) -> str:
    box.reload()
    if box.status == "running":
        return ""
    code = box.attrs["State"]["ExitCode"]
    return (
        f"the container ended with exit code {code}, and goss looks at what runs; "
        'say what it runs, as in goss = { file = …, entrypoint = ["sleep", "60"] }'
    )
