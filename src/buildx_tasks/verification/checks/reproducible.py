"""``reproducible``: a target is built again without cache, and each platform's manifest is the same.

Both builds take the same SOURCE_DATE_EPOCH for the time it is. The first one's is what its config
says it was created at: nothing else need be remembered of it. The second one is written to a file (by
a builder of several nodes: to a registry), and never comes into the image store.
Source: https://github.com/moby/buildkit/blob/master/docs/build-repro.md
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import capability, choice
from buildx_tasks.building import contexts, outside, staging
from buildx_tasks.building.bake import no_archive_left
from buildx_tasks.building.dockerfile_links import followed
from buildx_tasks.building.permissions import permissions
from buildx_tasks.building.requirements import require_readable
from buildx_tasks.building.standing import Standing
from buildx_tasks.dockerfiles import origins
from buildx_tasks.engine import explanation
from buildx_tasks.errors import ConfigError, EngineError
from buildx_tasks.images import archives, published, store
from buildx_tasks.images.sources import EngineStore
from buildx_tasks.inputs.fingerprints import ANNOTATION
from buildx_tasks.machine.files import write_file, writing
from buildx_tasks.machine.locks import locked
from buildx_tasks.planning.bakefile import REWRITTEN, build_definition
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.records import ledger
from buildx_tasks.records.entries import text_of
from buildx_tasks.text import json_text, printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.alike import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.archives import Archive
    from buildx_tasks.images.image import Image
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.containers import Session
    from buildx_tasks.workspace import Workspace

FOLDER = f"{ledger.FOLDER}/again"

_MOST_LINES = 100  # of what a failed build said
# What decides on the bytes of an image, of the attributes of a target's own export.
_FORM = ("annotation", "compression", "force-compression", "rewrite-timestamp")


class _Again(NamedTuple):
    """What was built again: ``archive`` gives one platform of it as a file."""

    manifests: Mapping[Platform, str]
    archive: Callable[[Platform], AbstractContextManager[Archive]]


def check_target(
    session: Session, plan: Plan, target: TargetPlan, image: Image, wanted: Sequence[Platform]
) -> dict[Platform, Found]:
    """Build a target's wanted platforms again, all at once, and compare each with the image.

    ``image`` is where the engine can run it. What the target is built on is built again too. One
    target of a project at a time: others wait.

    Raises:
        EngineError: the engine or the builder is the reason why it cannot be built again, or the
            session was closed meanwhile.
        RegistryError: the registry of a builder of several nodes is.
        faults.all_errors: the engine fails.

    """
    workspace = session.workspace
    there = [platform for platform in wanted if platform in image.manifests]
    lacking = f"{image.reference} lacks it; run invoke build -t {target.name}"
    found = {platform: Found((lacking,)) for platform in wanted if platform not in there}
    epoch, problem = _epoch(workspace.engine, image, target, there)
    if problem or not there:
        return {**found, **{platform: Found((problem,)) for platform in there}}
    again = make_plan(plan.config, [target.name], [str(platform) for platform in there])
    try:
        require_readable(again, workspace.root)
    except ConfigError as error:
        return {**found, **{platform: Found((str(error),)) for platform in there}}
    workspace.ledger.prepare()
    with contextlib.ExitStack() as stack:
        lock = workspace.ledger.folder / "again.lock"
        stack.enter_context(locked(lock, going_on=session.require_open))
        stack.enter_context(no_archive_left(workspace.root / FOLDER, "*.tar"))
        builder, _ = stack.enter_context(capability.required(workspace, again))
        marks = _marks(workspace.engine, image, there)
        is_oci = _is_oci(workspace.engine, image, there)
        second = _SecondBuild(session, again, builder, epoch, marks, is_oci)
        built = stack.enter_context(second.made())
        if isinstance(built, Found):
            return {**found, **dict.fromkeys(there, built)}
        by = _builders(workspace, image, builder)
        for platform in there:
            where = _where(workspace, again, platform)
            one = _compared(workspace, again.targets[0], image, platform, built, where)
            found[platform] = _with_builders(one, by)
    return {platform: found[platform] for platform in wanted}


def _epoch(
    engine: Engine, image: Image, target: TargetPlan, there: Sequence[Platform]
) -> tuple[str, str]:
    """Return the SOURCE_DATE_EPOCH that the image was built with, or why that is not known."""
    if not engine.has_containerd_store:
        return "", (
            "the engine's image store is the classic one, which keeps no manifests to compare; "
            f"{explanation.STORE_HINT}"
        )
    source = EngineStore(engine)
    seconds = ""
    for platform in there:
        described = source.manifest(image.manifests[platform]).content.config
        created = source.config(described).created if described else ""
        seconds = epoch_of(created)
        if not seconds:
            return "", (
                f"{image.reference} was built without SOURCE_DATE_EPOCH (created "
                f"{printable(created) or 'at no known time'}), so no other build is equal to it; "
                f"run invoke build -t {target.name}"
            )
    return seconds, ""


def _marks(engine: Engine, image: Image, there: Sequence[Platform]) -> tuple[str, ...]:
    """Return the annotations that say the first build's fingerprints: part of its manifests."""
    source = EngineStore(engine)
    found = {p: source.manifest(image.manifests[p]).content.marks.get(ANNOTATION) for p in there}
    return tuple(f"manifest[{p}]:{ANNOTATION}={one}" for p, one in found.items() if one)


def _is_oci(engine: Engine, image: Image, there: Sequence[Platform]) -> bool:
    """Say whether the first build's manifests have OCI's media types; else they have docker's."""
    source = EngineStore(engine)
    return not any("docker" in source.manifest(image.manifests[p]).media_type for p in there)


def epoch_of(created: str) -> str:
    """Return the seconds since 1970 that a config's ``created`` says; ``""`` for a time of day.

    A clock's time has nanoseconds, SOURCE_DATE_EPOCH is in whole seconds.
    """
    try:
        seconds = int(dt.datetime.strptime(created, "%Y-%m-%dT%H:%M:%S%z").timestamp())
    except ValueError:
        return ""
    return str(seconds) if seconds >= 0 else ""  # Go's zero time is in the year 1


def definition_of(
    again: Plan, epoch: str, output: Mapping[str, str], tags: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the bake file of the second build: no cache is written, nothing is tagged or attested."""
    definition = build_definition(again, epoch=epoch, caches=False)
    for attributes in definition["target"].values():
        for key in ("no-cache-filter", "tags"):
            attributes.pop(key, None)
        # Attestations are no part of the platforms' manifests, and take their time.
        attributes["attest"] = [{"type": "provenance", "disabled": "true"}]
    target = again.targets[0]
    own = target.spec.output
    form = {key: value for key, value in (own[0] if own else {}).items() if key.startswith(_FORM)}
    if not own:
        form["rewrite-timestamp"] = "true"
    attributes = definition["target"][target.name]
    attributes.update({"output": [{**output, **form}]}, **({"tags": list(tags)} if tags else {}))
    return definition


class _SecondBuild(NamedTuple):
    """The build of a plan again, with the time of the first one."""

    session: Session
    plan: Plan
    builder: Builder | None
    epoch: str
    marks: tuple[str, ...]
    is_oci: bool

    @property
    def workspace(self) -> Workspace:
        """What it is built in."""
        return self.session.workspace

    @property
    def target(self) -> TargetPlan:
        """The one target that is compared."""
        return self.plan.targets[0]

    @contextlib.contextmanager
    def made(self) -> Iterator[_Again | Found]:
        """Yield what was built, or what is found instead; it is gone afterwards."""
        if self.builder and len(self.builder.node) > 1:
            with self._in_registry() as built:
                yield built
            return
        file = f"{FOLDER}/{self.target.name}.tar"
        output = {"type": "oci", "dest": file}
        if failed := self._bake(definition_of(self.plan, self.epoch, output)):
            yield failed
            return
        with archives.opened(self.workspace.root / file) as archive:
            yield _Again(archive.manifests(), lambda _: contextlib.nullcontext(archive))

    @contextlib.contextmanager
    def _in_registry(self) -> Iterator[_Again | Found]:
        """Yield what several nodes built, beside the first result in its registry."""
        workspace, name = self.workspace, self.target.name
        repository, _, tag = staging.tag_of(self.target).rpartition(":")
        again_tag = f"{repository}:{tag[:122]}-again"
        types = {"oci-mediatypes": str(self.is_oci).lower()}
        output = {"type": "registry", **REWRITTEN, **types}
        if failed := self._bake(definition_of(self.plan, self.epoch, output, [again_tag])):
            yield failed
            return
        registry = workspace.registries.of(again_tag)
        manifests = published.published(registry, again_tag).manifests

        @contextlib.contextmanager
        def archive(platform: Platform) -> Iterator[Archive]:
            exact = f"{repository}@{manifests[platform]}"
            query = workspace.commands.query
            new = store.stored(workspace.engine, exact) is None
            try:
                pull = ["docker", "pull", "--quiet", "--platform", str(platform), exact]
                if not (result := query(pull)).ok:
                    raise EngineError(f"{exact} cannot be pulled: {result.stderr.strip()}")
                with _saved(workspace, exact, platform, f"{name}.tar") as saved:
                    yield saved
            finally:
                if new:
                    query(["docker", "image", "rm", "--force", exact])

        yield _Again(manifests, archive)

    def _bake(self, definition: dict[str, Any]) -> Found | None:
        """Build, for as long as the session is open; nothing is shown.

        Return what is found where that fails.
        """
        attributes = definition["target"][self.target.name]
        if self.marks:
            attributes["annotations"] = [*attributes.get("annotations", []), *self.marks]
        workspace, builder = self.workspace, self.builder
        engine, root = workspace.engine, workspace.root
        file = f"{FOLDER}/{self.target.name}.json"
        definition = Standing(workspace, self.plan, builder).pinned(definition, self.plan)
        definition, more = contexts.without_state(definition, root)
        definition = followed(definition, root)
        with writing(root / file):
            contexts.write(more, root)
            write_file(root / file, json_text(definition))
        argv = [*choice.command(builder, "bake"), "--file", file]
        argv += ["--progress", "plain", "--no-cache"]
        for permission in permissions(definition["target"], root):
            argv += ["--allow", permission]
        result = workspace.commands.run_while(argv, going_on=self.session.require_open)
        if result.ok:
            return None
        said = result.stdout + result.stderr
        capability.explain_loss(engine, builder, said)
        explanation.explain_failure(engine, (), builder.name if builder else None)
        lines = [printable(line) for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:]
        why = "; ".join(line.partition("ERROR: ")[2] or line for line in errors)
        return Found((f"cannot be built again: {why}",), stderr="\n".join(lines[-_MOST_LINES:]))


@contextlib.contextmanager
def _saved(
    workspace: Workspace, reference: str, platform: Platform, name: str
) -> Iterator[Archive]:
    path = workspace.root / FOLDER / name
    archives.save(workspace.engine, reference, platform, path)
    with archives.opened(path) as archive:
        yield archive


def _builders(workspace: Workspace, image: Image, builder: Builder | None) -> tuple[str, str]:
    """Return which BuildKit made the image, and which one the second; ``""`` where it is not known."""
    entries = [e for e in workspace.ledger.read() if e["event"] == "built"]
    first = next((e for e in reversed(entries) if e.get("digest") == image.digest), None)
    return text_of(first, "by") if first else "", outside.builder_versions(workspace, builder)


def _with_builders(found: Found, by: tuple[str, str]) -> Found:
    """Return what was found, with the versions of BuildKit: what is wrong where they differ."""
    before, now = (printable(one) or "an unknown version" for one in by)
    if not all(by):  # of an image that was built before this was noted, or elsewhere
        said = f"built by {before}, again by {now}"
        return found._replace(facts=(*found.facts, said)) if any(by) else found
    if before == now:
        return found._replace(facts=(*found.facts, f"both by {now}"))
    said = f"built by {before}, again by {now}"
    if not found.problems:
        return found._replace(facts=(*found.facts, said))
    hint = f"{said}: other versions may write other images; run invoke build --no-cache, and verify"
    return found._replace(problems=(*found.problems, hint))


def _where(workspace: Workspace, plan: Plan, platform: Platform) -> Callable[[str], str]:
    """Return what says which line of the Dockerfile made a layer, as in ``Dockerfile:3``."""
    target = plan.targets[0].name
    builds = [b for b in dockerfile_builds(plan) if b.target == target and platform in b.platforms]
    texts = [(one.file, contexts.dockerfile_text(one.attributes, workspace.root)) for one in builds]

    def where(made_by: str) -> str:
        for file, text in texts:
            if text and (line := origins.line_of(text, made_by)):
                return f"{file}:{line}"
        return ""

    return where


def _compared(
    workspace: Workspace,
    target: TargetPlan,
    image: Image,
    platform: Platform,
    built: _Again,
    where: Callable[[str], str],
) -> Found:
    digest = image.manifests[platform]
    other = built.manifests.get(platform)
    if other is None:
        return Found((f"built again, there is no {platform}",))
    if other == digest:
        return Found(facts=(f"built again: the same {digest}",))
    first = _saved(workspace, image.runnable(platform), platform, f"{target.name}.first.tar")
    with first as before, built.archive(platform) as now:
        found = differences(before, digest, now, other, where)
    if not found.problems:
        form = f"built again: the same, but for the form of the manifest ({other}, before {digest})"
        return Found(facts=(form, *found.forms))
    advice = (_advice(target),) if found.only_times else ()
    return Found((*found.problems, *found.forms, *advice))


def _advice(target: TargetPlan) -> str:
    rewrite = (
        f"leave out output in [target.{target.name}], and invoke build sets them"
        if target.spec.output
        else f"run invoke build -t {target.name} --no-cache, for times that a cache kept stay"
    )
    return (
        "nothing but modification times differs from what SOURCE_DATE_EPOCH should make it: "
        f"{rewrite}; or set them in the RUN that makes the files: ARG SOURCE_DATE_EPOCH, then "
        "touch -d @$SOURCE_DATE_EPOCH"
    )
