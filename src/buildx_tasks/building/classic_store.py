"""A plan in; one whose targets are single platforms, as a classic image store takes them, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.building.staging import needed, tag_of
from buildx_tasks.language.targets import LINK
from buildx_tasks.planning.cells import shortened
from buildx_tasks.planning.selection import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform


def part_of(target: TargetPlan, platform: Platform) -> str:
    """Return the tag under which one platform waits, where a store takes no whole image.

    It is local, and what it holds is known by its id, which is the config's digest.
    """
    repository, _, tag = tag_of(target).rpartition(":")
    return f"{repository}:{shortened('-'.join((tag, *filter(None, platform))))}"


class Divided(NamedTuple):
    """A plan in which each platform is a target; ``parts`` are their names, by target and platform."""

    plan: Plan
    parts: dict[str, dict[Platform, str]]


def divisible(builder: Builder | None, plan: Plan) -> bool:
    """Say whether dividing the plan lets a classic store take what it could not.

    Without a declared builder, setup makes one that needs no store.
    """
    if builder is None or any(needed(builder, target) for target in plan.targets):
        return False
    return any(map(_is_divided, plan.targets))


def _is_divided(target: TargetPlan) -> bool:
    return target.is_image and not target.spec.output and len(target.platforms) > 1


def divided(plan: Plan) -> Divided:
    """Divide the images of several platforms, and what they are built on, into one for each platform."""
    parts: dict[str, dict[Platform, str]] = {}
    taken = set(plan.config.target)
    linked = [t._replace(platforms=t.platforms or t.declared) for t in plan.linked]
    for target in (*filter(_is_divided, plan.targets), *(t for t in linked if t.platforms[1:])):
        parts[target.name] = {p: _name(target, p, taken) for p in target.platforms}
    targets = [part for target in plan.targets for part in _parts_of(target, parts)]
    bases = [part for target in linked for part in _parts_of(target, parts)]
    # Groups name the whole targets; there are none now.
    config = plan.config._replace(group={})
    names = tuple(part.name for part in targets)
    return Divided(Plan(config, names, tuple(targets), tuple(bases)), parts)


def _name(target: TargetPlan, platform: Platform, taken: set[str]) -> str:
    name = "-".join((f"{target.name}-", *filter(None, platform))).replace(".", "-")
    while name in taken:
        name += "-"
    taken.add(name)
    return name


def _parts_of(target: TargetPlan, parts: Mapping[str, dict[Platform, str]]) -> list[TargetPlan]:
    spec = target.spec
    if target.name not in parts:
        attributes = _relinked(spec.attributes, parts)
        overrides = {p: _relinked(own, parts) for p, own in spec.overrides.items()}
        return [target._replace(spec=spec._replace(attributes=attributes, overrides=overrides))]
    found = []
    for platform, name in parts[target.name].items():
        attributes = {**_relinked(spec.attributes, parts), "platforms": [str(platform)]}
        if spec.tags:
            attributes["tags"] = [part_of(target, platform)]
        files = {
            key: _of_part(path, platform, parts)
            for key, path in spec.files.get(platform, {}).items()
        }
        own = spec.overrides.get(platform)
        part = spec._replace(
            attributes=attributes,
            files={platform: files} if files else {},
            overrides={} if own is None else {platform: _relinked(own, parts)},
        )
        found.append(
            target._replace(name=name, spec=part, platforms=(platform,), declared=(platform,))
        )
    return found


def _relinked(attributes: Attributes, parts: Mapping[str, Mapping[Platform, str]]) -> Attributes:
    """Link to the parts of a target in its place: which one is meant, the platform of a stage says.

    BuildKit looks for ``NAME::PLATFORM`` before ``NAME``.
    Source: https://github.com/moby/buildkit/blob/master/frontend/dockerui/namedcontext.go
    """
    contexts = {}
    for key, value in attributes.get("contexts", {}).items():
        bases = parts.get(value[len(LINK) :], {}) if value.startswith(LINK) else {}
        contexts.update({f"{key}::{p}": LINK + name for p, name in bases.items()} or {key: value})
    return {**attributes, "contexts": contexts} if contexts else dict(attributes)


def _of_part(path: str, platform: Platform, parts: Mapping[str, Mapping[Platform, str]]) -> str:
    """Return the path of a file in the part of the target that it is taken from."""
    name, slash, rest = path[len(LINK) :].partition("/") if path.startswith(LINK) else ("", "", "")
    return (
        f"{LINK}{parts[name][platform]}{slash}{rest}" if platform in parts.get(name, {}) else path
    )
