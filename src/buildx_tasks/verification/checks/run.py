"""``run``: a container is run to its end, and did what is expected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.verification import containers
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks import container, output
from buildx_tasks.verification.checks.streams import MOST_OUTPUT, Input, Output

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.language.expectations import Run
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.check import Subject


def check(subject: Subject, spec: Run) -> Found:
    """Run the subject's image as ``spec`` declares.

    Raises:
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
    try:
        container.require_timeouts(subject)
        more = {"stdin_open": True} if spec.stdin is not None else {}
        with container.created(subject, spec, **more) as box:
            found = container.with_hint(subject, box, _run(box, spec))
            return container.kept(subject, box, found)
    except RefusedError as refused:
        return Found((str(refused),))


def command(image: str, platform: Platform, root: Path, spec: Run) -> list[str]:
    """Return the command that a person can type to run the image as :func:`check` does."""
    more = ["--network", spec.network]
    if spec.stdin is not None:
        more.append("--interactive")
    return container.arguments(image, platform, root, spec, *more)


def _run(box: Any, spec: Run) -> Found:
    read = Output(box, flood=lambda: container.kill(box))
    fed = Input(box, spec.stdin) if spec.stdin is not None else None
    try:
        containers.start(box)
        began = time.monotonic()
        if fed:
            fed.start()
        exit_code = container.exit_code_of(box, began, spec.timeout)
        if exit_code is None:
            container.kill(box)
        return _compared(box, spec, exit_code, read)
    except RefusedError as refused:
        return Found((str(refused),))
    finally:
        if fed:
            fed.close()
        read.close(0)


def _compared(box: Any, spec: Run, exit_code: int | None, read: Output) -> Found:
    stdout, stderr = read.close()
    found = Found(stdout=stdout, stderr=stderr)
    if read.overflown:
        problem = f"printed more than {MOST_OUTPUT:,} bytes on {read.overflown}"
        return found._replace(problems=(f"{problem}; it was stopped",))
    if exit_code is None:
        last = container.last_lines(stdout, stderr)
        problem = f"still running after {spec.timeout:g} s; it was stopped{last}"
        return found._replace(problems=(problem,))
    problems = []
    if exit_code != spec.exit_code:
        reason = container.why(box, exit_code, spec, stderr, stdout)
        problems.append(f"exit code: expected {spec.exit_code}, got {exit_code}{reason}")
    problems += output.problems("stdout", spec.stdout, stdout)
    problems += output.problems("stderr", spec.stderr, stderr)
    facts = []
    if not problems and spec.memory is not None and container.out_of_memory(box):
        facts.append("one of its processes was killed for want of memory")
    return found._replace(problems=tuple(problems), facts=tuple(facts))
