"""Platforms in; which of them lack an emulator, and how it is registered with the kernel, out."""

from __future__ import annotations

import os
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.builders.reconcile import Change, Otherwise
from buildx_tasks.errors import EngineError
from buildx_tasks.machine import emulator, emulator_faults, executables, probe
from buildx_tasks.machine.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Emulators
    from buildx_tasks.language.targets import Config
    from buildx_tasks.platforms import Platform

BINFMT = emulator.BINFMT
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


def named(engine: Engine, foreign: Iterable[Platform]) -> list[tuple[Platform, Emulator]]:
    """Return the emulator of each platform that the engine's machine does not run natively.

    Of an engine elsewhere only its system is known, as in ``Docker Desktop``; nothing is run there.

    Raises:
        EngineError: no engine answers.

    """
    native = engine.platform
    asked = [
        p for p in sorted(foreign) if p.os == native.os and not platforms.runs_natively(p, native)
    ]
    if not engine.is_local:
        system = engine.info.get("OperatingSystem") or "the engine's machine"
        return [(p, Emulator("emulator", origin=f"of {system}")) for p in asked]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [(p, found) for p, found in zip(asked, pool.map(emulator.of, asked)) if found]


def _entry(platform: Platform) -> Path:
    """Return where the kernel keeps the emulator of a platform that QEMU's packages register."""
    return BINFMT / f"qemu-{_QEMU_NAMES.get(platform.architecture, platform.architecture)}"


def thing(platform: Platform) -> str:
    """Return what a platform's emulator is called while it is made."""
    return f"emulator for {platform}"


def registration(emulators: Emulators, lacking: Sequence[Platform]) -> Change:
    """Return how the emulators for some platforms are registered; what needs root is in its words.

    Raises:
        EngineError: they are not installed, or not wanted, or root is needed and there is no sudo.

    """
    words = f"register emulators for {', '.join(map(str, lacking))}"
    things = tuple(map(thing, lacking))
    steps = _steps(emulators, lacking)
    of_root = "; ".join(shlex.join(argv) for argv, needs_root in steps if needs_root)
    if os.geteuid() == 0 or not of_root:
        made = tuple(argv for argv, _ in steps)
        return Change(words, made, otherwise=_otherwise(emulators), things=things)
    if not shutil.which("sudo"):
        raise EngineError(f"{words}: that needs root, and there is no sudo; as root run: {of_root}")
    commands = (("sudo", *argv) if needs_root else argv for argv, needs_root in steps)
    return Change(f"{words}, with sudo: {of_root}", tuple(commands), things=things)


def _steps(emulators: Emulators, lacking: Sequence[Platform]) -> list[tuple[tuple[str, ...], bool]]:
    """Return the commands that register emulators, and whether each needs root on this machine."""
    names = ", ".join(map(str, lacking))
    if emulators.source == "never":
        raise EngineError(
            f'no emulator for {names}, and [emulators] from = "never"; '
            "declare a node that runs it natively, or another source"
        )
    disabled = [p for p in (BINFMT / "status", *map(_entry, lacking)) if _is_disabled(p)]
    if disabled:
        script = "; ".join(f"echo 1 > {path}" for path in disabled)
        rest = [p for p in lacking if not _entry(p).exists()]
        return [(("sh", "-c", script), True), *(_steps(emulators, rest) if rest else ())]
    if emulators.source == "image":
        wanted = ",".join(sorted({p.architecture for p in lacking}))
        argv = ("docker", "run", "--privileged", "--rm", emulators.image, "--install", wanted)
        return [(argv, False)]
    mount = (("mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)), True)
    first = [] if (BINFMT / "register").exists() else [mount]
    if _SYSTEMD_BINFMT.exists() and any(Path("/usr/lib/binfmt.d").glob("qemu-*.conf")):
        return [*first, ((str(_SYSTEMD_BINFMT),), True)]
    if _UPDATE_BINFMTS.exists() and any(Path("/usr/share/binfmts").glob("qemu-*")):
        return [*first, ((str(_UPDATE_BINFMTS), "--enable"), True)]
    raise EngineError(
        f"no emulator for {names} is installed on this machine; as root: "
        'apt-get install qemu-user-static (Debian, Ubuntu), or set [emulators] from = "image"'
    )


def _otherwise(emulators: Emulators) -> Otherwise | None:
    """Return what is done where the default image's digest cannot be had; a declared one stands."""
    tag = emulator_faults.IMAGE
    pinned = f"{tag}@{emulator_faults.DIGEST}"
    if emulators.source != "image" or emulators.image != pinned:
        return None
    return Otherwise(f"{pinned} cannot be had; instead {tag}, whatever that is now", pinned, tag)


def _is_disabled(path: Path) -> bool:
    try:
        return path.read_text(encoding="ascii", errors="replace").startswith("disabled")
    except OSError:
        return False
