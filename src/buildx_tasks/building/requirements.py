"""A plan in; an error, where what it needs before a build is not there, out."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders.capability import local_text
from buildx_tasks.errors import ConfigError, EngineError
from buildx_tasks.language.merging import canonical
from buildx_tasks.language.secrets import effective, missing
from buildx_tasks.language.targets import LINK
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds
from buildx_tasks.platforms import parse
from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.planning.selection import Plan

NEEDS = {"policy": (0, 31), "resources": (0, 35)}  # attribute → the buildx that brought it


class Lacking(NamedTuple):
    """What a build cannot be without: the key that names it, what is wrong, and what to write."""

    key: str
    what: str
    fix: str


def lacking(build: DockerfileBuild, root: Path) -> Lacking | None:
    """Return which context or Dockerfile of a build is not here; None where all can be read."""
    context: str = build.attributes.get("context", ".")
    name: str = build.attributes.get("dockerfile", "Dockerfile")
    for key, place in build.contexts.items():
        if not place or REMOTE.match(place) or place.startswith(LINK):
            continue
        if not (root / place.removeprefix(CWD)).exists():
            rule = "contexts are named from the folder of buildx.toml"
            return Lacking("contexts", f"there is no context {place} ({key})", rule)
    if build.is_remote:
        return None
    if not (root / context.removeprefix(CWD)).is_dir():
        is_there = (root / context).exists() and not (root / context).is_dir()
        what = (
            f"the context {context} is no folder" if is_there else f"there is no context {context}"
        )
        return Lacking("context", what, "context is named from the folder of buildx.toml")
    if REMOTE.match(name) or local_text(build, root) is not None:
        return None
    if os.path.lexists(root / build.file):
        what = "the Dockerfile cannot be read"
        if (root / build.file).is_dir():
            what = "the Dockerfile is a folder"
        elif not (root / build.file).exists():
            what = (
                f"the Dockerfile is a link to {(root / build.file).readlink()}, which is not there"
            )
        return Lacking("dockerfile", what, f"correct {build.file}, or name another in dockerfile")
    return Lacking("dockerfile", "there is no such Dockerfile", _where(build, context, name, root))


def _where(build: DockerfileBuild, context: str, name: str, root: Path) -> str:
    """Return where a Dockerfile is looked for, and what to write where it is elsewhere."""
    rule = f"dockerfile is named from the context, {context}"
    if not (root / name).is_file():
        return f"{rule}; correct dockerfile or context in [target.{build.target}]"
    right = os.path.relpath(root / name, root / context)
    return f'{rule}; write dockerfile = "{right}" in [target.{build.target}]'


def require_readable(plan: Plan, root: Path) -> None:
    """Refuse to build where a Dockerfile, a context or a secret is not there.

    Raises:
        ConfigError: names target and place, and what to do.

    """
    for build in dockerfile_builds(plan):
        config = plan.config
        apart = f'.platform."{build.platforms[0]}"' if build.apart else ""
        if found := lacking(build, root):
            shown = f"{build.file}: " if found.key == "dockerfile" else ""
            raise config.error(
                build.target,
                f"[target.{build.target}{apart}] {shown}{found.what}; {found.fix}",
                *_steps(plan, build, found.key),
            )
        for key, entry in effective(build.attributes, "secret").items():
            if why := missing(entry, os.environ, root):
                raise config.error_in(
                    build.target,
                    f'[target.{build.target}{apart}] secret "{key}": {why}; {_without(entry, root)}',
                    "secret",
                    functools.partial(_is_entry, entry),
                )


def _without(entry: Mapping[str, Any], root: Path) -> str:
    """Return how to go on without a secret."""
    if "env" not in entry and "src" in entry and (root / entry["src"]).exists():
        return "name a file that can be read"
    table = "".join(f'{name} = "{text}", ' for name, text in entry.items())
    return f"set it (it may be empty), or write {{ {table}optional = true }} to build without it"


def _steps(plan: Plan, build: DockerfileBuild, key: str) -> tuple[str, ...]:
    """Return where a key of a build stands: in the override of a platform, or in the target."""
    places = plan.config.places
    if build.apart and places and build.target in places.tables.targets:
        for text, own in places.tables.targets[build.target].data.get("platform", {}).items():
            if key in own and parse(text) in build.platforms:
                return ("platform", text, key)
    return (key,)


def _is_entry(entry: dict[str, Any], written: Any) -> bool:
    try:
        (one,) = canonical("secret", [written])
    except ValueError:
        return False
    return {key: value for key, value in one.items() if key != "optional"} == entry


def require_files(plan: Plan, root: Path) -> None:
    """Refuse to build where a file that ``[target.NAME.files]`` names is not there.

    Raises:
        ConfigError: one is missing.

    """
    for target in (*plan.targets, *plan.linked):
        for platform in target.platforms if target.spec.files else ():
            for path in target.spec.files[platform].values():
                if not path.startswith(LINK) and not (root / path).exists():
                    raise ConfigError(
                        f'[target.{target.name}.files] "{platform}": {path} is not there; '
                        "make it first, or correct the path"
                    )


def require_new_enough(commands: Commands, plan: Plan) -> None:
    """Refuse attributes that the installed buildx does not know; it is asked only where one is used.

    Raises:
        EngineError: buildx is too old for one of them.

    """
    wanted = {
        key: (target.name, version)
        for target in (*plan.targets, *plan.linked)
        for attributes in target.spec.builds
        for key, version in NEEDS.items()
        if key in attributes
    }
    if not wanted:
        return
    said = commands.query(["docker", "buildx", "version"]).stdout
    found = re.search(r"v?(\d+)\.(\d+)", said)
    have = (int(found[1]), int(found[2])) if found else (0, 0)
    for key, (name, version) in wanted.items():
        if have < version:
            raise EngineError(
                f'[target.{name}] has "{key}", which needs buildx {version[0]}.{version[1]}; this is '
                f"{have[0]}.{have[1]}: install a newer one, or remove it"
            )
