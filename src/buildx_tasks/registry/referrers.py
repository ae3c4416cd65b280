"""A manifest in; what is about it, out: as the registry lists it, or as a tag beside it does.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from buildx_tasks.errors import MissingError, RefusalError, RegistryError
from buildx_tasks.registry.connection import Request
from buildx_tasks.registry.manifests import (
    INDEX_TYPES,
    MOST_JSON,
    MOST_LISTED,
    MalformedError,
    manifest_of,
)

if TYPE_CHECKING:
    from buildx_tasks.registry.manifests import Descriptor, Manifest
    from buildx_tasks.registry.repository import Repository

_MOST_PAGES = 10
_TRIES = 5  # to bring an entry into a list that others write as well
_TAG = re.compile(r"(sha(?:256|512))-([0-9a-f]{64,128})")


class Listed(NamedTuple):
    """What is about a manifest; ``by_registry`` says that the registry itself keeps the list."""

    by_registry: bool
    entries: tuple[Descriptor, ...]


def listed(repository: Repository, digest: str, *, most: int | None = None) -> Listed:
    """Return what is about a manifest, whichever way the registry knows it.

    With ``most`` no more pages are asked for, once so much is known.

    Raises:
        RegistryError: the registry does not come back, or what it lists is no list.

    """
    found = by_registry(repository, digest, most=most)
    if found is not None:
        return Listed(True, found)
    index = _beside(repository, digest)
    return Listed(False, tuple(index.content.manifests) if index else ())


def by_registry(
    repository: Repository, digest: str, *, most: int | None = None
) -> tuple[Descriptor, ...] | None:
    """Return what the registry itself lists about a manifest; None where it keeps no such lists.

    ``most`` is as for :func:`listed`. A registry that once said that it keeps none is not asked again.

    Raises:
        RegistryError: as :func:`listed`.

    """
    registry = repository.registry
    if registry.lists_referrers is False:
        return None
    what = f"what is about {repository.named(digest)} cannot be listed"
    start = f"/v2/{repository.name}/referrers/{digest}"
    scope = f"repository:{repository.name}:pull"
    query = ""
    found: list[Descriptor] = []
    for _ in range(max(_MOST_PAGES, most or 0)):  # a page may hold one entry
        request = Request(
            "GET", f"{start}{query}", what, scope, {"Accept": INDEX_TYPES[0]}, most=MOST_JSON
        )
        try:
            answer: Any = repository.insist(what, partial(registry.ask, request))
        except (MissingError, RefusalError):
            if registry.lists_referrers:
                raise  # it did just now
            registry.lists_referrers = False
            return None
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind not in INDEX_TYPES and not registry.lists_referrers:
            registry.lists_referrers = False  # some have a page for whatever they do not know
            return None
        try:
            found += manifest_of(answer.content, INDEX_TYPES[0], what).content.manifests
        except MalformedError:
            raise RegistryError(f"{what}: the answer is no list; see the registry's log") from None
        registry.lists_referrers = True
        following = re.match(r"<([^>]+)>", answer.headers.get("Link", ""))
        if not following or (most is not None and len({one.digest for one in found}) >= most):
            return tuple(found)
        # Of the link only the question counts: it leads to no other place.
        query = f"?{urlsplit(following[1]).query}"
    raise RegistryError(f"{what}: it has more than {len(found)} entries; remove what is not needed")


def attach(repository: Repository, manifest: Manifest) -> None:
    """Put a manifest that has a ``subject``, and whose blobs are there, and have it listed about that.

    Where the registry does not, the list is a tag beside the subject, read back until it has the entry.

    Raises:
        RegistryError: the registry refuses, or others write that list all the time.

    """
    subject = manifest.content.subject
    if subject is None:
        raise AssertionError(manifest.digest)
    if repository.put(manifest.digest, manifest):
        repository.registry.lists_referrers = True
        return
    for _ in range(_TRIES):
        index = _beside(repository, subject.digest)
        entries = json.loads(index.data)["manifests"] if index else []
        if any(entry["digest"] == manifest.digest for entry in entries):
            return
        if len(entries) == MOST_LISTED:
            break
        content = {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPES[0],
            "manifests": [*entries, _entry(manifest)],
        }
        data = json.dumps(content, separators=(",", ":")).encode()
        repository.put(tag_of(subject.digest), manifest_of(data))
    place = repository.named(tag_of(subject.digest))
    raise RegistryError(
        f"{place} does not take {manifest.digest}: it is full, or others write it all the time; run "
        "this again"
    )


def tag_of(digest: str) -> str:
    """Return the tag that lists what is about a manifest where the registry does not.

    Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
    """
    algorithm, _, text = digest.partition(":")
    return f"{algorithm[:32]}-{text[:64]}"


def subject_of(tag: str) -> str:
    """Return the digest that such a tag is about, ``""`` where it is none of these."""
    found = _TAG.fullmatch(tag)
    return f"{found[1]}:{found[2]}" if found and len(found[2]) == 64 else ""


def _beside(repository: Repository, digest: str) -> Manifest | None:
    tag = tag_of(digest)
    index = repository.find(tag)
    if index is not None and not index.is_index:
        raise RegistryError(
            f"{repository.named(tag)} should list what is about {digest}, and is no index; remove it"
        )
    return index


def _entry(manifest: Manifest) -> dict[str, Any]:
    content = manifest.content
    entry = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.data),
        "artifactType": content.artifact_type,
        "annotations": content.annotations,
    }
    return {key: value for key, value in entry.items() if value}
