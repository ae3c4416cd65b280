"""Look at everything that the declared targets need; say what is not ok, and the fix."""

from __future__ import annotations

import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.builders import emulators, setup
from buildx_tasks.builders import state as builders
from buildx_tasks.building.bake import NEEDS
from buildx_tasks.doctor import registries
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError
from buildx_tasks.machine import probe
from buildx_tasks.machine.commands import query, query_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker
    from invoke import Context

    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.expansion import Config
    from buildx_tasks.platforms import Platform

# The first with `buildx ls --format json`.
# Source: https://github.com/docker/buildx/releases/tag/v0.14.0
MINIMUM_BUILDX = (0, 14)
# Below this a build of a few images of a common language fails for want of space.
MINIMUM_FREE = 2 * 1024**3  # bytes


class Finding(NamedTuple):
    """One thing looked at; ``fix`` is empty when it is ok."""

    subject: str
    ok: bool
    found: str
    fix: str = ""


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as JSON data: ``ok`` for the whole, and one object for each."""
    return {
        "ok": all(finding.ok for finding in findings),
        "findings": [finding._asdict() for finding in findings],
    }


def examine(c: Context, config: Config, root: Path) -> Iterator[Finding]:
    """Yield findings one by one; what cannot be looked at for want of an engine is left out."""
    yield _client(c)
    buildx = _buildx(c, config)
    yield buildx
    client = None
    try:
        client = engine.connect()
    except EngineError as error:
        yield _failed("engine", error)
    else:
        version = client.version()
        yield Finding("engine", ok=True, found=f"{version['Version']}, API {version['ApiVersion']}")
        yield _image_store(client, config, root)
        yield from _disk(client)
    yield from _proxies(client)
    built = list(_builder(c, config, root, client)) if buildx.ok else []
    yield from built
    needed = sorted(emulators.needed_platforms(config))
    if client:
        native = emulators.engine_platform(client)
        yield from _tried(needed, lambda platform: _in_engine(client, platform, native))
    if config.builder and config.builder.driver != "docker" and all(f.ok for f in built):
        builder = config.builder
        yield from _tried(needed, lambda platform: _in_builder(c, builder, platform))
    yield from registries.examine(client, config, root)


def _failed(subject: str, error: Exception) -> Finding:
    found, _, fix = str(error).partition("; ")
    return Finding(subject, ok=False, found=found, fix=fix)


def _client(c: Context) -> Finding:
    result = query(c, ["docker", "--version"])
    match = re.search(r"\d+\.\d+\.\d+\S*?(?=,|\s|$)", result.stdout)
    if not result.ok or not match:
        fix = "install docker-cli (Debian, Ubuntu) or docker-ce-cli (Docker's packages)"
        return Finding("client", ok=False, found="no docker command on PATH", fix=fix)
    where = shutil.which("docker") or ""
    return Finding("client", ok=True, found=f"{match[0]}, {where}")


def _buildx(c: Context, config: Config) -> Finding:
    result = query(c, ["docker", "buildx", "version"])
    match = re.search(r"v?(\d+)\.(\d+)\.\d+\S*", result.stdout)
    if not result.ok or not match:
        return Finding("buildx", ok=False, found="not there", fix=engine.BUILDX_HINT)
    needed = {"its own use by these tasks": MINIMUM_BUILDX}
    for name, target in config.target.items():
        for attributes in target.builds:
            for key in NEEDS.keys() & attributes.keys():
                needed[f'"{key}" in [target.{name}]'] = NEEDS[key]
    have = (int(match[1]), int(match[2]))
    why, version = max(needed.items(), key=lambda item: item[1])
    if have < version:
        fix = f"upgrade it to {version[0]}.{version[1]} or newer, which {why} needs"
        return Finding("buildx", ok=False, found=match[0], fix=fix)
    if config.builder:
        try:
            if config.builder.driver == "cloud":
                builders.require_driver(c, config.builder.driver)
        except EngineError as error:
            return _failed("buildx", error)
    return Finding("buildx", ok=True, found=match[0])


def _image_store(client: docker.DockerClient, config: Config, root: Path) -> Finding:
    info = client.info()
    if engine.has_containerd_store(info):
        return Finding("image store", ok=True, found="containerd")
    found = f"classic ({info.get('Driver')}): one platform a tag"
    reasons = list(setup.beyond_classic_store(config))
    if not reasons:
        return Finding("image store", ok=True, found=f"{found}, which is enough here")
    builder = builders.meant(config, root)
    if builder == builders.FALLBACK or (builder and len(builder.node) > 1):
        found = f"{found}; builder {builder.name} sends images to the registry"
        return Finding("image store", ok=True, found=found)
    return Finding("image store", ok=False, found=found, fix=engine.STORE_HINT)


def _disk(client: docker.DockerClient) -> Iterator[Finding]:
    folder = client.info().get("DockerRootDir", "")
    if not emulators.is_local(client) or not Path(folder).is_dir():
        return  # another machine's disk
    free = shutil.disk_usage(folder).free
    found = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free >= MINIMUM_FREE:
        yield Finding("disk", ok=True, found=found)
    else:
        fix = "docker buildx prune and docker image prune free space"
        yield Finding("disk", ok=False, found=found, fix=fix)


def _proxies(client: docker.DockerClient | None) -> Iterator[Finding]:
    # The proxies of an engine elsewhere are not to be reached from here.
    info = client.info() if client and emulators.is_local(client) else {}
    for place, address in registries.proxies(info):
        shown = registries.without_password(address)
        subject = f"proxy {shown}"
        if reason := registries.unreachable(address):
            fix = f"correct it in {place}, or start it"
            yield Finding(subject, ok=False, found=f"{place}: {reason}", fix=fix)
        else:
            yield Finding(subject, ok=True, found=f"{place}: answers")


def _builder(
    c: Context, config: Config, root: Path, client: docker.DockerClient | None
) -> Iterator[Finding]:
    if client is None and (config.builder is None or config.builder.driver in builders.ENGINES):
        return  # what is said of the engine says it
    name = builders.name_of(builders.meant(config, root))
    subject = f"builder {name}"
    try:
        if config.builder:
            builders.require_same_engine(c, config.builder)
        found = setup.look(c, config, root, emulated=False)
        state = builders.states(c).get(name)
    except EngineError as error:
        yield _failed(subject, error)
        return
    for silent in found.silent:
        node, _, what = silent.partition(" does ")
        yield Finding(node, ok=False, found=f"does {what}", fix=setup.SILENT_HINT)
    changes = [change for change in found.changes if change.event != "used"]
    for change in changes:
        yield Finding(subject, ok=False, found=f"to do: {change.words}", fix="run invoke setup")
    if state and not changes and not found.silent:
        count = f", {len(state.nodes)} nodes" if len(state.nodes) > 1 else ""
        yield Finding(subject, ok=True, found=f"{state.driver}{count}, running, as declared")


def _tried(needed: list[Platform], examine: Callable[[Platform], Finding]) -> Iterator[Finding]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield from pool.map(examine, needed)


def _in_engine(client: docker.DockerClient, platform: Platform, native: Platform) -> Finding:
    """Run the smallest program of a platform in a container, as run and verify would."""
    subject = f"platform {platform}"
    if probe.binary(platform) is None:
        found = f"cannot run on {native}"
        return Finding(subject, ok=False, found=found, fix="declare a platform that it runs")
    how = "native" if platforms.runs_natively(platform, native) else "emulated"
    if reason := emulators.runs_in_container(client, platform):
        return Finding(subject, ok=False, found=f"{how}: {reason}", fix="run invoke setup")
    return Finding(subject, ok=True, found=f"{how}: a program ran")


def _in_builder(c: Context, builder: Builder, platform: Platform) -> Finding:
    """Run the smallest program of a platform in a build, on whichever node buildx picks for it."""
    subject = f"platform {platform} in {builder.name}"
    program = probe.binary(platform)
    if program is None:
        return Finding(subject, ok=True, found="not tried: there is no program for it")
    with tempfile.TemporaryDirectory(prefix="buildx-tasks-") as folder:
        Path(folder, "Dockerfile").write_text(
            'FROM scratch\nCOPY probe /\nRUN ["/probe"]\n', "utf-8"
        )
        Path(folder, "probe").write_bytes(program)
        Path(folder, "probe").chmod(0o755)
        options = ["--no-cache", "--platform", str(platform), "--output", "type=cacheonly"]
        result = query_within(c, [*builders.command(builder, "build"), *options, folder], 60)
    if result is None:
        found, fix = "the program did not end within 60 s", "see docker buildx history logs"
        return Finding(subject, ok=False, found=found, fix=fix)
    if result.ok:
        return Finding(subject, ok=True, found="a program ran in a build")
    said = [line for line in result.stderr.splitlines() if line.strip()]
    reason = said[-1].replace("ERROR: failed to build: ", "") if said else "the build failed"
    fix = "run invoke setup, or declare a node that runs it"
    return Finding(subject, ok=False, found=reason, fix=fix)
