"""A file that two builds made differently in; what of it is never the same, and what to write, out."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.images.paths import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES = 4_000_000  # of a file that is looked into

_UNPACKED = 16_000_000
_LEAST_GZIP = 18  # bytes: header and end
_ELF_BUILD_ID = re.compile(rb"\x04\0\0\0([\x08\x10\x14\x20])\0\0\0\x03\0\0\0GNU\0", re.DOTALL)
_GO_BUILD_ID = re.compile(rb'(?:\xff Go build ID: "|Go\0\0)[\w/=+-]{20,100}')
_DATE = re.compile(
    rb"\d{4}-\d\d-\d\d(?:[T _]\d\d:?\d\d(?::?\d\d)?(?:\.\d+)?(?:Z| ?[+-]\d\d:?\d\d)?)?"
    rb"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:\d\d? )?[A-Z][a-z]{2} +(?:\d\d? )?"
    rb"\d\d:\d\d:\d\d(?: [A-Z]{3,4})?(?: \d{4})?"
    rb"|\b1[5-9]\d{8}\b"
)
_RANDOM = re.compile(rb"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b|\b[0-9a-f]{32,}\b")


class Cause(NamedTuple):
    """What of a file is not the same each time, and what to write so that it is."""

    what: str
    write: str


_APT = Cause(
    "lists and caches of apt", "end its RUN with && rm -rf /var/lib/apt/lists/* /var/cache/apt/*"
)
_LOGS = Cause(
    "logs of apt and dpkg",
    "end its RUN with && rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log",
)
_APK = Cause(
    "lists and logs of apk",
    "write apk add --no-cache, and end its RUN with && rm -f /var/log/apk.log",
)
_DNF = Cause(
    "caches, logs and history of dnf",
    "end its RUN with && dnf clean all && rm -rf /var/cache/dnf /var/log/dnf* /var/lib/dnf/history*",
)
_PYTHON = Cause(
    "bytecode of Python, with the times of its sources in it",
    "write ENV PYTHONDONTWRITEBYTECODE=1 before its RUN, and pip install --no-compile; or "
    "python -m compileall --invalidation-mode unchecked-hash",
)
_KEYS = Cause(
    "keys that ssh made", "end its RUN with && rm -f /etc/ssh/ssh_host_*: make them when it starts"
)
_MACHINE = Cause("the machine's id", "end its RUN with && : > /etc/machine-id")
_SHADOW = Cause(
    "the day that a user was made",
    "write ARG SOURCE_DATE_EPOCH before its RUN, which useradd takes, and && rm -f /etc/*- behind it",
)
_TEMPORARY = Cause(
    "temporary files", "write RUN --mount=type=tmpfs,target=/tmp, or end it with && rm -rf /tmp/*"
)
_LDCONFIG = Cause(
    "the cache of ldconfig", "end its RUN with && rm -f /var/cache/ldconfig/aux-cache"
)
_FONTS = Cause("the cache of fontconfig", "end its RUN with && rm -rf /var/cache/fontconfig")
_GO = Cause("the cache of go", "write RUN --mount=type=cache,target=/root/.cache/go-build")
# The first that matches counts.
_BY_PATH: tuple[tuple[str, Cause], ...] = (
    ("/var/lib/apt/**", _APT),
    ("/var/cache/apt/**", _APT),
    ("/var/log/apt/**", _LOGS),
    ("/var/log/{dpkg,alternatives,bootstrap}.log", _LOGS),
    ("/var/cache/ldconfig/aux-cache", _LDCONFIG),
    (
        "/var/cache/debconf/*",
        Cause("the copies that debconf keeps", "end its RUN with && rm -f /var/cache/debconf/*-old"),
    ),
    ("/var/cache/fontconfig/**", _FONTS),
    ("/var/cache/man/**", Cause("the index of man", "end its RUN with && rm -rf /var/cache/man")),
    ("/var/cache/apk/**", _APK),
    ("/var/log/apk.log", _APK),
    ("/var/cache/{dnf,yum,libdnf5}/**", _DNF),
    ("/var/lib/dnf/**", _DNF),
    ("/var/log/{dnf,yum,hawkey}*", _DNF),
    ("/var/lib/rpm/**", Cause(
        "the database of rpm, which holds when each package came",
        "set SOURCE_DATE_EPOCH for its RUN (ARG SOURCE_DATE_EPOCH), with rpm 4.20 or later",
    )),
    ("**/__pycache__/*.pyc", _PYTHON),
    ("**/*.pyc", _PYTHON),
    ("**/.cache/pip/**", Cause("the cache of pip", "write pip install --no-cache-dir")),
    ("**/.npm/**", Cause("the cache and logs of npm", "end its RUN with && rm -rf ~/.npm")),
    ("**/.cache/go-build/**", _GO),
    ("**/.wget-hsts", Cause("what wget remembers", "write wget --no-hsts")),
    ("/etc/ssh/ssh_host_*", _KEYS),
    ("/etc/machine-id", _MACHINE),
    ("/var/lib/dbus/machine-id", _MACHINE),
    ("/etc/{shadow,passwd,group,gshadow}-", _SHADOW),
    ("/etc/shadow", _SHADOW),
    ("/tmp/**", _TEMPORARY),  # noqa: S108 - in an image
    ("/var/tmp/**", _TEMPORARY),  # noqa: S108
)  # fmt: skip
_GZIP = Cause("the time in its gzip header", "write gzip -n (tar: GZIP=-n, or pipe into gzip -n)")
_ZIP = Cause(
    "the times of its members",
    "touch them first (ARG SOURCE_DATE_EPOCH, find … -exec touch -d @$SOURCE_DATE_EPOCH {} +), and "
    "write zip -X; Maven: project.build.outputTimestamp; Gradle: preserveFileTimestamps = false",
)
_ORDER = Cause(
    "the order of its members", "sort them: tar --sort=name, zip with names from find … | sort"
)
_TAR = Cause(
    "the times or owners of its members",
    "write tar --sort=name --mtime=@$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner",
)
_AR = Cause("the times of its members", "write ar with D, as in ar rcsD")
_BUILD_ID = Cause(
    "its build id, and nothing else",
    "link it with -Wl,--build-id=none (Go: -trimpath -ldflags=-buildid=)",
)
_COMPILED = Cause(
    "what a compiler wrote in: paths, times or what it compiled in parallel",
    "write -ffile-prefix-map=$PWD=. and no __DATE__ (Go: -trimpath; Rust: --remap-path-prefix)",
)
_TIME = Cause(
    "the time that it was made, as text",
    "write the commit's time instead: ARG SOURCE_DATE_EPOCH, date -u -d @$SOURCE_DATE_EPOCH",
)
_CHANCE = Cause(
    "an id or hash that is made anew",
    "make it when the container starts, or take it from the sources",
)

_ANYWHERE = (_COMPILED, _TIME, _CHANCE)  # the path says more, where it is known


def cause(path: str, before: bytes | None = None, now: bytes | None = None) -> Cause | None:
    """Return what of a file is known not to be the same each time; None where nothing is.

    ``before`` and ``now`` are what the builds wrote, where that is known.
    """
    found = _of_content(before, now) if before and now else None
    if found and found not in _ANYWHERE:
        return found
    return next((one for pattern, one in _BY_PATH if _is_at(pattern, path)), found)


def _is_at(pattern: str, path: str) -> bool:
    start, brace, rest = pattern.partition("{")
    if not brace:
        return matches(pattern, path)
    words, _, end = rest.partition("}")
    return any(matches(f"{start}{word}{end}", path) for word in words.split(","))


def _of_content(before: bytes, now: bytes) -> Cause | None:
    if _archive(before) and _archive(before) == _archive(now):
        return _ARCHIVES[_archive(before)](before, now)
    if before[2:4] == now[2:4] == b"\r\n" and before[:8] == now[:8] and before[16:] == now[16:]:
        return _PYTHON
    if _DATE.sub(b"", before) == _DATE.sub(b"", now):
        return _TIME
    if _RANDOM.sub(b"", _DATE.sub(b"", before)) == _RANDOM.sub(b"", _DATE.sub(b"", now)):
        return _CHANCE
    return None


def _archive(data: bytes) -> str:
    """Return what holds several things, each of which could differ; ``""`` for any other file."""
    starts = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"!<arch>\n": "ar", b"\x7fELF": "elf"}
    if data[257:262] == b"ustar":
        return "tar"
    return next((name for start, name in starts.items() if data.startswith(start)), "")


def _of_gzip(before: bytes, now: bytes) -> Cause | None:
    if before[:4] + before[8:] == now[:4] + now[8:] and len(now) >= _LEAST_GZIP:
        return _GZIP
    try:
        inner = [gzip.GzipFile(fileobj=io.BytesIO(one)).read(_UNPACKED) for one in (before, now)]
    except (OSError, EOFError, zlib.error):
        return None
    return _GZIP if inner[0] == inner[1] else _of_content(*inner)


def _of_zip(before: bytes, now: bytes) -> Cause | None:
    try:
        files = [zipfile.ZipFile(io.BytesIO(one)).infolist() for one in (before, now)]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        return None
    plain = [[(info.filename, info.CRC) for info in members] for members in files]
    if plain[0] == plain[1]:
        return _ZIP
    return _ORDER if sorted(plain[0]) == sorted(plain[1]) else None


def _of_tar(before: bytes, now: bytes) -> Cause | None:
    try:
        listed = [list(_members(one)) for one in (before, now)]
    except (tarfile.TarError, ValueError, OverflowError):
        return None
    if listed[0] == listed[1]:
        return _TAR
    return _ORDER if sorted(listed[0]) == sorted(listed[1]) else None


def _of_ar(before: bytes, now: bytes) -> Cause | None:
    return _AR if _without_ar_times(before) == _without_ar_times(now) else None


def _of_elf(before: bytes, now: bytes) -> Cause | None:
    return _BUILD_ID if _without_build_id(before) == _without_build_id(now) else _COMPILED


def _members(data: bytes) -> Iterator[tuple[str, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            content = data[info.offset_data : info.offset_data + info.size] if info.isreg() else b""
            yield info.name, info.size, zlib.crc32(content)


def _without_ar_times(data: bytes) -> bytes:
    # Each member has a header of 60 bytes: name, time, owner, group, mode, size.
    out, at = bytearray(data[:8]), 8
    while at + 60 <= len(data):
        size = data[at + 48 : at + 58].strip()
        if not size.isdigit():
            break
        end = at + 60 + int(size) + int(size) % 2
        out += data[at : at + 16] + data[at + 40 : end]
        at = end
    return bytes(out + data[at:])


def _without_build_id(data: bytes) -> bytes:
    out = bytearray(data)
    for found in _ELF_BUILD_ID.finditer(data):
        size = found[1][0]
        out[found.end() : found.end() + size] = bytes(size)
    for found in _GO_BUILD_ID.finditer(data):
        out[found.start() : found.end()] = bytes(found.end() - found.start())
    return bytes(out)


_ARCHIVES = {"ar": _of_ar, "elf": _of_elf, "gzip": _of_gzip, "tar": _of_tar, "zip": _of_zip}
