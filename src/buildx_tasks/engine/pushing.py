"""The engine pushes an image itself: only it can read its classic store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.engine.engine import Engine


def pushing(
    engine: Engine, image: str, tag: str, log_in: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Give an image a tag and push it; yield what the engine says meanwhile, ``error`` among it.

    Raises:
        faults.all_errors: the engine refuses it, or breaks off.

    """
    from urllib3.exceptions import HTTPError

    from buildx_tasks.engine import faults

    repository, _, name = tag.rpartition(":")
    api = engine.client.api
    api.tag(image, repository, name, force=True)
    try:
        yield from api.push(repository, name, stream=True, decode=True, auth_config=dict(log_in))
    except HTTPError as error:  # what docker's library lets through while it streams
        raise faults.lost(str(error)) from None
