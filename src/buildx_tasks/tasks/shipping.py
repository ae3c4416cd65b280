"""What publishes images, and looks at what is published: push, promote, inspect."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from invoke import task

from buildx_tasks.tasks.project import INPUT, SELECTION, Project, load, plainly, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    import docker
    from invoke import Context

    from buildx_tasks.images import Image
    from buildx_tasks.plan import Plan, TargetPlan
    from buildx_tasks.push import Published
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
    from buildx_tasks import commands, engine, sending
    from buildx_tasks import push as pushing
    from buildx_tasks.errors import UsageError

    project = load(overlay, set_)
    plan = project.plan(target)
    targets = plan.images if not target else plan.targets
    if not targets:
        raise UsageError("nothing selected leaves an image to push; select another target with -t")
    tags = {one.name: pushing.tags_of(one, tag) for one in targets}
    pushing.refuse_shared(list(tags.items()))
    if commands.is_dry(c):
        print("\n".join(_typed(project, targets, tags)))
        return
    client, info = pushing.engine_facts()
    located = _located(c, client, project, plan, targets, verify=not no_verify)
    registries = pushing.Registries(project.config, info, project.root)
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
                watcher,
            )
            for one in targets
        ]
        pushing.publish(project.root, registries, releases, watcher, _show)


def _show(item: Published) -> None:
    print(f"{item.tag}@{item.digest}", flush=True)
    for platform, digest in item.manifests.items():
        print(f"  {platform!s:<15} {digest}", flush=True)


def _way(image: Image, info: dict[str, Any]) -> str:
    from buildx_tasks import engine, staging

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
    from buildx_tasks import engine, staging, units
    from buildx_tasks import push as pushing
    from buildx_tasks import verify as verifying
    from buildx_tasks.errors import VerifyError
    from buildx_tasks.tasks.verifying import failures, verified, wanted

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
    checked = {unit.target.name for unit in listed if unit.checks}
    return {
        name: (image, "passed" if name in checked else "unchecked")
        for name, image in images.items()
    }


def _typed(
    project: Project, targets: Sequence[TargetPlan], tags: dict[str, tuple[Reference, ...]]
) -> list[str]:
    """Return commands that a person can type: tag by tag, they publish the same images."""
    from buildx_tasks import images, staging

    lines = []
    for target in targets:
        waiting = staging.reference(project.root, target)
        stored = images.reference_of(target)
        for tag in map(str, tags[target.name]):
            if waiting:
                # Without the option, an image of one platform would get an index, and another digest.
                copy = ["docker", "buildx", "imagetools", "create", "--prefer-index=false"]
                lines.append(shlex.join([*copy, "--tag", tag, waiting]))
                continue
            if tag != stored:
                lines.append(shlex.join(["docker", "tag", stored, tag]))
            lines.append(shlex.join(["docker", "push", tag]))
    return lines


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
    from buildx_tasks import commands, engine, promoting, sending
    from buildx_tasks import push as pushing
    from buildx_tasks.errors import EngineError, UsageError

    if not to:
        raise UsageError("--to is missing; write the tag that the image gets, as in --to v1")
    project = load(overlay, set_)
    wanted = promoting.wanted(from_, to, project.config)
    if commands.is_dry(c):
        copy = ["docker", "buildx", "imagetools", "create", "--prefer-index=false"]
        for tag in wanted.tags:
            print(shlex.join([*copy, "--tag", str(tag), from_]))
        return
    info: dict[str, Any] = {}
    try:
        _, info = pushing.engine_facts()
    except EngineError:
        say("no engine answers: its insecure-registries are not known")  # and nothing else of it
    registries = pushing.Registries(project.config, info, project.root)
    with engine.faults(), sending.watcher() as watcher:
        one = promoting.release(registries, wanted)
        pushing.publish(project.root, registries, [one], watcher, _show, "promoted")
