"""A digest in; what there is below it, which never changes, kept in .buildx/bases.json, out."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.machine.files import write_file
from buildx_tasks.text import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from buildx_tasks.platforms import Platform

_FILE = "bases.json"


class Facts(NamedTuple):
    """What there is below a digest, which never changes."""

    is_index: bool
    platforms: frozenset[Platform]


def remembered(folder: Path) -> dict[str, Facts]:
    """Return what is known of digests; nothing where the file is not there, or cannot be used."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        data = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return {
            digest: Facts(bool(one["index"]), frozenset(map(platforms.parse, one["platforms"])))
            for digest, one in data.items()
        }
    return {}


def remember(folder: Path, known: Mapping[str, Facts]) -> None:
    """Keep what is known of digests."""
    data: dict[str, Any] = {
        digest: {"index": one.is_index, "platforms": sorted(map(str, one.platforms))}
        for digest, one in sorted(known.items())
    }
    write_file(folder / _FILE, json_text(data))
