"""What a person writes of tags and references in; the references that are meant, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.errors import UsageError
from buildx_tasks.planning.cells import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.references import Reference

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def tags_of(target: TargetPlan, wanted: Sequence[str]) -> tuple[Reference, ...]:
    """Return the tags to push: the declared ones, or the ``wanted`` in place of them.

    A wanted one is a bare tag, for every repository of the target, or a whole reference.

    Raises:
        UsageError: it is no tag, or the target has none of its own.

    """
    reference_of(target)
    declared = [references.parse(tag) for tag in target.spec.tags]
    if not wanted:
        return tuple(dict.fromkeys(declared))
    return tuple(dict.fromkeys(one for text in wanted for one in resolved(text, declared)))


def resolved(text: str, beside: Sequence[Reference]) -> Iterator[Reference]:
    """Give what a tag means: itself if it is a whole reference, else in each repository of ``beside``.

    Raises:
        UsageError: it is no tag.

    """
    try:
        if "/" in text or ":" in text:
            yield references.parse(text)
            return
        references.parse(f"x:{text}")
    except ValueError:
        raise UsageError(
            f'"{text}" is no tag; write it as in v1.2, or whole as in localhost:5000/app:v1.2'
        ) from None
    for one in beside:
        yield one._replace(tag=text)


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


def refuse_shared(releases: Sequence[tuple[str, Sequence[Reference]]]) -> None:
    """Refuse two targets under one tag.

    Raises:
        UsageError: with the tag.

    """
    owners: dict[Reference, str] = {}
    for name, tags in releases:
        for tag in tags:
            if owners.setdefault(tag, name) != name:
                raise UsageError(
                    f'targets "{owners[tag]}" and "{name}" would both be {tag}; select one with -t'
                )
