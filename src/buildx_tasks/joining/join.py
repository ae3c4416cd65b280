"""A run in; its parts judged, each target's composed into one index and published as push does, out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.building.location import by_digest
from buildx_tasks.errors import PushError, UsageError, VerifyError
from buildx_tasks.images import graph
from buildx_tasks.images.attestations import ATTESTATION
from buildx_tasks.images.image import Image
from buildx_tasks.images.sources import Beside
from buildx_tasks.joining import judging, records, runs
from buildx_tasks.joining.letterbox import InFolders, InRegistry, require_folders
from buildx_tasks.planning.cells import Cell
from buildx_tasks.planning.runs import part_tag
from buildx_tasks.publishing import attaching, evidence, mirrors
from buildx_tasks.publishing.publish import Before, Published, publish
from buildx_tasks.publishing.push import signing, with_files
from buildx_tasks.publishing.release import Release, platforms_in, versions_of
from buildx_tasks.publishing.tags import refuse_shared, tags_of
from buildx_tasks.verification import check
from buildx_tasks.verification.checks import index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.sources import Source
    from buildx_tasks.joining.letterbox import Letterbox, Part, Strange
    from buildx_tasks.planning.runs import Run, TargetRun
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace

WAY = "joined"  # as the ledger names it


class Options(NamedTuple):
    """How parts are joined: out of ``folders`` in place of the registry; ``missing`` may be left out."""

    folders: Sequence[Path] = ()
    missing: Sequence[Platform] = ()


def join(
    workspace: Workspace,
    plan: Plan,
    run_id: str,
    options: Options,
    audience: Audience,
) -> list[Published]:
    """Compose the selected images of a run of their parts, and publish each under its tags.

    Raises:
        UsageError: the id is none, a folder holds no parts, or what is missing may not be.
        PushError: parts are missing, or not what they should be: each is named, and no tag moved; or
            as :func:`~buildx_tasks.publishing.publish.publish`.
        VerifyError: an index is not as expected; no tag moved.
        RegistryError: a registry refuses.

    """
    run = runs.run_of(workspace, plan, run_id)
    left_out = _left_out(run, options.missing)
    require_folders(options.folders)
    targets = [one.target for one in run.targets]
    tags = {one.name: tags_of(one, ()) for one in targets}
    refuse_shared(list(tags.items()))
    before = Before(partial(_require_expected, workspace, plan), signing(workspace, targets))
    files = attaching.given(workspace, targets)
    found = list(_found(workspace, run, options.folders))
    judged = judging.judge(run, plan, found, left_out, workspace.root, options.folders)
    if judged.problems:
        number = len(judged.problems)
        head = (
            f"run {run.fixed.id} cannot be joined, {number} thing{'s' if number > 1 else ''} wrong"
        )
        raise PushError("\n  ".join([f"{head}; no tag moved:", *judged.problems]))
    releases = []
    for one in run.targets:
        parts = judged.parts[one.target.name]
        _say(one, parts, left_out, audience)
        made = _release(run, one, parts, tags[one.target.name], left_out)
        releases.append(with_files(made, files[one.target.name]))

    with audience.uploading() as watcher:
        moved = publish(workspace, releases, watcher, audience.moved, before_tags=before)
        # A mirror gets what was found to be as expected at home.
        mirrored = before._replace(check=Before().check)
        return [*moved, *mirrors.mirror(workspace, releases, watcher, audience, mirrored)]


def platforms_of(texts: Sequence[str]) -> list[Platform]:
    """Return the platforms that a person names as missing.

    Raises:
        UsageError: one is none.

    """
    try:
        return list(map(platforms.parse, texts))
    except ValueError as error:
        raise UsageError(f"--allow-missing: {error}") from None


def _left_out(run: Run, missing: Sequence[Platform]) -> dict[Cell, str]:
    """Return the cells that may be missing, each with the reason that the file gives."""
    found = {
        Cell(one.target.name, platform): reason
        for one in run.targets
        for platform, reason in one.target.spec.optional.items()
        if platform in missing
    }
    known = {cell.platform for cell in found}
    for platform in missing:
        if platform not in known:
            raise UsageError(
                f"--allow-missing {platform}: no selected target says that it may be; write "
                f'[target.NAME.platform."{platform}"] optional = "the reason"'
            )
    return found


def _found(workspace: Workspace, run: Run, folders: Sequence[Path]) -> Iterator[Part | Strange]:
    by_place: dict[str, tuple[Reference, list[str]]] = {}
    wanted: list[str] = []
    for one in run.targets:
        place = one.staging._replace(tag="")
        _, tags = by_place.setdefault(str(place), (place, []))
        its = [part_tag(run.fixed.id, one.target.name, p) for p in one.target.declared]
        tags += its
        wanted += its
    if folders:
        yield from InFolders(folders).found(run.fixed.id, [])
        return
    with workspace.things("read", wanted) as things:
        for place, tags in by_place.values():
            letterbox: Letterbox = InRegistry(workspace.registries.repository(place), things)
            yield from letterbox.found(run.fixed.id, tags)


def _say(
    one: TargetRun, parts: Mapping[Platform, Part], left_out: Mapping[Cell, str], audience: Audience
) -> None:
    for platform in one.target.declared:
        cell = Cell(one.target.name, platform)
        if platform not in parts:
            audience.said(f"WARNING: {cell} is missing, and published without: {left_out[cell]}")
            continue
        record = parts[platform].record
        audience.said(f"{cell}: {record.digest}, {record.verified}, {record.how}")


def _release(
    run: Run,
    one: TargetRun,
    parts: Mapping[Platform, Part],
    tags: tuple[Reference, ...],
    left_out: Mapping[Cell, str],
) -> Release:
    target = one.target
    there = [platform for platform in target.declared if platform in parts]
    whole, source = composed([parts[platform] for platform in there])
    lacking = {p: left_out[Cell(target.name, p)] for p in target.declared if p not in parts}
    checked = any(parts[platform].record.verified == "passed" for platform in there)
    entry: dict[str, Any] = {
        "target": target.name,
        "verified": "passed" if checked else "unchecked",
        "way": WAY,
        "run": run.fixed.id,
        "versions": versions_of(None),
        **({"missing": {str(p): reason for p, reason in lacking.items()}} if lacking else {}),
    }
    manifests = {platform: parts[platform].record.digest for platform in there}
    # What a person lets go on the command line is lost on purpose.
    drop = (*target.spec.drop, *lacking)
    verdicts = {
        platform: parts[platform].record.verdict()
        for platform in there
        if parts[platform].record.verified == "passed"
    }
    attachments = evidence.of_verdicts(whole, manifests, verdicts, target.spec.verdicts)
    return Release(
        target.name, source, whole, manifests, tags, target.spec.immutable, entry, drop, attachments
    )


def composed(parts: Sequence[Part]) -> tuple[Graph, Source]:
    """Return the index of parts, in their order, and what gives its blobs; equal parts, equal bytes.

    Attestations stand behind the platforms, as BuildKit has them; annotations are those of all parts.

    Raises:
        EngineError, RegistryError: something that a part lists is not there, or not as it says.

    """
    images: list[dict[str, Any]] = []
    attested: list[dict[str, Any]] = []
    annotations: dict[str, str] = {}
    children, places = {}, {}
    for part in parts:
        annotations = {**part.root.content.marks, **annotations}
        for entry, raw in records.entries_of(part.root):
            (attested if ATTESTATION in entry.marks else images).append(raw)
            child = graph.below(part.root, entry, part.source)
            children[entry.digest] = child
            places.update({blob.digest: part.source for blob in child.described})
    root = records.whole([*images, *attested], annotations)
    listed = [children[raw["digest"]] for raw in (*images, *attested)]
    return graph.assembled(root, listed), Beside(parts[0].source, elsewhere=places)


def _require_expected(workspace: Workspace, plan: Plan, one: Release, reference: str) -> None:
    """Check what only the whole can show, of the index as it was uploaded."""
    target = next(target for target in plan.images if target.name == one.target)
    target = target._replace(declared=tuple(platforms_in(one.graph.root)))
    digest = one.graph.root.digest
    repository = reference.partition("@")[0]
    image = Image(by_digest(f"{repository}:", digest), digest, one.manifests, repository=repository)
    problems = [
        f"{reference} {check_.name}: {problem}"
        for check_ in (check.of_whole(target.spec.verify) if target.spec.verify else ())
        for problem in index.check_whole(
            workspace.engine, workspace.registries, target, image, check_.spec
        ).problems
    ]
    if problems:
        raise VerifyError("\nerror: ".join([*problems, "no tag was moved"]))
