"""A text or a path → the architectures that it names, in whatever way, under OCI's names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# The names of architectures in files and triples; OCI's own are Go's.
# Source: https://github.com/containerd/platforms/blob/main/database.go
_NAMES = {
    "aarch64": "arm64",
    "amd64": "amd64",
    "arm64": "arm64",
    "arm64v8": "arm64",
    "arm32v5": "arm",
    "arm32v6": "arm",
    "arm32v7": "arm",
    "armel": "arm",
    "armhf": "arm",
    "armv5": "arm",
    "armv6": "arm",
    "armv6l": "arm",
    "armv7": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
    "loong64": "loong64",
    "loongarch64": "loong64",
    "powerpc64le": "ppc64le",
    "mips64le": "mips64le",
    "mipsle": "mipsle",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "x86_64": "amd64",
}
# Also words of their own: an architecture only behind a system, or at the very end of a name.
_SHORT = {"386": "386", "arm": "arm", "x64": "amd64"}
_NAME = re.compile(r"x86[_-]64|[a-zA-Z0-9]+")
_BEHIND_SYSTEM = re.compile(r"linux[-_./](386|arm|x64)(?![a-zA-Z0-9])")
_AT_END = re.compile(r".*[a-zA-Z0-9][-_.](386|arm|x64)(?:\.exe)?")


def in_text(text: str) -> Iterator[str]:
    """Yield the architectures that a text names."""
    for word in _NAME.findall(text.lower()):
        name = word.replace("-", "_")
        if name in _NAMES or name in _SHORT:
            yield _NAMES.get(name) or _SHORT[name]


def in_path(path: str) -> tuple[str, str] | None:
    """Return the architecture that a path names, and the word that does it."""
    for word in _NAME.findall(path):
        name = word.lower().replace("-", "_")
        if name in _NAMES:
            return _NAMES[name], word
    short = _BEHIND_SYSTEM.search(path) or _AT_END.fullmatch(path.rstrip("/").rpartition("/")[2])
    return (_SHORT[short[1]], short[1]) if short else None


def long_names(text: str) -> set[str]:
    """Return the architectures that a text names by words that mean nothing else."""
    words = (word.lower().replace("-", "_") for word in _NAME.findall(text))
    return {_NAMES[word] for word in words if word in _NAMES}


def of_image(reference: str) -> tuple[str, str] | None:
    """Return the architecture that an image's reference names, and the word; None for none or several."""
    plain = reference.partition("@")[0]
    return in_path(plain) if len(set(in_text(plain))) == 1 else None
