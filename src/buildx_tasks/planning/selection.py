"""Config + selection → :class:`Plan`: frozen data that says what a task will work on.

A cell is one target on one platform, written ``hello@linux/arm64``. Nothing here does I/O.
"""

from __future__ import annotations

import fnmatch
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks import platforms
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.language.expansion import DEFAULT, LINK, default, links, members
from buildx_tasks.language.git import EPOCH
from buildx_tasks.language.merging import as_csv
from buildx_tasks.planning import helpers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from buildx_tasks.language.expansion import Config, Target
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.platforms import Platform

# An engine's BuildKit rewrites times only for a registry that alone keeps the image.
REWRITTEN = {"rewrite-timestamp": "true", "store": "false"}

_GLOB_MARKS = frozenset("*?[")


class Cell(NamedTuple):
    """One target on one platform."""

    target: str
    platform: Platform

    def __str__(self) -> str:
        return f"{self.target}@{self.platform}"


class TargetPlan(NamedTuple):
    """One target as selected; ``platforms`` is the selected part of ``declared``."""

    name: str
    spec: Target
    platforms: tuple[Platform, ...]
    declared: tuple[Platform, ...]

    @property
    def is_image(self) -> bool:
        """Whether the build leaves an image in the engine's store (and not just files)."""
        if self.spec.attributes.get("call", "build") != "build":
            return False
        return not self.spec.output or any(map(_lands_in_store, self.spec.output))

    @property
    def is_reproducible(self) -> bool:
        """Whether some check expects that building it again gives the same."""
        verify = self.spec.verify
        return bool(verify and any(table.reproducible for table in (verify, *verify.check)))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The target's selected cells."""
        return tuple(Cell(self.name, platform) for platform in self.platforms)


class Plan(NamedTuple):
    """What a task works on: the selected targets, and those they are built on (``linked``).

    ``selection`` holds the names of targets and groups that were meant.
    """

    config: Config
    selection: tuple[str, ...]
    targets: tuple[TargetPlan, ...]
    linked: tuple[TargetPlan, ...]

    @property
    def images(self) -> tuple[TargetPlan, ...]:
        """The selected targets that leave an image."""
        return tuple(target for target in self.targets if target.is_image)


def make_plan(config: Config, targets: Sequence[str] = (), wanted: Sequence[str] = ()) -> Plan:
    """Select targets (names, groups, globs) and platforms.

    Without ``targets`` the group ``default`` is meant, and all targets where there is none.
    Without ``wanted`` all declared platforms are meant. A target named outright must declare each
    wanted platform; targets selected by group, glob or default are left out where they do not.

    Raises:
        UsageError: something selected does not exist, or is not declared.

    """
    selected_platforms = [_parse_wanted(text) for text in wanted]
    selection = _select(config, targets)
    names = {name: name in targets for name in members(config.group, selection)}
    plans = []
    for name, outright in names.items():
        plan = _plan_target(name, config.target[name], selected_platforms)
        missing = [str(p) for p in selected_platforms if p not in plan.declared]
        if missing and outright:
            raise UsageError(
                f'target "{name}" does not declare {", ".join(missing)}; '
                f"it declares: {_join(plan.declared)}"
            )
        if plan.platforms:
            plans.append(plan)
    if not plans:
        declared = {p for name in names for p in _declared(config.target[name])}
        raise UsageError(
            f"no selected target declares {_join(selected_platforms)}; "
            f"declared: {listed(map(str, declared))}"
        )
    _refuse_shared_tags(plans)
    linked = _linked_names(config, names)
    return Plan(
        config,
        tuple(selection),
        tuple(plans),
        tuple(_plan_target(name, config.target[name], selected_platforms) for name in linked),
    )


def _join(items: Sequence[Platform]) -> str:
    return ", ".join(map(str, items))


def _parse_wanted(text: str) -> Platform:
    try:
        return platforms.parse(text)
    except ValueError as error:
        raise UsageError(f"--platform: {error}") from None


def _refuse_shared_tags(plans: list[TargetPlan]) -> None:
    owners: dict[str, str] = {}
    for plan in plans:
        for tag in plan.spec.tags:
            owner = owners.setdefault(tag, plan.name)
            if owner != plan.name:
                raise UsageError(
                    f'targets "{owner}" and "{plan.name}" both have the tag "{tag}"; '
                    "select one of them, or give each tags of its own"
                )


def _declared(target: Target) -> tuple[Platform, ...]:
    return _parsed(tuple(target.attributes.get("platforms", ())))


@functools.cache
def _parsed(written: tuple[str, ...]) -> tuple[Platform, ...]:
    return tuple(map(platforms.parse, written)) or (platforms.host_platform(),)


def _plan_target(name: str, spec: Target, wanted: list[Platform]) -> TargetPlan:
    declared = _declared(spec)
    selected = tuple(p for p in declared if p in wanted) if wanted else declared
    return TargetPlan(name, spec, selected, declared)


def _select(config: Config, patterns: Sequence[str]) -> list[str]:
    """Return the names of targets and groups that the patterns mean, in order, each once."""
    if not patterns:
        return default(config.target, config.group)
    selected: dict[str, None] = {}
    known = {*config.target, *config.group}
    for pattern in patterns:
        names = [pattern] if pattern in known else []
        if not names and _GLOB_MARKS & set(pattern):
            names = fnmatch.filter(config.target, pattern)
        if not names:
            what = "no target matches" if _GLOB_MARKS & set(pattern) else "unknown target"
            hint = nearest(pattern, known) or f"; known: {listed(known)}"
            raise UsageError(f'{what} "{pattern}"{hint}')
        selected.update(dict.fromkeys(names))
    return list(selected)


def _linked_names(config: Config, selected: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    waiting = list(selected)
    chosen = set(waiting)
    while waiting:
        for name in links(config.target[waiting.pop()]).values():
            if name not in chosen and name not in found:
                found[name] = None
                waiting.append(name)
    return list(found)


def _lands_in_store(output: dict[str, str]) -> bool:
    return output["type"] == "image" or (output["type"] == "docker" and "dest" not in output)


def batches(plan: Plan, most: int = 50) -> list[Plan]:
    """Split a plan into plans of at most ``most`` targets; what is built on the same stays together.

    Measured with buildx 0.29 on 2 cores: a bake of 50 empty targets takes 1.4 s, of 100 9 s, of 150
    18 s or fails with "context canceled", of 200 always fails.
    Source of the failure: https://github.com/docker/buildx/issues/3810
    """
    if len(plan.targets) + len(plan.linked) <= most:
        return [plan]
    by_name = {target.name: target for target in (*plan.targets, *plan.linked)}
    parts: list[list[str]] = [[]]
    for component in _components(by_name):
        if parts[-1] and len(parts[-1]) + len(component) > most:
            parts.append([])
        parts[-1] += component
    chosen = {target.name for target in plan.targets}
    return [
        Plan(
            plan.config,
            tuple(name for name in part if name in chosen),
            tuple(by_name[name] for name in part if name in chosen),
            tuple(by_name[name] for name in part if name not in chosen),
        )
        for part in parts
    ]


def _components(by_name: dict[str, TargetPlan]) -> list[list[str]]:
    """Return the targets grouped by their links, in order of appearance."""
    around: dict[str, list[str]] = {name: [] for name in by_name}
    for name, target in by_name.items():
        for linked in links(target.spec).values():
            around[name].append(linked)
            around[linked].append(name)
    found: list[list[str]] = []
    seen: set[str] = set()
    for name in by_name:
        if name in seen:
            continue
        waiting, component = [name], []
        seen.add(name)
        while waiting:
            component.append(waiting.pop())
            fresh = [n for n in around[component[-1]] if n not in seen]
            seen.update(fresh)
            waiting += fresh
        found.append(component)
    return found


def bake_definition(plan: Plan) -> dict[str, Any]:
    """Return the plan as ``docker buildx bake --print`` prints it, with the helpers it needs."""
    chosen = {target.name for target in plan.targets}
    targets: dict[str, Attributes] = {}
    for target in (*plan.targets, *plan.linked):
        targets.update(helpers.with_helpers(target.spec, target.name, _selected(target)))
        if target.name not in chosen:
            targets[target.name]["output"] = [{"type": "cacheonly"}]
    _share_entitlements(targets)
    definition: dict[str, Any] = {
        "group": _bake_groups(plan, chosen),
        "target": {name: _printed(targets[name]) for name in sorted(targets)},
    }
    encoded = msgspec.json.encode(definition)
    if b"${" in encoded or b"%{" in encoded:
        definition = _escape(definition)
    return definition


def build_definition(
    plan: Plan,
    staged: Mapping[str, str] | None = None,
    archives: Mapping[str, str] | None = None,
    epoch: str = "",
) -> dict[str, Any]:
    """Return the bake file that builds the plan: images without export go to the image store.

    ``staged`` maps targets that no store can hold to the tag under which a registry gets them,
    ``archives`` those whose image is written to a file first, with the times of its files rewritten.
    ``epoch`` is what reproducible targets take for the time it is, and what they are built on.
    """
    definition = bake_definition(plan)
    for target in plan.targets:
        attributes = definition["target"][target.name]
        if staged and target.name in staged:
            output = {"type": "registry"}
            if target.is_reproducible:
                output.update(REWRITTEN)
            attributes.update(output=[output], tags=[staged[target.name]])
        elif archives and target.name in archives:
            output = {"type": "oci", "dest": archives[target.name], "rewrite-timestamp": "true"}
            attributes["output"] = [output]
        elif not target.spec.output and target.is_image:
            attributes["output"] = [{"type": "docker"}]
    if epoch:
        names = [target.name for target in plan.targets if target.is_reproducible]
        _set_epoch(definition["target"], names, epoch)
    return definition


def _set_epoch(targets: dict[str, Attributes], names: list[str], epoch: str) -> None:
    """Give the epoch to these targets and all that they are built on; what is declared wins."""
    waiting, done = list(names), set()
    while waiting:
        name = waiting.pop()
        if name in done or name not in targets:
            continue
        done.add(name)
        attributes = targets[name]
        attributes["args"] = {EPOCH: epoch, **attributes.get("args", {})}
        bases = attributes.get("contexts", {}).values()
        waiting += [base[len(LINK) :] for base in bases if base.startswith(LINK)]


def _selected(target: TargetPlan) -> dict[Platform, str]:
    """Return the platforms to build, as they were written; empty for this machine's own."""
    # A linked target that shares no platform with the selection keeps all of its own.
    wanted = target.platforms or target.declared
    written = dict(zip(target.declared, target.spec.platforms))
    return {platform: written[platform] for platform in wanted if platform in written}


def _printed(attributes: Attributes) -> Attributes:
    return {"context": ".", "dockerfile": "Dockerfile", **attributes}


def _share_entitlements(targets: dict[str, Attributes]) -> None:
    """Give each target the entitlements of those it builds on, as bake does."""
    done: set[str] = set()

    def visit(name: str) -> None:
        if name in done:
            return
        done.add(name)
        attributes = targets[name]
        for value in attributes.get("contexts", {}).values():
            linked = value[len(LINK) :] if value.startswith(LINK) else ""
            if linked not in targets:
                continue
            visit(linked)
            for entitlement in targets[linked].get("entitlements", ()):
                if entitlement not in attributes.get("entitlements", ()):
                    attributes["entitlements"] = [*attributes.get("entitlements", ()), entitlement]

    for name in targets:
        visit(name)


def _bake_groups(plan: Plan, chosen: set[str]) -> dict[str, Any]:
    config = plan.config
    groups: dict[str, Any] = {}
    waiting = [name for name in plan.selection if name in config.group]
    while waiting:
        name = waiting.pop()
        if name in groups:
            continue
        group = config.group[name]
        # A platform that was asked for leaves out the targets that do not have it.
        kept = [m for m in group.targets if chosen.intersection(members(config.group, [m]))]
        groups[name] = {"targets": kept}
        if group.description:
            groups[name]["description"] = group.description
        waiting += [member for member in kept if member in config.group]
    outright = [n for n in plan.selection if n != DEFAULT or n not in config.group]
    outright = [n for n in outright if chosen.intersection(members(config.group, [n]))]
    top = groups.setdefault(DEFAULT, {"targets": []})
    top["targets"] = sorted({*top["targets"], *outright})
    return dict(sorted(groups.items()))


def _escape(value: Any) -> Any:
    """Keep bake from reading ``${`` and ``%{`` in strings as its own templates."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, list):
        return [_escape(item) for item in value]
    if isinstance(value, dict):
        return {_escape(key): _escape(item) for key, item in value.items()}
    return value


def summary(plan: Plan, ways: Mapping[str, str]) -> dict[str, Any]:
    """Return the plan as JSON data: builder, targets, and the cells by name.

    ``ways`` maps each target that can be pushed to the way it takes.
    """
    builder = plan.config.builder
    return {
        "builder": builder and {"name": builder.name, "driver": builder.driver},
        "targets": [
            {
                "name": target.name,
                "platforms": [str(platform) for platform in target.platforms],
                "tags": target.spec.tags,
                "labels": target.spec.attributes.get("labels", {}),
                "image": target.is_image,
                "output": target.spec.output,
                "push": ways.get(target.name),
                "description": target.spec.description,
                "helpers": helpers.described(target.spec, target.name, _selected(target)),
            }
            for target in plan.targets
        ],
        "linked": [target.name for target in plan.linked],
        "cells": [str(cell) for target in plan.targets for cell in target.cells],
    }


def rows(plan: Plan, ways: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the plan as rows for people: each cell's name, tags, exports, way to be pushed, bases."""
    found: list[tuple[str, ...]] = []
    for target in plan.targets:
        helping = helpers.described(target.spec, target.name, _selected(target))
        exports = "; ".join(as_csv("output", e) or e["type"] for e in target.spec.output)
        push = ways.get(target.name, "-")
        store = "registry, staged" if push == "staged" else "image store"
        base = ", ".join(dict.fromkeys(links(target.spec).values()))
        tags = ", ".join(target.spec.tags) or "-"
        found += [(str(cell), tags, exports or store, push, base) for cell in target.cells]
        found += [(f"  {name}", "-", "helper", "-", words) for name, words in helping.items()]
    return found


def github_matrix(plan: Plan) -> dict[str, list[dict[str, str]]]:
    """Return the plan's cells as a matrix of GitHub Actions, each with the runner that is native.

    Source of the runners: https://docs.github.com/en/actions/reference/runners/github-hosted-runners
    """
    return {
        "include": [
            {
                "target": cell.target,
                "platform": str(cell.platform),
                "runner": _RUNNERS.get(cell.platform.architecture, _RUNNER),
            }
            for target in plan.targets
            for cell in target.cells
        ]
    }


_RUNNER = "ubuntu-24.04"
_RUNNERS = {"arm64": "ubuntu-24.04-arm", "arm": "ubuntu-24.04-arm"}
