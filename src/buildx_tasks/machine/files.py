"""Text in; a file with the whole of it or nothing out, or why the disk refuses it.

Ours are our user's own: a link in the place of one is not followed, another user's is not believed.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC = 0o644  # of a file that a person asked for

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
            f"{path} cannot be written: {reason}; {way_out}, and run this again"
        ) from None


def write_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file whole or not at all, on the disk when this returns: beside it first, then renamed.

    None but its owner can read it, unless ``mode`` says so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
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


def own_folder(path: Path) -> None:
    """Make a folder that only its owner can look into; refuse one that is not our user's own.

    It may be the owner's of the folder that it is in, who decides on all that is there.

    Raises:
        EngineError: a link or a file is in its place, or it is another user's.
        OSError: it cannot be made.

    """
    if not os.path.lexists(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    _require_own(path, found, stat.S_ISDIR)
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
        with suppress(OSError):  # a disk that is only read, or knows no modes
            path.chmod(0o700)


def open_own(path: Path, flags: int) -> int:
    """Open a file of ours, which only its owner can read; return its descriptor.

    It may be another user's where the folder is, as with :func:`own_folder`.

    Raises:
        EngineError: a link is in its place, or it is another user's.
        OSError: it cannot be opened.

    """
    try:
        # Not to wait for who writes into a pipe, which is refused below.
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise _link(path) from None
        if error.errno == errno.ENXIO:
            raise EngineError(f"{path} is no file; move it away") from None
        raise
    try:
        _require_own(path, os.fstat(opened), stat.S_ISREG)
    except BaseException:
        os.close(opened)
        raise
    return opened


def refuse_links(folder: Path) -> None:
    """Refuse a folder of ours with a symbolic link in it: we make none, and follow none.

    Raises:
        EngineError: there is one.

    """
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (path := Path(above, name)).is_symlink():
                raise _link(path)


def _link(path: Path) -> EngineError:
    return EngineError(f"{path} is a symbolic link, which is not followed; remove it")


def _require_own(path: Path, found: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _link(path)
    if not is_kind(found.st_mode):
        number = errno.ENOTDIR if is_kind is stat.S_ISDIR else errno.EISDIR
        if number == errno.EISDIR and not stat.S_ISDIR(found.st_mode):
            raise EngineError(f"{path} is no file; move it away")
        raise OSError(number, os.strerror(number))
    if found.st_uid not in (os.geteuid(), 0, path.parent.stat().st_uid):
        raise EngineError(
            f"{path} belongs to another user (uid {found.st_uid}), and is not believed; "
            "move it away, or work as that user"
        )
