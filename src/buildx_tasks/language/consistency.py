"""Targets worked out → nothing, or the error that only all of them together can show."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from buildx_tasks import platforms, references
from buildx_tasks.errors import nearest
from buildx_tasks.language.placeholders import IN_BRACES, OF_A_PLATFORM
from buildx_tasks.language.targets import cycle, helper_names, links
from buildx_tasks.language.verify_table import named_platforms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.auditing import Audit
    from buildx_tasks.language.caching import Caches
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.shipping import Ci
    from buildx_tasks.language.sources import Fail
    from buildx_tasks.language.tables import Tables
    from buildx_tasks.language.targets import Target
    from buildx_tasks.platforms import Platform

# What ends up in a Dockerfile of ours, within the flags of a mount.
_ID = re.compile(r"[^\s,\"'`$\\]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


def check_links(targets: Mapping[str, Target], tables: Tables, fail: Fail) -> None:
    """Refuse links to unknown targets, circles, and platforms that the other does not have."""
    graph = {name: list(way.values()) for name, t in targets.items() if (way := links(t))}
    for name in graph:
        for key, linked in links(targets[name]).items():
            where = tables.place(name, *key.split(".", 1))
            if linked not in targets:
                raise fail(
                    where,
                    f'[target.{name}] builds on unknown target "{linked}"'
                    + (nearest(linked, targets) or "; declare it"),
                    value=True,
                )
            if circle := cycle(graph, name):
                raise fail(where, f"targets build on each other: {circle}; remove one link")
            theirs = set(map(platforms.parse, targets[linked].platforms))
            ours = [p for p in targets[name].platforms if platforms.parse(p) not in theirs]
            if ours and len(targets[name].platforms) > 1 and len(theirs) > 1:
                raise fail(
                    where,
                    f'[target.{name}] builds on "{linked}", which has no {", ".join(ours)}; '
                    "add it there",
                    value=True,
                )


def check_helpers(targets: Mapping[str, Target], tables: Tables, fail: Fail) -> None:
    """Refuse a target with the name of another one's helper."""
    for name, target in targets.items():
        if not (target.files or target.overrides):
            continue
        for helper in helper_names(target, name, map(platforms.parse, target.platforms)):
            if helper in targets:
                raise fail(
                    tables.targets[helper].path,
                    f'"{helper}" is the name of a helper of target "{name}"; rename this one',
                )


def check_verify(targets: Mapping[str, Target], tables: Tables, fail: Fail) -> None:
    """Refuse a platform that a verify table names, and that no target with the table has."""
    if not any("verify" in table.data for table in tables.targets.values()):
        return
    having: dict[KeyPath, list[list[str]]] = {}
    for name, target in targets.items():
        for path in tables.lineage(name):
            having.setdefault(path, []).append(target.platforms)
    for name, table in tables.targets.items():
        declared: dict[Platform, str] | None = None
        for steps, text in named_platforms(table.data.get("verify", {})):
            if not all(having[table.path]):  # this machine's own platform, whichever that is
                break
            if declared is None:
                texts = itertools.chain.from_iterable(having[table.path])
                declared = {platforms.parse(one): one for one in texts}
            if platforms.parse(text) not in declared:
                known = declared.values()
                hint = nearest(text, known) or f"; its platforms: {', '.join(known)}"
                raise fail(
                    (*table.path, "verify", *steps),
                    f"[target.{name}] has no platform {text} to verify{hint}",
                )


def check_cache(cache: Caches, fail: Fail) -> None:
    """Refuse a place for cache mounts that is no repository, and misspelt placeholders."""
    if cache.to is not None and not references.is_repository(cache.to):
        raise fail(
            ("cache", "to"),
            f'"{cache.to}" is no repository; write it without a tag, as in localhost:5000/cache',
            value=True,
        )
    if cache.helper is not None and not _IMAGE.fullmatch(cache.helper):
        raise fail(
            ("cache", "helper"),
            f'"{cache.helper}" is no image; write it as in alpine:3.22',
            value=True,
        )
    for number, text in enumerate(cache.mounts):
        if not _ID.fullmatch(text):
            raise fail(
                ("cache", "mounts", number),
                f'"{text}" is no id of a cache mount; write it without spaces, commas, quotes, $ and '
                "\\, as in go-build-{arch}",
                value=True,
            )
        for word in IN_BRACES.findall(text):
            if word not in OF_A_PLATFORM:
                hint = (
                    nearest(word.lower(), OF_A_PLATFORM)
                    or "; {platform}, {os}, {arch}, {variant} are"
                )
                raise fail(
                    ("cache", "mounts", number), f"{{{word}}} is no placeholder{hint}", value=True
                )


def check_audit(audit: Audit, fail: Fail) -> None:
    """Refuse images that are no references."""
    for number, text in enumerate(audit.images):
        name, at, digest = text.partition("@")
        try:
            references.parse(name)
        except ValueError as error:
            raise fail(("audit", "images", number), str(error), value=True) from None
        if at and not _DIGEST.fullmatch(digest):
            raise fail(
                ("audit", "images", number),
                f'"{digest}" is no digest; write sha256: and 64 hex digits',
                value=True,
            )


def check_ci(ci: Ci, fail: Fail) -> None:
    """Refuse runners of no platform, and places for parts and caches that are no repositories."""
    for text in ci.runners:
        try:
            platforms.parse(text)
        except ValueError as error:
            raise fail(("ci", "runners", text), str(error)) from None
    cache = ci.cache.repository if ci.cache else None
    for keys, place in ((("ci", "staging"), ci.staging), (("ci", "cache", "repository"), cache)):
        if place is not None and not references.is_repository(place):
            raise fail(
                keys,
                f'"{place}" is no repository; write it without a tag, as in '
                f"localhost:5000/{keys[-1] if keys[-1] == 'staging' else keys[-2]}",
                value=True,
            )
    if ci.cache and ci.cache.type == "gha" and cache is not None:
        raise fail(
            ("ci", "cache", "repository"),
            "the cache of GitHub Actions is in no repository; leave it out, or write "
            'type = "registry"',
        )
