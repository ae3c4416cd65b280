"""Containers and networks in; none of them left: many at once, for each costs the engine much alone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import faults

if TYPE_CHECKING:
    from collections.abc import Sequence

# For each removed container containerd collects garbage, in time that grows with all it stores, and
# nothing can be created meanwhile. Those removed at the same time share that: 48 cells took half as
# long (tried with 40 images and 3,000 entries of build cache).
TOGETHER = 32

_GOING_SECONDS = 20.0  # how long a container may take that is just going


def remove_containers(listed: Sequence[Any]) -> None:
    """Remove containers with their volumes, running or not; gone ones are no failure.

    All are tried.

    Raises:
        faults.all_errors: of the first one that failed.

    """
    if len(listed) == 1:
        _remove(listed[0])
    elif listed:
        with ThreadPoolExecutor(min(len(listed), TOGETHER)) as pool:
            list(pool.map(_remove, listed))


def _remove(container: Any) -> None:
    try:
        container.remove(force=True, v=True)
    except faults.api_errors() as error:
        if faults.status_of(error) not in (404, 409):  # gone, or going
            raise


def remove_network(network: Any) -> None:
    """Remove a network, once the containers on it are gone.

    Raises:
        faults.api_errors: one stays.

    """
    end = time.monotonic() + _GOING_SECONDS
    while True:
        try:
            network.remove()
        except faults.api_errors() as error:
            if faults.status_of(error) == 404:
                return
            # In use by a container that is just going.
            if faults.status_of(error) != 403 or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
