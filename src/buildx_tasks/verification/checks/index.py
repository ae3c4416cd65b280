"""``index``: the image has exactly the declared platforms, its attestations, its annotations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.images import index
from buildx_tasks.images.attestations import PROVENANCE, SBOM, Kind
from buildx_tasks.text import json_line
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.config import differs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.images.index import Entry
    from buildx_tasks.language import expectations
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.registries import Registries


def check_whole(
    engine: Engine,
    registries: Registries,
    target: TargetPlan,
    image: Image,
    spec: expectations.Index,
) -> Found:
    """Compare the index of the target's image with what is declared.

    Where neither ``spec`` nor the target's ``attest`` speaks of a kind of attestation, both its
    presence and its absence are fine: buildx adds provenance by itself.

    Raises:
        EngineError: the image is gone, or cannot be read.

    """
    reached = engine, registries, image
    marks = Marks(
        lambda: index.own_annotations(*reached), lambda: index.manifest_annotations(*reached)
    )
    return compare(target, index.entries(*reached), marks, spec)


class Marks(NamedTuple):
    """What gives the annotations of an index itself, and those of each platform's manifest."""

    of_index: Callable[[], Mapping[str, str]]
    of_manifests: Callable[[], Mapping[Platform, Mapping[str, str]]]


def compare(
    target: TargetPlan, entries: Sequence[Entry], marks: Marks, spec: expectations.Index
) -> Found:
    """Compare what an index lists with what is declared, wherever it was read."""
    problems = [*_platforms(target, entries)]
    for kind, said in ((SBOM, spec.sbom), (PROVENANCE, spec.provenance)):
        problems += _attestations(target, entries, kind, said)
    problems += _annotations(marks, spec.annotations)
    return Found(tuple(problems), (summary(entries),))


def summary(entries: Sequence[Entry]) -> str:
    """Return ``4 platforms, SBOM and provenance on each`` for the index."""
    number = len(entries)
    parts = [f"{number} platform{'s' if number != 1 else ''}"]
    having = {kind.name: sum(_has(one, kind) for one in entries) for kind in (SBOM, PROVENANCE)}
    whole = [name for name, count in having.items() if count == number]
    if whole and number:
        parts.append(f"{' and '.join(whole)} on each")
    parts += [f"{name} on {n} of them" for name, n in having.items() if 0 < n < number]
    return ", ".join(parts) if len(parts) > 1 else f"{parts[0]}, no attestations"


def wanted(target: TargetPlan, kind: Kind, said: bool | None) -> tuple[bool | None, str]:
    """Return whether attestations of this kind are wanted (None: either way), and who says so."""
    if said is not None:
        return said, f"{kind.type} = {str(said).lower()}"
    for entry in target.spec.attributes.get("attest", ()):
        if entry["type"] == kind.type:
            return not entry.get("disabled", False), "the target's attest"
    return None, ""


def _platforms(target: TargetPlan, entries: Sequence[Entry]) -> Iterator[str]:
    again = f"run invoke build -t {target.name}"
    counts = Counter(entry.platform for entry in entries)
    if missing := [p for p in target.declared if p not in counts]:
        yield f"platforms: declared, but not in the image: {_joined(missing)}; {again}"
    if strange := [p for p in counts if p not in target.declared]:
        yield (
            f"platforms: in the image, but not declared: {_joined(strange)}; "
            f"add them to platforms, or {again}"
        )
    if double := [p for p, count in counts.items() if count > 1]:
        yield f"platforms: several times in the image: {_joined(double)}; {again}"
    lacking = [e.platform for e in entries if not e.available and e.platform in target.declared]
    if lacking:
        yield f"platforms: content not in the engine's store: {_joined(lacking)}; {again}"


def _attestations(
    target: TargetPlan, entries: Sequence[Entry], kind: Kind, said: bool | None
) -> Iterator[str]:
    expected, source = wanted(target, kind, said)
    off = [e.platform for e in entries if e.available and _has(e, kind) is not expected]
    if expected is None or not off:
        return
    state, option = ("missing on", "") if expected else ("there on", ",disabled=true")
    yield (
        f"{kind.name}: {state} {_joined(off)}, against {source}; "
        f'set attest = ["type={kind.type}{option}"] and build again'
    )


def _annotations(marks: Marks, expected: Mapping[str, str]) -> Iterator[str]:
    """Yield the annotations that the index lacks, with where they are instead."""
    there = marks.of_index() if expected else {}
    lacking = {key: value for key, value in expected.items() if there.get(key) != value}
    elsewhere = marks.of_manifests() if lacking else {}
    for key, value in lacking.items():
        problem = differs(f"annotation {key}", value, there.get(key))
        on = [platform for platform, found in elsewhere.items() if found.get(key) == value]
        if on:
            problem += (
                f", but it is on the manifest of {_joined(on)}: expect it there with config = "
                "{ annotations = … }, or"
            )
        else:
            problem += ";"
        right = json_line(f"index:{key}={value}")
        yield f"{problem} set annotations in buildx.toml, as in {right}"


def _has(entry: Entry, kind: Kind) -> bool:
    return any(predicate.startswith(kind.predicates) for predicate in entry.predicates)


def _joined(platforms: Sequence[Platform]) -> str:
    return ", ".join(map(str, platforms))
