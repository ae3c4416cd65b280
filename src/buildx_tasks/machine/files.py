"""Text in; a file with the whole of it or nothing out, or why the disk refuses it."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, on the disk when this returns: beside it first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems refuse it for folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
