"""Config + selection → :class:`Plan`: frozen data that says what a task will work on.

A cell is one target on one platform, written ``hello@linux/arm64``. Nothing here does I/O.
"""

from __future__ import annotations

import csv
import fnmatch
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks import platforms
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.loading import links

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.config import Config, Target
    from buildx_tasks.platforms import Platform

DEFAULT_GROUP = "default"  # bake's name for what is built when nothing is selected

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
        return not self.spec.output or any(map(_lands_in_store, self.spec.output))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The target's selected cells."""
        return tuple(Cell(self.name, platform) for platform in self.platforms)


class Plan(NamedTuple):
    """What a task works on: the selected targets, and those they are built on (``linked``)."""

    config: Config
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
    names = _select_names(config, targets)
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
    linked = _linked_names(config, names)
    return Plan(
        config,
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


def _declared(target: Target) -> tuple[Platform, ...]:
    if target.platforms is None:
        return (platforms.host_platform(),)
    return tuple(map(platforms.parse, target.platforms))


def _plan_target(name: str, spec: Target, wanted: list[Platform]) -> TargetPlan:
    declared = _declared(spec)
    selected = tuple(p for p in declared if p in wanted) if wanted else declared
    return TargetPlan(name, spec, selected, declared)


def _select_names(config: Config, patterns: Sequence[str]) -> dict[str, bool]:
    """Return the selected target names in order; True where a name was given outright."""
    if not patterns:
        members = [DEFAULT_GROUP] if DEFAULT_GROUP in config.group else list(config.target)
        return dict.fromkeys(_expand(config, members), False)
    selected: dict[str, bool] = {}
    for pattern in patterns:
        if pattern in config.target:
            selected[pattern] = True
            continue
        names = _expand(config, [pattern]) if pattern in config.group else []
        if not names and _GLOB_MARKS & set(pattern):
            names = fnmatch.filter(config.target, pattern)
        if not names:
            known = {*config.target, *config.group}
            what = "no target matches" if _GLOB_MARKS & set(pattern) else "unknown target"
            hint = nearest(pattern, known) or f"; known: {listed(known)}"
            raise UsageError(f'{what} "{pattern}"{hint}')
        for name in names:
            selected.setdefault(name, False)
    return selected


def _expand(config: Config, members: Sequence[str]) -> list[str]:
    """Return the targets that the members (targets and groups) stand for, each once."""
    names: dict[str, None] = {}
    for member in members:
        group = config.group.get(member)
        names.update(dict.fromkeys(_expand(config, group.targets) if group else [member]))
    return list(names)


def _linked_names(config: Config, selected: dict[str, bool]) -> list[str]:
    found: dict[str, None] = {}
    waiting = list(selected)
    while waiting:
        for name in links(config.target[waiting.pop()]).values():
            if name not in selected and name not in found:
                found[name] = None
                waiting.append(name)
    return list(found)


def output_fields(output: str) -> dict[str, str]:
    """Return one export (CSV as in buildx's ``--output``) as a mapping; a bare path is ``dest``."""
    parts = next(csv.reader([output]))
    if len(parts) == 1 and "=" not in parts[0]:
        return {"type": "tar" if parts[0] == "-" else "local", "dest": parts[0]}
    return {key: value for key, _, value in (part.partition("=") for part in parts)}


def _lands_in_store(output: str) -> bool:
    fields = output_fields(output)
    kind = fields.get("type")
    return kind == "image" or (kind == "docker" and "dest" not in fields)


def bake_definition(plan: Plan) -> dict[str, Any]:
    """Return the bake file (JSON form) that builds the plan: its group ``default`` is all of it."""
    return {
        "group": {DEFAULT_GROUP: {"targets": [target.name for target in plan.targets]}},
        "target": {t.name: _bake_target(t) for t in (*plan.targets, *plan.linked)},
    }


def _bake_target(target: TargetPlan) -> dict[str, Any]:
    attributes = {
        key: value
        for key, value in msgspec.to_builtins(target.spec).items()
        if key != "verify" and value not in (None, [], {})
    }
    if target.spec.platforms is not None:
        # A linked target that shares no platform with the selection keeps all of its own.
        attributes["platforms"] = [str(p) for p in target.platforms or target.declared]
    if not target.spec.output:
        attributes["output"] = ["type=docker"]
    escaped: dict[str, Any] = _escape(attributes)
    return escaped


def _escape(value: Any) -> Any:
    """Keep bake from reading ``${`` and ``%{`` in strings as its own templates."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, list):
        return [_escape(item) for item in value]
    if isinstance(value, dict):
        return {_escape(key): _escape(item) for key, item in value.items()}
    return value


def summary(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON data: builder, targets, and the cells by name."""
    builder = plan.config.builder
    return {
        "builder": builder and {"name": builder.name, "driver": builder.driver},
        "targets": [
            {
                "name": target.name,
                "platforms": [str(platform) for platform in target.platforms],
                "tags": target.spec.tags,
                "image": target.is_image,
                "output": target.spec.output,
                "description": target.spec.description,
            }
            for target in plan.targets
        ],
        "linked": [target.name for target in plan.linked],
        "cells": [str(cell) for target in plan.targets for cell in target.cells],
    }
