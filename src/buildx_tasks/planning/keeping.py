"""A job of a run in; the flags by which it keeps what it builds in a cache of its own out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.language.targets import dashed
from buildx_tasks.planning.cells import shortened
from buildx_tasks.planning.selection import linked_names

if TYPE_CHECKING:
    from buildx_tasks.language.shipping import Cache
    from buildx_tasks.language.targets import Config
    from buildx_tasks.planning.runs import Run, TargetRun
    from buildx_tasks.platforms import Platform


def kept(run: Run, config: Config, one: TargetRun, platform: Platform, system: str) -> list[str]:
    """Return the flags by which a job of a run keeps what it builds, and finds what others kept.

    Each target and platform has a cache of its own; what a target itself declares stays. What it is
    built on is looked for where its own job kept it, else where this one does.
    """
    if config.ci.cache is None or (config.ci.cache.type == "gha" and system != "github"):
        return []
    name = one.target.name
    own = _entry(config.ci.cache, one, platform)
    flags = []
    if "cache-to" not in one.target.spec.attributes:
        # A cache that cannot be written fails no build.
        to = f"{own},mode={config.ci.cache.mode},ignore-error=true"
        flags += ["-s", f"{name}.cache-to={to}"]
    jobs = {other.target.name: other for other in run.targets}
    for each in (name, *linked_names(config, [name])):
        job = jobs.get(each)
        found = _entry(config.ci.cache, job, platform) if job else own
        if "cache-from" not in config.target[each].attributes:
            flags += ["-s", f"{each}.cache-from={found}"]
    return flags


def cache_tag(target: str, platform: Platform) -> str:
    """Return the tag under which a job's cache is kept: ``cache-TARGET-OS-ARCH``."""
    return shortened(f"cache-{target}-{dashed(platform)}")


def _entry(cache: Cache, one: TargetRun, platform: Platform) -> str:
    if cache.type == "gha":
        return f"type=gha,scope={one.target.name}-{dashed(platform)}"
    place = references.parse(cache.repository) if cache.repository else one.staging
    return f"type=registry,ref={place._replace(tag=cache_tag(one.target.name, platform))}"
