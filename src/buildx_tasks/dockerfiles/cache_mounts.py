"""A Dockerfile on one platform in; the cache mounts that its build has, out. No I/O."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.dockerfiles.shell import expand
from buildx_tasks.dockerfiles.stages import SCRATCH
from buildx_tasks.dockerfiles.view import chain_of, mounts, runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Platform

# By these BuildKit tells mounts of one id apart, and from one that has none of them.
_OPTIONS = ("uid", "gid", "mode")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@-]+")
_IMAGE = "docker-image://"


class CacheMount(NamedTuple):
    """One cache mount: ``id`` as BuildKit knows it, and what else tells it from others.

    ``base`` is the image that its stage starts from, ``""`` where that is none.
    """

    id: str
    options: tuple[str, ...] = ()
    base: str = ""


def cache_mounts(view: View, platform: Platform) -> Iterator[CacheMount]:
    """Yield the cache mounts of a build on a platform; not those that begin as a copy of something.

    Raises:
        ValueError: an expression cannot be read.

    """
    for one in view.needed[platform]:
        chain = chain_of(view.placed[platform], one.stage.number)
        values = _values(view, platform, chain)
        for run in runs(one.stage):
            for mount in mounts(run):
                if mount.get("type") != "cache" or mount.get("from"):
                    continue
                options = tuple(f"{key}={mount[key]}" for key in _OPTIONS if key in mount)
                name = expand(mount.get("id") or mount["target"], values)
                yield CacheMount(name, options, _base(view, platform, chain[-1].stage))


def _base(view: View, platform: Platform, stage: Stage) -> str:
    name = expand(stage.base, view.values[platform])
    context = view.build.contexts.get(name, _IMAGE)
    is_image = name.lower() != SCRATCH and context.startswith(_IMAGE)
    return name if is_image and _PLAIN.fullmatch(name) else ""


def _values(view: View, platform: Platform, chain: list[Placed]) -> Mapping[str, str]:
    """Return the variables of a stage: what it and those before it set, and its own arguments."""
    known, args = view.values[platform], view.build.args
    found: dict[str, str] = {}
    for link in reversed(chain):
        for one in link.stage.instructions:
            if one.keyword == "ENV":
                found.update(_environment(one.value, found))
            elif one.keyword == "ARG" and link is chain[0]:
                for name, default in _pairs(one.value, found).items():
                    value = args.get(name, default or known.get(name, ""))
                    found.setdefault(name, value)
    return found


def _environment(text: str, values: Mapping[str, str]) -> dict[str, str]:
    name, _, rest = text.strip().partition(" ")
    # ENV NAME all that follows
    return (
        {name: expand(rest.strip(), values)} if rest and "=" not in name else _pairs(text, values)
    )


def _pairs(text: str, values: Mapping[str, str]) -> dict[str, str]:
    with suppress(ValueError):
        words = (word.partition("=") for word in shlex.split(text))
        return {name: expand(value, values) for name, _, value in words}
    return {}
