"""``docker tag``, ``docker manifest`` and ``imagetools create`` → tags and platforms of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks.convert.flags import split
from buildx_tasks.language.config import Overrides

if TYPE_CHECKING:
    from collections.abc import Sequence


class Naming(NamedTuple):
    """New names for what is published, or built, under others; ``place`` says where, and what."""

    new: list[str]
    old: list[str]
    said: str


def naming(kind: str, words: Sequence[str], said: str) -> Naming | None:
    """Return what a command names; None where it names nothing anew."""
    if kind == "tag":
        return Naming([words[1]], [words[0]], said) if len(words) == 2 else None
    if list(words[:1]) != ["create"]:
        return None
    read = split(list(words[1:]))
    places = [value for flag, value in read if not flag]
    if kind == "imagetools":
        new = [value for flag, value in read if flag == "--tag"]
        whole = not any(flag in {"--append", "--file"} for flag, _ in read)
        return Naming(new, places, said) if new and places and whole else None
    # The old --amend takes no value, -a does.
    places += [value for flag, value in read if flag in {"-a", "--amend"} and value]
    return Naming(places[:1], places[1:], said) if len(places) > 1 else None


def named(targets: dict[str, Any], one: Naming) -> str | None:
    """Give targets the tags of a command; the name of the target that has them, None where none can.

    Of several single platforms one target is made: what they do not share is in its ``platform``.
    """
    owners = [_owner(targets, tag) for tag in one.old]
    names = list(dict.fromkeys(name for name in owners if name))
    if not names or None in owners:
        return None
    if len(names) > 1 and not _join(targets, names):
        return None
    table = targets[names[0]]
    old = [] if len(names) == 1 else [tag for tag in table["tags"] if tag in one.old]
    tags = [tag for tag in table["tags"] if tag not in old]
    table["tags"] = list(dict.fromkeys([*tags, *one.new]))
    return names[0]


def _owner(targets: dict[str, Any], tag: str) -> str | None:
    wanted = _whole(tag.partition("@")[0])
    for name, table in targets.items():
        if wanted in map(_whole, table.get("tags", [])):
            return name
    return None


def _whole(tag: str) -> str:
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


def _join(targets: dict[str, Any], names: list[str]) -> bool:
    """Make one target of several; False where they are not its platforms."""
    tables = [targets[name] for name in names]
    platforms = [table.get("platforms", []) for table in tables]
    if any(len(own) != 1 for own in platforms) or len({own[0] for own in platforms}) < len(names):
        return False
    shared, own = _apart(tables)
    known = {field.encode_name for field in msgspec.structs.fields(Overrides)}
    if any(not set(table) <= known for table in own):
        return False
    first = {**shared, "platforms": [one for own in platforms for one in own]}
    first["tags"] = list(dict.fromkeys(tag for table in tables for tag in table["tags"]))
    if any(own):
        first["platform"] = {one[0]: table for one, table in zip(platforms, own) if table}
    targets[names[0]] = first
    for name in names[1:]:
        del targets[name]
    return True


def _apart(tables: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what all of them say alike, and what each says of its own."""
    said = [
        {key: value for key, value in table.items() if key not in {"platforms", "tags"}}
        for table in tables
    ]
    shared = {
        key: value for key, value in said[0].items() if all(one.get(key) == value for one in said)
    }
    return shared, [{k: v for k, v in one.items() if k not in shared} for one in said]
