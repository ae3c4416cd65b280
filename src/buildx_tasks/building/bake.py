"""A plan in; one ``docker buildx bake``, and what it built, out."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import capability, choice
from buildx_tasks.building import (
    bake_call,
    bases,
    classic_store,
    leftovers,
    location,
    results,
    staging,
)
from buildx_tasks.building.bake_call import BakeCall
from buildx_tasks.building.mounts import Mounts
from buildx_tasks.building.requirements import require_files, require_new_enough, require_readable
from buildx_tasks.building.standing import Standing
from buildx_tasks.building.unchanged import Looked, facts_of
from buildx_tasks.errors import BuildError, EngineError, listed
from buildx_tasks.language.git import source_date_epoch
from buildx_tasks.machine.locks import locked
from buildx_tasks.planning import shared_places
from buildx_tasks.planning.bakefile import build_definition
from buildx_tasks.planning.batches import batches
from buildx_tasks.planning.selection import without
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from invoke import Result

    from buildx_tasks.building.audience import Audience
    from buildx_tasks.building.recording import Recording
    from buildx_tasks.building.results import Built
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native
    from buildx_tasks.workspace import Workspace

_BAKE_FILE = f"{ledger.FOLDER}/bake.json"
_METADATA_FILE = f"{ledger.FOLDER}/metadata.json"

# A name of its own: a person may export into the same folder.
_ARCHIVE = ".image.tar"


class Options(NamedTuple):
    """How it is built: ``progress`` is how buildx shows its work, ``auto`` how the ``audience`` does.

    ``no_cache`` builds every step anew, ``pull`` looks for newer base images, ``locked`` takes those
    that ``buildx.lock`` pins, ``always`` builds what is unchanged, too.
    """

    progress: str = "auto"
    no_cache: bool = False
    pull: bool = False
    locked: bool = True
    always: bool = False
    audience: Audience | None = None


def build(workspace: Workspace, plan: Plan, options: Options) -> list[Built]:
    """Build what has changed with one ``docker buildx bake``; nothing is returned under --dry.

    Very many targets go to bake in batches, for its time grows with their square.

    Raises:
        BuildError: bake failed, and has said why.
        EngineError: it failed because of the engine, buildx, the builder or the image store, or
            there are cells that nothing here can build.

    """
    declared = choice.meant(workspace)
    if workspace.config.builder and declared:
        choice.require_same_engine(workspace.engine, declared)
    require_files(plan, workspace.root)
    require_new_enough(workspace.commands, plan)
    require_readable(plan, workspace.root)
    for dest, names in shared_places.folders(plan.targets).items():
        _say(
            f"note: {listed(names)} export to one folder, {dest}: of two files of one name the "
            "one that is written last stays"
        )
    with _alone(workspace), _builder(workspace, plan) as (builder, native):
        standing = _standing(workspace, plan, builder, options)
        looked = Looked(workspace, plan, standing, _definition(workspace, plan, standing)[0])
        is_anew = options.always or options.no_cache
        built = [] if is_anew else looked.unchanged(plan)
        changed = without(plan, [one.target for one in built])
        if changed.targets:
            built += _built(workspace, changed, options, looked, (standing, native))
    order = {target.name: number for number, target in enumerate(plan.targets)}
    return sorted(built, key=lambda item: order[item.target])


def _built(
    workspace: Workspace,
    plan: Plan,
    options: Options,
    looked: Looked,
    means: tuple[Standing, Native],
) -> list[Built]:
    """Build all of a plan, whose steps are recorded; what is unchanged pays for none of it."""
    from buildx_tasks.building import recording

    whole = recording.Means(*means, options.progress, options.audience, looked)
    parts = batches(plan)
    mounts = _mounts(workspace, plan, whole.standing, options)
    mounts.bring()
    built: list[Built] = []
    with recording.recorded(workspace, plan, whole) as record:
        for number, part in enumerate(parts, start=1):
            if len(parts) > 1:
                _say(f"batch {number} of {len(parts)}: {len(part.targets)} targets")
            built += _build_part(workspace, part, options, looked, record)
    mounts.keep()
    return built


def _mounts(workspace: Workspace, plan: Plan, standing: Standing, options: Options) -> Mounts:
    """Return the cache mounts that outlive the machine; what is built without any cache has none."""
    has_some = workspace.config.cache.mounts and plan.targets and not options.no_cache
    definition = _definition(workspace, plan, standing)[0] if has_some else {"target": {}}
    return Mounts(workspace, standing, definition["target"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _builder(
    workspace: Workspace, plan: Plan
) -> AbstractContextManager[tuple[Builder | None, Native]]:
    """Return the builder to use, and what it runs natively; a dry run takes it as it should be."""
    if workspace.commands.is_dry:
        choice.say_override(workspace)
        return nullcontext((choice.meant(workspace), lambda _: True))
    return capability.required(workspace, plan)


def _standing(
    workspace: Workspace, plan: Plan, builder: Builder | None, options: Options
) -> Standing:
    """Return what all that is built reads, said once; refuse what cannot be built from it."""
    is_dry = workspace.commands.is_dry
    found = Standing(
        workspace, plan, builder, pull=options.pull, locked=options.locked, asks=not is_dry
    )
    for line in found.said():
        _say(line)
    if not is_dry:
        bases.require_platforms(workspace, found)
    return found


def _alone(workspace: Workspace) -> AbstractContextManager[None]:
    """Keep the bake and metadata files to this build until it is done."""
    if workspace.commands.is_dry:
        return nullcontext()
    workspace.ledger.prepare()
    return locked(workspace.ledger.folder / "build.lock", "another build of this project")


def _build_part(
    workspace: Workspace, plan: Plan, options: Options, looked: Looked, record: Recording
) -> list[Built]:
    engine, builder = workspace.engine, record.means.standing.builder
    is_dry = workspace.commands.is_dry
    divisible = not is_dry and classic_store.divisible(builder, plan)
    # Where it was so the last time, it is asked before; other builds do not pay for the question.
    before = divisible and location.was_divided(workspace.ledger, plan.targets)
    if before and staging.has_containerd_store(engine) is False:
        return _build_divided(workspace, plan, options, looked, record)
    result, facts = _bake(workspace, plan, options, looked, record)
    if is_dry:
        return []
    if not result.ok:
        capability.explain_loss(engine, builder, result.stdout + result.stderr)
        if divisible and not before and staging.has_containerd_store(engine) is False:
            return _build_divided(workspace, plan, options, looked, record)
        raise _failure(workspace, plan, record)
    more = facts_of(looked, plan.targets)
    if any(target.name in looked.fingerprints for target in plan.targets) and not more:
        _say("files changed while they were built: built again, from the cache what did not change")
        result, facts = _bake(workspace, plan, options, None, record)
        if not result.ok:
            raise _failure(workspace, plan, record)
    built = results.read(workspace.engine, plan, builder, _staged(plan, builder), facts)
    results.record(workspace.ledger, plan, built, more)
    return built


def _build_divided(
    workspace: Workspace, plan: Plan, options: Options, looked: Looked, record: Recording
) -> list[Built]:
    builder = record.means.standing.builder
    _say("the engine's image store is the classic one: built platform by platform")
    divided = classic_store.divided(plan)
    record.name_parts(divided.parts)
    facts: dict[str, Any] = {}
    for some in batches(divided.plan):
        result, found = _bake(workspace, some, options, None, record)
        if not result.ok:
            capability.explain_loss(workspace.engine, builder, result.stdout + result.stderr)
            raise _failure(workspace, some, record)
        facts.update(found)
    made = results.read(workspace.engine, divided.plan, builder, {}, facts)
    built = results.together(plan, divided.parts, made, facts)
    results.record(workspace.ledger, plan, built, facts_of(looked, plan.targets))
    return built


def _staged(plan: Plan, builder: Builder | None) -> dict[str, str]:
    """Return the tags of a registry under which targets wait that no store can hold."""
    return {t.name: staging.tag_of(t) for t in plan.targets if staging.needed(builder, t)}


def _definition(
    workspace: Workspace, plan: Plan, standing: Standing
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the bake file, and the archives through which images go into the store."""
    staged = _staged(plan, standing.builder)
    archives = _archives(workspace, plan, staged)
    reproducible = any(target.is_reproducible for target in plan.targets)
    epoch = source_date_epoch(workspace.root) if reproducible else ""
    return standing.pinned(build_definition(plan, staged, archives, epoch), plan), archives


def _bake(
    workspace: Workspace,
    plan: Plan,
    options: Options,
    looked: Looked | None,
    record: Recording,
) -> tuple[Result, dict[str, Any]]:
    """Run bake; return what it said of each target, too. Images say what was ``looked`` at."""
    standing = record.means.standing
    definition, archives = _definition(workspace, plan, standing)
    if looked:
        if _has_own_images(workspace, standing.builder):
            definition = looked.based(definition, plan)
        for target in plan.targets:
            if annotations := _annotations(workspace, target, standing, looked):
                attributes = definition["target"][target.name]
                attributes["annotations"] = [*attributes.get("annotations", []), *annotations]
    call = _call(options)
    is_dry = workspace.commands.is_dry
    folder = workspace.ledger.folder
    keeping = nullcontext() if is_dry else no_archive_left(folder, f"*{_ARCHIVE}")
    with keeping, leftovers.noted(workspace, plan) as failed:
        watching = None if is_dry else record.bake(definition, plan.targets)
        result, facts = bake_call.run(workspace, standing.builder, definition, call, watching)
        if result.ok:
            _load(workspace, archives)
        else:
            failed.append(True)
    return result, facts


def _has_own_images(workspace: Workspace, builder: Builder | None) -> bool:
    """Say whether what builds takes the images of the engine's store by their digests."""
    own = choice.is_engines_own(builder)
    return own and bool(staging.has_containerd_store(workspace.engine))


def _annotations(
    workspace: Workspace, target: TargetPlan, standing: Standing, looked: Looked
) -> list[str]:
    """Return what a target's manifests say of its inputs, where what keeps them keeps that."""
    if target.spec.output:
        return []
    is_kept = staging.needed(standing.builder, target) or staging.has_containerd_store(
        workspace.engine
    )
    return looked.annotations(target) if is_kept else []


def _call(options: Options) -> BakeCall:
    flags = {"--no-cache": options.no_cache, "--pull": options.pull}
    words = tuple(flag for flag, is_set in flags.items() if is_set)
    return BakeCall(_BAKE_FILE, _METADATA_FILE, options.progress, words)


def _failure(workspace: Workspace, plan: Plan, record: Recording) -> BuildError:
    """Tell what failed in the last bake; return the error.

    Raises:
        EngineError: engine, buildx, builder or store explain it.

    """
    cells = record.tell_failures()
    widest = max((target.platforms for target in plan.targets), key=len)
    capability.explain_failure(workspace.engine, record.means.standing.builder, widest)
    if cells:
        return BuildError(f"the build failed: {listed(cells)}")
    return BuildError("the build failed; buildx says why above")


def _archives(workspace: Workspace, plan: Plan, staged: dict[str, str]) -> dict[str, str]:
    """Return the files through which reproducible images go into the store.

    What exports into the store cannot rewrite the times of files: ``exporter option
    "rewrite-timestamp" conflicts with "unpack"`` (https://github.com/moby/buildkit/issues/4230).
    """
    found = {
        target.name: f"{ledger.FOLDER}/{target.name}{_ARCHIVE}"
        for target in plan.targets
        if target.is_reproducible and target.is_image and not target.spec.output
        if target.name not in staged
    }
    if not found or workspace.commands.is_dry:
        return found
    # The classic store keeps no manifests, which are what must be the same.
    return found if workspace.engine.has_containerd_store else {}


@contextmanager
def no_archive_left(folder: Path, names: str) -> Iterator[None]:
    """Remove a folder's archives of such names afterwards; before it too: who was killed left some."""
    try:
        _remove_archives(folder, names)
        yield
    finally:
        _remove_archives(folder, names)


def _remove_archives(folder: Path, names: str) -> None:
    for path in folder.glob(names):
        path.unlink(missing_ok=True)


def _load(workspace: Workspace, archives: dict[str, str]) -> None:
    for name, archive in archives.items():
        argv = ["docker", "load", "--quiet", "--input", archive]
        result = workspace.commands.run(argv, hide=True)
        if not result.ok:
            raise EngineError(
                f"the engine does not take the image of {name}: {result.stderr.strip()}"
            )
