"""A repository in; the tags that it has, out."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buildx_tasks.errors import RegistryError
from buildx_tasks.registry.connection import Request

if TYPE_CHECKING:
    from buildx_tasks.registry.repository import Repository

_MOST_PAGES = 10
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


def tags(repository: Repository, *, whole: bool = False) -> list[str]:
    """Return the tags that a repository has, the first ten thousand or so; ``whole`` wants all.

    Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags

    Raises:
        MissingError: there is no such repository.
        RegistryError: the registry refuses, answers with something else, or has more than it was
            to have as a ``whole``.

    """
    what = f"the tags of {repository} cannot be listed"
    start = f"/v2/{repository.name}/tags/list"
    scope = f"repository:{repository.name}:pull"
    query, found = "?n=1000", list[str]()
    for _ in range(_MOST_PAGES):
        request = Request("GET", f"{start}{query}", what, scope)
        answer: Any = repository.insist(what, partial(repository.registry.ask, request))
        try:
            listed = answer.json()["tags"] or []
            # No other can be asked for.
            found += [tag for tag in listed if isinstance(tag, str) and _TAG.fullmatch(tag)]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RegistryError(f"{what}: the answer is no list of tags; see its log") from None
        following = re.match(r"<([^>]+)>", answer.headers.get("Link", ""))
        if not following:
            break
        # Of the link only the question counts: it leads to no other place.
        query = f"?{urlsplit(following[1]).query}"
    else:
        if whole:
            raise RegistryError(
                f"{what}: it has more than {len(found)}, too many to be sure of all"
            )
    return found
