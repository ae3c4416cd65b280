"""Verified images of some platforms in; each platform handed in as a part of a run, out."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.building import staging
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import PushError, RegistryError, VerifyError
from buildx_tasks.images import graph, sources
from buildx_tasks.images.attestations import ATTESTATION, ATTESTED
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.layout import Layout
from buildx_tasks.inputs.fingerprints import ANNOTATION
from buildx_tasks.joining import letterbox, records, runs
from buildx_tasks.joining.letterbox import InRegistry, Part, Strange
from buildx_tasks.planning.runs import part_tag
from buildx_tasks.publishing import compose, upload
from buildx_tasks.publishing.release import versions_of, way_of
from buildx_tasks.verification import passed, units

if TYPE_CHECKING:
    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.sources import Source
    from buildx_tasks.joining.records import Record
    from buildx_tasks.planning.runs import Run, TargetRun
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.publishing.upload import Watcher
    from buildx_tasks.records.ledger import Verified
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.verification.units import Unit
    from buildx_tasks.workspace import Workspace


class Handed(NamedTuple):
    """One part that was handed in: ``place`` is where it waits, ``was_there`` that it did before."""

    cell: str
    place: str
    record: Record
    was_there: bool


class _Taken(NamedTuple):
    """One platform of an image: what its index says of it and what is attested of it."""

    source: Source
    entries: list[dict[str, Any]]
    annotations: dict[str, str]


class Options(NamedTuple):
    """How parts are handed in: into the folder ``to``; ``replace`` another one of the same cell."""

    to: Path | None = None
    replace: bool = False


def hand_in(
    workspace: Workspace, plan: Plan, run_id: str, options: Options, audience: Audience
) -> list[Handed]:
    """Hand in each selected platform of each selected image as a part of the run.

    Raises:
        UsageError: the id is none, or nothing selected leaves an image.
        EngineError: one is not built.
        VerifyError: one did not pass, or was not verified; nothing was handed in.
        PushError: another part is there already.
        RegistryError: the registry refuses, or does not give back what was sent.

    """
    run = runs.run_of(workspace, plan, run_id)
    workspace.engine.require()
    listed, history = passed.wanted(workspace, plan.images)
    cells = [(unit, unit.platform) for unit in listed if unit.platform]
    _require_verified([unit for unit, _ in cells], history)
    by_name = {one.target.name: one for one in run.targets}
    wanted: dict[str, tuple[Reference, Callable[[], tuple[Record, Graph, Source]]]] = {}
    for unit, platform in cells:
        one = by_name[unit.target.name]
        tag = part_tag(run.fixed.id, unit.target.name, platform)
        made = partial(_made, workspace, run, one, unit, platform)
        wanted[unit.id] = one.staging._replace(tag=tag), made
    handed = []
    if options.to is not None:
        with faults(), workspace.things("written", wanted) as things:
            for cell, (place, making) in wanted.items():
                with things.at(cell, f"is written to {options.to}"):
                    record, whole, source = making()
                    taken = _to_folder(options, place.tag, record, whole, source)
                there = f"{place.tag} in {options.to}"
                handed.append(Handed(cell, there, record, was_there=taken))
                audience.said(_line(handed[-1]))
        return handed
    with faults(), audience.uploading() as watcher:
        for cell, (place, making) in wanted.items():
            box = _Box(workspace, place, watcher, replace=options.replace)
            handed.append(box.take(cell, *making()))
            audience.said(_line(handed[-1]))
    return handed


def _line(item: Handed) -> str:
    record = item.record
    there = ", was there already" if item.was_there else ""
    return f"{item.cell}: {item.place}, {record.digest}, {record.verified}, {record.how}{there}"


def _require_verified(cells: list[Unit], history: Verified) -> None:
    left = [unit.id for unit in units.unsettled(cells, history.passed)]
    failed = [one for one in left if one in history.failed]
    waiting = [one for one in left if one not in failed]
    lines = (
        [f"{', '.join(failed)} failed; correct it, and build and verify again"] if failed else []
    )
    if waiting:
        lines.append(f"not verified: {', '.join(waiting)}; run invoke verify first")
    if lines:
        raise VerifyError("\nerror: ".join([f"{lines[0]}; nothing was handed in", *lines[1:]]))


def _to_folder(options: Options, tag: str, record: Record, whole: Graph, source: Source) -> bool:
    """Write a part into a folder; say whether it was there already."""
    folder = Path(options.to or "")
    there = None if options.replace else letterbox.in_folder(folder, tag)
    if there and _is_same(there, record):
        return True
    if there:
        raise PushError(_taken_by(f"{tag} in {folder}", there))
    Layout(folder).add(tag, whole, source)
    return False


class _Box(NamedTuple):
    """The tag under which one part is to wait."""

    workspace: Workspace
    place: Reference
    watcher: Watcher
    replace: bool

    def take(self, cell: str, record: Record, whole: Graph, source: Source) -> Handed:
        """Upload a part, and read it back."""
        tag = self.place.tag
        repository = self.workspace.registries.repository(self.place)
        named = repository.named(tag)
        if self._is_there(repository, record):
            return Handed(cell, named, record, was_there=True)
        repository.require_writable()
        upload.upload(source, whole, repository, self.watcher)
        upload.confirm(whole, repository)
        # An upload can take minutes, in which another job may have come first.
        if self._is_there(repository, record):
            return Handed(cell, named, record, was_there=True)
        repository.put(tag, whole.root)
        if repository.get(tag, whole.root.digest).digest != whole.root.digest:
            raise RegistryError(
                f"{named} holds another part than was sent; another job handed one in meanwhile: see "
                "why two jobs make it"
            )
        entry = {"target": record.target, "platform": record.platform, "run": record.run}
        self.workspace.ledger.record("part", [{**entry, "tag": named, "digest": record.digest}])
        return Handed(cell, named, record, was_there=False)

    def _is_there(self, repository: Repository, record: Record) -> bool:
        """Say whether the part waits already; another one in its place is an error."""
        tag = self.place.tag
        there = None if self.replace else InRegistry(repository).part(tag)
        if there and not _is_same(there, record):
            raise PushError(_taken_by(repository.named(tag), there))
        return there is not None


def _is_same(there: Part | Strange, record: Record) -> bool:
    if isinstance(there, Strange):
        return False
    known = there.record
    return (known.run, known.plan, known.digest) == (record.run, record.plan, record.digest)


def _taken_by(place: str, there: Part | Strange) -> str:
    if isinstance(there, Strange):
        return f"{there.reason}; remove {place}, or take another --id"
    known = there.record
    return (
        f"{place} is there already, of the run {known.run}, with {known.digest} (at {known.at}): two "
        "jobs make it; where this one is to count, write --replace"
    )


def _taken(workspace: Workspace, unit: Unit, platform: Platform) -> _Taken:
    """Return one platform of an image, wherever it is; the classic store's is pushed to be there."""
    image = unit.image
    source: Source
    if way_of(workspace.engine, image) == staging.BY_PLATFORM:
        alone = unit.target._replace(declared=(platform,))
        source, found = compose.pushed(workspace, alone, image)
        root = found.root
    else:
        source = sources.of_image(image, workspace.engine, workspace.registries)
        root = source.manifest(image.digest)
    if not root.is_index:
        words = zip(("os", "architecture", "variant"), platform)
        entry = {
            "mediaType": root.media_type,
            "digest": root.digest,
            "size": len(root.data),
            "platform": {key: value for key, value in words if value},
        }
        return _Taken(source, [entry], {})
    plain = json.loads(root.data)["manifests"]
    listed = list(zip(root.content.manifests, plain))
    own = [
        (one.digest, raw)
        for one, raw in listed
        if ATTESTATION not in one.marks and one.platform and platform_of(one.platform) == platform
    ]
    attested = [
        raw
        for one, raw in listed
        if ATTESTATION in one.marks and one.marks.get(ATTESTED) in {digest for digest, _ in own}
    ]
    return _Taken(source, [*(raw for _, raw in own), *attested], dict(root.content.marks))


def _made(
    workspace: Workspace, run: Run, one: TargetRun, unit: Unit, platform: Platform
) -> tuple[Record, Graph, Source]:
    """Return a part: its record, all that is uploaded, and what gives the blobs of that."""
    taken = _taken(workspace, unit, platform)
    children = [taken.source.manifest(entry["digest"]) for entry in taken.entries]
    record = records.Record(
        run.fixed.id,
        run.fixed.commit,
        one.hash,
        one.target.name,
        str(platform),
        taken.entries[0]["digest"],
        "passed" if unit.kinds else "unchecked",
        platforms.runs_natively(platform, workspace.engine.platform),
        dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        [
            records.Verdict(c.name, c.kind, "skip" if c.skip else "xfail" if c.xfail else "ok")
            for c in unit.checks
        ],
        versions_of(workspace.engine),
        children[0].content.marks.get(ANNOTATION, ""),
        unit.hash,
    )
    written = records.written(record)
    root = records.index_of(taken.entries, taken.annotations, written)
    whole = graph.assembled(root, [*children, written.manifest])
    return record, whole, sources.Beside(taken.source, written.blobs)
