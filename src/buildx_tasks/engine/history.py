"""A build's reference in; how long it took and what it did, as the engine has recorded it, out.

``docker buildx history ls`` says the same, and takes as long as a build of nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.engine import faults, grpc, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.engine.api import Api

# Source: https://github.com/moby/buildkit/blob/master/api/services/control/control.proto
_LISTEN = "/moby.buildkit.v1.Control/ListenBuildHistory"
_STATUS = "/moby.buildkit.v1.Control/Status"
_REFERENCE = 1  # of a StatusRequest
_WANTED, _EARLY_EXIT = 2, 3  # of a BuildHistoryRequest: one reference; not what comes from now on
_RECORD = 2  # of a BuildHistoryEvent
_CREATED, _COMPLETED = 6, 7  # of a BuildHistoryRecord


def seconds(api: Api, reference: str) -> float | None:
    """Return how long a build took, by the last part of buildx's reference; None without a record.

    Raises:
        EngineError: the engine gives no access to its build records.
        faults.lost_connections: the connection failed.

    """
    wanted = grpc.text(_WANTED, reference) + grpc.flag(_EARLY_EXIT)
    try:
        for event in grpc.call(api, _LISTEN, wanted, "its build records"):
            held = dict(grpc.fields(grpc.data(dict(grpc.fields(event)).get(_RECORD))))
            if _CREATED in held and _COMPLETED in held:
                return grpc.seconds(held[_COMPLETED]) - grpc.seconds(held[_CREATED])
    except OSError as error:
        raise faults.lost(f"the engine broke off telling of a build: {error}") from error
    return None


def replay(api: Api, reference: str) -> Iterator[statuses.Status]:
    """Yield what BuildKit said while a build went on, by the last part of buildx's reference.

    Nothing is yielded without a record. Times are the engine's.

    Raises:
        EngineError: the engine gives no access to its build records.
        faults.lost_connections: the connection failed.

    """
    wanted = grpc.text(_REFERENCE, reference)
    try:
        for message in grpc.call(api, _STATUS, wanted, "its build records"):
            yield statuses.of_message(message)
    except OSError as error:
        raise faults.lost(f"the engine broke off telling of a build: {error}") from error
