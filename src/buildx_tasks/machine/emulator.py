"""A foreign platform in; the emulator that runs its programs here, by name and version, out."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.machine import executables, probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.platforms import Platform

# The kernel's registry of emulators. Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# As QEMU says it: "qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)".
_SAID = re.compile(r"(?m)(\S*qemu-\S+) version (\d+(?:\.\d+)*)(?: \(([^)\n]*)\))?")
_FIXED = "F"  # the flag of an emulator that the kernel opened once, and holds open
_BUILDKITS = "buildkit-qemu-"


class Registration(NamedTuple):
    """What the kernel runs for a platform's programs: an interpreter's path, and flags for it."""

    name: str
    interpreter: str
    flags: str


class Emulator(NamedTuple):
    """What runs the programs of a platform: ``qemu-aarch64``, ``7.2.22``.

    ``version`` is ``""`` where it says none, as Rosetta does; ``package`` is the distribution's version
    of it; ``path`` is what the kernel was told to run, ``""`` where that is not known.
    """

    name: str
    version: str = ""
    package: str = ""
    path: str = ""
    origin: str = ""

    @property
    def title(self) -> str:
        """Name and version, as in ``qemu-aarch64 7.2.22``."""
        return f"{self.name} {self.version}".rstrip()

    def __str__(self) -> str:
        """Say which it is, and where it comes from."""
        return ", ".join(filter(None, (self.title, self.path, self.origin)))


def of(platform: Platform) -> Emulator | None:
    """Return the emulator of a platform on this machine; None where none is registered, or none runs.

    QEMU says its version itself, wherever its file is by now; that takes 3 ms.
    """
    program = executables.binary(platform)
    registered = _registered(program) if program else None
    if registered is None:
        return None
    found = of_words(probe.said_of_version(platform))
    if found is None:
        name = Path(registered.interpreter).name or registered.name
        return Emulator(name, path=registered.interpreter, origin=_origin_of_other(registered))
    origin = found.origin or _origin(registered)
    return found._replace(path=registered.interpreter, origin=origin)


def of_words(text: str) -> Emulator | None:
    """Return the emulator that said a text, which holds its version; None where it is not QEMU's."""
    match = _SAID.search(text)
    if match is None:
        return None
    name, package = Path(match[1]).name, match[3] or ""
    if name.startswith(_BUILDKITS):
        return Emulator(name, match[2], package, origin="BuildKit's own")
    distribution, _, version = package.partition(" ")
    origin = f"{distribution}'s package {version}" if version else ""
    return Emulator(name, match[2], package, origin=origin)


def summed_up(found: Iterable[tuple[Platform, Emulator]]) -> dict[str, str]:
    """Return names of emulators with version, origin and the platforms that each runs, alike ones once.

    As in ``{"QEMU": "7.2.22 (Debian's package 1:7.2+…) for linux/arm64, linux/riscv64"}``.
    """
    by_kind: dict[tuple[str, str, str], list[str]] = {}
    for platform, one in found:
        name = "QEMU" if "qemu-" in one.name else one.name
        by_kind.setdefault((name, one.version, one.origin), []).append(str(platform))
    counted: dict[str, str] = {}
    for (name, version, origin), platforms in by_kind.items():
        words = f"{version} ({origin})" if origin else version
        key = name if name not in counted else f"{name} {version}"
        counted[key] = f"{words} for {', '.join(platforms)}".strip()
    return counted


def _registered(program: bytes) -> Registration | None:
    return next((one for one, says in _entries() if says(program)), None)


def _entries() -> Iterator[tuple[Registration, _Magic]]:
    """Yield what is registered and enabled, those with QEMU's names first."""
    with contextlib.suppress(OSError):
        for path in sorted(
            BINFMT.iterdir(), key=lambda one: (not one.name.startswith("qemu-"), one)
        ):
            with contextlib.suppress(OSError):
                if path.name not in ("register", "status") and (
                    found := parsed(path.name, _text(path))
                ):
                    yield found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


class _Magic(NamedTuple):
    """What begins the files that an entry is for; the bits of ``mask`` count."""

    offset: int
    magic: bytes
    mask: bytes

    def __call__(self, program: bytes) -> bool:
        """Say whether a program begins so."""
        part = program[self.offset : self.offset + len(self.magic)]
        return len(part) == len(self.magic) and all(
            (a ^ b) & bits == 0 for a, b, bits in zip(part, self.magic, self.mask)
        )


def parsed(name: str, text: str) -> tuple[Registration, _Magic] | None:
    """Return what an entry of the kernel's registry says; None where it is off, or not by magic."""
    first, *lines = text.splitlines() or [""]
    fields = {key.rstrip(":"): value for key, _, value in (line.partition(" ") for line in lines)}
    if first != "enabled" or "magic" not in fields:
        return None
    magic = bytes.fromhex(fields["magic"])
    mask = bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
    registered = Registration(name, fields.get("interpreter", ""), fields.get("flags", ""))
    return registered, _Magic(int(fields.get("offset", "0")), magic, mask)


def _origin(registered: Registration) -> str:
    path = Path(registered.interpreter)
    if path.exists():
        return "a file of this machine"
    # An image's file is gone with its container; the kernel still holds it.
    return "registered by an image" if _FIXED in registered.flags else "its file is not there"


def _origin_of_other(registered: Registration) -> str:
    return "Apple's" if "rosetta" in registered.interpreter else _origin(registered)
