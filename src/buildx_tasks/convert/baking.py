"""``docker buildx bake`` in a recipe or a script → what it builds: bake is asked, as it is told there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert.asking import Asking, Refused
from buildx_tasks.convert.beside import DEFAULT_FILES
from buildx_tasks.convert.printed import as_chosen, data_of, in_our_escapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.convert import flags
    from buildx_tasks.machine.commands import Commands

_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Za-z_]\w*)(?::-[^{}]*)?\}")
# Of no alphabet: they stand for "${" and "}" of ours while bake reads what is between them.
_OPEN, _CLOSE = "\ue000", "\ue001"


class NotRead(Exception):  # noqa: N818 - said in a note
    """Why a bake command's files are not read."""


class Bakes:
    """Asks bake what the bake commands of a file build; each set of files is opened once."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._asked: dict[tuple[Path, ...], Asking] = {}

    def defaults(self) -> dict[str, str | None]:
        """Return the variables of all bake files that were asked for."""
        found: dict[str, str | None] = {}
        for asking in self._asked.values():
            found.update(asking.defaults({}))
        return found

    def others(self, name: str, probe: str) -> list[str]:
        """Return more values that a variable has to be tried with."""
        found = [one for asking in self._asked.values() for one in asking.others(name, probe)]
        return list(dict.fromkeys(found))

    def files(self) -> list[str]:
        """Return the names of the files that were read."""
        return list(dict.fromkeys(f.name for one in self._asked.values() for f in one.files))

    def built(
        self, said: flags.Baked, folder: str, values: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a command in a folder builds as data of a ``buildx.toml``, and as bake prints it.

        Raises:
            NotRead: there is no file, or bake refuses it.

        """
        asking = self._asking(said, folder)
        known = asking.defaults({})
        marked = {name: _marked(value) for name, value in values.items() if name in known}
        words = [_marked(word) for word in (*said.targets, *said.options)]
        try:
            printed = asking.ask("--print", *words, values=marked)
        except Refused as refused:
            raise NotRead(f"bake cannot read {asking.name}: {refused}") from None
        data, _ = data_of(printed, {})
        targets = as_chosen(printed)["target"]
        told = {name: in_our_escapes(table) for name, table in targets.items()}
        return _unmarked(data), _unmarked({**printed, "target": told})

    def _asking(self, told: flags.Baked, folder: str) -> Asking:
        files = [Path(folder, file) for file in told.files]
        if any("://" in file or file == "-" for file in told.files):
            raise NotRead("what is no file here is not read")
        if not files:
            files = [Path(folder, name) for name in DEFAULT_FILES if Path(folder, name).is_file()]
        lacking = [file for file in files if not file.is_file()]
        if lacking or not files:
            raise NotRead(f"there is no {lacking[0] if lacking else 'bake file'} here")
        if tuple(files) not in self._asked:
            self._asked[tuple(files)] = Asking(self._commands, files, beside=False)
        return self._asked[tuple(files)]


def _marked(text: str) -> str:
    return _REFERENCE.sub(lambda found: f"{_OPEN}{found[0][2:-1]}{_CLOSE}", text)


def _unmarked(data: Any) -> Any:
    if isinstance(data, str):
        return data.replace(_OPEN, "${").replace(_CLOSE, "}")
    if isinstance(data, dict):
        return {_unmarked(key): _unmarked(item) for key, item in data.items()}
    return [_unmarked(item) for item in data] if isinstance(data, list) else data
