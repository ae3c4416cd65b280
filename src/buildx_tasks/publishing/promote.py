"""Give a published image further tags: its index is copied as it is, nothing is built."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import __version__, references
from buildx_tasks.errors import UsageError
from buildx_tasks.publishing import upload as copying
from buildx_tasks.publishing.publish import Release, platforms_of, resolved
from buildx_tasks.registry.faults import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.language.expansion import Config
    from buildx_tasks.publishing.publish import Registries
    from buildx_tasks.references import Reference

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Wanted(NamedTuple):
    """What to promote: ``pinned`` is a digest, or ``""`` where the tag of ``source`` counts."""

    source: Reference
    pinned: str
    tags: tuple[Reference, ...]
    immutable: tuple[str, ...]


def exact(text: str, option: str) -> tuple[Reference, str]:
    """Split ``repository[:tag][@digest]``.

    Raises:
        UsageError: it is no reference.

    """
    name, at, digest = text.partition("@")
    try:
        found = references.parse(name)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if at and not _DIGEST.fullmatch(digest):
        raise UsageError(f'{option}: "{digest}" is no digest; write sha256: and 64 hex digits')
    return found, digest


def wanted(source: str, tags: Sequence[str], config: Config) -> Wanted:
    """Return what ``--from`` and ``--to`` mean.

    Raises:
        UsageError: they are no references.

    """
    found, pinned = exact(source, "--from")
    listed = tuple(dict.fromkeys(one for text in tags for one in resolved(text, [found])))
    return Wanted(found, pinned, listed, tuple(dict.fromkeys(_immutable(listed, config))))


def _immutable(tags: Sequence[Reference], config: Config) -> Iterator[str]:
    """Yield what the targets that publish to the tags' repositories have declared."""
    places = {tag._replace(tag="") for tag in tags}
    for target in config.target.values():
        if any(references.parse(tag)._replace(tag="") in places for tag in target.tags):
            yield from target.immutable


def release(registries: Registries, asked: Wanted) -> Release:
    """Return the published image as it goes on.

    Raises:
        RegistryError: there is none, or the registry does not give it.

    """
    repository = registries.repository(asked.source)
    digest = asked.pinned or repository.get(asked.source.tag).digest
    source = copying.OtherRepository(repository)
    try:
        tree = copying.tree_of(source, digest)
        manifests = platforms_of(tree)
    except (KeyError, TypeError, AttributeError):
        raise RegistryError(
            f"{repository}@{digest} is no image; see docker buildx imagetools inspect --raw"
        ) from None
    entry = {"from": f"{repository}@{digest}", "versions": {"buildx-tasks": __version__}}
    return Release("", source, tree, manifests, asked.tags, asked.immutable, entry)
