"""What this machine's disk refuses to take, in plain words."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR})


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Say that ``path`` cannot be written (or what a person calls it), where what is inside fails.

    Nothing but the writing belongs inside: what requests raises is an OSError as well.

    Raises:
        EngineError: the disk is full, or does not let it be written.

    """
    try:
        yield
    except OSError as error:
        way_out = "allow it"
        if error.errno in _FULL:
            way_out = "make room"
        elif error.errno in _IN_THE_WAY:
            way_out = "move away what is there"
        reason = error.strerror or error
        raise EngineError(
            f"{path} cannot be written: {reason}; {way_out}, and verify again"
        ) from None
