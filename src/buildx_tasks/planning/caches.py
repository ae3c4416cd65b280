"""``{target}`` and ``{platform}`` in where caches are: filled in for what is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.language import placeholders
from buildx_tasks.language.targets import dashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.platforms import Platform

_PLATFORM = "{platform}"


def filled(entry: dict[str, Any], name: str, platforms: Sequence[Platform]) -> dict[str, Any]:
    """Return a cache's entry for a target; ``{platform}`` stays where there are several.

    A platform is written with dashes, for a tag can hold no slash.
    """
    words = {"target": name}
    if len(platforms) == 1:
        words["platform"] = dashed(platforms[0])
    return {
        key: placeholders.filled(value, words) if isinstance(value, str) else value
        for key, value in entry.items()
    }


def with_caches(attributes: Attributes, name: str, platforms: Sequence[Platform]) -> Attributes:
    """Return a target's attributes with its caches filled in.

    Of several platforms all caches are read; but a build writes one cache, with all of them in it.

    Raises:
        ValueError: each platform was to have a cache of its own.

    """
    done = dict(attributes)
    if "cache-to" in done:
        done["cache-to"] = [filled(entry, name, platforms) for entry in done["cache-to"]]
        if any(_PLATFORM in str(value) for one in done["cache-to"] for value in one.values()):
            raise ValueError(
                f"cache-to: {_PLATFORM} can be filled in only where one platform is "
                f"built, and these are {len(platforms)} in one build, with one cache; leave it out, "
                "or select one platform with -p"
            )
    if "cache-from" in done:
        read = [
            filled(entry, name, [platform])
            for entry in done["cache-from"]
            for platform in platforms
        ]
        done["cache-from"] = [one for number, one in enumerate(read) if one not in read[:number]]
    return done
