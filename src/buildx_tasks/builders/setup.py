"""A project in; the steps that make emulators and builder what is declared, done or only said, out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.builders import choice, emulators, nodes, reconcile, remaining
from buildx_tasks.builders.reconcile import Change
from buildx_tasks.builders.state import BuilderState, states
from buildx_tasks.engine import settings
from buildx_tasks.engine.trial import runs_in_container
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import write_file
from buildx_tasks.machine.locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.targets import Config
    from buildx_tasks.machine.things import Things
    from buildx_tasks.platforms import Platform
    from buildx_tasks.workspace import Workspace

_DOING = {
    "": "is made",
    "created": "is created",
    "removed": "is removed",
    "used": "is taken into use",
    "bootstrapped": "starts",
}
SILENT_HINT = "start it, or take it out of [builder] and run invoke setup"


class Look(NamedTuple):
    """What is declared against what is there.

    ``notes`` say what was chosen and why, ``changes`` what is to be done, ``known`` the builders that
    were there, ``silent`` which nodes do not answer although nothing here could start them,
    ``lacking`` which platforms get an emulator, ``fallback`` that a builder is used instead of the
    engine's own.
    """

    notes: tuple[str, ...]
    changes: tuple[Change, ...]
    known: Mapping[str, BuilderState]
    silent: tuple[str, ...] = ()
    lacking: tuple[Platform, ...] = ()
    fallback: bool = False


def setup(workspace: Workspace, show: Callable[[str], None], *, check: bool = False) -> Look:
    """Make emulators and builder what is declared; with ``check`` only say what differs.

    ``show`` is called with each line of the plan before it is carried out. Setups wait for each
    other, in whichever projects they run.

    Raises:
        EngineError: something is missing that this cannot make, or a node does not answer.

    """
    if check:
        found = look(workspace)
        # All our commands name their builder: which one is in use is the person's own choice.
        found = found._replace(changes=tuple(x for x in found.changes if x.event != "used"))
        for line in (*found.notes, *(change.words for change in found.changes), *found.silent):
            show(line)
        return found
    if workspace.commands.is_dry:
        found = look(workspace)
        for change in found.changes:
            workspace.commands.print_files(change.files)
            for argv in change.commands:
                workspace.commands.run(argv)
        return found
    with locked(settings.config_folder() / "buildx-tasks.lock", "another setup"):
        found = look(workspace)
        for line in (*found.notes, *(change.words for change in found.changes)):
            show(line)
        _make(workspace, found, show)
    return found


def _make(workspace: Workspace, found: Look, show: Callable[[str], None]) -> None:
    builder = workspace.config.builder
    if found.fallback and not choice.meant(workspace):
        # Somebody made it before: it is meant from now on, and not ours to remove.
        workspace.ledger.record("chosen", [{"builder": choice.FALLBACK.name}])
    if found.silent:
        raise EngineError(f"{'; '.join(found.silent)}; {SILENT_HINT}")
    if builder:
        remaining.sweep(workspace, builder)
    every = dict.fromkeys(name for change in found.changes for name in _things(workspace, change))
    # What asks for a password asks for it on the terminal, and needs the cursor.
    asks = any(argv[0] == "sudo" for change in found.changes for argv in change.commands)
    with workspace.things("done", () if asks else every) as things:
        for change in found.changes:
            if change.event == "bootstrapped":
                # Where nothing can be started, waiting for it would take 20 s and name no node.
                _require_answers(workspace)
            _record(workspace, change)
            with ExitStack() as stack:
                for name in _things(workspace, change):
                    stack.enter_context(things.at(name, _DOING[change.event]))
                carry_out(workspace, change, show)
        if found.changes:
            _require_running(workspace, found.lacking, things)


def _things(workspace: Workspace, change: Change) -> tuple[str, ...]:
    """Return what a change makes, as it is shown: the builder itself where it names nothing."""
    name = choice.name_of(workspace.config.builder or choice.meant(workspace))
    return change.things or (f'builder "{name}"',)


def look(workspace: Workspace, *, emulated: bool = True) -> Look:
    """Compare what is declared with what is there; ask, and change nothing.

    Without ``emulated`` the emulators are not looked at.

    Raises:
        EngineError: something is missing that no setup could make.

    """
    engine = workspace.engine
    declared = workspace.config.builder
    answers = _engine_answers(engine, declared)
    known = states(engine)
    if declared is None and choice.overridden() and choice.name_of(None) not in known:
        raise EngineError(
            f'{choice.CURRENT_VARIABLE} names "{choice.name_of(None)}", which is no builder; '
            "unset it, or create that builder"
        )
    notes: list[str] = []
    changes: list[Change] = []
    if declared and choice.meant(workspace) is None:
        other = choice.name_of(None)
        notes.append(f'builds take "{other}" in its place, for {choice.CURRENT_VARIABLE} names it')
    if declared is None and answers:
        declared, why = _instead(engine, workspace.config)
        notes.append(why)
        if declared is None and choice.meant(workspace):
            argv = tuple(reconcile.removal(choice.FALLBACK.name))
            words = f'remove builder "{choice.FALLBACK.name}": it is not needed any more'
            made = any(e["event"] == "created" for e in workspace.ledger.read())
            changes.append(Change(words, (argv,) if made else (), event="removed"))
    state = known.get(declared.name) if declared else None
    needed = emulators.needed_platforms(workspace.config) if emulated else frozenset()
    lacking = emulators.missing(engine, needed) if answers else []
    registered = _registration(workspace.config, declared, state, lacking, notes)
    changes += _builder_changes(workspace, declared, state)
    silent = tuple(_silent(state)) if state and not changes else ()
    starting = bool(registered or changes or (state and not state.running and not silent))
    if declared and declared.driver != "docker" and (changes or not (state and state.current)):
        argv = ("docker", "buildx", "use", declared.name)
        changes.append(Change(f'use builder "{declared.name}"', (argv,), event="used"))
    if starting:
        name = declared.name if declared else choice.name_of(None)
        argv = ("docker", "buildx", "inspect", "--bootstrap", name)
        its = (
            nodes.declared(declared, workspace.root)
            if declared and declared.driver != "docker"
            else ()
        )
        things = tuple(f'node "{one.name}"' for one in its)
        words = f'bootstrap builder "{name}"'
        changes.append(Change(words, (argv,), event="bootstrapped", things=things))
    return Look(
        tuple(notes),
        (*registered, *changes),
        known,
        silent,
        tuple(lacking) if registered else (),
        fallback=declared is choice.FALLBACK,
    )


def _engine_answers(engine: Engine, declared: Builder | None) -> bool:
    try:
        engine.require()
    except EngineError:
        if declared is None or declared.driver in choice.ENGINES:
            raise
        return False
    return True


def _builder_changes(
    workspace: Workspace, declared: Builder | None, state: BuilderState | None
) -> list[Change]:
    if declared is None or (declared.driver == "docker" and declared.name == "default"):
        return []
    engine, root = workspace.engine, workspace.root
    if declared.driver == "docker":
        return reconcile.context_changes(engine, declared, state)
    if state is None:
        choice.require_driver(engine, declared.driver)
    return reconcile.node_changes(engine, declared, nodes.declared(declared, root), state, root)


def _instead(engine: Engine, config: Config) -> tuple[Builder | None, str]:
    """Return the builder for a file that declares none, and why: None is the engine's own."""
    own = choice.name_of(None)
    if choice.overridden():
        return None, f'builder "{own}": named by {choice.CURRENT_VARIABLE}'
    reasons = [] if engine.has_containerd_store else list(beyond_classic_store(config))
    if not reasons:
        return None, f'builder "{own}": the engine\'s own, which can do all that is declared'
    return choice.FALLBACK, (
        f'builder "{choice.FALLBACK.name}" (docker-container): the engine\'s own cannot '
        f"{reasons[0]}, for its image store is the classic one ({engine.info.get('Driver')})"
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
    for node in state.nodes if state.driver in choice.NOT_STARTED else ():
        if not node.running:
            reason = nodes.unreachable(node.endpoint, node.driver_opts)
            because = f" ({reason})" if reason else ""
            yield f"{node.title} does not answer{because}"


def carry_out(workspace: Workspace, change: Change, show: Callable[[str], None]) -> None:
    """Write the files of a change and run its commands; where one fails, what is instead of it.

    Raises:
        EngineError: a command failed.

    """
    if change.files:
        workspace.ledger.prepare()
    for path, text in change.files.items():
        write_file(workspace.root / path, text)
    for argv in change.commands:
        result = workspace.commands.run(argv, hide=True)
        if not result.ok and (other := change.otherwise) and other.word in argv:
            show(f"{other.words} ({_last(result.stderr)})")
            instead = [other.other if word == other.word else word for word in argv]
            result = workspace.commands.run(instead, hide=True)
        if not result.ok:
            # Not the command: its options can hold what others should not read.
            raise EngineError(f"{change.words}: {_last(result.stderr)}{_hint(result.stderr)}")


def _last(said: str) -> str:
    """Return the last line that a command said, without docker's pointer to its help."""
    lines = [
        line for line in said.splitlines() if line.strip() and not line.startswith("Run 'docker ")
    ]
    return lines[-1] if lines else ""


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


def _record(workspace: Workspace, change: Change) -> None:
    """Note what setup makes, so that clean removes it; beforehand, for it may be killed."""
    if change.event in ("created", "removed"):
        made = workspace.config.builder or choice.FALLBACK
        workspace.ledger.record(change.event, [{"builder": made.name, "driver": made.driver}])


def _state(workspace: Workspace) -> BuilderState | None:
    declared = workspace.config.builder or choice.meant(workspace)
    return states(workspace.engine).get(choice.name_of(declared))


def _require_answers(workspace: Workspace) -> None:
    builder = workspace.config.builder
    if builder is None or builder.driver not in choice.NOT_STARTED:
        return
    state = _state(workspace)
    if state and (silent := list(_silent(state))):
        raise EngineError(f"{'; '.join(silent)}; {SILENT_HINT}")


def _require_running(workspace: Workspace, lacking: Sequence[Platform], things: Things) -> None:
    """Raise unless every node runs, and every emulator that was registered works."""
    builder = workspace.config.builder
    if builder is None or builder.driver not in choice.NOT_STARTED:
        state = _state(workspace)
        if state is None or not state.running:
            name = choice.name_of(builder or choice.meant(workspace))
            raise EngineError(
                f'builder "{name}" does not run; docker buildx inspect --bootstrap {name} says why'
            )
    for platform in lacking:
        with things.at(emulators.thing(platform), "runs a program"):
            reason = runs_in_container(workspace.engine, platform)
        if reason:
            raise EngineError(
                f"the emulator for {platform} was registered, but runs nothing: {reason}; "
                f"see {emulators.BINFMT}"
            )
