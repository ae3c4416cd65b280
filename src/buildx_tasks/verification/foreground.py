"""Run one cell in the foreground; the container is gone afterwards, whatever happened."""

from __future__ import annotations

import signal
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.builders import capability as reach
from buildx_tasks.building import staging
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError, RunError
from buildx_tasks.images import image as images
from buildx_tasks.machine.commands import is_dry, query, run
from buildx_tasks.verification.containers import PROJECT, SESSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from invoke import Context

    from buildx_tasks.planning.selection import Cell, TargetPlan


def run_cell(
    c: Context, target: TargetPlan, cell: Cell, arguments: Sequence[str], root: Path
) -> None:
    """Run the cell's image with its own command (or ``arguments``), output streaming.

    Raises:
        EngineError: the image is not built, or not for this platform.
        RunError: the container ended with another exit code than 0, which the error carries.

    """
    reference = images.reference_of(target)
    name = f"buildx-tasks-{uuid.uuid4().hex[:12]}"
    argv = ["docker", "run", "--rm", "--pull", "never", "--platform", str(cell.platform)]
    if is_dry(c):
        run(c, [*argv, reference, *arguments], folder=root)
        return
    reach.require_runnable(c, [cell])
    client = engine.connect()
    image = staging.locate(c, client, root, target, [cell.platform])
    if cell.platform not in image.manifests:
        raise EngineError(f"{reference} has no {cell.platform}; run invoke build -t {target.name}")
    argv += ["--name", name, "--label", f"{SESSION}={name}", "--label", f"{PROJECT}={root}"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        argv += ["--interactive", "--tty"]
    with _removed_on_signal(c, name) as signals:
        result = run(c, [*argv, image.runnable(cell.platform), *arguments], folder=root, tty=True)
    if signals:
        raise RunError(f"{cell} was interrupted; its container is removed", 128 + signals[0])
    if not result.ok:
        raise RunError(f"{cell} ended with exit code {result.exited}", result.exited)


@contextmanager
def _removed_on_signal(c: Context, name: str) -> Iterator[list[int]]:
    """Remove the container at SIGINT or SIGTERM: one whose process ignores them would stay."""
    received: list[int] = []

    def remove(number: int, _frame: object) -> None:
        received.append(number)
        query(c, ["docker", "rm", "--force", "--volumes", name])

    watched = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, remove) for number in watched}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if received:
            # Created between the signal and the end of the docker command.
            query(c, ["docker", "rm", "--force", "--volumes", name])
