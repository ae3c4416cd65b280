"""A program in an image in; why the kernel cannot run it, as its file says, out.

The kernel's own words say little: ``exec format error`` is a script without ``#!`` as well as another
machine's program, and ``no such file or directory`` may be about an interpreter.
"""

from __future__ import annotations

import io
import posixpath
import re
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from buildx_tasks.images import elf
from buildx_tasks.machine.executables import architecture_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.platforms import Platform

# The first bytes of the file at a path, links followed; None where no file is.
Read = Callable[[str], Optional[bytes]]

MOST_BYTES = 1 << 16  # of a file that are looked at

# Where none is set: docker's own.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_INTERPRETERS = 4  # that call one another; the kernel's own limit
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
_ALSO_RUN = {"amd64": {"386"}, "arm64": {"arm"}, "mips64": {"mips"}, "mips64le": {"mipsle"}}
_OTHERS = {
    b"MZ": "a program for Windows",
    b"\xcf\xfa\xed\xfe": "a program for macOS",
    b"\xca\xfe\xba\xbe": "a program for macOS, or a Java class",
    b"\0asm": "a WebAssembly module",
}
_FOREIGN = re.compile(
    r"(/[^\s:'\"]+)['\"]?: (?:cannot execute binary file: )?exec format error", re.IGNORECASE
)
_MISSING = re.compile(
    r"(/[^\s:'\"]+)['\"]?: (?:cannot execute: )?(?:required file )?(?:no such file|not found)",
    re.IGNORECASE,
)
_MARK = b"\xef\xbb\xbf"  # of UTF-8


class Start(NamedTuple):
    """How a container starts: its program with arguments, environment and folder."""

    words: Sequence[str]
    environment: Mapping[str, str] = {}
    folder: str = "/"


def why_not(
    start: Start,
    platform: Platform,
    read: Read,
    said: str = "",
    *,
    is_executable: Callable[[str], bool] = lambda _path: True,
) -> str:
    """Return why one of the programs that a container starts cannot run; ``""`` where none is at fault.

    ``said`` is what was said of it: a file that is named there is looked at, too.
    """
    started = [*_FOREIGN.findall(said), *start.words[:1]]
    for name in (*started, *_MISSING.findall(said), *_programs(start.words)):
        path = _found(name, start, read)
        reason = _fault(path, start, platform, read) if path else ""
        if path and name == start.words[0] and not is_executable(path):
            return _not_executable(path)
        # What is only an argument may be any file.
        if reason and (name in started or _is_program(read(path) or b"")):
            return reason
    return ""


def _is_program(data: bytes) -> bool:
    return data.startswith((elf.MAGIC, b"#!"))


def _programs(words: Sequence[str]) -> Iterator[str]:
    """Give what a program is likely to start: as ``sh -c`` and entrypoints do."""
    yield from (word for word in words[1:3] if word.startswith(("/", "./")))
    if len(words) > 2 and posixpath.basename(words[0]) in _SHELLS and words[1] == "-c":
        line = words[2].split()
        yield from line[1:2] if line[:1] == ["exec"] else line[:1]


def _found(name: str, start: Start, read: Read) -> str:
    """Return the path of a program that is named as in a shell; ``""`` where there is none."""
    if "/" in name:
        path = posixpath.normpath(posixpath.join(start.folder or "/", name))
        return path if read(path) is not None else ""
    folders = start.environment.get("PATH", _PATH).split(":")
    paths = (posixpath.join(folder or "/", name) for folder in folders)
    return next((path for path in paths if read(path) is not None), "")


def _fault(path: str, start: Start, platform: Platform, read: Read) -> str:
    asked = ""  # by which script
    for _ in range(_MOST_INTERPRETERS):
        data = read(path)
        if data is None:
            return ""
        if not data.startswith(b"#!"):
            return _of_program(path, data, platform, read)
        line = data.partition(b"\n")[0][2:]
        if line.endswith(b"\r"):
            return (
                rf"line 1 of {printable(path)} ends with \r, as on Windows, and so asks for a program "
                f"of that name; save it with LF alone (.gitattributes: {posixpath.basename(path)} "
                "text eol=lf), and build again"
            )
        words = line.decode("utf-8", "replace").split()
        if not words:
            return f"{printable(path)} begins with #! and names no interpreter; write #!/bin/sh"
        asked, path = path, words[0]
        if read(path) is None:
            return _lacks(asked, path)
        if posixpath.basename(path) == "env":
            name = next((w for w in words[1:] if not w.startswith("-") and "=" not in w), "")
            if name and not _found(name, start, read):
                return _lacks(asked, name)
    return ""


def _not_executable(path: str) -> str:
    return (
        f"{printable(path)} is not executable; write COPY --chmod=755 where it is copied, or "
        f"RUN chmod +x {printable(path)} (git keeps it with git update-index --chmod=+x)"
    )


def _lacks(script: str, interpreter: str) -> str:
    return (
        f"{printable(script)} is a script for {printable(interpreter)}, which is not in the image; "
        "install it, or write the script for one that is (#!/bin/sh)"
    )


def _of_program(path: str, data: bytes, platform: Platform, read: Read) -> str:
    name = printable(path)
    if not data:
        return f"{name} is an empty file; look at the step that makes it"
    if data.startswith(elf.MAGIC):
        return _of_elf(path, data, platform, read)
    for start, what in _OTHERS.items():
        if data.startswith(start):
            return f"{name} is {what}, not for {platform}; build it for $TARGETOS and $TARGETARCH"
    if data.startswith(_MARK):
        return f"{name} begins with a byte order mark, which hides its #!; save it without one"
    if b"\0" in data:
        return f"{name} is no program that Linux knows (it begins {data[:4].hex(' ')})"
    return f"{name} is a script without #!; write #!/bin/sh as its first line"


def _of_elf(path: str, data: bytes, platform: Platform, read: Read) -> str:
    try:
        header, interpreter = elf.glance(io.BytesIO(data))
    except elf.DamagedError as error:
        return f"{printable(path)} is a damaged program: {error}"
    machine = architecture_of(header) or elf.name_of(header.machine)
    own = platform.architecture
    if machine != own and machine not in _ALSO_RUN.get(own, ()):
        return (
            f"{printable(path)} is a program for {machine}, not for {platform}; "
            "build or fetch it for $TARGETARCH"
        )
    if interpreter and read(interpreter) is None:
        return (
            f"{printable(path)} needs {printable(interpreter)}, which is not in the image; link it "
            "statically, or take a base of the distribution that it was built on"
        )
    return ""
