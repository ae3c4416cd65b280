"""QEMU emulators: which platforms lack one, and how they are registered with the kernel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.commands import is_dry, run
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import docker
    from invoke import Context

    from buildx_tasks.builder import BuilderState
    from buildx_tasks.config import Emulators
    from buildx_tasks.expansion import Config
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
_SYSTEMD_BINFMT = Path("/usr/lib/systemd/systemd-binfmt")
_UPDATE_BINFMTS = Path("/usr/sbin/update-binfmts")


def needed_platforms(config: Config) -> frozenset[Platform]:
    """Return every platform that any target declares."""
    return frozenset(
        platforms.parse(text) for target in config.target.values() for text in target.platforms
    )


def engine_platform(client: docker.DockerClient) -> Platform:
    """Return the platform that the engine runs natively."""
    info = client.info()
    return platforms.parse(f"{info['OSType']}/{info['Architecture']}")


def missing_emulators(
    client: docker.DockerClient, needed: Iterable[Platform], state: BuilderState | None
) -> list[Platform]:
    """Return the needed platforms that the engine can run neither natively nor emulated.

    An engine on this machine shares its kernel, which is asked directly; for another engine the
    builder's own list is what there is.
    """
    native = engine_platform(client)
    foreign = sorted(p for p in needed if not platforms.runs_natively(p, native))
    if _is_local(client):
        return [p for p in foreign if not _registered(p)]
    if state is None:
        return []
    return [p for p in foreign if p not in state.platforms]


def _is_local(client: docker.DockerClient) -> bool:
    return sys.platform == "linux" and str(client.api.base_url).startswith("http+docker://")


def _registered(platform: Platform) -> bool:
    entry = BINFMT / f"qemu-{_QEMU_NAMES.get(platform.architecture, platform.architecture)}"
    try:
        return entry.read_text(encoding="ascii", errors="replace").startswith("enabled")
    except OSError:
        return False


def _emulator_commands(emulators: Emulators, missing: Sequence[Platform]) -> list[list[str]]:
    names = ", ".join(map(str, missing))
    if emulators.source == "never":
        raise EngineError(
            f'no emulator for {names}, and [emulators] from = "never"; '
            "declare a node that runs it natively, or another source"
        )
    if emulators.source == "image":
        wanted = ",".join(sorted({p.architecture for p in missing}))
        return [["docker", "run", "--privileged", "--rm", emulators.image, "--install", wanted]]
    root = [] if os.geteuid() == 0 else ["sudo"]
    commands = []
    if not (BINFMT / "register").exists():
        commands.append([*root, "mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)])
    if _SYSTEMD_BINFMT.exists() and any(Path("/usr/lib/binfmt.d").glob("qemu-*.conf")):
        return [*commands, [*root, str(_SYSTEMD_BINFMT)]]
    if _UPDATE_BINFMTS.exists() and any(Path("/usr/share/binfmts").glob("qemu-*")):
        return [*commands, [*root, str(_UPDATE_BINFMTS), "--enable"]]
    raise EngineError(
        f"no emulator for {names} is installed on this machine; "
        'apt-get install qemu-user-static, or set [emulators] from = "image"'
    )


def make_ready(
    c: Context, config: Config, client: docker.DockerClient, root: Path, state: BuilderState | None
) -> list[str]:
    """Register what the declared platforms lack; return what was changed, in words.

    Raises:
        EngineError: an emulator is not installed, not wanted, or could not be registered.

    """
    missing = missing_emulators(client, needed_platforms(config), state)
    if not missing:
        return []
    for argv in _emulator_commands(config.emulators, missing):
        if not run(c, argv, folder=root).ok:
            raise EngineError(f"{' '.join(argv)} failed; see above")
    names = ", ".join(map(str, missing))
    if not is_dry(c) and _is_local(client):
        still = [p for p in missing if not _registered(p)]
        if still:
            raise EngineError(
                f"no emulator for {', '.join(map(str, still))} was registered; see {BINFMT}"
            )
    return [f"registered emulators for {names}"]
