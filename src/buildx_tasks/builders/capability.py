"""A plan in; what can build and run it from here, or the fix, out: asked before the work starts."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.builders import choice, emulators, nodes, remaining
from buildx_tasks.builders.state import inspected, titles
from buildx_tasks.dockerfiles import stages
from buildx_tasks.engine import explanation, settings
from buildx_tasks.errors import EngineError
from buildx_tasks.planning.cells import Cell
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buildx_tasks.builders.state import BuilderState, NodeState
    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native, Platform
    from buildx_tasks.workspace import Workspace

_FIX = "run invoke setup"


class Capability(NamedTuple):
    """What the builder can do.

    ``native`` says whether a platform's programs run without emulation on some node, ``runs``
    whether they run at all; ``down`` are the nodes that do not answer and cannot be started.
    """

    native: Native
    runs: Native
    down: tuple[NodeState, ...] = ()
    alive: tuple[NodeState, ...] = ()


def of(engine: Engine, builder: Builder | None, wanted: Iterable[Platform]) -> Capability:
    """Return what the builder that is meant can do about the wanted platforms.

    Raises:
        EngineError: the builder is not there, or none of its nodes answers.

    """
    if choice.is_engines_own(builder) and (found := _of_engine(engine, wanted)):
        return found
    return _of_nodes(engine, choice.name_of(builder), builder)


def _of_engine(engine: Engine, wanted: Iterable[Platform]) -> Capability | None:
    """Return what this machine's engine can do; None where the engine is somewhere else."""
    if sys.platform != "linux":
        return None  # the engine's kernel is another one
    if settings.chosen():
        host = os.environ.get("DOCKER_HOST") or settings.context_host(
            engine.commands, settings.context_name()
        )
        if not host.startswith("unix://"):
            return None
    here = platforms.host_platform()
    foreign = [p for p in wanted if not platforms.runs_natively(p, here)]
    lacking = frozenset(emulators.not_running(p for p in foreign if p.os == "linux"))
    # Asked only where something is missing: a build that works pays for no connection.
    if lacking and not engine.is_local:
        return None
    return Capability(
        lambda p: platforms.runs_natively(p, here),
        lambda p: p not in lacking and p.os == "linux",
    )


def _of_nodes(engine: Engine, name: str, builder: Builder | None) -> Capability:
    state = inspected(engine, name)
    if state is None or not state.nodes:
        if builder is None and not choice.overridden():
            settings.require_context()
        fix = f"unset {choice.CURRENT_VARIABLE}, or create it" if builder is None else _FIX
        raise EngineError(f'builder "{name}" is not there or does not answer; {fix}')
    down = tuple(node for node in state.nodes if _is_down(state, node))
    alive = tuple(node for node in state.nodes if node not in down)
    if not alive:
        raise EngineError(f"{titles(down)} does not answer; start it")
    pins = {n.name: n.platforms for n in nodes.declared(builder, Path())} if builder else {}
    # A node's own platform comes first, unless others are pinned to it.
    here = (platforms.host_platform(),)
    natively = {p for node in alive for p in pins.get(node.name) or node.platforms[:1] or here}
    possible = {platform for node in alive for platform in node.platforms}
    # What a node that the build will start can emulate is not known before.
    known = all(node.running for node in alive)
    return Capability(
        lambda p: any(platforms.runs_natively(p, one) for one in natively),
        lambda p: not known or any(platforms.runs_natively(p, one) for one in possible),
        down,
        alive,
    )


def _is_down(state: BuilderState, node: NodeState) -> bool:
    """Say whether a node does not answer, and the build will not start it either."""
    return not node.running and (state.driver in choice.NOT_STARTED or bool(node.error))


@contextlib.contextmanager
def required(workspace: Workspace, plan: Plan) -> Iterator[tuple[Builder | None, Native]]:
    """Yield the builder to use, once it is clear that it can build every selected cell.

    With it comes what says which platforms it runs natively.

    A cell whose emulator is missing would fail minutes later with ``exec format error``, one whose
    node is down after 20 s with ``context deadline exceeded`` and no name. Where a node is down and
    the others can do its work, the builder is one of the others, made for this build and removed
    after it.

    Raises:
        EngineError: cells that no node can build, each named, with the fix.

    """
    builder = choice.meant(workspace)
    choice.say_override(workspace)
    everything = (*plan.targets, *plan.linked)
    able = of(workspace.engine, builder, {p for target in everything for p in target.platforms})
    never = plan.config.emulators.source == "never"
    runs = able.native if never else able.runs
    found = [
        (Cell(build.target, platform), step)
        for build in dockerfile_builds(plan)
        for platform in build.platforms
        if not runs(platform) and (step := _needs_to_run(build, platform, runs, workspace.root))
    ]
    if found:
        raise EngineError(_unbuildable(found, able.down, never=never))
    with remaining.of_those_that_answer(workspace, builder, able.down, able.alive) as used:
        yield used, able.native


@contextlib.contextmanager
def standing(workspace: Workspace) -> Iterator[tuple[Builder | None, Native]]:
    """Yield a builder whose nodes all answer, and what says which platforms it runs natively.

    Raises:
        EngineError: the builder is not there, or none of its nodes answers.

    """
    builder = choice.meant(workspace)
    if workspace.commands.is_dry:
        here = platforms.host_platform()
        yield builder, lambda platform: platforms.runs_natively(platform, here)
        return
    able = of(workspace.engine, builder, ())
    with remaining.of_those_that_answer(workspace, builder, able.down, able.alive) as used:
        yield used, able.native


def _unbuildable(found: list[tuple[Cell, str]], down: Sequence[NodeState], *, never: bool) -> str:
    cells = ", ".join(str(cell) for cell, _ in found)
    names = ", ".join(dict.fromkeys(str(cell.platform) for cell, _ in found))
    step = f"{found[0][1]} runs there"
    if down:
        why = f"{titles(down)} does not answer, and no other node runs {names}"
        return (
            f"{cells} cannot be built: {step}, {why}; start it, or select other platforms with -p"
        )
    if all(cell.platform.os != "linux" for cell, _ in found):
        return (
            f"{cells} cannot be built: {step}, and nothing here runs programs of {names}; make the files "
            "in a stage FROM --platform=$BUILDPLATFORM, and COPY them"
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


def _needs_to_run(build: DockerfileBuild, platform: Platform, runs: Native, root: Path) -> str:
    """Return where a platform's build runs programs that nothing here runs; ``""`` if nowhere.

    What cannot be read from here, as a Dockerfile in a git repository, is believed to work.
    """
    text = local_text(build, root)
    if text is None:
        return ""
    with contextlib.suppress(ValueError):  # BuildKit will say what is wrong with it
        for _, instruction in stages.emulated_runs(
            text, platform, runs, build.args, build.stage, build.contexts
        ):
            return f"{build.file}:{instruction.line}"
    return ""


def require_runnable(engine: Engine, cells: Sequence[Cell]) -> None:
    """Raise where this machine's engine cannot run some of the cells.

    Raises:
        EngineError: their emulators are missing.

    """
    able = _of_engine(engine, {cell.platform for cell in cells})
    lacking = [cell for cell in cells if able and not able.runs(cell.platform)]
    if lacking:
        names = ", ".join(dict.fromkeys(str(cell.platform) for cell in lacking))
        raise EngineError(
            f"{', '.join(map(str, lacking))} cannot run: there is no emulator for {names}; {_FIX}, "
            "or select other platforms with -p"
        )


def explain_loss(engine: Engine, builder: Builder | None, said: str) -> None:
    """Raise if a failed build is explained by a node that was lost.

    Raises:
        EngineError: with the node's name.

    """
    if builder is None or builder.driver == "docker":
        return
    state = inspected(engine, builder.name)
    lost = [node for node in state.nodes if _is_down(state, node)] if state else []
    if lost:
        raise EngineError(
            f"{titles(lost)} was lost during the build; run it again: the other nodes build what "
            "they can"
        )
    if "code = Unavailable" in said:
        raise EngineError(
            f'a node of builder "{builder.name}" was lost during the build, and answers again; '
            "run it again"
        )


def explain_failure(
    engine: Engine, builder: Builder | None, widest: Sequence[Platform] = ()
) -> None:
    """Raise if engine, buildx, builder or image store explain why a build failed.

    ``widest`` are the platforms of the widest image.

    Raises:
        EngineError: with what is missing and how to go on.

    """
    needs_engine = builder is None or builder.driver in choice.ENGINES
    explanation.explain_failure(
        engine, widest if needs_engine else None, builder.name if builder else None
    )


def local_text(build: DockerfileBuild, root: Path) -> str | None:
    """Return a Dockerfile's text without asking an engine; None where it is not here."""
    if "dockerfile-inline" in build.attributes:
        return str(build.attributes["dockerfile-inline"])
    path = root / build.file
    if not path.exists():
        path = path.with_name(path.name.lower())  # buildx takes `dockerfile` too
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
