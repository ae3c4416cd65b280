"""Config + selection → :class:`Plan`: frozen data that says what a task will work on."""

from __future__ import annotations

import fnmatch
import functools
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.language.targets import NO_TARGET, default, links, members
from buildx_tasks.planning import shared_places
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.cells import Selected, TargetPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildx_tasks.language.targets import Config, Target
    from buildx_tasks.platforms import Platform


_GLOB_MARKS = frozenset("*?[")


class Plan(Selected):
    """What a task works on: frozen data, and the bake file that builds it."""

    __slots__ = ()

    @property
    def bake_file(self) -> dict[str, Any]:
        """The plan as ``docker buildx bake --print`` prints it."""
        return bake_definition(self)


def make_plan(config: Config, targets: Sequence[str] = (), wanted: Sequence[str] = ()) -> Plan:
    """Select targets (names, groups, globs) and platforms.

    Without ``targets`` the group ``default`` is meant, and all targets where there is none.
    Without ``wanted`` all declared platforms are meant. A target named outright must declare each
    wanted platform; targets selected by group, glob or default are left out where they do not.

    Raises:
        UsageError: something selected does not exist, or is not declared.
        ConfigError: two of the targets write one place.

    """
    selected_platforms = [_parse_wanted(text) for text in wanted]
    if not config.target:
        raise UsageError(NO_TARGET)
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
    linked = [
        _plan_target(name, config.target[name], selected_platforms)
        for name in linked_names(config, names)
    ]
    shared_places.refuse(config, plans, linked)
    return Plan(config, tuple(selection), tuple(plans), tuple(linked))


def without(plan: Plan, names: Iterable[str]) -> Plan:
    """Return a plan that leaves out some of its targets; what others are built on stays linked."""
    out = set(names)
    if not out:
        return plan
    by_name = {one.name: one for one in (*plan.targets, *plan.linked)}
    kept = [one for one in plan.targets if one.name not in out]
    chosen = {one.name for one in kept}
    groups = plan.config.group
    selection = [n for n in plan.selection if chosen.intersection(members(groups, [n]))]
    linked = [by_name[name] for name in linked_names(plan.config, [one.name for one in kept])]
    return Plan(plan.config, tuple(selection), tuple(kept), tuple(linked))


def _join(items: Sequence[Platform]) -> str:
    return ", ".join(map(str, items))


def _parse_wanted(text: str) -> Platform:
    try:
        return platforms.parse(text)
    except ValueError as error:
        raise UsageError(f"--platform: {error}") from None


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


def linked_names(config: Config, selected: Iterable[str]) -> list[str]:
    """Return what targets are built on, through others too, without these themselves."""
    found: dict[str, None] = {}
    waiting = list(selected)
    chosen = set(waiting)
    while waiting:
        for name in links(config.target[waiting.pop()]).values():
            if name not in chosen and name not in found:
                found[name] = None
                waiting.append(name)
    return list(found)
