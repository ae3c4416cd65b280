"""Declared tables → :class:`Config`: matrices, defaults, inheritance and links worked out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from buildx_tasks.language import consistency, drivers, matrix, secrets
from buildx_tasks.language.artifacts import Artifact
from buildx_tasks.language.artifacts import check as check_artifacts
from buildx_tasks.language.auditing import Audit
from buildx_tasks.language.caching import Caches
from buildx_tasks.language.config import Builder, Emulators
from buildx_tasks.language.grouping import grouped
from buildx_tasks.language.inheritance import Inheritance
from buildx_tasks.language.locking import Lock
from buildx_tasks.language.shipping import Ci
from buildx_tasks.language.skipping import Skip
from buildx_tasks.language.tables import Places
from buildx_tasks.language.targets import Config

if TYPE_CHECKING:
    from buildx_tasks.language.git import Git
    from buildx_tasks.language.overriding import Overriding
    from buildx_tasks.language.sources import Sources
    from buildx_tasks.language.variables import Variables


def expand(sources: Sources, variables: Variables, git: Git, overriding: Overriding) -> Config:
    """Work out what the merged and checked data of ``sources`` come to.

    Raises:
        ConfigError: a value is impossible, a name unknown, a chain circular.
        UsageError: what is to be overridden does not exist.

    """
    fail = sources.fail
    data = {key: table for key, table in sources.data.items() if key not in {"target", "variable"}}
    if sources.has_variables:
        data = variables.fill(data, ())
    tables = matrix.tables(data.get("defaults", {}), variables, sources)
    inheritance = Inheritance(tables, git, fail, variables.emptied, overriding)
    overriding.check(tables.targets)
    targets = {name: inheritance.target(name) for name in tables.targets}
    consistency.check_links(targets, tables, fail)
    secrets.check(targets, tables, fail)
    targets = {
        name: secrets.settled(target, variables.environment, sources.folder)
        for name, target in targets.items()
    }
    consistency.check_helpers(targets, tables, fail)
    consistency.check_verify(targets, tables, fail)
    groups = grouped(data.get("group", {}), tables.matrices, targets, fail)
    builder = msgspec.convert(data["builder"], Builder) if "builder" in data else None
    if builder:
        drivers.check(builder, fail)
    emulators = msgspec.convert(data.get("emulators", {}), Emulators)
    skip = msgspec.convert(data.get("skip", {}), Skip)
    lock = msgspec.convert(data.get("lock", {}), Lock)
    ci = msgspec.convert(data.get("ci", {}), Ci)
    consistency.check_ci(ci, fail)
    cache = msgspec.convert(data.get("cache", {}), Caches)
    consistency.check_cache(cache, fail)
    artifacts = msgspec.convert(data.get("artifact", {}), dict[str, Artifact])
    check_artifacts(artifacts, fail)
    audit = msgspec.convert(data.get("audit", {}), Audit)
    consistency.check_audit(audit, fail)
    places = Places(tables, fail)
    return Config(
        targets, groups, builder, emulators, places, lock, skip, ci, cache, artifacts, audit
    )
