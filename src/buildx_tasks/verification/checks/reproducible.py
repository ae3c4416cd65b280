"""``reproducible``: a target is built again without cache, and each platform's manifest is the same.

Both builds take the same SOURCE_DATE_EPOCH for the time it is. The first one's is what its config
says it was created at: nothing else need be remembered of it. The second one is written to a file (by
a builder of several nodes: to a registry), and never comes into the image store.
Source: https://github.com/moby/buildkit/blob/master/docs/build-repro.md
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import capability as reach
from buildx_tasks.builders import state as builders
from buildx_tasks.building import staging
from buildx_tasks.building.bake import no_archive_left, permissions
from buildx_tasks.engine import connection as engine
from buildx_tasks.engine import content as blobs
from buildx_tasks.errors import EngineError
from buildx_tasks.images import archives
from buildx_tasks.images import image as images
from buildx_tasks.machine import files as disk
from buildx_tasks.machine.commands import json_text, locked, query, run_while, write_file
from buildx_tasks.planning.selection import REWRITTEN, build_definition, make_plan
from buildx_tasks.records import ledger
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.alike import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import docker
    from invoke import Context

    from buildx_tasks.images.archives import Archive
    from buildx_tasks.images.image import Image
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.selection import Plan, TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.verification.containers import Session

FOLDER = f"{ledger.FOLDER}/again"

_MOST_LINES = 100  # of what a failed build said
# What decides on the bytes of an image, of the attributes of a target's own export.
_FORM = ("annotation", "compression", "force-compression", "rewrite-timestamp")


class _Again(NamedTuple):
    """What was built again: ``archive`` gives one platform of it as a file."""

    manifests: Mapping[Platform, str]
    archive: Callable[[Platform], AbstractContextManager[Archive]]


def check_target(
    c: Context,
    root: Path,
    plan: Plan,
    target: TargetPlan,
    image: Image,
    wanted: Sequence[Platform],
    session: Session,
) -> dict[Platform, Found]:
    """Build a target's wanted platforms again, all at once, and compare each with the image.

    ``image`` is where the engine can run it. What the target is built on is built again too. One
    target of a project at a time: others wait.

    Raises:
        EngineError: the engine or the builder is the reason why it cannot be built again, or the
            session was closed meanwhile.
        docker.errors.APIError, requests.exceptions.RequestException: the engine fails.

    """
    client = session.client
    there = [platform for platform in wanted if platform in image.manifests]
    lacking = f"{image.reference} lacks it; run invoke build -t {target.name}"
    found = {platform: Found((lacking,)) for platform in wanted if platform not in there}
    epoch, problem = _epoch(client, image, target, there)
    if problem or not there:
        return {**found, **{platform: Found((problem,)) for platform in there}}
    again = make_plan(plan.config, [target.name], [str(platform) for platform in there])
    ledger.prepare(root)
    with contextlib.ExitStack() as stack:
        lock = root / ledger.FOLDER / "again.lock"
        stack.enter_context(locked(lock, going_on=session.require_open))
        stack.enter_context(no_archive_left(root / FOLDER, "*.tar"))
        builder = stack.enter_context(reach.required(c, again, root))
        built = stack.enter_context(_built(c, session, again, root, builder, epoch))
        if isinstance(built, Found):
            return {**found, **dict.fromkeys(there, built)}
        for platform in there:
            found[platform] = _compared(client, root, again.targets[0], image, platform, built)
    return {platform: found[platform] for platform in wanted}


def _epoch(
    client: docker.DockerClient, image: Image, target: TargetPlan, there: Sequence[Platform]
) -> tuple[str, str]:
    """Return the SOURCE_DATE_EPOCH that the image was built with, or why that is not known."""
    if not engine.has_containerd_store(client.info()):
        return "", (
            "the engine's image store is the classic one, which keeps no manifests to compare; "
            f"{engine.STORE_HINT}"
        )
    seconds = ""
    for platform in there:
        manifest = json.loads(blobs.read(client, image.manifests[platform]))
        config = json.loads(blobs.read(client, manifest["config"]["digest"]))
        seconds = epoch_of(config.get("created") or "")
        if not seconds:
            return "", (
                f"{image.reference} was built without SOURCE_DATE_EPOCH (created "
                f"{printable(str(config.get('created')))}), so no other build is equal to it; "
                f"run invoke build -t {target.name}"
            )
    return seconds, ""


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
    definition = build_definition(again, epoch=epoch)
    for attributes in definition["target"].values():
        for key in ("cache-from", "cache-to", "no-cache-filter", "tags"):
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


@contextlib.contextmanager
def _built(
    c: Context,
    session: Session,
    again: Plan,
    root: Path,
    builder: Builder | None,
    epoch: str,
) -> Iterator[_Again | Found]:
    """Yield what was built again, or what is found instead; it is gone afterwards."""
    target = again.targets[0]
    if builder and len(builder.node) > 1:
        with _in_registry(c, session, again, root, builder, epoch) as built:
            yield built
        return
    file = f"{FOLDER}/{target.name}.tar"
    output = {"type": "oci", "dest": file}
    if failed := _bake(c, session, again, root, builder, definition_of(again, epoch, output)):
        yield failed
        return
    with archives.opened(root / file) as archive:
        yield _Again(archive.manifests(), lambda _: contextlib.nullcontext(archive))


@contextlib.contextmanager
def _in_registry(
    c: Context,
    session: Session,
    again: Plan,
    root: Path,
    builder: Builder,
    epoch: str,
) -> Iterator[_Again | Found]:
    """Yield what several nodes built again, beside the first result in its registry."""
    client, target = session.client, again.targets[0]
    repository, _, tag = staging.tag_of(target).rpartition(":")
    again_tag = f"{repository}:{tag[:122]}-again"
    output = {"type": "registry", **REWRITTEN}
    definition = definition_of(again, epoch, output, [again_tag])
    if failed := _bake(c, session, again, root, builder, definition):
        yield failed
        return
    manifests = images.published(c, again_tag).manifests

    @contextlib.contextmanager
    def archive(platform: Platform) -> Iterator[Archive]:
        exact = f"{repository}@{manifests[platform]}"
        new = images.stored(client, exact) is None
        try:
            pull = ["docker", "pull", "--quiet", "--platform", str(platform), exact]
            if not (result := query(c, pull)).ok:
                raise EngineError(f"{exact} cannot be pulled: {result.stderr.strip()}")
            with _saved(client, root, exact, platform, f"{target.name}.tar") as saved:
                yield saved
        finally:
            if new:
                query(c, ["docker", "image", "rm", "--force", exact])

    yield _Again(manifests, archive)


def _bake(
    c: Context,
    session: Session,
    again: Plan,
    root: Path,
    builder: Builder | None,
    definition: dict[str, Any],
) -> Found | None:
    """Build, for as long as the session is open; nothing is shown.

    Return what is found where that fails.
    """
    target = again.targets[0]
    file = f"{FOLDER}/{target.name}.json"
    with disk.writing(root / file):
        write_file(root / file, json_text(definition))
    argv = [*builders.command(builder, "bake"), "--file", file, "--progress", "plain", "--no-cache"]
    for permission in permissions(definition["target"], root):
        argv += ["--allow", permission]
    result = run_while(c, argv, folder=root, going_on=session.require_open)
    if result.ok:
        return None
    said = result.stdout + result.stderr
    reach.explain_loss(c, builder, said)
    engine.explain_failure(c, (), builder.name if builder else None)
    lines = [printable(line) for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    why = "; ".join(line.partition("ERROR: ")[2] or line for line in errors)
    return Found((f"cannot be built again: {why}",), stderr="\n".join(lines[-_MOST_LINES:]))


@contextlib.contextmanager
def _saved(
    client: docker.DockerClient, root: Path, reference: str, platform: Platform, name: str
) -> Iterator[Archive]:
    path = root / FOLDER / name
    archives.save(client, reference, platform, path)
    with archives.opened(path) as archive:
        yield archive


def _compared(
    client: docker.DockerClient,
    root: Path,
    target: TargetPlan,
    image: Image,
    platform: Platform,
    built: _Again,
) -> Found:
    digest = image.manifests[platform]
    other = built.manifests.get(platform)
    if other is None:
        return Found((f"built again, there is no {platform}",))
    if other == digest:
        return Found(facts=(f"built again: the same {digest}",))
    first = _saved(client, root, image.runnable(platform), platform, f"{target.name}.first.tar")
    with first as before, built.archive(platform) as now:
        found = differences(before, digest, now, other)
    if not found.problems:
        form = f"built again: the same, but for the form of the manifest ({other}, before {digest})"
        return Found(facts=(form,))
    advice = (_advice(target),) if found.only_times else ()
    return Found((*found.problems, *advice))


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
