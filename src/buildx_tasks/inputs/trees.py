"""A folder (or file) and what of it is ignored in; one hash of all that a build can see of it, out.

Names, kinds, modes, contents and the targets of links count; times and owners do not, for BuildKit's
own cache does not know them either.
Source: https://github.com/moby/buildkit/blob/master/cache/contenthash
"""

from __future__ import annotations

import hashlib
import os
import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.inputs.known import stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.inputs.ignoring import Ignored
    from buildx_tasks.inputs.known import KnownFiles, Stamp

_FEW = 300  # entries whose own digests are kept
_STATE = ".buildx"  # never in a context: building/contexts.py


class Tree(NamedTuple):
    """``digest`` is of what a build sees, ``stamp`` of when it last changed: to be compared only.

    ``parts`` has one digest for each of its files, links and folders; nothing where they are many.
    """

    digest: str
    stamp: str
    parts: Mapping[str, str] = MappingProxyType({})


class _Entry(NamedTuple):
    path: bytes
    kind: str
    mode: int
    stamp: Stamp
    target: bytes = b""
    place: str = ""


def tree_of(place: str, ignored: Ignored | None, known: KnownFiles) -> Tree:
    """Return what a folder, or a single file, is now.

    Raises:
        OSError: something in it cannot be read.

    """
    entries = sorted(_entries(place, ignored))
    files = [entry for entry in entries if entry.kind == "file"]
    contents = dict(
        zip(
            (entry.path for entry in files),
            known.hashes([(entry.place, entry.stamp) for entry in files]),
        )
    )
    digest, parts = hashlib.sha256(), {}
    for entry in entries:
        said = contents.get(entry.path, "").encode() or entry.target
        what = (entry.kind.encode(), b"%o" % entry.mode, entry.path, said)
        _add(digest, *what)
        if len(entries) <= _FEW:
            own = hashlib.sha256()
            _add(own, *what)
            parts[entry.path.decode("utf-8", "backslashreplace")] = own.hexdigest()
    return Tree(digest.hexdigest(), _stamp(entries), parts)


def stamp_now(place: str, ignored: Ignored | None) -> str:
    """Return the stamp that :func:`tree_of` would give, without reading any file.

    Raises:
        OSError: something in it cannot be looked at.

    """
    return _stamp(sorted(_entries(place, ignored)))


def _stamp(entries: list[_Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        # A folder's own times change with what is ignored in it.
        stamp = repr(entry.stamp) if entry.kind != "folder" else ""
        _add(
            digest,
            entry.kind.encode(),
            b"%o" % entry.mode,
            entry.path,
            stamp.encode(),
            entry.target,
        )
    return digest.hexdigest()


def _add(digest: hashlib._Hash, *parts: bytes) -> None:
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)


def _entries(place: str, ignored: Ignored | None) -> Iterator[_Entry]:
    facts = os.stat(place)  # noqa: PTH116 - of bytes and many
    if not stat.S_ISDIR(facts.st_mode):
        yield _entry(b"", place, facts)
        return
    yield from _below(place, "", ignored, (), is_out=False)


def _below(
    folder: str, inside: str, ignored: Ignored | None, above: tuple[bool, ...], *, is_out: bool
) -> Iterator[_Entry]:
    with os.scandir(folder) as listed:
        found = list(listed)
    for one in found:
        if one.name == _STATE:
            continue
        path = f"{inside}{one.name}"
        out, matched = ignored.matches(path, above) if ignored else (is_out, above)
        is_folder = one.is_dir(follow_symlinks=False)
        if not out:
            yield _entry(os.fsencode(path), one.path, one.stat(follow_symlinks=False))
        if not is_folder or (out and not (ignored and ignored.has_exceptions)):
            continue
        below = list(_below(one.path, f"{path}/", ignored, matched, is_out=out))
        if out and below:  # it is sent for what stays in it
            yield _entry(os.fsencode(path), one.path, one.stat(follow_symlinks=False))
        yield from below


def _entry(path: bytes, place: str, facts: os.stat_result) -> _Entry:
    mode = stat.S_IMODE(facts.st_mode)
    stamp = stamp_of(facts)
    if stat.S_ISREG(facts.st_mode):
        return _Entry(path, "file", mode, stamp, b"", place)
    if stat.S_ISDIR(facts.st_mode):
        return _Entry(path, "folder", mode, stamp)
    if stat.S_ISLNK(facts.st_mode):
        return _Entry(path, "link", 0, stamp, os.fsencode(os.readlink(place)))  # noqa: PTH115
    return _Entry(path, "special", stat.S_IFMT(facts.st_mode), stamp, b"%d" % facts.st_rdev)
