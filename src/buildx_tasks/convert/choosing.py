"""Data of a ``buildx.toml`` → what of it can be used; what is built where nothing is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks import references
from buildx_tasks.convert.writing import loaded, text_of
from buildx_tasks.errors import ConfigError
from buildx_tasks.language.targets import DEFAULT, LINK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.convert.keeping import Data


def usable(data: Data) -> tuple[Data, list[str]]:
    """Return data without the targets that the loader refuses, and a note about each of them.

    All of it where no target is good, or the fault is no single target's.
    """
    if not _refused(data):
        return data, []
    why = {name: _refused(_alone(data, name)) for name in data["target"]}
    good = {name: one for name, one in data["target"].items() if not why[name]}
    groups = {
        name: {**group, "targets": [one for one in group["targets"] if not why.get(one)]}
        for name, group in data.get("group", {}).items()
    }
    left = {name: group for name, group in groups.items() if group["targets"]}
    done = {**data, "target": good, "group": left}
    if not left:
        del done["group"]
    if not good or _refused(done):
        return data, []
    return done, [f"[target.{name}] is left out: {said}" for name, said in why.items() if said]


def _refused(data: Data) -> str:
    try:
        loaded(text_of(data), Path())
    except ConfigError as error:
        return str(error).partition(": ")[2]
    return ""


def _alone(data: Data, name: str) -> Data:
    """Return data with one target, and those that it is built on."""
    wanted = [name]
    for one in wanted:  # which grows
        contexts = data["target"][one].get("contexts", {}).values()
        linked = [text[len(LINK) :] for text in contexts if text.startswith(LINK)]
        wanted += [other for other in linked if other in data["target"] and other not in wanted]
    rest = {key: one for key, one in data.items() if key != "group"}
    return {**rest, "target": {one: data["target"][one] for one in wanted}}


def with_default(data: Data) -> tuple[Data, list[str]]:
    """Return data in which, where none is named, no two targets of one tag are built; and notes.

    Of those with one tag, the one with most platforms is built; of alike ones the last.
    """
    if DEFAULT in data.get("group", {}) or DEFAULT in data["target"]:
        return data, []
    config = loaded(text_of(data), Path())
    owners: dict[str, list[str]] = {}
    for name, target in config.target.items():
        for tag in target.attributes.get("tags", ()):
            owners.setdefault(str(references.parse(tag)), []).append(name)
    left: dict[str, str] = {}
    for names in owners.values():
        there = [name for name in names if name not in left]
        if len(there) < 2:
            continue
        best = max(reversed(there), key=lambda name: _platforms(config.target[name].attributes))
        left.update({name: best for name in there if name != best})
    if not left:
        return data, []
    chosen = [name for name in data["target"] if name not in left]
    groups = {DEFAULT: {"targets": chosen}, **data.get("group", {})}
    notes = [
        f"{other} and {best} have a tag in common: invoke build takes {best}, invoke build -t {other} "
        "the other one"
        for other, best in left.items()
    ]
    return {**data, "group": groups}, notes


def _platforms(attributes: Mapping[str, Any]) -> int:
    return len(attributes.get("platforms", ()))
