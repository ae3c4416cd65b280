"""A YAML or JSON file in; its values out, each with its line and column, or one error with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.errors import ConfigError, listed, nearest
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

_MOST_BYTES = 4_000_000
_MOST_NODES = 200_000  # aliases of aliases would make a few lines into billions
_MOST_DEPTH = 100
_MERGE = "tag:yaml.org,2002:merge"
_SCALARS = {
    f"tag:yaml.org,2002:{name}": name
    for name in ("str", "int", "float", "bool", "null", "timestamp")
}


class Place(NamedTuple):
    """Where in a file something is said: ``file`` as a person named it; line and column from 1."""

    file: str
    line: int
    column: int

    def fault(self, message: str) -> ConfigError:
        """Return the error that says what is wrong here."""
        return ConfigError(f"{self.file}:{self.line}:{self.column}: {printable(message)}")


class Value:
    """One value: ``of`` is a dict of Values by key, a list of Values, or what a scalar says.

    ``written`` is a scalar as it stands in the file.
    """

    def __init__(self, of: Any, place: Place, written: str = "") -> None:
        self.of = of
        self.place = place
        self.written = written

    def fault(self, message: str) -> ConfigError:
        """Return the error that says what is wrong with it."""
        return self.place.fault(message)

    def plain(self) -> Any:
        """Return it without places."""
        if isinstance(self.of, dict):
            return {key: value.plain() for key, value in self.of.items()}
        if isinstance(self.of, list):
            return [value.plain() for value in self.of]
        return self.of

    def table(self, what: str, known: Collection[str], more: Collection[str] = ()) -> Table:
        """Return it as a table that has these keys and no others; ``more`` are not supported here.

        Raises:
            ConfigError: it is none, or has another key.

        """
        if not isinstance(self.of, dict):
            raise self.fault(f"{what} must be a table of {listed(known)}")
        for key, value in self.of.items():
            if key in more:
                raise value.fault(
                    f'"{key}" of {what} is not supported here; remove it, or test it with a command '
                    "of [[target.NAME.verify.check]]"
                )
            if key not in known:
                near = nearest(key, known) or "; remove it"
                raise value.fault(f'{what} knows no "{key}"{near}')
        return Table(what, self.of, self.place)

    def items(self, what: str) -> list[Value]:
        """Return what is in it, a list; nothing where it says null.

        Raises:
            ConfigError: it is none.

        """
        if self.of is None:
            return []
        if not isinstance(self.of, list):
            raise self.fault(f"{what} must be a list, as in [one, two]")
        return self.of

    def pairs(self, what: str) -> Iterator[tuple[str, Value]]:
        """Give the entries of a table with keys of any name; nothing where it says null.

        Raises:
            ConfigError: it is none.

        """
        if self.of is None:
            return
        if not isinstance(self.of, dict):
            raise self.fault(f"{what} must be a table of names")
        yield from self.of.items()

    def text(self, what: str) -> str:
        """Return the text; a number, or true, is one as well, as it is written.

        Raises:
            ConfigError: it is none.

        """
        if self.of is None or isinstance(self.of, (dict, list)):
            raise self.fault(f"{what} must be a text; write it in quotes")
        return self.written

    def number(self, what: str) -> int:
        """Return the whole number.

        Raises:
            ConfigError: it is none.

        """
        if isinstance(self.of, bool) or not isinstance(self.of, int):
            raise self.fault(f"{what} must be a whole number")
        return self.of

    def flag(self, what: str) -> bool:
        """Return true or false.

        Raises:
            ConfigError: it is neither.

        """
        if not isinstance(self.of, bool):
            raise self.fault(f"{what} must be true or false")
        return self.of

    def texts(self, what: str) -> list[str]:
        """Return the texts of a list.

        Raises:
            ConfigError: it is none.

        """
        return [item.text(f"an item of {what}") for item in self.items(what)]


class Table:
    """A table whose keys are known, asked for by name."""

    def __init__(self, what: str, of: dict[str, Value], place: Place) -> None:
        self._what = what
        self._of = of
        self.place = place

    def __contains__(self, key: str) -> bool:
        return key in self._of

    def get(self, key: str) -> Value | None:
        """Return what it says under a key; None where nothing, or null."""
        value = self._of.get(key)
        return None if value is None or value.of is None else value

    def needed(self, key: str) -> Value:
        """Return what it says under a key.

        Raises:
            ConfigError: it says nothing.

        """
        value = self.get(key)
        if value is None or value.of == "":
            raise self.place.fault(f'{self._what} has no "{key}"; add it')
        return value

    def text(self, key: str, default: str = "") -> str:
        """Return a text."""
        value = self.get(key)
        return default if value is None else value.text(f'"{key}" of {self._what}')

    def texts(self, key: str) -> list[str]:
        """Return a list of texts, empty where it says none."""
        value = self.get(key)
        return [] if value is None else value.texts(f'"{key}" of {self._what}')

    def number(self, key: str, default: int) -> int:
        """Return a whole number."""
        value = self.get(key)
        return default if value is None else value.number(f'"{key}" of {self._what}')

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self.get(key)
        return default if value is None else value.flag(f'"{key}" of {self._what}')

    def items(self, key: str) -> list[Value]:
        """Return a list, empty where it says none."""
        value = self.get(key)
        return [] if value is None else value.items(f'"{key}" of {self._what}')


def read(root: Path, name: str) -> Value:
    """Return what the file at a path of the project says.

    Raises:
        ConfigError: it is not there, is outside of the project, or is no YAML (JSON is such).

    """
    start = Place(name, 1, 1)
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise start.fault("it is not in the project's folder; copy it there")
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise start.fault(f"it cannot be read: {error.strerror}; correct its path") from None
    if len(data) > _MOST_BYTES:
        raise start.fault(f"it has more than {_MOST_BYTES} bytes; split it")
    try:
        return parsed(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        raise start.fault("it is no text in UTF-8; save it as that") from None


def parsed(text: str, name: str) -> Value:
    """Return what a text of YAML says.

    Raises:
        ConfigError: it is none, or says something twice.

    """
    import yaml

    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        raise place.fault(f"it is no YAML: {error.problem or error.context}; correct it") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Place(name, 1, 1).fault(f"it is no YAML: {reason}; correct it") from None
    documents: list[Any] = [node for node in nodes if node is not None]  # type: ignore[redundant-expr]
    if len(documents) > 1:
        mark = documents[1].start_mark
        raise Place(name, mark.line + 1, mark.column + 1).fault(
            "a second document begins here; put it into a file of its own"
        )
    if not documents:
        return Value(None, Place(name, 1, 1))
    return _Values(name).of(documents[0])


class _Values:
    """Values of nodes; what PyYAML's own constructors say of scalars, and nothing of what they do."""

    def __init__(self, name: str) -> None:
        from yaml.constructor import SafeConstructor

        self._name = name
        self._scalars = SafeConstructor()
        self._count = 0

    def of(self, node: Any, depth: int = 0) -> Value:
        import yaml

        place = self._place(node)
        self._count += 1
        if self._count > _MOST_NODES or depth > _MOST_DEPTH:
            raise place.fault("it says too much, with its aliases; write less")
        if isinstance(node, yaml.MappingNode):
            return Value(self._table(node, depth), place)
        if isinstance(node, yaml.SequenceNode):
            return Value([self.of(item, depth + 1) for item in node.value], place)
        return Value(self._scalar(node, place), place, node.value)

    def _place(self, node: Any) -> Place:
        return Place(self._name, node.start_mark.line + 1, node.start_mark.column + 1)

    def _scalar(self, node: Any, place: Place) -> Any:
        kind = _SCALARS.get(node.tag)
        if kind is None:
            raise place.fault(f"the tag {node.tag} is not known here; remove it")
        if kind in ("str", "timestamp"):
            return node.value
        try:
            return self._scalars.construct_object(node)
        except ValueError as error:
            raise place.fault(f"{node.value} is no {kind}: {error}; write it in quotes") from None

    def _table(self, node: Any, depth: int) -> dict[str, Value]:
        own: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for other in value.value if value.id == "sequence" else [value]:
                    found = self.of(other, depth + 1)
                    if not isinstance(found.of, dict):
                        raise found.fault("<< takes a table; write an alias of one")
                    merged = {**found.of, **merged}
                continue
            if key.id != "scalar":
                raise self._place(key).fault("a key must be a text; write it in quotes")
            if key.value in own:
                raise self._place(key).fault(
                    f'"{key.value}" is there twice, and only the last one would count; join them'
                )
            own[key.value] = self.of(value, depth + 1)
        return {**merged, **own}
