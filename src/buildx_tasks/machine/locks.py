"""A path in; out, a lock on it that other processes respect too."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Callable

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAUSE = 0.1  # seconds between two tries


@contextmanager
def locked(
    path: Path, holder: str = "", going_on: Callable[[], object] | None = None
) -> Iterator[None]:
    """Hold a lock that other processes respect too; say once which holder it waits for.

    It waits until ``going_on`` raises, where that is given.

    Raises:
        EngineError: its file cannot be written, or is a link or another user's.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.fdopen(open_own(path, os.O_RDWR | os.O_CREAT), "r+")
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror}; allow it") from None
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if holder:
                print(f"waiting for {holder}", file=sys.stderr, flush=True)
            _wait_for(lock, going_on)
        yield


def _wait_for(lock: IO[str], going_on: Callable[[], object] | None) -> None:
    if going_on is None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return
    while True:
        going_on()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return
