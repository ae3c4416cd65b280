"""What publishes images, and looks at what is published: push, promote, inspect."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from invoke import task

from buildx_tasks.tasks.project import INPUT, SELECTION, Project, load, plainly, require_format, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import docker
    from invoke import Context

    from buildx_tasks.images.description import Shown
    from buildx_tasks.images.image import Image
    from buildx_tasks.planning.selection import Plan, TargetPlan
    from buildx_tasks.publishing.publish import Published, Registries
    from buildx_tasks.references import Reference


@task(
    iterable=["target", "tag", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "tag": "Tag instead of the declared ones: v2 in each repository of the target, or a whole "
        "reference (repeatable)",
        "no-verify": "Publish what was not verified; the ledger says so",
        **INPUT,
    },
)
@plainly
def push(
    c: Context,
    target: list[str],
    tag: list[str],
    overlay: list[str],
    set_: list[str],
    no_verify: bool = False,
) -> None:
    """Publish exactly what was verified (verified first where it was not), and read it back."""
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.machine import commands
    from buildx_tasks.publishing import publish as pushing
    from buildx_tasks.publishing import sign as signing
    from buildx_tasks.reports import uploads as sending

    project = load(overlay, set_)
    plan = project.plan(target)
    targets = _selected(plan, target, "an image to push")
    tags = {one.name: pushing.tags_of(one, tag) for one in targets}
    pushing.refuse_shared(list(tags.items()))
    if commands.is_dry(c):
        print("\n".join(_typed(project, targets, tags)))
        return
    keys = {one.name: one.spec.sign for one in targets if one.spec.sign}
    if keys:
        signing.require_cosign()

    def signed(one: pushing.Release, reference: str) -> None:
        if one.target in keys:
            signing.sign(c, keys[one.target], reference, project.root)

    client, info = pushing.engine_facts()
    located = _located(c, client, project, plan, targets, verify=not no_verify)
    registries = pushing.Registries(project.config, info, project.root)
    versions = pushing.versions_of(info)
    with engine.faults(), sending.watcher() as watcher:
        releases = [
            pushing.release(
                client,
                registries,
                one,
                located[one.name][0],
                _way(located[one.name][0], info),
                tags[one.name],
                located[one.name][1],
                versions,
            )
            for one in targets
        ]
        pushing.publish(project.root, registries, releases, watcher, _show, uploaded=signed)


def _show(item: Published) -> None:
    print(f"{item.tag}@{item.digest}", flush=True)
    for platform, digest in item.manifests.items():
        print(f"  {platform!s:<15} {digest}", flush=True)


def _way(image: Image, info: dict[str, Any]) -> str:
    from buildx_tasks.building import staging
    from buildx_tasks.engine import connection as engine

    if image.repository:
        return staging.STAGED
    return staging.IN_STORE if engine.has_containerd_store(info) else staging.BY_PLATFORM


def _located(
    c: Context,
    client: docker.DockerClient,
    project: Project,
    plan: Plan,
    targets: Sequence[TargetPlan],
    *,
    verify: bool,
) -> dict[str, tuple[Image, str]]:
    """Return each target's image, and whether it passed; verify first what is not known to be well."""
    from buildx_tasks.building import staging
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.errors import VerifyError
    from buildx_tasks.publishing import publish as pushing
    from buildx_tasks.tasks.verifying import failures, verified, wanted
    from buildx_tasks.verification import units
    from buildx_tasks.verification import verify as verifying

    if not verify:
        with engine.faults():
            # Without platforms: nothing is pulled that will not run.
            return {
                one.name: (staging.locate(c, client, project.root, one, ()), "no")
                for one in targets
            }
    listed, history = wanted(c, client, project, targets)
    images = {unit.target.name: unit.image for unit in listed}
    for one in targets:
        pushing.require_whole(one, images[one.name])
    settled = {unit.id for unit, _ in units.settled(listed, history.passed)}
    if any(unit.id not in settled for unit in listed):
        open_ones = dict.fromkeys(unit.target.name for unit in listed if unit.id not in settled)
        say(f"verified first, for they changed or were not verified: {', '.join(open_ones)}")
        selected = [unit for unit in listed if unit.target.name in open_ones]
        options = verifying.Options()
        report, faults = verified(c, client, project, plan, selected, history.passed, options)
        faults = [*failures(report), *faults]
        if faults:
            faults[0] += "; nothing was pushed"
            raise VerifyError("\nerror: ".join(faults))
    checked = {unit.target.name for unit in listed if unit.kinds}
    return {
        name: (image, "passed" if name in checked else "unchecked")
        for name, image in images.items()
    }


def _typed(
    project: Project, targets: Sequence[TargetPlan], tags: dict[str, tuple[Reference, ...]]
) -> list[str]:
    """Return commands that a person can type: tag by tag, they publish the same images."""
    from buildx_tasks.building import staging
    from buildx_tasks.images import image as images
    from buildx_tasks.publishing import sign as signing

    lines = []
    for target in targets:
        if target.spec.sign:
            argv = signing.command(target.spec.sign, "REPOSITORY@DIGEST")
            lines.append(f"# before a tag moves: {shlex.join(argv)}")
        waiting = staging.reference(project.root, target)
        stored = images.reference_of(target)
        for tag in map(str, tags[target.name]):
            if waiting:
                lines.append(_copied(tag, waiting))
                continue
            if tag != stored:
                lines.append(shlex.join(["docker", "tag", stored, tag]))
            lines.append(shlex.join(["docker", "push", tag]))
    return lines


def _copied(tag: str, source: str) -> str:
    """Return the command that gives a tag to what is in a registry."""
    # Without the option, an image of one platform would get an index, and another digest.
    copy = ["docker", "buildx", "imagetools", "create", "--prefer-index=false"]
    return shlex.join([*copy, "--tag", tag, source])


@task(
    iterable=["to", "overlay", "set_"],
    help={
        "from": "Reference of a published image, as in localhost:5000/app:v1 or …@sha256:…",
        "to": "Tag that it gets: v1 in the same repository, or a whole reference (repeatable)",
        **INPUT,
    },
)
@plainly
def promote(c: Context, from_: str, to: list[str], overlay: list[str], set_: list[str]) -> None:
    """Give a published image further tags, in its registry or another one, without rebuilding."""
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.errors import UsageError
    from buildx_tasks.machine import commands
    from buildx_tasks.publishing import promote as promoting
    from buildx_tasks.publishing import publish as pushing
    from buildx_tasks.reports import uploads as sending

    if not to:
        raise UsageError("--to is missing; write the tag that the image gets, as in --to v1")
    project = load(overlay, set_)
    wanted = promoting.wanted(from_, to, project.config)
    if commands.is_dry(c):
        for tag in wanted.tags:
            print(_copied(str(tag), from_))
        return
    registries = _registries(project)
    with engine.faults(), sending.watcher() as watcher:
        one = promoting.release(registries, wanted)
        pushing.publish(project.root, registries, [one], watcher, _show, "promoted")


@task(
    iterable=["target", "ref", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "published": "What the registries hold under each declared tag",
        "ref": "Any image in a registry, as in localhost:5000/app:v1 or …@sha256:… (repeatable)",
        "format": "tree or json",
        **INPUT,
    },
)
@plainly
def inspect(
    c: Context,
    target: list[str],
    ref: list[str],
    overlay: list[str],
    set_: list[str],
    published: bool = False,
    format: str = "tree",  # noqa: A002
) -> None:
    """Show images with their platforms, layers and attestations, as built or as published."""
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.errors import PushError, UsageError
    from buildx_tasks.images import description as inspecting
    from buildx_tasks.machine import commands

    require_format(format, "tree", "json")
    if ref and (target or published):
        raise UsageError("--ref names an image by itself: leave out --target and --published")
    project = load(overlay, set_)
    looked = _asked(project, target, ref) if ref or published else _kept(c, project, target)
    found: list[Shown] = []
    with engine.faults():
        for one in looked:
            if format == "tree":
                whole = one.digest not in {other.digest for other in found}
                print("\n".join(inspecting.lines(one, whole=whole)), flush=True)
            found.append(one)
    if format == "json":
        print(commands.json_text([inspecting.summary(one) for one in found]), end="")
    absent = [one.reference for one in found if not one.digest]
    if absent:
        fix = "check the name" if ref else "run invoke push"
        raise PushError(f"not in the registry: {', '.join(absent)}; {fix}")


def _registries(project: Project) -> Registries:
    """Return the registries of a task that needs no engine, but asks one that answers."""
    from buildx_tasks.errors import EngineError
    from buildx_tasks.publishing import publish as pushing

    info: dict[str, Any] = {}
    try:
        _, info = pushing.engine_facts()
    except EngineError:
        say("no engine answers: its insecure-registries are not known")  # and nothing else of it
    return pushing.Registries(project.config, info, project.root)


def _selected(plan: Plan, target: list[str], what: str) -> Sequence[TargetPlan]:
    """Return the targets that leave images; those that were named must."""
    from buildx_tasks.errors import UsageError

    targets = plan.images if not target else plan.targets
    if not targets:
        raise UsageError(f"nothing selected leaves {what}; select another target with -t")
    return targets


def _asked(project: Project, target: list[str], ref: list[str]) -> Iterator[Shown]:
    """Yield what the registries hold under the references, or else under the targets' tags."""
    from buildx_tasks.images import description as inspecting
    from buildx_tasks.publishing import promote as promoting
    from buildx_tasks.publishing import publish as pushing

    asked = [promoting.exact(text, "--ref") for text in ref] or [
        (tag, "")
        for one in _selected(project.plan(target), target, "an image")
        for tag in pushing.tags_of(one, ())
    ]
    registries = _registries(project)
    for reference, pinned in asked:
        repository = registries.repository(reference)
        name = f"{repository}@{pinned}" if pinned else str(reference)
        yield inspecting.published(repository, name, pinned or reference.tag)


def _kept(c: Context, project: Project, target: list[str]) -> Iterator[Shown]:
    """Yield what was built: from the engine's store, or from where it waits to be pushed."""
    from buildx_tasks.building import staging
    from buildx_tasks.engine import connection as engine
    from buildx_tasks.errors import EngineError
    from buildx_tasks.images import description as inspecting
    from buildx_tasks.images import image as images
    from buildx_tasks.publishing import publish as pushing

    targets = _selected(project.plan(target), target, "an image")
    for one in targets:
        images.reference_of(one)
    client, info = pushing.engine_facts()
    registries = pushing.Registries(project.config, info, project.root)
    for one in targets:
        image = staging.locate(c, client, project.root, one, ())
        if image.repository:
            reader = inspecting.of_repository(registries.holding(image))
        elif engine.has_containerd_store(info):
            reader = inspecting.of_store(client)
        else:
            raise EngineError(
                f"{image.reference} has no index or compressed layers yet: the engine's classic "
                "image store makes them when it pushes; run invoke push, then inspect --published"
            )
        yield inspecting.shown(reader, image.reference, reader.manifest(image.digest))
