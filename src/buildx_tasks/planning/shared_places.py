"""Targets that are built together in; the error where two of them write one place, out.

A cache, a file, a tag: the later one would replace the other's, and nothing would say so.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from buildx_tasks import references
from buildx_tasks.planning.caches import filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.language.targets import Config
    from buildx_tasks.planning.cells import TargetPlan

# What tells the caches of a kind apart, each with its default.
# Source: https://docs.docker.com/build/cache/backends/
_KEYS: dict[str, dict[str, str]] = {
    "gha": {"scope": "buildkit"},
    "s3": {"bucket": "", "region": "", "prefix": "", "manifests_prefix": "", "name": "buildkit"},
    "azblob": {"account_url": "", "container": "", "prefix": "", "name": "buildkit"},
}
_FILES = frozenset({"tar", "oci", "docker"})
_IN_REGISTRIES = frozenset({"image", "registry", "docker"})


def refuse(config: Config, chosen: Sequence[TargetPlan], linked: Sequence[TargetPlan]) -> None:
    """Refuse two targets that write one place; of ``linked`` ones only the caches are written.

    Raises:
        ConfigError: names both, and the place.

    """
    owners: dict[tuple[str, ...], str] = {}
    for target in chosen:
        for number, tag in enumerate(target.spec.tags):
            owner = owners.setdefault(("registry", str(references.parse(tag))), target.name)
            if owner != target.name:
                raise config.error(
                    target.name,
                    f'tag "{tag}" is already the one of target "{owner}"; give each target tags of '
                    "its own, or select one of them with -t",
                    "tags",
                    number,
                )
    outputs = [(t, "output", n, place) for t in chosen for n, place in _exports(t)]
    caches = [(t, "cache-to", n, place) for t in (*chosen, *linked) for n, place in _caches(t)]
    for target, key, number, place in (*outputs, *caches):
        owner = owners.setdefault(place, target.name)
        if owner != target.name:
            apart = " (write {target} in it to tell them apart)" if key == "cache-to" else ""
            raise config.error(
                target.name,
                f'[target.{target.name}] {key}: "{place[1]}" is already written by target '
                f'"{owner}"; give each target a place of its own{apart}, or select one of them '
                "with -t",
                key,
                number,
            )
        if key == "cache-to" and place in _images(target):
            raise config.error(
                target.name,
                f'[target.{target.name}] cache-to: "{place[1]}" is where its image goes, which the '
                "cache would replace; give the cache a reference of its own",
                key,
                number,
            )


def _images(target: TargetPlan) -> set[tuple[str, ...]]:
    """Return where the image of a target goes, as tag or as export."""
    tags = {_image(tag) for tag in target.spec.tags}
    return tags | {place for _, place in _exports(target)}


def folders(chosen: Sequence[TargetPlan]) -> dict[str, list[str]]:
    """Return the folders that several targets export files to, each with their names."""
    found: dict[str, list[str]] = {}
    for target in chosen:
        for entry in target.spec.output:
            if entry["type"] == "local" and "dest" in entry:
                names = found.setdefault(posixpath.normpath(entry["dest"]), [])
                names += [] if target.name in names else [target.name]
    return {dest: names for dest, names in found.items() if len(names) > 1}


def _exports(target: TargetPlan) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, entry in enumerate(target.spec.output):
        kind, dest = entry["type"], entry.get("dest")
        if dest is not None and kind in _FILES:
            # A layout in a folder keeps images apart by their names; tags are looked at already.
            named = target.spec.tags or entry.get("name")
            if entry.get("tar", "true") != "false" or not named:
                yield number, ("file", posixpath.normpath(dest))
        elif kind in _IN_REGISTRIES:
            for name in filter(None, entry.get("name", "").split(",")):
                yield number, _image(name)


def _caches(target: TargetPlan) -> Iterator[tuple[int, tuple[str, ...]]]:
    entries: list[dict[str, Any]] = target.spec.attributes.get("cache-to", [])
    for number, written in enumerate(entries):
        entry = filled(written, target.name, target.platforms or target.declared)
        kind = entry["type"]
        if kind == "local" and "dest" in entry:
            yield number, ("file", posixpath.normpath(entry["dest"]), entry.get("tag", "latest"))
        elif kind == "registry" and "ref" in entry:
            yield number, _image(entry["ref"])
        elif kind in _KEYS:
            told = [entry.get(key) or default for key, default in _KEYS[kind].items()]
            yield number, (kind, told[-1], *told)


def _image(name: str) -> tuple[str, ...]:
    try:
        return "registry", str(references.parse(name))
    except ValueError:  # buildx will say what is wrong with it
        return "registry", name
