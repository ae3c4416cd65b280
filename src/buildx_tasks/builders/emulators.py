"""QEMU emulators: which platforms lack one, and how they are registered with the kernel."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tarfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.builders.reconcile import Change
from buildx_tasks.errors import EngineError
from buildx_tasks.machine import probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import docker

    from buildx_tasks.language.config import Emulators
    from buildx_tasks.language.expansion import Config
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
_PROBE = "buildx-tasks-probe"  # images and containers that platforms are tried with
_PROBE_SECONDS = 20  # what an emulator on a busy machine may take for a hundred bytes
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


def engine_platform(client: docker.DockerClient) -> Platform:
    """Return the platform that the engine runs natively."""
    info = client.info()
    return platforms.parse(f"{info['OSType']}/{info['Architecture']}")


def is_local(client: docker.DockerClient) -> bool:
    """Say whether the engine runs on this machine's kernel, whose emulators it then has."""
    return (
        sys.platform == "linux"
        and str(client.api.base_url).startswith("http+docker://")
        and str(client.api.base_url) != "http+docker://ssh"
        # Docker Desktop's socket is here, its kernel is not.
        and client.info().get("KernelVersion") == os.uname().release
    )


def missing(client: docker.DockerClient, needed: Iterable[Platform]) -> list[Platform]:
    """Return the needed platforms that this machine's engine runs neither natively nor emulated.

    Each is tried with a program for it; of an engine elsewhere nothing can be said, nor of platforms
    that no emulator could bring.
    """
    if not is_local(client):
        return []
    return not_running(platform for platform in needed if platform.os == "linux")


def not_running(needed: Iterable[Platform]) -> list[Platform]:
    """Return the platforms whose programs do not run on this machine."""
    return [p for p in sorted(needed) if probe.binary(p) and not probe.runs_here(p)]


def entry(platform: Platform) -> Path:
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
    disabled = [p for p in (BINFMT / "status", *map(entry, lacking)) if _is_disabled(p)]
    if disabled:
        script = "; ".join(f"echo 1 > {path}" for path in disabled)
        enable = ((*root, "sh", "-c", script),)
        rest = [p for p in lacking if not entry(p).exists()]
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


def runs_in_container(client: docker.DockerClient, platform: Platform) -> str:
    """Run the smallest program for a platform in a container; return why it failed, or ``""``.

    A container sees an emulator only where it was registered with the flag F (fix binary), so that
    a program that runs on the machine proves less.
    Source: https://docs.kernel.org/admin-guide/binfmt-misc.html
    """
    from docker.errors import APIError
    from requests.exceptions import ConnectionError as Unfinished
    from requests.exceptions import Timeout

    program = probe.binary(platform)
    if program is None:
        return "there is no program to try it with"
    _sweep(client)
    reference = f"{_PROBE}:{uuid.uuid4().hex[:12]}"
    container = None
    try:
        _import(client, reference, platform, program)
        container = client.containers.create(
            reference, "/probe", platform=str(platform), network_mode="none", labels={_PROBE: ""}
        )
        container.start()
        code = container.wait(timeout=_PROBE_SECONDS)["StatusCode"]
    except APIError as error:
        return str(error.explanation or error)
    except (Timeout, Unfinished):
        # requests tells a read time-out in either way.
        return f"the program did not end within {_PROBE_SECONDS} s"
    finally:
        with contextlib.suppress(APIError):
            if container:
                container.remove(force=True)
            client.api.remove_image(reference, force=True)
    return f"the program ended with exit code {code}" if code else ""


def _import(
    client: docker.DockerClient, reference: str, platform: Platform, program: bytes
) -> None:
    """Make an image of one file; docker's own ``import_image`` has no platform."""
    from docker.errors import APIError

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("probe")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    name, _, tag = reference.partition(":")
    query = {"fromSrc": "-", "repo": name, "tag": tag, "platform": str(platform)}
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/images/create"
    response = api.post(url, params=query, data=packed.getvalue())
    if response.status_code != 200 or "errorDetail" in response.text:
        raise APIError(f"the engine takes no program for it: {response.text.strip()[:200]}")


def _sweep(client: docker.DockerClient) -> None:
    """Remove the probes of runs that were killed; younger ones may be in use just now."""
    from docker.errors import APIError

    old = time.time() - 10 * _PROBE_SECONDS
    for container in client.api.containers(all=True, filters={"label": _PROBE}):
        if container["Created"] < old:
            with contextlib.suppress(APIError):
                client.api.remove_container(container["Id"], force=True)
    for image in client.api.images(_PROBE):
        if image["Created"] < old:
            with contextlib.suppress(APIError):
                client.api.remove_image(image["Id"], force=True)
