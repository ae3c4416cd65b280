"""A project in; findings about all that its targets need, each with its fix, out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.builders import choice, emulators, setup
from buildx_tasks.building.requirements import NEEDS
from buildx_tasks.doctor import emulation, proxies, registries
from buildx_tasks.doctor.findings import Finding, failed
from buildx_tasks.engine import explanation
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.workspace import Workspace

# The first with `buildx ls --format json`.
# Source: https://github.com/docker/buildx/releases/tag/v0.14.0
_MINIMUM_BUILDX = (0, 14)
# Below this a build of a few images of a common language fails for want of space.
_MINIMUM_FREE = 2 * 1024**3  # bytes


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Yield findings one by one; what cannot be looked at for want of an engine is left out."""
    commands, config = workspace.commands, workspace.config
    yield _client(commands)
    buildx = _buildx(workspace)
    yield buildx
    engine: Engine | None = workspace.engine
    try:
        version = workspace.engine.version
        workspace.engine.require()
    except EngineError as error:
        engine = None
        yield failed("engine", error)
    else:
        yield Finding("engine", ok=True, found=f"{version['Version']}, API {version['ApiVersion']}")
        yield _image_store(workspace)
        yield from _disk(workspace.engine)
    yield from _proxies(engine)
    built = list(_builder(workspace, engine)) if buildx.ok else []
    yield from built
    needed = sorted(emulators.needed_platforms(config))
    if engine:
        yield from emulation.in_engine(engine, needed)
    if config.builder and config.builder.driver != "docker" and all(f.ok for f in built):
        yield from emulation.in_builder(commands, config.builder, needed)
    yield from registries.examine(workspace, engine)


def _client(commands: Commands) -> Finding:
    result = commands.query(["docker", "--version"])
    match = re.search(r"\d+\.\d+\.\d+\S*?(?=,|\s|$)", result.stdout)
    if not result.ok or not match:
        fix = "install docker-cli (Debian, Ubuntu) or docker-ce-cli (Docker's packages)"
        return Finding("client", ok=False, found="no docker command on PATH", fix=fix)
    where = shutil.which("docker") or ""
    return Finding("client", ok=True, found=f"{match[0]}, {where}")


def _buildx(workspace: Workspace) -> Finding:
    config = workspace.config
    result = workspace.commands.query(["docker", "buildx", "version"])
    match = re.search(r"v?(\d+)\.(\d+)\.\d+\S*", result.stdout)
    if not result.ok or not match:
        return Finding("buildx", ok=False, found="not there", fix=explanation.BUILDX_HINT)
    needed = {"its own use by these tasks": _MINIMUM_BUILDX}
    for name, target in config.target.items():
        for attributes in target.builds:
            for key in NEEDS.keys() & attributes.keys():
                needed[f'"{key}" in [target.{name}]'] = NEEDS[key]
    have = (int(match[1]), int(match[2]))
    why, version = max(needed.items(), key=lambda item: item[1])
    if have < version:
        fix = f"upgrade it to {version[0]}.{version[1]} or newer, which {why} needs"
        return Finding("buildx", ok=False, found=match[0], fix=fix)
    if config.builder and config.builder.driver == "cloud":
        try:
            choice.require_driver(workspace.engine, config.builder.driver)
        except EngineError as error:
            return failed("buildx", error)
    return Finding("buildx", ok=True, found=match[0])


def _image_store(workspace: Workspace) -> Finding:
    engine = workspace.engine
    if engine.has_containerd_store:
        return Finding("image store", ok=True, found="containerd")
    found = f"classic ({engine.info.get('Driver')}): one platform a tag"
    reasons = list(setup.beyond_classic_store(workspace.config))
    if not reasons:
        return Finding("image store", ok=True, found=f"{found}, which is enough here")
    builder = choice.meant(workspace)
    if builder == choice.FALLBACK or (builder and len(builder.node) > 1):
        found = f"{found}; builder {builder.name} sends images to the registry"
        return Finding("image store", ok=True, found=found)
    return Finding("image store", ok=False, found=found, fix=explanation.STORE_HINT)


def _disk(engine: Engine) -> Iterator[Finding]:
    folder = engine.info.get("DockerRootDir", "")
    if not engine.is_local or not Path(folder).is_dir():
        return  # another machine's disk
    free = shutil.disk_usage(folder).free
    found = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free >= _MINIMUM_FREE:
        yield Finding("disk", ok=True, found=found)
    else:
        fix = "docker buildx prune and docker image prune free space"
        yield Finding("disk", ok=False, found=found, fix=fix)


def _proxies(engine: Engine | None) -> Iterator[Finding]:
    # The proxies of an engine elsewhere are not to be reached from here.
    info = engine.info if engine and engine.is_local else {}
    for place, address in proxies.declared(info):
        shown = proxies.without_password(address)
        subject = f"proxy {shown}"
        if reason := proxies.unreachable(address):
            fix = f"correct it in {place}, or start it"
            yield Finding(subject, ok=False, found=f"{place}: {reason}", fix=fix)
        else:
            yield Finding(subject, ok=True, found=f"{place}: answers")


def _builder(workspace: Workspace, engine: Engine | None) -> Iterator[Finding]:
    declared = workspace.config.builder
    if engine is None and (declared is None or declared.driver in choice.ENGINES):
        return  # what is said of the engine says it
    name = choice.name_of(declared or choice.meant(workspace))
    subject = f"builder {name}"
    if declared and choice.meant(workspace) is None:
        other = choice.name_of(None)
        words = f'names "{other}", which builds take in place of "{name}"'
        yield Finding(choice.CURRENT_VARIABLE, ok=True, found=words)
    try:
        if declared:
            choice.require_same_engine(workspace.engine, declared)
        found = setup.look(workspace, emulated=False)
    except EngineError as error:
        yield failed(subject, error)
        return
    state = found.known.get(name)
    for silent in found.silent:
        node, _, what = silent.partition(" does ")
        yield Finding(node, ok=False, found=f"does {what}", fix=setup.SILENT_HINT)
    changes = [change for change in found.changes if change.event != "used"]
    for change in changes:
        yield Finding(subject, ok=False, found=f"to do: {change.words}", fix="run invoke setup")
    if state and not changes and not found.silent:
        count = f", {len(state.nodes)} nodes" if len(state.nodes) > 1 else ""
        yield Finding(subject, ok=True, found=f"{state.driver}{count}, running, as declared")
