"""What ``bake --print`` printed → the data of a ``buildx.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.convert.moving import rename
from buildx_tasks.language.merging import as_csv
from buildx_tasks.language.targets import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMPOSABLE = ("attest", "cache-from", "cache-to", "output", "secret", "ssh")
_ESCAPED = {"$${": "${", "%%{": "%{"}
# bake prints these escaped, and all other strings as they are.
_ESCAPED_KEYS = frozenset({"annotations", "args", "dockerfile-inline", "extra-hosts", "labels"})
_LOCAL = "local"  # bake's word for this machine's own platform


def as_chosen(everything: dict[str, Any]) -> dict[str, Any]:
    """Return what bake printed, what is only built on without the output that bake gives it."""
    chosen = {name for group in everything["group"].values() for name in group["targets"]}
    targets = {
        name: {key: value for key, value in table.items() if key != "output"}
        if name not in chosen and table.get("output") == [{"type": "cacheonly"}]
        else table
        for name, table in everything["target"].items()
    }
    return {**everything, "target": targets}


def in_our_escapes(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target as bake printed it, its texts as a ``buildx.toml`` writes them."""
    return {key: _in_ours(key, value) for key, value in table.items()}


def data_of(
    everything: dict[str, Any],
    default: Mapping[str, Any],
    matrices: Sequence[str] = (),
    *,
    is_compose: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Return what bake printed as data of a ``buildx.toml``, and notes about new names.

    The targets of ``matrices``, and a compose file's ulimits, are sorted: bake tells them in any order.
    """
    everything = as_chosen(everything)
    groups = {k: v for k, v in everything["group"].items() if k != DEFAULT}
    groups = {**{k: {**v} for k, v in default.items()}, **groups}
    for name in (name for name in matrices if name in groups):
        groups[name] = {**groups[name], "targets": sorted(groups[name]["targets"])}
    data: dict[str, Any] = {"group": groups} if groups else {}
    data["target"] = {name: _target(t) for name, t in everything["target"].items()}
    for target in data["target"].values() if is_compose else ():
        if "ulimits" in target:
            target["ulimits"].sort()
    return data, _apart(data)


def _apart(data: dict[str, Any]) -> list[str]:
    """Give groups and targets of one name two: bake takes the group where that is asked for."""
    notes = []
    groups, targets = data.get("group", {}), data["target"]
    for name in [name for name in groups if name in targets]:
        # What is built where nothing is said must keep its name.
        kind = "target" if name == DEFAULT else "group"
        new = f"{name}-{kind}"
        while new in groups or new in targets:
            new += "-"
        if kind == "group":
            data["group"] = {new if key == name else key: one for key, one in groups.items()}
            for key, group in data["group"].items():
                members = group["targets"]
                group["targets"] = [new if m == name and key != new else m for m in members]
        else:
            data["target"] = {new if key == name else key: one for key, one in targets.items()}
            for group in groups.values():
                group["targets"] = [new if m == name else m for m in group["targets"]]
            for one in data["target"].values():
                rename(one, name, new)
        groups, targets = data["group"], data["target"]
        notes.append(f'"{name}" is a target and a group; the {kind} is called "{new}" now')
    return notes


def _target(attributes: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = {}
    for key, value in attributes.items():
        if (key, value) in (("dockerfile", "Dockerfile"), ("context", ".")) or value in _NOTHING:
            continue
        if key == "platforms":
            target.update(_platforms(value))
        elif key in _COMPOSABLE:
            target[key] = [_ours(as_csv(key, entry) or entry) for entry in value]
        else:
            target[key] = _in_ours(key, value)
    # A target that only says the defaults still has to say something.
    return target or {"context": "."}


_NOTHING: tuple[Any, ...] = ("", None, [], {})


def _platforms(written: list[str]) -> dict[str, list[str]]:
    """Return the platforms, each once; none for this machine's own alone, which is the default."""
    if set(written) == {_LOCAL}:
        return {}
    own = str(platforms.host_platform())
    found: dict[Any, str] = {}
    for text in (own if text == _LOCAL else text for text in written if text):
        try:
            found.setdefault(platforms.parse(text), text)
        except ValueError:  # said when it is loaded
            found.setdefault(text, text)
    return {"platforms": list(found.values())}


def _in_ours(key: str, value: Any) -> Any:
    return _ours(_unescaped(value) if key in _ESCAPED_KEYS else value)


def _unescaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unescaped(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return list(map(_unescaped, value))
    for escaped, plain in _ESCAPED.items():
        value = value.replace(escaped, plain)
    return value


def _ours(value: Any) -> Any:
    """Escape what our own file would take for a variable."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {_ours(key): _ours(item) for key, item in value.items()}
    return [_ours(item) for item in value if item != ""] if isinstance(value, list) else value
