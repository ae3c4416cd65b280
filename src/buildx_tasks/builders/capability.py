"""What can be built and run from here: asked before the work starts, answered with the fix.

A cell whose emulator is missing would fail minutes later with ``exec format error``, one whose node
is down after 20 s with ``context deadline exceeded`` and no name.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from buildx_tasks import platforms
from buildx_tasks.builders import emulators, nodes, reconcile
from buildx_tasks.builders import state as builders
from buildx_tasks.dockerfiles import stages as dockerfile
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.commands import is_dry, run, write_file
from buildx_tasks.planning.dockerfile_builds import cases, local_text
from buildx_tasks.planning.selection import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from invoke import Context

    from buildx_tasks.builders.state import BuilderState, NodeState
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.dockerfile_builds import Case
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform

    Native = Callable[[Platform], bool]

_FIX = "run invoke setup"


class Reach(NamedTuple):
    """What the builder can do.

    ``native`` says whether a platform's programs run without emulation on some node, ``runs``
    whether they run at all; ``down`` are the nodes that do not answer and cannot be started.
    """

    native: Callable[[Platform], bool]
    runs: Callable[[Platform], bool]
    down: tuple[NodeState, ...] = ()
    alive: tuple[NodeState, ...] = ()


def of(c: Context, builder: Builder | None, wanted: Iterable[Platform]) -> Reach:
    """Return what the builder that is meant can do about the wanted platforms.

    Raises:
        EngineError: the builder is not there, or none of its nodes answers.

    """
    if builder is None:
        own = not builders.overridden()
    else:
        own = builder.driver == "docker" and not builder.endpoint
    if own and (found := _of_engine(c, wanted)):
        return found
    return _of_nodes(c, builders.name_of(builder), builder)


def _of_engine(c: Context, wanted: Iterable[Platform]) -> Reach | None:
    """Return what this machine's engine can do; None where the engine is somewhere else."""
    if sys.platform != "linux":
        return None  # the engine's kernel is another one
    if engine.chosen():
        host = os.environ.get("DOCKER_HOST") or builders.context_host(c, engine.context_name())
        if not host.startswith("unix://"):
            return None
    here = platforms.host_platform()
    foreign = [p for p in wanted if not platforms.runs_natively(p, here)]
    lacking = frozenset(emulators.not_running(p for p in foreign if p.os == "linux"))
    # Asked only where something is missing: a build that works pays for no connection.
    if lacking and not emulators.is_local(engine.connect()):
        return None
    return Reach(lambda p: platforms.runs_natively(p, here), lambda p: p not in lacking)


def _of_nodes(c: Context, name: str, builder: Builder | None) -> Reach:
    state = builders.inspected(c, name)
    if state is None or not state.nodes:
        fix = f"unset {builders.CURRENT_VARIABLE}, or create it" if builder is None else _FIX
        raise EngineError(f'builder "{name}" is not there or does not answer; {fix}')
    down = tuple(node for node in state.nodes if is_down(state, node))
    alive = tuple(node for node in state.nodes if node not in down)
    if not alive:
        raise EngineError(f"{_named(down)} does not answer; start it")
    pins = {n.name: n.platforms for n in nodes.declared(builder, Path())} if builder else {}
    # A node's own platform comes first, unless others are pinned to it.
    here = (platforms.host_platform(),)
    natively = {p for node in alive for p in pins.get(node.name) or node.platforms[:1] or here}
    possible = {platform for node in alive for platform in node.platforms}
    # What a node that the build will start can emulate is not known before.
    known = all(node.running for node in alive)
    return Reach(
        lambda p: any(platforms.runs_natively(p, one) for one in natively),
        lambda p: not known or any(platforms.runs_natively(p, one) for one in possible),
        down,
        alive,
    )


def is_down(state: BuilderState, node: NodeState) -> bool:
    """Say whether a node does not answer, and the build will not start it either."""
    return not node.running and (state.driver in builders.NOT_STARTED or bool(node.error))


def _named(found: Sequence[NodeState]) -> str:
    return ", ".join(f'node "{node.name}" at {node.endpoint}' for node in found)


@contextlib.contextmanager
def required(c: Context, plan: Plan, root: Path) -> Iterator[Builder | None]:
    """Yield the builder to use, once it is clear that it can build every selected cell.

    Where a node is down and the others can do its work, that is a builder of the others, made for
    this build and removed after it.

    Raises:
        EngineError: cells that no node can build, each named, with the fix.

    """
    builder = builders.meant(plan.config, root)
    everything = (*plan.targets, *plan.linked)
    reach = of(c, builder, {p for target in everything for p in target.platforms})
    never = plan.config.emulators.source == "never"
    able = reach.native if never else reach.runs
    found = [
        (Cell(case.target, platform), step)
        for case in cases(plan)
        for platform in case.platforms
        if not able(platform) and (step := _needs_to_run(case, platform, able, root))
    ]
    if found:
        raise EngineError(_unbuildable(found, reach, never=never))
    with _of_those_that_answer(c, builder, reach, root) as used:
        yield used


@contextlib.contextmanager
def standing(c: Context, plan: Plan, root: Path) -> Iterator[tuple[Builder | None, Native]]:
    """Yield a builder whose nodes all answer, and what says which platforms it runs natively.

    Raises:
        EngineError: the builder is not there, or none of its nodes answers.

    """
    builder = builders.meant(plan.config, root)
    if is_dry(c):
        here = platforms.host_platform()
        yield builder, lambda platform: platforms.runs_natively(platform, here)
        return
    reach = of(c, builder, ())
    with _of_those_that_answer(c, builder, reach, root) as used:
        yield used, reach.native


def _unbuildable(found: list[tuple[Cell, str]], reach: Reach, *, never: bool) -> str:
    cells = ", ".join(str(cell) for cell, _ in found)
    names = ", ".join(dict.fromkeys(str(cell.platform) for cell, _ in found))
    step = f"{found[0][1]} runs there"
    if reach.down:
        why = f"{_named(reach.down)} does not answer, and no other node runs {names}"
        return (
            f"{cells} cannot be built: {step}, {why}; start it, or select other platforms with -p"
        )
    if never:
        return (
            f"{cells} cannot be built: {step}, no node runs {names} natively, and [emulators] from = "
            '"never"; declare a node that does, or pin the stage to $BUILDPLATFORM (invoke lint)'
        )
    return (
        f"{cells} cannot be built: {step}, and there is no emulator for {names}; {_FIX}, "
        "or pin the stage to $BUILDPLATFORM (invoke lint)"
    )


def _needs_to_run(
    case: Case, platform: Platform, able: Callable[[Platform], bool], root: Path
) -> str:
    """Return where a platform's build runs programs that nothing here runs; ``""`` if nowhere.

    What cannot be read from here, as a Dockerfile in a git repository, is believed to work.
    """
    text = local_text(case, root)
    if text is None:
        return ""
    with contextlib.suppress(ValueError):  # BuildKit will say what is wrong with it
        for _, instruction in dockerfile.emulated_runs(
            text, platform, able, case.args, case.stage, case.contexts
        ):
            return f"{case.file}:{instruction.line}"
    return ""


def require_runnable(c: Context, cells: Sequence[Cell]) -> None:
    """Raise where this machine's engine cannot run some of the cells.

    Raises:
        EngineError: their emulators are missing.

    """
    reach = _of_engine(c, {cell.platform for cell in cells})
    lacking = [cell for cell in cells if reach and not reach.runs(cell.platform)]
    if lacking:
        names = ", ".join(dict.fromkeys(str(cell.platform) for cell in lacking))
        raise EngineError(
            f"{', '.join(map(str, lacking))} cannot run: there is no emulator for {names}; {_FIX}, "
            "or select other platforms with -p"
        )


def _of_those_that_answer(
    c: Context, builder: Builder | None, reach: Reach, root: Path
) -> AbstractContextManager[Builder | None]:
    if not reach.down or builder is None:
        return contextlib.nullcontext(builder)
    return _of_the_rest(c, builder, reach, root)


@contextlib.contextmanager
def _of_the_rest(c: Context, builder: Builder, reach: Reach, root: Path) -> Iterator[Builder]:
    """Yield a builder of the nodes that answer; it is gone afterwards, its nodes are untouched."""
    alive = {node.name for node in reach.alive}
    rest = [node for node in nodes.declared(builder, root) if node.name in alive]
    if not rest:
        raise EngineError(f"{_named(reach.down)} does not answer; start it")
    left = "-".join(node.name for node in reach.down)
    # With this process's number: other projects may build with the rest of this builder too.
    name = f"{builder.name}-without-{left}-{os.getpid()}"
    changed = msgspec.structs.replace(builder, name=name)
    print(
        f"{_named(reach.down)} does not answer; built without it",
        file=sys.stderr,
        flush=True,
    )
    sweep(c, builder, root)
    try:
        for change in reconcile.creation(changed, rest):
            for path, text in change.files.items():
                write_file(root / path, text)
            for argv in change.commands:
                if not (result := run(c, argv, folder=root, hide=True)).ok:
                    raise EngineError(f"{changed.name} cannot be made: {result.stderr.strip()}")
        yield changed
    finally:
        run(c, reconcile.removal(name, "--keep-daemon"), folder=root, hide=True)


def sweep(c: Context, builder: Builder, root: Path) -> None:
    """Remove the builders of the rest that builds left behind when they were killed."""
    pattern = re.compile(re.escape(builder.name) + r"-without-.+-(\d+)")
    folder = engine.buildx_folder() / "instances"  # where buildx keeps a file for each builder
    for path in folder.glob(f"{builder.name}-without-*") if folder.is_dir() else ():
        found = pattern.fullmatch(path.name)
        if found and not _is_alive(int(found[1])):
            run(c, reconcile.removal(path.name, "--keep-daemon"), folder=root, hide=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def explain_loss(c: Context, builder: Builder | None, said: str) -> None:
    """Raise if a failed build is explained by a node that was lost.

    Raises:
        EngineError: with the node's name.

    """
    if builder is None or builder.driver == "docker":
        return
    state = builders.inspected(c, builder.name)
    lost = [node for node in state.nodes if is_down(state, node)] if state else []
    if lost:
        raise EngineError(
            f"{_named(lost)} was lost during the build; run it again: the other nodes build what "
            "they can"
        )
    if "code = Unavailable" in said:
        raise EngineError(
            f'a node of builder "{builder.name}" was lost during the build, and answers again; '
            "run it again"
        )
