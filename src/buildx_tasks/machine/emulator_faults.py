"""An emulator in; what its version is known to break, each with its fix and who says so, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.machine.emulator import Emulator

_ARM64 = "qemu-aarch64"
# The default of [emulators] image: none of the faults below is known of it.
# Source: https://hub.docker.com/r/tonistiigi/binfmt/tags
IMAGE = "docker.io/tonistiigi/binfmt:qemu-v10.2.3-68"
DIGEST = "sha256:400a4873b838d1b89194d982c45e5fb3cda4593fbfd7e08a02e76b03b21166f0"
# What is registered stays until it is taken out.
_NEWER = (
    f"take QEMU 10.2 or newer: docker run --privileged --rm {IMAGE} --uninstall {_ARM64}, and again "
    "with --install arm64"
)


class Fault(NamedTuple):
    """What QEMU breaks from a version on, ``since``, to one that does not any more, ``until``.

    ``emulator`` is the program that does, ``""`` for all; ``is_of_images`` leaves out what
    distributions package, which say so in their version.
    """

    since: tuple[int, ...]
    until: tuple[int, ...]
    emulator: str
    what: str
    fix: str
    source: str
    is_of_images: bool = False


# Only what somebody has reported with the version, and somebody else has seen too.
FAULTS = (
    Fault(
        (5, 1),
        (6, 0),
        _ARM64,
        "small programs crash now and then at their start, so that linux/arm64 comes and goes",
        _NEWER,
        "https://github.com/docker/buildx/issues/542",
    ),
    Fault(
        (6, 1),
        (6, 2),
        _ARM64,
        "Java cannot start threads (ENOSYS)",
        _NEWER,
        "https://github.com/tonistiigi/binfmt/issues/72",
    ),
    Fault(
        (7, 0),
        (8, 1),
        _ARM64,
        "programs crash now and then (signal 11) on kernels of 2025 and newer, as Node and apt do",
        _NEWER,
        "https://github.com/tonistiigi/binfmt/issues/215",
        is_of_images=True,
    ),
    Fault(
        (7, 2),
        (8, 0),
        "",
        "what Go 1.23.0 compiled, and go itself, cannot start another program (invalid argument)",
        "build with Go 1.23.1 or newer, or take QEMU 8.0 or newer",
        "https://github.com/golang/go/issues/69259",
    ),
    Fault(
        (7, 0),
        (9, 0),
        _ARM64,
        "tar of Ubuntu 26.04 (openat2: Function not implemented)",
        _NEWER,
        "https://github.com/myoung34/docker-github-actions-runner/pull/650",
    ),
    Fault(
        (9, 2),
        (10, 0),
        _ARM64,
        "ldconfig of Ubuntu 22.04 and Debian 11, which apt-get install runs, crashes (signal 11)",
        _NEWER,
        "https://github.com/tonistiigi/binfmt/issues/245",
    ),
    Fault(
        (9, 2),
        (10, 1, 3),
        _ARM64,
        "GNU tar of newer distributions fails (openat2: Invalid argument)",
        _NEWER,
        "https://github.com/tonistiigi/binfmt/pull/287",
        is_of_images=True,
    ),
    Fault(
        (10, 1, 3),
        (10, 2),
        _ARM64,
        "ldconfig of Ubuntu 22.04, which apt-get install runs, crashes (signal 11)",
        _NEWER,
        "https://github.com/tonistiigi/binfmt/issues/298",
        is_of_images=True,
    ),
)


def faults_of(emulator: Emulator) -> Iterator[Fault]:
    """Yield what an emulator is known to break; nothing where its version is not known."""
    if not emulator.version:
        return
    version = tuple(int(part) for part in emulator.version.split("."))
    for fault in FAULTS:
        if (
            fault.since <= version < fault.until
            and emulator.name.endswith(fault.emulator)
            and not (fault.is_of_images and emulator.package)
        ):
            yield fault


def known(emulators: Iterable[Emulator]) -> dict[Fault, list[Emulator]]:
    """Return what some emulators are known to break, each once, with those that do."""
    found: dict[Fault, list[Emulator]] = {}
    for emulator in dict.fromkeys(emulators):
        for fault in faults_of(emulator):
            found.setdefault(fault, []).append(emulator)
    return found
