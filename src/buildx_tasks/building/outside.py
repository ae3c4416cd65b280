"""What is read from outside in; what decides on a result besides the project's files, out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from buildx_tasks.builders import choice
from buildx_tasks.engine import settings
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.inputs.fingerprints import Unknowable, World
from buildx_tasks.inputs.keys import keyed, machine_key
from buildx_tasks.inputs.known import stamp_of

if TYPE_CHECKING:
    from buildx_tasks.building.standing import Reading, Standing
    from buildx_tasks.dockerfiles.reads import Read
    from buildx_tasks.inputs.known import KnownFiles
    from buildx_tasks.language.config import Builder
    from buildx_tasks.platforms import Platform
    from buildx_tasks.workspace import Workspace

# Where docker looks for its plugins besides its own folder.
# Source: https://github.com/docker/cli/blob/master/cli-plugins/manager/manager_unix.go
_PLUGINS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
# What buildx reads of the environment and the result may depend on; which builder, and where its own
# files are, is known otherwise.
_VARIABLES = re.compile(
    r"(?:BUILDX|BUILDKIT)_(?!BUILDER$|CONFIG$|METADATA|TASKS_).*|SOURCE_DATE_EPOCH"
)
_UNKNOWN = "the versions of its builder are not known"


def world(workspace: Workspace, standing: Standing, known: KnownFiles) -> World:
    """Return what is known of tools, images and repositories.

    Raises:
        Unknowable: of the tools nothing is.

    """
    builder = standing.builder
    try:
        builds = _buildkit(workspace, builder)
        tools = (*builds, _buildx(workspace, known))
    except BuildxTasksError as error:
        raise Unknowable(str(error)) from None
    outside: dict[tuple[str, Platform], tuple[str, ...] | Unknowable] = {}
    for reading in standing.readings:
        said = _stands_for(reading, standing)
        for platform in reading.build.platforms:
            outside[reading.build.target, platform] = said
    variables = {key: value for key, value in os.environ.items() if _VARIABLES.fullmatch(key)}
    environment = [f"{key}={value}" for key, value in sorted(variables.items())]
    key, proxies = machine_key(), settings.client_config().get("proxies")
    if proxies:  # buildx gives them to each build, and there may be a password in them
        environment.append(keyed(key, msgspec.json.encode(proxies, order="deterministic")))
    return World((*tools, *environment), key, os.environ, outside, _shown(builds, builder))


def builder_versions(workspace: Workspace, builder: Builder | None) -> str:
    """Return what builds, as in ``Docker Engine 28.5.2``; ``""`` where that is not known."""
    try:
        return _shown(_buildkit(workspace, builder), builder)
    except (BuildxTasksError, Unknowable):
        return ""


def _shown(builds: tuple[str, ...], builder: Builder | None) -> str:
    """Return what builds as a person calls it."""
    versions = builds[1:]
    if choice.is_engines_own(builder):
        return f"Docker Engine {versions[0]}"
    return f"BuildKit {', '.join(dict.fromkeys(versions))}"


def _buildkit(workspace: Workspace, builder: Builder | None) -> tuple[str, ...]:
    """Return what the builder is: the engine with BuildKit in it, or buildx's nodes."""
    engine = workspace.engine
    if choice.is_engines_own(builder):
        return ("docker", str(engine.info.get("ServerVersion")), str(engine.platform))
    said = engine.commands.query(["docker", "buildx", "inspect", choice.name_of(builder)]).stdout
    versions = re.findall(r"BuildKit version:\s*(\S+)", said)
    if not versions:
        raise Unknowable(_UNKNOWN)
    return (msgspec.json.encode(builder).decode() if builder else "", *versions)


def _buildx(workspace: Workspace, known: KnownFiles) -> str:
    """Return what tells this buildx from another one, without starting it where that is possible."""
    name = "docker-buildx"
    for folder in (settings.config_folder() / "cli-plugins", *map(Path, _PLUGINS)):
        path = folder / name
        if path.is_file():
            return known.hashes([(str(path), stamp_of(path.stat()))])[0]
    said = workspace.commands.query(["docker", "buildx", "version"]).stdout.strip()
    if not said:
        raise Unknowable(_UNKNOWN)
    return said


def unfixed(standing: Standing) -> dict[str, str]:
    """Return what each target reads that nobody knows without asking for it; others are left out."""
    found: dict[str, str] = {}
    for reading in standing.readings:
        for why in [reading.why, *(_unknown(reading, one, standing) for one in reading.reads)]:
            if why:
                found.setdefault(reading.build.target, why)
    return found


def _unknown(reading: Reading, one: Read, standing: Standing) -> str:
    """Return why it is not known what something that is read stands for, before anybody is asked."""
    if one.unknown:
        return one.unknown
    found = standing.of(one)
    if one.is_fixed or (found and found.place == "lock"):
        return ""
    if one.kind != "image":
        return f"{one.reference} {'names no commit' if one.kind == 'git' else 'may have changed'}"
    if standing.is_pulled:
        return f"--pull: {one.reference} may have moved"
    if reading.build.attributes.get("pull"):
        return f"pull = true: {one.reference} may have moved"
    return ""


def _stands_for(reading: Reading, standing: Standing) -> tuple[str, ...] | Unknowable:
    if reading.why:
        return Unknowable(reading.why)
    said = []
    for one in reading.reads:
        if why := _unknown(reading, one, standing):
            return Unknowable(why)
        if one.is_fixed:
            said.append(one.reference)
            continue
        # The project's own images are not pinned for a run: they may be of this very run.
        now = standing.of(one) or standing.resolved.found(one.reference)
        if not now.digest:
            return Unknowable(f"{one.reference}: {now.why}")
        said.append(f"{one.reference}@{now.digest}")
    return tuple(said)
