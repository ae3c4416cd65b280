"""``setup``: what is declared against what is there, as a plan; then the plan is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.builders import capability as reach
from buildx_tasks.builders import emulators, nodes, reconcile
from buildx_tasks.builders import state as builders
from buildx_tasks.builders.reconcile import Change
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.commands import is_dry, locked, print_files, run, write_file
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import docker
    from invoke import Context

    from buildx_tasks.builders.state import BuilderState
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.expansion import Config
    from buildx_tasks.platforms import Platform

SILENT_HINT = "start it, or take it out of [builder] and run invoke setup"


class Look(NamedTuple):
    """What is declared against what is there.

    ``notes`` say what was chosen and why, ``changes`` what is to be done, ``silent`` which nodes do
    not answer although nothing here could start them, ``lacking`` which platforms get an emulator,
    ``fallback`` that a builder is used instead of the engine's own.
    """

    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    silent: tuple[str, ...] = ()
    lacking: tuple[Platform, ...] = ()
    fallback: bool = False


def setup(
    c: Context, config: Config, root: Path, show: Callable[[str], None], *, check: bool = False
) -> Look:
    """Make emulators and builder what is declared; with ``check`` only say what differs.

    ``show`` is called with each line of the plan before it is carried out. Setups wait for each
    other, in whichever projects they run.

    Raises:
        EngineError: something is missing that this cannot make, or a node does not answer.

    """
    if check or is_dry(c):
        found = look(c, config, root)
        if check:
            # All our commands name their builder: which one is in use is the person's own choice.
            found = found._replace(changes=tuple(x for x in found.changes if x.event != "used"))
        for line in (*found.notes, *(change.words for change in found.changes), *found.silent):
            if check:
                show(line)
        for change in () if check else found.changes:
            print_files(change.files, root)
            for argv in change.commands:
                run(c, argv, folder=root)
        return found
    with locked(engine.config_folder() / "buildx-tasks.lock", "another setup"):
        found = look(c, config, root)
        for line in (*found.notes, *(change.words for change in found.changes)):
            show(line)
        if found.fallback and not builders.meant(config, root):
            # Somebody made it before: it is meant from now on, and not ours to remove.
            ledger.record(root, "chosen", [{"builder": builders.FALLBACK.name}])
        if found.silent:
            raise EngineError(f"{'; '.join(found.silent)}; {SILENT_HINT}")
        if config.builder:
            reach.sweep(c, config.builder, root)
        for change in found.changes:
            if change.event == "bootstrapped":
                # Where nothing can be started, waiting for it would take 20 s and name no node.
                _require_answers(c, config, root)
            _record(root, config, change)
            _carry_out(c, change, root)
        if found.changes:
            _require_running(c, config, root, found.lacking)
    return found


def look(c: Context, config: Config, root: Path, *, emulated: bool = True) -> Look:
    """Compare what is declared with what is there; ask, and change nothing.

    Without ``emulated`` the emulators are not looked at.

    Raises:
        EngineError: something is missing that no setup could make.

    """
    declared = config.builder
    try:
        client = engine.connect()
    except EngineError:
        if declared is None or declared.driver in builders.ENGINES:
            raise
        client = None
    known = builders.states(c)
    if declared is None and builders.overridden() and builders.name_of(None) not in known:
        raise EngineError(
            f'{builders.CURRENT_VARIABLE} names "{builders.name_of(None)}", which is no builder; '
            "unset it, or create that builder"
        )
    notes: list[str] = []
    changes: list[Change] = []
    if declared is None and client:
        declared, why = _instead(client, config)
        notes.append(why)
        if declared is None and builders.meant(config, root):
            argv = tuple(reconcile.removal(builders.FALLBACK.name))
            words = f'remove builder "{builders.FALLBACK.name}": it is not needed any more'
            made = any(e["event"] == "created" for e in ledger.read(root))
            changes.append(Change(words, (argv,) if made else (), event="removed"))
    state = known.get(declared.name) if declared else None
    needed = emulators.needed_platforms(config) if emulated else frozenset()
    lacking = emulators.missing(client, needed) if client else []
    registered = _registration(config, declared, state, lacking, notes)
    changes += _builder_changes(c, declared, state, root)
    silent = tuple(_silent(state)) if state and not changes else ()
    starting = bool(registered or changes or (state and not state.running and not silent))
    if declared and declared.driver != "docker" and (changes or not (state and state.current)):
        argv = ("docker", "buildx", "use", declared.name)
        changes.append(Change(f'use builder "{declared.name}"', (argv,), event="used"))
    if starting:
        name = declared.name if declared else builders.name_of(None)
        argv = ("docker", "buildx", "inspect", "--bootstrap", name)
        changes.append(Change(f'bootstrap builder "{name}"', (argv,), event="bootstrapped"))
    return Look(
        tuple(notes),
        (*registered, *changes),
        silent,
        tuple(lacking) if registered else (),
        fallback=declared is builders.FALLBACK,
    )


def _builder_changes(
    c: Context, declared: Builder | None, state: BuilderState | None, root: Path
) -> list[Change]:
    if declared is None or (declared.driver == "docker" and declared.name == "default"):
        return []
    if declared.driver == "docker":
        return reconcile.context_changes(c, declared, state)
    if state is None:
        builders.require_driver(c, declared.driver)
    return reconcile.node_changes(c, declared, nodes.declared(declared, root), state, root)


def _instead(client: docker.DockerClient, config: Config) -> tuple[Builder | None, str]:
    """Return the builder for a file that declares none, and why: None is the engine's own."""
    own = builders.name_of(None)
    if builders.overridden():
        return None, f'builder "{own}": named by {builders.CURRENT_VARIABLE}'
    info = client.info()
    if engine.has_containerd_store(info):
        return None, f'builder "{own}": the engine\'s own, which can do all that is declared'
    reasons = list(beyond_classic_store(config))
    if not reasons:
        return None, f'builder "{own}": the engine\'s own, which can do all that is declared'
    return builders.FALLBACK, (
        f'builder "{builders.FALLBACK.name}" (docker-container): the engine\'s own cannot '
        f"{reasons[0]}, for its image store is the classic one ({info.get('Driver')})"
    )


def beyond_classic_store(config: Config) -> Iterator[str]:
    """Yield what the engine's own builder cannot do without the containerd image store.

    Source: https://docs.docker.com/build/builders/drivers/ (the table of features)
    """
    for name, target in config.target.items():
        if len(target.platforms) > 1:
            yield f"make images of several platforms ({name})"
        if any(entry["type"] != "inline" for entry in target.attributes.get("cache-to", ())):
            yield f"export caches ({name})"
        if target.attributes.get("attest"):
            yield f"attest images ({name})"
        if any(entry["type"] == "oci" for entry in target.output):
            yield f"export OCI layouts ({name})"


def _registration(
    config: Config,
    declared: Builder | None,
    state: BuilderState | None,
    lacking: Sequence[Platform],
    notes: list[str],
) -> list[Change]:
    if not lacking:
        return []
    elsewhere = {*nodes.pinned(declared), *(state.platforms if state else ())}
    # A build says itself which cells it cannot build: not all of them need to run something.
    built_elsewhere = config.emulators.source == "never" or (
        declared is not None
        and (declared.driver not in ("docker", "remote") or elsewhere.issuperset(lacking))
    )
    try:
        return [emulators.registration(config.emulators, lacking)]
    except EngineError as error:
        if not built_elsewhere:
            raise
        notes.append(f"run and verify cannot run every platform here: {error}")
        return []


def _silent(state: BuilderState) -> Iterator[str]:
    """Yield the nodes that do not answer, where buildx has no means to start them."""
    for node in state.nodes if state.driver in builders.NOT_STARTED else ():
        if not node.running:
            reason = nodes.unreachable(node.endpoint, node.driver_opts)
            because = f" ({reason})" if reason else ""
            yield f'node "{node.name}" at {node.endpoint} does not answer{because}'


def _carry_out(c: Context, change: Change, root: Path) -> None:
    if change.files:
        ledger.prepare(root)
    for path, text in change.files.items():
        write_file(root / path, text)
    for argv in change.commands:
        result = run(c, argv, folder=root, hide=True)
        if not result.ok:
            # Not the command: its options can hold what others should not read.
            said = [line for line in result.stderr.splitlines() if line.strip()]
            raise EngineError(f"{change.words}: {''.join(said[-1:])}{_hint(result.stderr)}")


def _hint(said: str) -> str:
    """Return what to do about the failures that buildx explains least."""
    if "moby/buildkit" in said or "ulling image" in said:
        return (
            "; BuildKit's image cannot be pulled: name one that can in driver-opts, as in "
            'image = "mirror.example/moby/buildkit:buildx-stable-1", or use driver = "docker"'
        )
    if "ubernetes" in said or "deployments" in said:
        return "; the cluster is that of the kubeconfig (KUBECONFIG): see kubectl cluster-info"
    if "config file is not supported" in said:
        return "; buildx's buildkitd.default.toml is for every builder: move it away"
    return "; docker buildx says more with --debug"


def _record(root: Path, config: Config, change: Change) -> None:
    """Note what setup makes, so that clean removes it; beforehand, for it may be killed."""
    if change.event in ("created", "removed"):
        made = config.builder or builders.FALLBACK
        ledger.record(root, change.event, [{"builder": made.name, "driver": made.driver}])


def _state(c: Context, config: Config, root: Path) -> BuilderState | None:
    return builders.states(c).get(builders.name_of(builders.meant(config, root)))


def _require_answers(c: Context, config: Config, root: Path) -> None:
    if config.builder is None or config.builder.driver not in builders.NOT_STARTED:
        return
    state = _state(c, config, root)
    if state and (silent := list(_silent(state))):
        raise EngineError(f"{'; '.join(silent)}; {SILENT_HINT}")


def _require_running(c: Context, config: Config, root: Path, lacking: Sequence[Platform]) -> None:
    """Raise unless every node runs, and every emulator that was registered works."""
    if config.builder is None or config.builder.driver not in builders.NOT_STARTED:
        state = _state(c, config, root)
        if state is None or not state.running:
            name = builders.name_of(builders.meant(config, root))
            raise EngineError(
                f'builder "{name}" does not run; docker buildx inspect --bootstrap {name} says why'
            )
    for platform in lacking:
        if reason := emulators.runs_in_container(engine.connect(), platform):
            raise EngineError(
                f"the emulator for {platform} was registered, but runs nothing: {reason}; "
                f"see {emulators.BINFMT}"
            )
