"""Parts and the run that they should be of in; those that count, or all that is wrong, out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import EngineError, RegistryError, listed
from buildx_tasks.images.attestations import ATTESTATION, ATTESTED, ATTESTED_AS
from buildx_tasks.images.image import platform_of
from buildx_tasks.joining import foreign, records
from buildx_tasks.joining.letterbox import Part
from buildx_tasks.planning.cells import Cell
from buildx_tasks.planning.runs import part_tag
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.verification import check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from buildx_tasks.joining.letterbox import Strange
    from buildx_tasks.joining.records import Record
    from buildx_tasks.language.expectations import Binaries
    from buildx_tasks.planning.runs import Fixed, Run, TargetRun
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Descriptor
    from buildx_tasks.verification.check import Check

_SHORT = 12  # characters of a commit


class Judged(NamedTuple):
    """The parts of each target by platform, where nothing is wrong; ``problems`` name what is."""

    parts: dict[str, dict[Platform, Part]]
    problems: list[str]


class _Here(NamedTuple):
    """What was read before, and the project's folder."""

    layers: foreign.Layers
    root: Path


def judge(
    run: Run,
    plan: Plan,
    found: Sequence[Part | Strange],
    left_out: Collection[Cell],
    root: Path = Path(),
    folders: Sequence[Path] = (),
) -> Judged:
    """Say which parts make the images of a run, and everything that keeps them from it.

    ``left_out`` are the cells that may be missing, ``root`` is the project's folder, ``folders`` are
    where the parts should be, if not in the registry. What a part is made of is read to its end: its
    config and the ELF files in its layers say for what it is.
    """
    parts: dict[str, dict[Platform, Part]] = {}
    problems = [one.reason for one in found if not isinstance(one, Part)]
    strange = {one.tag for one in found if not isinstance(one, Part)}
    known = [one for one in found if isinstance(one, Part)]
    seen = foreign.Layers()
    for one in run.targets:
        name = one.target.name
        for platform in one.target.declared:
            tag = part_tag(run.fixed.id, name, platform)
            mine = [part for part in known if part.tag == tag]
            if not mine and tag not in strange and Cell(name, platform) not in left_out:
                problems.append(_missing(run, one, platform, folders))
            if len({part.record.digest for part in mine}) > 1:
                places = " and ".join(part.place for part in mine)
                problems.append(f"{Cell(name, platform)} is there twice, and differs: {places}")
            for part in mine[:1]:
                wrong = list(_problems(part, run.fixed, one, platform, _Here(seen, root)))
                problems += [f"{part.place}: {text}" for text in wrong]
                if not wrong:
                    parts.setdefault(name, {})[platform] = part
    problems += _foreign(run, plan, known)
    return Judged(parts, problems)


def _missing(run: Run, one: TargetRun, platform: Platform, folders: Sequence[Path]) -> str:
    name = one.target.name
    tag = part_tag(run.fixed.id, name, platform)
    lacking = f"there is no {one.staging._replace(tag=tag)}"
    to = ""
    if folders:
        lacking = f"{tag} is in none of {listed(map(str, folders))}"
        to = " --to DIR"
    return (
        f"{Cell(name, platform)} is missing: {lacking}; run the job that ends with "
        f"invoke part --id {run.fixed.id} -t {name} -p {platform}{to}"
    )


def _foreign(run: Run, plan: Plan, known: Sequence[Part]) -> Iterator[str]:
    """Yield parts that no target of the project has, or that are under another's tag."""
    wanted = {
        part_tag(run.fixed.id, one.target.name, p)
        for one in run.targets
        for p in one.target.declared
    }
    for part in known:
        record = part.record
        if part.tag in wanted:
            continue
        if record.run != run.fixed.id:
            yield f"{part.place}: it is of the run {record.run}, not of {run.fixed.id}"
            continue
        declared: tuple[Platform, ...] = ()
        if record.target in plan.config.target:
            (other,) = make_plan(plan.config, [record.target]).targets
            declared = other.declared
        tags = {part_tag(run.fixed.id, record.target, p): str(p) for p in declared}
        if part.tag in tags:
            continue
        if record.platform in tags.values():
            yield (
                f"{part.place}: {record.target}@{record.platform} is there twice, under a tag that is "
                "not its own, too: see which job made it"
            )
        else:
            yield f"{part.place}: it is foreign, for no target declares {record.target}@{record.platform}"


def _problems(
    part: Part, fixed: Fixed, one: TargetRun, platform: Platform, here: _Here
) -> Iterator[str]:
    record = part.record
    cell = Cell(one.target.name, platform)
    if record.run != fixed.id:
        yield f"it is of the run {record.run}, not of {fixed.id}"
    if record.commit != fixed.commit:
        yield (
            f"it is of the commit {record.commit[:_SHORT] or 'none'}, not of "
            f"{fixed.commit[:_SHORT] or 'none'}"
        )
    elif record.plan != one.hash:
        yield (
            f"it is of another plan ({record.plan[:_SHORT]}, here {one.hash[:_SHORT]}): variables, "
            "tags, the environment or buildx.toml differed there"
        )
    if (record.target, record.platform) != (cell.target, str(platform)):
        yield f"its record is of {record.target}@{record.platform}, not of {cell}"
    verify = one.target.spec.verify
    expected = check.of_cell(verify, cell, one.target.spec.tags[0], here.root) if verify else ()
    yield from _unverified(record, expected)
    specs = [c.spec for c in expected if c.kind == "binaries" and not c.skip and not c.xfail]
    yield from _mislabelled(part, platform, here.layers, specs)


def _unverified(record: Record, expected: Sequence[Check]) -> Iterator[str]:
    statuses = {found.name: found.status for found in record.checks}
    failed = [name for name, status in statuses.items() if status == "FAIL"]
    if failed:
        yield f"it failed: {', '.join(failed)}"
    allowed = {c.name: {"skip"} if c.skip else {"xfail"} if c.xfail else {"ok"} for c in expected}
    lacking = [
        name
        for name, good in allowed.items()
        if name not in failed and statuses.get(name) not in good
    ]
    if lacking or record.verified not in ("passed", "unchecked"):
        yield f"it was not verified{': ' if lacking else ''}{', '.join(lacking)}"


def _attests(entry: Descriptor, digest: str) -> bool:
    """Say whether an entry is what BuildKit attests of an image, on a platform that nobody has."""
    is_about = entry.marks[ATTESTATION] == ATTESTED_AS and entry.marks.get(ATTESTED) == digest
    return is_about and platform_of(entry.platform)[:2] == ("unknown", "unknown")


def _mislabelled(
    part: Part, platform: Platform, layers: foreign.Layers, specs: Sequence[Binaries]
) -> Iterator[str]:
    """Yield where index, config and files of a part say another platform than its tag does."""
    entries = [entry for entry, _ in records.entries_of(part.root)]
    images = [entry for entry in entries if ATTESTATION not in entry.marks]
    if [entry.digest for entry in images] != [part.record.digest]:
        yield "it holds another image than its record says"
        return
    listed_as = platform_of(images[0].platform)
    if listed_as != platform:
        yield f"its index says {listed_as if listed_as.os else 'no platform'}, not {platform}"
    for entry in entries:
        # All that is listed goes into the image: nobody may be given what was not looked at.
        if ATTESTATION in entry.marks and not _attests(entry, images[0].digest):
            yield f"it lists {entry.digest}, which is neither its image nor attested of that"
    try:
        manifest = part.source.manifest(images[0].digest)
        if manifest.content.config is None:
            yield "it is an index in an index"
            return
        config = part.source.config(manifest.content.config)
        said = platform_of(config.platform)
        if said != platform:
            yield f"its config says {said}, not {platform}"
        found = list(layers.problems(part, manifest, config, platform, specs))
    except (RegistryError, EngineError) as error:
        yield f"it cannot be read: {error}"
        return
    yield from found
