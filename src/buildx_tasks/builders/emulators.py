"""Platforms in; which of them lack an emulator, and how it is registered with the kernel, out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.builders.reconcile import Change
from buildx_tasks.errors import EngineError
from buildx_tasks.machine import executables, probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Emulators
    from buildx_tasks.language.targets import Config
    from buildx_tasks.platforms import Platform

# The kernel's registry of emulators, and where it keeps the one for each architecture.
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# Source of the names: QEMU's scripts/qemu-binfmt-conf.sh
_QEMU_NAMES = {
    "386": "i386",
    "amd64": "x86_64",
    "arm64": "aarch64",
    "loong64": "loongarch64",
    "mips64le": "mips64el",
    "mipsle": "mipsel",
}
_AT_ONCE = 8  # programs that end at once
_SYSTEMD_BINFMT = Path("/usr/lib/systemd/systemd-binfmt")
_UPDATE_BINFMTS = Path("/usr/sbin/update-binfmts")


def needed_platforms(config: Config) -> frozenset[Platform]:
    """Return every platform that any target with an image declares: what run and verify run."""
    files = ("local", "tar", "cacheonly")
    return frozenset(
        platforms.parse(text)
        for target in config.target.values()
        if not target.output or any(entry["type"] not in files for entry in target.output)
        for text in target.platforms
    )


def missing(engine: Engine, needed: Iterable[Platform]) -> list[Platform]:
    """Return the needed platforms that this machine's engine runs neither natively nor emulated.

    Each is tried with a program for it; of an engine elsewhere nothing can be said, nor of platforms
    that no emulator could bring.
    """
    if not engine.is_local:
        return []
    return not_running(platform for platform in needed if platform.os == "linux")


def not_running(needed: Iterable[Platform]) -> list[Platform]:
    """Return the platforms whose programs do not run on this machine."""
    tried = [p for p in sorted(needed) if executables.binary(p)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [p for p, runs in zip(tried, pool.map(probe.runs_here, tried)) if not runs]


def _entry(platform: Platform) -> Path:
    """Return where the kernel keeps the emulator of a platform that QEMU's packages register."""
    return BINFMT / f"qemu-{_QEMU_NAMES.get(platform.architecture, platform.architecture)}"


def registration(emulators: Emulators, lacking: Sequence[Platform]) -> Change:
    """Return how the emulators for some platforms are registered.

    Raises:
        EngineError: they are not installed, or not wanted.

    """
    names = ", ".join(map(str, lacking))
    words = f"register emulators for {names}"
    if emulators.source == "never":
        raise EngineError(
            f'no emulator for {names}, and [emulators] from = "never"; '
            "declare a node that runs it natively, or another source"
        )
    root = [] if os.geteuid() == 0 else ["sudo"]
    disabled = [p for p in (BINFMT / "status", *map(_entry, lacking)) if _is_disabled(p)]
    if disabled:
        script = "; ".join(f"echo 1 > {path}" for path in disabled)
        enable = ((*root, "sh", "-c", script),)
        rest = [p for p in lacking if not _entry(p).exists()]
        others = registration(emulators, rest).commands if rest else ()
        return Change(words, (*enable, *others))
    if emulators.source == "image":
        wanted = ",".join(sorted({p.architecture for p in lacking}))
        argv = ("docker", "run", "--privileged", "--rm", emulators.image, "--install", wanted)
        return Change(words, (argv,))
    mount = (*root, "mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT))
    commands = () if (BINFMT / "register").exists() else (mount,)
    if _SYSTEMD_BINFMT.exists() and any(Path("/usr/lib/binfmt.d").glob("qemu-*.conf")):
        return Change(words, (*commands, (*root, str(_SYSTEMD_BINFMT))))
    if _UPDATE_BINFMTS.exists() and any(Path("/usr/share/binfmts").glob("qemu-*")):
        return Change(words, (*commands, (*root, str(_UPDATE_BINFMTS), "--enable")))
    raise EngineError(
        f"no emulator for {names} is installed on this machine; "
        'apt-get install qemu-user-static, or set [emulators] from = "image"'
    )


def _is_disabled(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii", errors="replace").startswith("disabled")
    except OSError:
        return False
