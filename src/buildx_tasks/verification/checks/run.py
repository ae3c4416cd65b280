"""``run``: a container is run to its end, and did what is expected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

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


class Ended(NamedTuple):
    """How a container ended; ``exit_code`` is None where it was stopped, or never started."""

    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    overflown: str = ""  # as Output's


def check(subject: Subject, spec: Run) -> Found:
    """Run the subject's image as ``spec`` declares.

    Raises:
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
    return carried_out(subject, spec)[1]


def carried_out(
    subject: Subject, spec: Run, *, any_exit: bool = False, **settings: Any
) -> tuple[Ended, Found]:
    """Do as :func:`check`; return how the container ended, too. ``any_exit``: no code is expected.

    ``settings`` are more of the container's, as :func:`container.created` takes them.

    Raises:
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
    try:
        container.require_timeouts(subject)
        if spec.stdin is not None:
            settings["stdin_open"] = True
        with container.created(subject, spec, **settings) as box:
            ended, found = finished(box, spec, any_exit=any_exit)
            found = container.with_hint(subject, box, found)
            return ended, container.kept(subject, box, found)
    except RefusedError as refused:
        return Ended(), Found((str(refused),))


def command(image: str, platform: Platform, root: Path, spec: Run) -> list[str]:
    """Return the command that a person can type to run the image as :func:`check` does."""
    more = ["--network", spec.network]
    if spec.stdin is not None:
        more.append("--interactive")
    return container.arguments(image, platform, root, spec, *more)


def finished(box: Any, spec: Run, *, any_exit: bool = False) -> tuple[Ended, Found]:
    """Start a container that was created, and wait for its end; return how, and what is wrong with it.

    Raises:
        faults.api_errors: the engine fails.
        faults.lost_connections: the engine cannot be reached.

    """
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
        stdout, stderr = read.close()
        ended = Ended(exit_code, stdout, stderr, read.overflown)
        if any_exit and exit_code is not None:
            spec = msgspec.structs.replace(spec, exit_code=exit_code)
        return ended, _compared(box, spec, ended)
    except RefusedError as refused:
        return Ended(), Found((str(refused),))
    finally:
        if fed:
            fed.close()
        read.close(0)


def _compared(box: Any, spec: Run, ended: Ended) -> Found:
    stdout, stderr, exit_code = ended.stdout, ended.stderr, ended.exit_code
    found = Found(stdout=stdout, stderr=stderr)
    if ended.overflown:
        problem = f"printed more than {MOST_OUTPUT:,} bytes on {ended.overflown}"
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
