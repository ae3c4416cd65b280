"""A plan in; an error, where what it needs before a build is not there, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.errors import ConfigError, EngineError
from buildx_tasks.language.targets import LINK

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.planning.selection import Plan

NEEDS = {"policy": (0, 31), "resources": (0, 35)}  # attribute → the buildx that brought it


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
