"""Run one cell in the foreground; the container is gone afterwards, whatever happened."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import time
import uuid
from time import monotonic as now
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import capability
from buildx_tasks.building import location
from buildx_tasks.engine.containers import has_path, is_executable, read_file
from buildx_tasks.engine.faults import RefusedError, faults, refusals
from buildx_tasks.errors import EngineError, RunError, UsageError
from buildx_tasks.images import programs
from buildx_tasks.machine import output
from buildx_tasks.machine.interruption import deferred
from buildx_tasks.planning.cells import reference_of
from buildx_tasks.verification.checks.container import start_of
from buildx_tasks.verification.containers import labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.planning.cells import Cell, TargetPlan
    from buildx_tasks.workspace import Workspace

_SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh", "/bin/ash", "/busybox/sh")
_CREATING_SECONDS = 3.0  # that the engine may go on with what nobody waits for any more
_LAST_SECONDS = 1.0  # that it has at least for that, once the command is ended
_BUSY_SECONDS = 15.0  # after which a removal that fails is given up
_PAUSE = 0.2
_ENDING_SECONDS = 2  # that a program has to end by itself once nobody reads what it prints
_ANSWER_SECONDS = 10  # that a busy engine has for an answer
_GAVE_UP = (1, 128 + signal.SIGPIPE)  # exit codes of docker where it cannot write any more
_NOT_STARTED = (1, 126, 127, 255)  # exit codes of docker and of shells where a program cannot run


class Options(NamedTuple):
    """What ``docker run`` takes under the same names; ``shell`` starts one that the image has."""

    env: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()
    entrypoint: str | None = None
    user: str = ""
    workdir: str = ""
    shell: bool = False

    def words(self) -> list[str]:
        """Return the options as docker takes them; the entrypoint is not among them."""
        listed = {"--env": self.env, "--publish": self.publish, "--volume": self.volume}
        found = [word for flag, values in listed.items() for one in values for word in (flag, one)]
        for flag, value in (("--user", self.user), ("--workdir", self.workdir)):
            found += [flag, value] if value else []
        return found


def run_cell(
    workspace: Workspace,
    target: TargetPlan,
    cell: Cell,
    arguments: Sequence[str],
    options: Options,
    *,
    alone: bool = True,
) -> None:
    """Run the cell's image with its own command (or ``arguments``), with this process's own streams.

    What is piped in reaches the program where it is ``alone``, and from a file each of several.

    Raises:
        EngineError: the image is not built, not for this platform, or has no shell.
        RunError: the container ended with another exit code than 0, which the error carries.

    """
    if options.shell and options.entrypoint is not None:
        raise UsageError("--shell is an entrypoint by itself; leave out one of them")
    if cell.platform.os != "linux":
        raise UsageError(f"{cell} is not run here; select another platform with -p")
    commands = workspace.commands
    image = _image(workspace, target, cell)
    entrypoint = options.entrypoint
    if options.shell:
        entrypoint = _shell(workspace, cell, image)
    name = f"buildx-tasks-{uuid.uuid4().hex[:12]}"
    argv = ["docker", "run", "--rm", "--pull", "never", "--platform", str(cell.platform)]
    argv += ["--name", name, *_streams(alone=alone), *options.words()]
    # Behind the person's own options: these count, whatever the image says.
    for key, value in labels(name, workspace.root, cell).items():
        argv += ["--label", f"{key}={value}"]
    argv += [] if entrypoint is None else ["--entrypoint", entrypoint]
    began = now()
    with _same_input(), output.hushed():  # the program's own, which may wait for something
        try:
            code = commands.hand_over([*argv, image, *arguments])
            if code in _GAVE_UP and output.is_unread():
                code = _unread(workspace, name, code)
        except BaseException:
            with deferred():
                _remove(workspace, name, max(began + _CREATING_SECONDS, now() + _LAST_SECONDS))
            raise
    if code:
        why = _why(workspace, cell, image, entrypoint, arguments) if code in _NOT_STARTED else ""
        raise RunError(f"{cell} ended with exit code {code}{why}", code)


def _unread(workspace: Workspace, name: str, code: int) -> int:
    """Return the exit code of a program whose output nobody reads; one that goes on is ended, with 0.

    docker gives up where it cannot write any more, and leaves its container running. ``code`` is
    docker's own, for where the program's is not known any more.
    """
    query = workspace.commands.query_within
    said = query(["docker", "wait", name], _ENDING_SECONDS)
    ended = said.stdout.strip() if said is not None else ""
    goes_on = False
    if not ended:
        argv = ["docker", "inspect", "--format", "{{.State.Running}}", name]
        state = query(argv, _ANSWER_SECONDS)
        goes_on = state is None or state.stdout.strip() == "true"
    if not ended and not goes_on:  # it is gone already
        argv = ["docker", "events", "--since", "24h", "--until", "0s", "--filter", "event=die"]
        argv += ["--filter", f"container={name}", "--format", "{{.Actor.Attributes.exitCode}}"]
        events = query(argv, _ANSWER_SECONDS)
        ended = events.stdout.strip() if events is not None else ""
    with deferred():
        _remove(workspace, name, 0)
    if goes_on:
        return 0
    return int(ended) if ended.isdigit() else code


def _remove(workspace: Workspace, name: str, until: float) -> None:
    """Remove a container whose process may ignore signals; the engine may just be creating it."""
    argv = ["docker", "rm", "--force", "--volumes", name]
    latest = now() + _BUSY_SECONDS
    while now() < latest:
        said = workspace.commands.query(argv)
        is_unknown = "no such container" in said.stderr.lower()
        if said.stdout.strip() or (is_unknown and now() >= until):
            return
        time.sleep(_PAUSE)


def _image(workspace: Workspace, target: TargetPlan, cell: Cell) -> str:
    """Return what the cell is run from; under --dry, its name where it is not built yet."""
    reference_of(target)
    if not workspace.commands.is_dry:
        capability.require_runnable(workspace.engine, [cell])
    try:
        image = location.locate(workspace, target, [cell.platform])
    except EngineError:
        if workspace.commands.is_dry:
            return location.named(workspace.ledger, target, [cell.platform])
        raise
    if cell.platform not in image.manifests:
        raise EngineError(
            f"{reference_of(target)} has no {cell.platform}; run invoke build -t {target.name}"
        )
    return image.runnable(cell.platform)


def _streams(*, alone: bool) -> list[str]:
    """Return the options that give the program this process's input: a terminal, or what is piped in."""
    if sys.stdin is None or sys.stdin.closed:
        return []
    if sys.stdin.isatty():
        return ["--interactive", "--tty"] if sys.stdout.isatty() else []
    mode = _mode()
    piped = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return ["--interactive"] if stat.S_ISREG(mode) or (piped and alone) else []


def _mode() -> int:
    try:
        return os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # not a file of this process, as in a test
        return 0


@contextlib.contextmanager
def _same_input() -> Iterator[None]:
    """Let what comes after read a file on standard input from the same place."""
    if sys.stdin is None or not stat.S_ISREG(_mode()):
        yield
        return
    number = sys.stdin.fileno()
    place = os.lseek(number, 0, os.SEEK_CUR)
    try:
        yield
    finally:
        os.lseek(number, place, os.SEEK_SET)


@contextlib.contextmanager
def _created(workspace: Workspace, cell: Cell, image: str, **settings: Any) -> Iterator[Any]:
    """Create a container to look into; it is never started, and gone afterwards."""
    ours = labels(uuid.uuid4().hex, workspace.root, cell)
    with faults(), refusals():
        container = workspace.engine.client.containers.create(
            image, platform=str(cell.platform), labels=ours, network_mode="none", **settings
        )
        try:
            yield container
        finally:
            with deferred():
                container.remove(force=True, v=True)


def _shell(workspace: Workspace, cell: Cell, image: str) -> str:
    try:
        with _created(workspace, cell, image, command=["-"]) as container:
            found = next((path for path in _SHELLS if has_path(container, path)), "")
    except (EngineError, RefusedError):
        if workspace.commands.is_dry:
            return "/bin/sh"  # it is not built yet
        raise
    if not found:
        raise EngineError(
            f"{cell} has no shell ({', '.join(_SHELLS)}); look at its files with docker export, or "
            "build a stage that has one (target = …)"
        )
    return found


def _why(
    workspace: Workspace,
    cell: Cell,
    image: str,
    entrypoint: str | None,
    arguments: Sequence[str],
) -> str:
    """Return why its program could not be started, where its file says that."""
    settings: dict[str, Any] = {} if entrypoint is None else {"entrypoint": [entrypoint]}
    try:
        with _created(workspace, cell, image, command=list(arguments) or None, **settings) as made:
            reason = programs.why_not(
                start_of(made),
                cell.platform,
                lambda path: read_file(made, path, programs.MOST_BYTES),
                is_executable=lambda path: is_executable(made, path),
            )
    except (EngineError, RefusedError):
        return ""
    return f": {reason}" if reason else ""
