"""The tables of targets before inheritance, matrices worked out, and where they stand in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from buildx_tasks.language.positions import KeyPath


class Table(NamedTuple):
    """One target before inheritance; ``path`` is where it stands in the file."""

    path: KeyPath
    data: dict[str, Any]

    @property
    def parents(self) -> list[str]:
        """The names of the targets that it inherits from, the strongest last."""
        return list(self.data.get("inherits", ()))


class Tables(NamedTuple):
    """The tables of a file by target; ``matrices`` holds the names that each matrix makes."""

    targets: dict[str, Table]
    matrices: dict[str, list[str]]
    defaults: dict[str, Any]

    def place(self, name: str, *steps: Any) -> KeyPath:
        """Return where a target's value stands: in its own table, or where it was inherited."""
        waiting = [name]
        while waiting:
            table = self.targets[waiting.pop(0)]
            if steps[0] in table.data:
                return (*table.path, *steps)
            waiting += reversed(table.parents)
        return ("defaults", *steps) if self.defaults else self.targets[name].path

    def lineage(self, name: str) -> set[KeyPath]:
        """Return where a target's own table stands, and those that it inherits."""
        table = self.targets[name]
        return {table.path}.union(*map(self.lineage, table.parents))


def dotted(path: KeyPath) -> str:
    """Return a path as TOML writes it: ``target.app``."""
    return ".".join(map(str, path))
