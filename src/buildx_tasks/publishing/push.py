"""A plan in; its images verified where they were not, published, and each tag read back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from buildx_tasks.building import location
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError, UsageError, VerifyError
from buildx_tasks.planning.cells import reference_of
from buildx_tasks.platforms import runs_natively
from buildx_tasks.publishing import attaching, evidence, mirrors, sign
from buildx_tasks.publishing.publish import Before, Published, publish
from buildx_tasks.publishing.release import Located, Release, release, require_whole
from buildx_tasks.verification import passed, units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from buildx_tasks.images.statements import Verdict
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.attaching import Given
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace

    Tags = Mapping[str, tuple[Reference, ...]]


def selected(plan: Plan, what: str, *, named: bool) -> Sequence[TargetPlan]:
    """Return the targets that leave images; those that were ``named`` must.

    Raises:
        UsageError: none does.

    """
    targets = plan.targets if named else plan.images
    if not targets:
        raise UsageError(f"nothing selected leaves {what}; select another target with -t")
    return targets


def push(
    workspace: Workspace, plan: Plan, tags: Tags, audience: Audience, *, verify: bool = True
) -> list[Published]:
    """Publish the targets that ``tags`` names, exactly as they were verified.

    Raises:
        EngineError: an image is not built, or not whole.
        ConfigError: a file that is to be attached is not there; nothing was pushed.
        VerifyError: one is not as expected; nothing was pushed.
        PushError, RegistryError: see :func:`~buildx_tasks.publishing.publish.publish`.

    """
    targets = [target for target in plan.targets if target.name in tags]
    _refuse_parts(workspace, targets)
    before = Before(sign=signing(workspace, targets))
    files = attaching.given(workspace, targets)
    workspace.registries.prepare()
    workspace.engine.require()
    located = (
        _verified(workspace, plan, targets, audience) if verify else _as_is(workspace, targets)
    )
    with faults(), audience.uploading() as watcher:
        releases = [
            with_files(release(workspace, one, located[one.name], tags[one.name]), files[one.name])
            for one in targets
        ]
        moved = publish(workspace, releases, watcher, audience.moved, before_tags=before)
        return [*moved, *mirrors.mirror(workspace, releases, watcher, audience, before)]


def with_files(one: Release, files: Sequence[Given]) -> Release:
    """Return a release that has a person's files attached, too."""
    more = attaching.attachments(one.graph, one.manifests, files)
    return one._replace(attachments=(*one.attachments, *more))


def signing(
    workspace: Workspace, targets: Sequence[TargetPlan]
) -> Callable[[Release, str], object]:
    """Return what signs a release under a reference, where its target is to be signed.

    Raises:
        PushError: one is, and nothing here can sign.

    """
    keys = {one.name: one.spec.sign for one in targets if one.spec.sign}
    if keys:
        sign.require_cosign()

    def signed(one: Release, reference: str) -> None:
        if one.target in keys:
            sign.sign(workspace.commands, keys[one.target], reference)

    return signed


def _refuse_parts(workspace: Workspace, targets: Sequence[TargetPlan]) -> None:
    """Refuse to publish what is older than the last build, or less than is declared."""
    for one in targets:
        if part := location.last_part(workspace.ledger, one):
            raise EngineError(
                f"the last build of {one.name} was of {part} only, and a tag takes all that is "
                f"declared; run invoke build -t {one.name}"
            )


def _as_is(workspace: Workspace, targets: Sequence[TargetPlan]) -> dict[str, Located]:
    with faults():
        # Without platforms: nothing is pulled that will not run.
        return {one.name: Located(location.locate(workspace, one, ()), "no") for one in targets}


def _verified(
    workspace: Workspace, plan: Plan, targets: Sequence[TargetPlan], audience: Audience
) -> dict[str, Located]:
    """Return each target's image, and whether it passed; verify first what is not known to be well."""
    listed, history = passed.wanted(workspace, targets)
    images = {unit.target.name: unit.image for unit in listed}
    for one in targets:
        require_whole(one, images[one.name])
    left = units.unsettled(listed, history.passed)
    waiting = dict.fromkeys(unit.target.name for unit in left)
    if waiting:
        from buildx_tasks.verification.verify import Options

        audience.said(
            f"verified first, for they changed or were not verified: {', '.join(waiting)}"
        )
        chosen = [unit for unit in listed if unit.target.name in waiting]
        with audience.verifying(len(chosen)) as watcher:
            report, unrecorded = passed.verified(
                workspace, plan, chosen, history.passed, Options(), watcher
            )
        audience.reported(report)
        lines = [*passed.failures(report), *unrecorded]
        if lines:
            lines[0] += "; nothing was pushed"
            raise VerifyError("\nerror: ".join(lines))
    verdicts: dict[str, dict[Platform, Verdict]] = {}
    for unit in listed:
        if unit.kinds and unit.platform:
            native = runs_natively(unit.platform, workspace.engine.platform)
            found = evidence.verdict_of(unit, native=native)
            verdicts.setdefault(unit.target.name, {})[unit.platform] = found
    checked = {unit.target.name for unit in listed if unit.kinds}
    return {
        name: Located(image, "passed" if name in checked else "unchecked", verdicts.get(name, {}))
        for name, image in images.items()
    }


def commands_of(workspace: Workspace, targets: Sequence[TargetPlan], tags: Tags) -> list[str]:
    """Return commands that a person can type: tag by tag, they publish the same images."""
    lines = []
    for target in targets:
        if target.spec.sign:
            argv = sign.command(target.spec.sign, "REPOSITORY@DIGEST")
            lines.append(f"# before a tag moves: {shlex.join(argv)}")
        lines += attaching.lines(target)
        waiting = location.reference(workspace.ledger, target)
        stored = reference_of(target)
        for tag in map(str, tags[target.name]):
            if waiting:
                lines.append(copy_command(tag, waiting))
                continue
            if tag != stored:
                lines.append(shlex.join(["docker", "tag", stored, tag]))
            lines.append(shlex.join(["docker", "push", tag]))
        home = str(tags[target.name][0])
        for there in mirrors.mirrored(workspace.config.target, target.name, tags[target.name]):
            lines.append(f"# a mirror, which may fail: {there[0].registry}/{there[0].repository}")
            lines += [copy_command(str(tag), home) for tag in there]
    return lines


def copy_command(tag: str, source: str) -> str:
    """Return the command that gives a tag to what is in a registry."""
    # Without the option, an image of one platform would get an index, and another digest.
    copy = ["docker", "buildx", "imagetools", "create", "--prefer-index=false"]
    return shlex.join([*copy, "--tag", tag, source])
