"""Run one cell in the foreground; the container is gone afterwards, whatever happened."""

from __future__ import annotations

import signal
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.builders import capability
from buildx_tasks.building import location
from buildx_tasks.errors import EngineError, RunError
from buildx_tasks.planning.cells import reference_of
from buildx_tasks.verification.containers import PROJECT, SESSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.planning.cells import Cell, TargetPlan
    from buildx_tasks.workspace import Workspace


def run_cell(
    workspace: Workspace, target: TargetPlan, cell: Cell, arguments: Sequence[str]
) -> None:
    """Run the cell's image with its own command (or ``arguments``), output streaming.

    Raises:
        EngineError: the image is not built, or not for this platform.
        RunError: the container ended with another exit code than 0, which the error carries.

    """
    commands = workspace.commands
    reference = reference_of(target)
    name = f"buildx-tasks-{uuid.uuid4().hex[:12]}"
    argv = ["docker", "run", "--rm", "--pull", "never", "--platform", str(cell.platform)]
    if commands.is_dry:
        commands.run([*argv, reference, *arguments])
        return
    capability.require_runnable(workspace.engine, [cell])
    image = location.locate(workspace, target, [cell.platform])
    if cell.platform not in image.manifests:
        raise EngineError(f"{reference} has no {cell.platform}; run invoke build -t {target.name}")
    labels = ["--label", f"{SESSION}={name}", "--label", f"{PROJECT}={workspace.root}"]
    argv += ["--name", name, *labels]
    if sys.stdin.isatty() and sys.stdout.isatty():
        argv += ["--interactive", "--tty"]
    with _removed_on_signal(commands, name) as signals:
        result = commands.run([*argv, image.runnable(cell.platform), *arguments], tty=True)
    if signals:
        raise RunError(f"{cell} was interrupted; its container is removed", 128 + signals[0])
    if not result.ok:
        raise RunError(f"{cell} ended with exit code {result.exited}", result.exited)


@contextmanager
def _removed_on_signal(commands: Commands, name: str) -> Iterator[list[int]]:
    """Remove the container at SIGINT or SIGTERM: one whose process ignores them would stay."""
    received: list[int] = []

    def remove(number: int, _frame: object) -> None:
        received.append(number)
        commands.query(["docker", "rm", "--force", "--volumes", name])

    watched = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, remove) for number in watched}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if received:
            # Created between the signal and the end of the docker command.
            commands.query(["docker", "rm", "--force", "--volumes", name])
