"""Releases that are published in; the same in further repositories, which may fail, out."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.errors import EngineError, PushError, RegistryError, task_names
from buildx_tasks.publishing.publish import Before, Published, publish

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.language.targets import Target
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.publishing.release import Release
    from buildx_tasks.publishing.upload import Watcher
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace


def mirror(
    workspace: Workspace,
    releases: Sequence[Release],
    watcher: Watcher,
    audience: Audience,
    before_tags: Before,
) -> list[Published]:
    """Publish releases to the mirrors of their targets, one after another; return what moved there.

    A mirror that fails is no error: it is said at the end, with the command that finishes it.
    """
    moved: list[Published] = []
    failed: list[str] = []
    for one in releases:
        for tags in mirrored(workspace.config.target, one.target, one.tags):
            there = one._replace(tags=tags)
            try:
                moved += publish(
                    workspace, [there], watcher, audience.moved, before_tags=before_tags
                )
            except (RegistryError, PushError, EngineError) as error:
                reason = str(error).partition("\n")[0]
                failed.append(
                    f"WARNING: the mirror {tags[0].registry}/{tags[0].repository} was not brought up to "
                    f"date: {reason}\n  finish it with: {_finishing(one, tags)}"
                )
    for line in failed:
        audience.said(line)
    return moved


def mirrored(
    targets: Mapping[str, Target], name: str, tags: Sequence[Reference]
) -> Iterator[tuple[Reference, ...]]:
    """Yield the tags in each mirror of a target: those that it has at home, each once."""
    for text in targets[name].mirrors if name in targets else ():
        place = references.parse(text)
        yield tuple(place._replace(tag=tag) for tag in dict.fromkeys(one.tag for one in tags))


def _finishing(one: Release, tags: Sequence[Reference]) -> str:
    home = one.tags[0]
    source = f"{home.registry}/{home.repository}@{one.graph.root.digest}"
    to = [word for tag in tags for word in ("--to", str(tag))]
    return shlex.join(["invoke", task_names.get("promote", "promote"), "--from", source, *to])
