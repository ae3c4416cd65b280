"""OCI platforms: parse, normalise, say which ones a machine runs natively.

The rules are containerd's (its ``platforms`` package), which Engine and BuildKit follow: aliases
such as ``aarch64`` and ``armhf``, and default variants (``arm`` is ``arm/v7``, ``arm64/v8`` is
``arm64``, ``amd64/v1`` is ``amd64``).
"""

from __future__ import annotations

import functools
import platform as host
import re
from typing import Callable, NamedTuple

from buildx_tasks.errors import listed, nearest

# GOOS and GOARCH values, which OCI refers to, as `go tool dist list` has them.
SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 "
    "windows".split()
)
ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x "
    "wasm".split()
)
_SYSTEM_ALIASES = {"macos": "darwin"}
_ARCHITECTURE_ALIASES = {
    "aarch64": ("arm64", ""),
    "armel": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
    "x86-64": ("amd64", ""),
    "x86_64": ("amd64", ""),
}
# What machines, distributions and images call them, and what containerd does not know.
_OTHER_NAMES = {
    **{
        f"arm{mark}v{n}{end}": f"arm/v{n}"
        for n in (5, 6, 7)
        for mark in ("", "32")
        for end in ("", "l", "hf")
    },
    **dict.fromkeys(("arm64v8", "armv8", "armv8l", "arm64e"), "arm64"),
    **dict.fromkeys(("x64", "amd64v1"), "amd64"),
    **dict.fromkeys(("x86", "x32", "i486", "i586", "ia32"), "386"),
    **dict.fromkeys(("powerpc64le", "ppc64el"), "ppc64le"),
    "mips64el": "mips64le",
    "mipsel": "mipsle",
    "riscv": "riscv64",
    "rv64": "riscv64",
}
_WITH_VERSION = re.compile(r"windows\(")
_DEFAULT_VARIANTS = {"amd64": "v1", "arm64": "v8"}
_VARIANTS = {
    "amd64": frozenset({"v1", "v2", "v3", "v4"}),
    "arm": frozenset({"v5", "v6", "v7", "v8"}),
}
_ARM64_VARIANT = re.compile(r"v[89](\.\d+)?")
# What a CPU of this architecture runs without an emulator, besides itself.
_RUNS_NATIVELY = {"amd64": frozenset({"386"})}


class Platform(NamedTuple):
    """A normalised platform; written ``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


Native = Callable[[Platform], bool]  # says what a builder runs without an emulator


@functools.cache
def known(text: str) -> Platform | None:
    """Return the platform that ``text`` names; None where it names none."""
    try:
        return parse(text)
    except ValueError:
        return None


def parse(text: str) -> Platform:
    """Return the normalised platform that ``text`` names.

    ``text`` is ``os/architecture[/variant]``; a bare architecture means Linux.

    Raises:
        ValueError: it is malformed or names no known platform; the message says what is.

    """
    parts = text.strip().lower().split("/")
    if len(parts) == 1 and (parts[0] in ARCHITECTURES or parts[0] in _ARCHITECTURE_ALIASES):
        parts = ["linux", *parts]
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise ValueError(
            f'"{text}" is no platform'
            + (_meant(text) or "; write os/architecture[/variant], as in linux/arm64")
        )
    system = _SYSTEM_ALIASES.get(parts[0], parts[0])
    if _WITH_VERSION.match(system):
        raise ValueError(
            f'"{text}" is no platform here: the version of Windows is that of the base image; write '
            f"{'/'.join([system.partition('(')[0], *parts[1:]])}"
        )
    if system not in SYSTEMS:
        raise ValueError(
            f'"{text}" is no platform: unknown operating system "{parts[0]}"'
            + (_meant(text) or nearest(parts[0], SYSTEMS) or f"; known: {listed(SYSTEMS)}")
        )
    architecture, variant = _ARCHITECTURE_ALIASES.get(parts[1], (parts[1], ""))
    if architecture not in ARCHITECTURES:
        known = ARCHITECTURES | _ARCHITECTURE_ALIASES.keys()
        raise ValueError(
            f'"{text}" is no platform: unknown architecture "{parts[1]}"'
            + (_meant(text) or nearest(parts[1], known) or f"; known: {listed(ARCHITECTURES)}")
        )
    if len(parts) == 3:
        variant = parts[2] if parts[2].startswith("v") else f"v{parts[2]}"
        _check_variant(text, architecture, variant)
    if variant == _DEFAULT_VARIANTS.get(architecture):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    return Platform(system, architecture, variant)


def _meant(text: str) -> str:
    """Return ``; did you mean "linux/arm/v7"?`` where all words are known, in another order or form."""
    if text.strip().lower() == "local":
        return ": leave platforms out for this machine's own"
    system, found = "linux", ""
    plain = re.sub("x86[-_]64", "amd64", text.strip().lower())
    for word in filter(None, re.split(r"[\s/\\:._-]+", plain)):
        if _SYSTEM_ALIASES.get(word, word) in SYSTEMS:
            system = _SYSTEM_ALIASES.get(word, word)
        elif word in _OTHER_NAMES or word in ARCHITECTURES or word in _ARCHITECTURE_ALIASES:
            found = _OTHER_NAMES.get(word) or "/".join(
                filter(None, _ARCHITECTURE_ALIASES.get(word, (word,)))
            )
        elif found and re.fullmatch(r"v\d", word):
            found = f"{found.partition('/')[0]}/{word}"
        else:
            return ""
    return f'; did you mean "{parse(f"{system}/{found}")}"?' if found else ""


def _check_variant(text: str, architecture: str, variant: str) -> None:
    if architecture == "arm64" and _ARM64_VARIANT.fullmatch(variant):
        return
    known = _VARIANTS.get(architecture, frozenset())
    if variant not in known:
        raise ValueError(
            f'"{text}" is no platform: {architecture} has no variant "{variant}"'
            + (f"; known: {listed(known)}" if known else "; leave it out")
        )


def host_platform() -> Platform:
    """Return this machine's platform as containers see it (Linux, whatever the host runs)."""
    machine = host.machine().lower()
    return parse({"armv7l": "armhf", "armv6l": "armel"}.get(machine, machine))


def runs_natively(wanted: Platform, machine: Platform) -> bool:
    """Say whether ``machine`` runs binaries for ``wanted`` without an emulator."""
    if wanted.os != machine.os:
        return False
    if wanted.architecture == machine.architecture:
        return wanted.variant <= machine.variant or wanted.architecture != "arm"
    return wanted.architecture in _RUNS_NATIVELY.get(machine.architecture, frozenset())
