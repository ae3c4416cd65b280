"""A plan → the bake file that builds it, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from buildx_tasks.language.git import EPOCH
from buildx_tasks.language.targets import DEFAULT, LINK, members
from buildx_tasks.planning import helpers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.cells import Selected, TargetPlan
    from buildx_tasks.platforms import Platform


# An engine's BuildKit rewrites times only for a registry that alone keeps the image.
REWRITTEN = {"rewrite-timestamp": "true", "store": "false"}


def bake_definition(plan: Selected) -> dict[str, Any]:
    """Return the plan as ``docker buildx bake --print`` prints it, with the helpers it needs."""
    chosen = {target.name for target in plan.targets}
    targets: dict[str, Attributes] = {}
    for target in (*plan.targets, *plan.linked):
        targets.update(helpers.with_helpers(target.spec, target.name, selected_platforms(target)))
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
    plan: Selected,
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


def selected_platforms(target: TargetPlan) -> dict[Platform, str]:
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


def _bake_groups(plan: Selected, chosen: set[str]) -> dict[str, Any]:
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
