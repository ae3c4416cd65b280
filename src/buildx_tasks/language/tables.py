"""The tables of targets before inheritance, matrices worked out, and where they stand in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.errors import ConfigError
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Fail


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

    def holders(self, name: str) -> Iterator[Table]:
        """Yield the tables that a target's values come from, the strongest first."""
        waiting = [name]
        while waiting:
            table = self.targets[waiting.pop(0)]
            yield table
            waiting += reversed(table.parents)
        yield Table(("defaults",), self.defaults)

    def lineage(self, name: str) -> set[KeyPath]:
        """Return where a target's own table stands, and those that it inherits."""
        table = self.targets[name]
        return {table.path}.union(*map(self.lineage, table.parents))


class Places(NamedTuple):
    """Where the values of targets stand in the files: for errors that come up after loading."""

    tables: Tables
    fail: Fail

    def error(self, name: str, message: str, *steps: Any) -> ConfigError:
        """Return the error that names file, line and column of a target's value, or of its table."""
        table = self.tables.targets[name]
        if not steps or all(steps[0] not in one.data for one in self.tables.holders(name)):
            return self.fail(table.path, message)
        return self.fail(self.tables.place(name, *steps), message)

    def error_in(
        self, name: str, message: str, key: str, wanted: Callable[[Any], bool]
    ) -> ConfigError:
        """Return the error that names the place of the ``wanted`` entry in some list of a target."""
        for path, data in self.tables.holders(name):
            overrides: dict[KeyPath, dict[str, Any]]
            overrides = {("platform", text): own for text, own in data.get("platform", {}).items()}
            tables: list[tuple[KeyPath, dict[str, Any]]] = [((), data), *overrides.items()]
            for above, table in tables:
                for number, entry in enumerate(table.get(key, ())):
                    if wanted(entry):
                        return self.fail((*path, *above, key, number), message)
        return self.error(name, message, key)


def dotted(path: KeyPath) -> str:
    """Return a path as TOML writes it: ``target.app``."""
    return ".".join(map(str, path))
