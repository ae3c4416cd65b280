"""``[group.NAME]`` and matrices → the groups of a file: a matrix is a group of its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from buildx_tasks.errors import nearest
from buildx_tasks.language.config import Group
from buildx_tasks.language.targets import cycle

if TYPE_CHECKING:
    from collections.abc import Collection

    from buildx_tasks.language.sources import Fail


def grouped(
    declared: dict[str, Any], matrices: dict[str, list[str]], targets: Collection[str], fail: Fail
) -> dict[str, Group]:
    """Return the groups by name.

    Raises:
        ConfigError: a name is taken, a member unknown, a group its own member.

    """
    groups = {name: Group(members) for name, members in matrices.items()}
    for name, table in declared.items():
        if name in targets or name in matrices:
            raise fail(("group", name), f'"{name}" is a target and a group; rename one of them')
        groups[name] = msgspec.convert(
            {**table, "targets": list(dict.fromkeys(table["targets"]))}, Group
        )
    for name in matrices:
        if name in targets:
            raise fail(
                ("target", name), f'a target of the matrix is called "{name}"; change its name'
            )
    graph = {name: list(group.targets) for name, group in groups.items()}
    for name, table in declared.items():
        for number, member in enumerate(table["targets"]):
            if member not in targets and member not in groups:
                raise fail(
                    ("group", name, "targets", number),
                    f'[group.{name}] names unknown target "{member}"'
                    + (nearest(member, {*targets, *groups}) or "; declare it"),
                )
        if way := cycle(graph, name):
            raise fail(
                ("group", name), f"groups contain each other: {way}; remove one of these members"
            )
    return groups
