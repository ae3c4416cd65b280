"""What bake says of its targets in; what was built, for people and for the ledger, out."""

from __future__ import annotations

import datetime as dt
import json
import re
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import choice
from buildx_tasks.building import location
from buildx_tasks.engine import history
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.records.ledger import Ledger


PUBLISHED = "published"  # not built here: the registry of the target's own tag has it


class Built(NamedTuple):
    """One target after a build.

    ``digest`` is the image index's (the manifest's where there is one platform and no attestation),
    ``""`` for exported files; ``seconds`` is how long buildx worked on the target; ``staged`` is the
    reference that holds it in a registry, ``""`` where the engine has it. ``parts`` are the ids of
    its platforms, where a classic store has them one by one; there is no index, and no digest, then.
    ``part`` is the tag of its own that an image of some of the declared platforms got. ``since`` is
    when it was built (UTC, ISO 8601) where it is unchanged and was not built now, or ``PUBLISHED``.
    """

    target: str
    platforms: tuple[Platform, ...]
    digest: str
    seconds: float | None
    staged: str = ""
    parts: Mapping[Platform, str] = MappingProxyType({})
    part: str = ""
    since: str = ""


def read(
    engine: Engine,
    plan: Plan,
    builder: Builder | None,
    staged: Mapping[str, str],
    metadata: Mapping[str, Any],
) -> list[Built]:
    """Return what bake made of a plan, as its metadata says; ``staged`` are tags in a registry."""
    builds = {str(facts.get("buildx.build.ref", "")) for facts in metadata.values()} - {""}
    seconds = _seconds(engine, builder, builds)
    built = []
    for target in plan.targets:
        facts = metadata.get(target.name, {})
        digest = facts.get("containerimage.digest", "") if target.is_image else ""
        tag = staged.get(target.name)
        built.append(
            Built(
                target.name,
                target.platforms,
                digest,
                seconds.get(facts.get("buildx.build.ref", "")),
                location.by_digest(tag, digest) if tag else "",
                part=_part(target),
            )
        )
    return built


def together(
    plan: Plan,
    parts: Mapping[str, Mapping[Platform, str]],
    made: Sequence[Built],
    metadata: Mapping[str, Any],
) -> list[Built]:
    """Return the targets of a plan that was built platform by platform.

    ``parts`` names the target of each platform, ``made`` and ``metadata`` are of those.
    """
    by_name = {item.target: item for item in made}
    built = []
    for target in plan.targets:
        if target.name not in parts:
            built.append(by_name[target.name])
            continue
        ids = {
            platform: metadata[name]["containerimage.config.digest"]
            for platform, name in parts[target.name].items()
        }
        times = [by_name[name].seconds or 0 for name in parts[target.name].values()]
        seconds = max(times) if any(times) else None
        built.append(
            Built(target.name, target.platforms, "", seconds, parts=ids, part=_part(target))
        )
    return built


def _part(target: TargetPlan) -> str:
    return target.tags[0] if target.is_part and target.is_image and target.spec.tags else ""


def _seconds(
    engine: Engine, builder: Builder | None, builds: Collection[str]
) -> Mapping[str, float | None]:
    """Return how long builds took, by reference; bake's metadata does not say, the records do."""
    if choice.is_engines_own(builder):
        with suppress(EngineError), faults():
            return {one: history.seconds(engine.api, one.rpartition("/")[2]) for one in builds}
    return _seconds_by_build(engine.commands, builder)


def _seconds_by_build(commands: Commands, builder: Builder | None) -> dict[str, float]:
    """Return how long each recorded build took, by its reference; nothing where buildx is older."""
    result = commands.query([*choice.command(builder, "history", "ls"), "--format", "json"])
    records = [json.loads(line) for line in result.stdout.splitlines()] if result.ok else []
    return {
        record["ref"]: (
            time_of(record["completed_at"]) - time_of(record["created_at"])
        ).total_seconds()
        for record in records
        if record.get("completed_at")
    }


def time_of(text: str) -> dt.datetime:
    """Return the time that docker or buildx prints."""
    # Go prints nanoseconds, Python 3.9 reads exactly six digits.
    match = re.fullmatch(r"([^.Z+]+?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        raise ValueError(f"{text} is no time")
    zone = "+00:00" if match[3] == "Z" else match[3]
    return dt.datetime.fromisoformat(f"{match[1]}.{(match[2] or '')[:6]:0<6}{zone}")


def record(
    ledger: Ledger, plan: Plan, built: Sequence[Built], more: Mapping[str, Mapping[str, Any]]
) -> None:
    """Note what was built of a plan, and what ``more`` has to say of a target."""
    ledger.record("built", [{**_entry(plan, item), **more.get(item.target, {})} for item in built])


def _entry(plan: Plan, item: Built) -> dict[str, Any]:
    tags = next(target.tags for target in plan.targets if target.name == item.target)
    return {
        "target": item.target,
        "platforms": [str(platform) for platform in item.platforms],
        "digest": item.digest,
        "tags": tags,
        **({"part": True} if item.part else {}),
        **({"staged": item.staged} if item.staged else {}),
        **({"parts": {str(p): one for p, one in item.parts.items()}} if item.parts else {}),
    }
