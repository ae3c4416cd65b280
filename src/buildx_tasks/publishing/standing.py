"""Releases in; the tags of those that the registries hold whole already, out: asked by HEAD alone.

What a registry took under a manifest's digest it took whole: it refuses one whose blobs it lacks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buildx_tasks.publishing.release import Release
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.repository import Repository

_AT_ONCE = 8  # questions of a few bytes


class Standing(NamedTuple):
    """Tags: ``settled`` are those of releases that lack nothing, ``absent`` those that are not there."""

    settled: frozenset[Reference]
    absent: frozenset[Reference]


def look(releases: Sequence[Release], repository_of: Callable[[Reference], Repository]) -> Standing:
    """Return which tags are where they shall be, each of the releases' with all that is below it.

    One HEAD a tag, and one for each manifest below it where all tags of the release hold that.

    Raises:
        RegistryError: a registry does not come back; of one that says no, nothing is known.

    """
    tags = [(one, tag) for one in releases for tag in one.tags]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        held = list(pool.map(_said, [(repository_of(tag), tag.tag) for _, tag in tags]))
        moving = {id(one) for (one, _), said in zip(tags, held) if said != one.graph.root.digest}
        below = {
            (str(tag._replace(tag="")), digest): (one, repository_of(tag))
            for one, tag in tags
            if id(one) not in moving
            for digest in one.graph.named
        }
        asked = [(repository, digest) for (_, digest), (_, repository) in below.items()]
        for (_, digest), said, (one, _) in zip(asked, pool.map(_said, asked), below.values()):
            if said != digest:
                moving.add(id(one))
    return Standing(
        frozenset(tag for one, tag in tags if id(one) not in moving),
        frozenset(tag for (_, tag), said in zip(tags, held) if said == ""),
    )


def _said(asked: tuple[Repository, str]) -> str | None:
    repository, reference = asked
    return repository.says(reference, f"{repository} cannot be pushed to")
