"""A plan → the bake file that builds it, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from buildx_tasks.language.git import EPOCH
from buildx_tasks.language.secrets import KINDS, effective
from buildx_tasks.language.targets import DEFAULT, LINK, members
from buildx_tasks.planning import helpers
from buildx_tasks.planning.caches import with_caches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.targets import Config
    from buildx_tasks.planning.cells import Selected, TargetPlan
    from buildx_tasks.platforms import Platform


_CACHES = frozenset({"cache-from", "cache-to"})
# An engine's BuildKit rewrites times only for a registry that alone keeps the image.
_BY_PLATFORM = ("local", "tar")  # exports with a folder for each platform
REWRITTEN = {"rewrite-timestamp": "true", "store": "false"}


def bake_definition(plan: Selected, *, caches: bool = True) -> dict[str, Any]:
    """Return the plan as ``docker buildx bake --print`` prints it, with the helpers it needs.

    Without ``caches`` it has none: who builds nothing has no use for them.

    Raises:
        ConfigError: a cache cannot be what it is said to be.

    """
    chosen = {target.name for target in plan.targets}
    targets: dict[str, Attributes] = {}
    for target in (*plan.targets, *plan.linked):
        built = helpers.with_helpers(target.spec, target.name, selected_platforms(target))
        for name, attributes in built.items():
            targets[name] = _cached(plan, target, attributes) if caches else _uncached(attributes)
        if target.name not in chosen:
            targets[target.name]["output"] = [{"type": "cacheonly"}]
        elif target.is_part:
            targets[target.name].update(_of_part(target, targets[target.name]))
    _share(targets)
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
    *,
    caches: bool = True,
) -> dict[str, Any]:
    """Return the bake file that builds the plan: images without export go to the image store.

    ``staged`` maps targets that no store can hold to the tag under which a registry gets them,
    ``archives`` those whose image is written to a file first, with the times of its files rewritten.
    ``epoch`` is what reproducible targets take for the time it is, and what they are built on.
    """
    definition = bake_definition(plan, caches=caches)
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


def _of_part(target: TargetPlan, whole: Attributes) -> Attributes:
    """Return what a build of some platforms does not share with the whole: its tag, and its layout."""
    found: Attributes = {"tags": target.tags} if target.spec.tags else {}
    if any(one["type"] in _BY_PLATFORM for one in target.spec.output):
        # BuildKit makes a folder for each platform where it builds several; a single one gets its own.
        found["args"] = {"BUILDKIT_MULTI_PLATFORM": "1", **whole.get("args", {})}
    return found


def selected_platforms(target: TargetPlan) -> dict[Platform, str]:
    """Return the platforms to build, as they were written; empty for this machine's own."""
    # A linked target that shares no platform with the selection keeps all of its own.
    wanted = target.platforms or target.declared
    written = dict(zip(target.declared, target.spec.platforms))
    return {platform: written[platform] for platform in wanted if platform in written}


def _cached(plan: Selected, target: TargetPlan, attributes: Attributes) -> Attributes:
    if _CACHES.isdisjoint(attributes):
        return attributes
    written = selected_platforms(target)
    names = attributes.get("platforms", ())
    its = [platform for platform, name in written.items() if name in names]
    try:
        return with_caches(attributes, target.name, its or target.declared)
    except ValueError as error:
        message = f"[target.{target.name}] {error}"
        raise plan.config.error(target.name, message, "cache-to") from None


def _uncached(attributes: Attributes) -> Attributes:
    return {key: value for key, value in attributes.items() if key not in _CACHES}


def _printed(attributes: Attributes) -> Attributes:
    return {"context": ".", "dockerfile": "Dockerfile", **attributes}


def _share(targets: dict[str, Attributes]) -> None:
    """Give each target what those need that it builds on: entitlements, secrets, ssh.

    bake shares the first alone; but the steps of a linked target of several platforms run in the
    build of the one that is built on it, which has only its own secrets.
    """
    done: set[str] = set()

    def visit(name: str) -> None:
        if name in done:
            return
        done.add(name)
        attributes = targets[name]
        if "contexts" not in attributes:
            return
        values = attributes["contexts"].values()
        linked = [
            v[len(LINK) :] for v in values if v.startswith(LINK) and v[len(LINK) :] in targets
        ]
        if not linked:
            return
        for base in linked:
            visit(base)
            for entitlement in targets[base].get("entitlements", ()):
                if entitlement not in attributes.get("entitlements", ()):
                    attributes["entitlements"] = [*attributes.get("entitlements", ()), entitlement]
        for kind in KINDS:
            have = effective(attributes, kind)
            theirs: dict[str, list[Attributes]] = {}
            for base in linked:
                for key, entry in effective(targets[base], kind).items():
                    if key not in have and entry not in theirs.setdefault(key, []):
                        theirs[key].append(entry)
            # Of two sources none: BuildKit would take it for a step that needs the other one.
            lacking = [found[0] for found in theirs.values() if len(found) == 1]
            if lacking:
                attributes[kind] = [*attributes.get(kind, ()), *lacking]

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
        kept = [m for m in group.targets if m in chosen or _reaches(config, m, chosen)]
        groups[name] = {"targets": kept}
        if group.description:
            groups[name]["description"] = group.description
        waiting += [member for member in kept if member in config.group]
    outright = [n for n in plan.selection if n != DEFAULT or n not in config.group]
    outright = [n for n in outright if n in chosen or _reaches(config, n, chosen)]
    top = groups.setdefault(DEFAULT, {"targets": []})
    top["targets"] = sorted({*top["targets"], *outright})
    return dict(sorted(groups.items()))


def _reaches(config: Config, name: str, chosen: set[str]) -> bool:
    return name in config.group and not chosen.isdisjoint(members(config.group, [name]))


def unescaped(text: str) -> str:
    """Return what bake reads in a text, whose ``${`` and ``%{`` are escaped."""
    return text.replace("$${", "${").replace("%%{", "%{")


def _escape(value: Any) -> Any:
    """Keep bake from reading ``${`` and ``%{`` in strings as its own templates."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, list):
        return [_escape(item) for item in value]
    if isinstance(value, dict):
        return {_escape(key): _escape(item) for key, item in value.items()}
    return value
