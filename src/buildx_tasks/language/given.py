"""What a person gives for one call, and what files say: ``--set``, ``.env``, a ``VERSION``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.language.sources import Sources

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:\#.*)?""")
_MOST = 1 << 16  # bytes of a file that holds one value


class Given(NamedTuple):
    """What was given for this call: ``--set NAME=value``, the environment, and the files of ``[env]``.

    ``overrides`` are those of single attributes: ``target.key`` or ``target.key.subkey`` → value.
    """

    sets: Mapping[str, str]
    environment: Mapping[str, str]
    files: Mapping[str, str]
    overrides: Mapping[str, str]

    def raw(self, name: str) -> str | None:
        """Return what is given for a variable; None where nothing is."""
        if name in self.sets:
            return self.sets[name]
        return self.environment.get(name, self.files.get(name))

    def origin(self, name: str) -> str:
        """Return how to correct a variable's value."""
        if name in self.sets:
            return f"; correct --set {name}"
        if name in self.environment:
            return f"; correct the environment's {name}"
        return f"; correct {name} in [env] file" if name in self.files else "; correct its default"


def given(sources: Sources, sets: Sequence[str], environment: Mapping[str, str]) -> Given:
    """Return what is given for one call.

    Raises:
        ConfigError: a file of ``[env]`` cannot be read.
        UsageError: a text of ``sets`` has no ``=``.

    """
    told = parse_sets(sets)
    overrides = {name: value for name, value in told.items() if "." in name}
    plain = {name: value for name, value in told.items() if "." not in name}
    return Given(plain, environment, _of_files(sources), overrides)


def parse_sets(texts: Sequence[str]) -> dict[str, str]:
    """Return ``NAME=value`` texts as a mapping; a later one wins.

    Raises:
        UsageError: a text has no ``=``.

    """
    sets = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise UsageError(f'--set: "{text}" is no NAME=value; write --set VERSION=1.2')
        sets[name] = value
    return sets


def from_file(folder: Path, table: Mapping[str, Any]) -> str:
    """Return the text that ``{ file = …, match = … }`` stands for.

    Raises:
        ValueError: it cannot be had; the message says why, and what to do.

    """
    path = folder / str(table["file"])
    if not _below(folder, path):
        raise ValueError(f"{table['file']} is not below the project's folder; copy it there")
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
        text: str = raw.decode("utf-8-sig").strip()
    except OSError as error:
        raise ValueError(
            f"{table['file']} cannot be read: {error.strerror}; add the file"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{table['file']} is no UTF-8; save it as UTF-8") from None
    if len(raw) > _MOST:
        raise ValueError(f"{table['file']} has more than {_MOST} bytes; name a smaller file")
    if "match" in table:
        try:
            found = re.search(table["match"], text, re.MULTILINE)
        except re.error as error:
            raise ValueError(f'"{table["match"]}" is no regular expression: {error}') from None
        if not found:
            raise ValueError(
                f"{table['file']} has nothing that matches {table['match']}; correct it"
            )
        return str((found[1] if found.re.groups else found[0]) or "")
    if "\n" in text:
        raise ValueError(
            f"{table['file']} has several lines; name the one with match, as in "
            f'{{ file = "{table["file"]}", match = \'^version = "(.+)"\' }}'
        )
    return text


def _of_files(sources: Sources) -> dict[str, str]:
    """Return what the files of ``[env]`` say; one that is not there says nothing."""
    named = sources.data.get("env", {}).get("file", [])
    found: dict[str, str] = {}
    for name in [named] if isinstance(named, str) else named:
        path = sources.folder / name
        if not _below(sources.folder, path):
            where = ("env", "file")
            raise sources.fail(where, f"{name} is not below the project's folder; copy it there")
        if not path.exists():
            continue
        try:
            text = path.read_text("utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{name}: not valid UTF-8; save the file as UTF-8") from None
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if not match:
                # The line itself may be a secret.
                raise ConfigError(f"{name}:{number}:1: this is no NAME=value; correct the line")
            found[match[1]] = _value(match[2])
    return found


def _below(folder: Path, path: Path) -> bool:
    """Say whether a file is in the folder: a stranger's project must not read one of ours."""
    return path.resolve().is_relative_to(folder.resolve())


def _value(text: str) -> str:
    """Return a value without its quotes, or without the comment behind it."""
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        escapes = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
        if quoted[1] == "'":
            return quoted[2]
        return re.sub(r'\\[n"\\]', lambda match: escapes[match[0]], quoted[2])
    return re.sub(r"(?:^|\s+)#.*", "", text)
