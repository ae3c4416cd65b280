"""The files that a configuration comes from: found, read, merged; and where in them a key stands.

The base is ``buildx.toml``, or ``[tool.buildx-tasks]`` in ``pyproject.toml``. Overlays
(``buildx.NAME.toml``) are merged over it in the order given, a person's own ``buildx.local.toml``
last: tables key by key, any other value replaced whole.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import tomli

from buildx_tasks.errors import ConfigError, UsageError, nearest
from buildx_tasks.language.buildkitd import is_daemon_s
from buildx_tasks.language.positions import KeyPath, Positions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE_NAME = "buildx.toml"
PYPROJECT = "pyproject.toml"
LOCAL_OVERLAY = "local"

_TOOL = ("tool", "buildx-tasks")


class Source(NamedTuple):
    """One file; ``prefix`` is the table that holds the configuration."""

    name: str
    text: str
    data: dict[str, Any]
    prefix: KeyPath = ()


class Fail(Protocol):
    """What makes an error of a place in the files: :meth:`Sources.fail`."""

    def __call__(self, path: KeyPath, message: str, *, value: bool = False) -> ConfigError:
        """Return the error that names file, line and column of a key, or of its value."""
        ...


def find(start: Path) -> Path:
    """Return the nearest file with a configuration, in ``start`` or a folder above it.

    Raises:
        ConfigError: there is none, or there are two in one folder.

    """
    for folder in (start, *start.parents):
        if found := declared_in(folder):
            return found
    raise ConfigError(
        f"{FILE_NAME}: not found in {start} or any folder above it; "
        "invoke init writes one for what is here"
    )


def declared_in(folder: Path) -> Path | None:
    """Return the file of a folder that has a configuration.

    Raises:
        ConfigError: there are two.

    """
    own, shared = folder / FILE_NAME, folder / PYPROJECT
    # Read only where its text can have the table: other projects' files may be broken.
    if shared.is_file() and re.search(rb"(?m)^\s*\[\s*tool\.buildx-tasks\b", _bytes(shared)):
        if own.is_file() and not is_daemon_s(_read(own).data):
            raise ConfigError(
                f"{FILE_NAME}: {PYPROJECT} beside it has [tool.buildx-tasks] too; keep one"
            )
        return shared
    return own if own.is_file() else None


class Sources:
    """A base file and its overlays.

    Raises:
        ConfigError: a file cannot be read, or is no TOML.
        UsageError: there is no such overlay.

    """

    def __init__(self, path: Path, overlays: Sequence[str] = ()) -> None:
        prefix = _TOOL if path.name == PYPROJECT else ()
        self.folder = path.parent
        self.files = [_read(path, prefix)]
        for name in dict.fromkeys(name for name in overlays if name != LOCAL_OVERLAY):
            overlay = path.parent / f"buildx.{name}.toml"
            if not re.fullmatch(r"[\w.-]+", name) or not overlay.is_file():
                raise UsageError(_no_overlay(path.parent, name))
            self.files.append(_read(overlay))
        own = path.parent / f"buildx.{LOCAL_OVERLAY}.toml"
        if own.is_file():
            self.files.append(_read(own))
        self.data = self.files[0].data
        for overlay_source in self.files[1:]:
            self.data = _merged(self.data, overlay_source.data)
        self.has_variables = any("${" in source.text for source in self.files)

    def fail(self, path: KeyPath, message: str, *, value: bool = False) -> ConfigError:
        """Return the error that names file, line and column of a key, or of its value."""
        source = self._source_of(path)
        positions = Positions(source.text)
        whole = (*source.prefix, *path)
        place = positions.value(whole) if value else positions.key(whole)
        return ConfigError(f"{source.name}:{place.line}:{place.column}: {message}")

    def _source_of(self, path: KeyPath) -> Source:
        """Return the last file that says something of ``path``, or of its nearest parent."""
        best, depth = self.files[0], -1
        for source in self.files:
            known = _depth(source.data, path)
            if known >= depth:
                best, depth = source, known
        return best if depth > 0 or len(self.files) == 1 else self.files[0]


def _depth(data: Any, path: KeyPath) -> int:
    for number, step in enumerate(path):
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return number
    return len(path)


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {
            **base,
            **{
                key: _merged(base[key], item) if key in base else item for key, item in over.items()
            },
        }
    return over


def _no_overlay(folder: Path, name: str) -> str:
    there = [
        match[1]
        for path in sorted(folder.glob("buildx.*.toml"))
        if (match := re.fullmatch(r"buildx\.(.+)\.toml", path.name))
    ]
    hint = nearest(name, there) or f"; there is: {', '.join(there) or 'none'}"
    return f"--overlay: there is no buildx.{name}.toml{hint}"


def _as_table(match: re.Match[str]) -> str:
    """Turn a tuple as Python writes it into a table as TOML does."""
    names = re.findall(r"'([^']*)'", match[0])
    return f"[{'.'.join(names)}]"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror}") from None


def _read(path: Path, prefix: KeyPath = ()) -> Source:
    raw = _bytes(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigError(
            f"{path.name}:{line}:{column}: not valid UTF-8; save the file as UTF-8"
        ) from None
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        # tomli's own text repeats the place in brackets; the place comes first here.
        reason = str(error).rpartition(" (at ")[0] or str(error)
        reason = re.sub(r"\((?:'[^']*',? ?)+\)", _as_table, reason)
        lines = text.split("\n")
        line = min(getattr(error, "lineno", len(lines)), len(lines))
        column = getattr(error, "colno", 1)
        raise ConfigError(f"{path.name}:{line}:{column}: not valid TOML: {reason}") from None
    except RecursionError:
        raise ConfigError(f"{path.name}:1:1: tables or lists are nested too deeply") from None
    inner: Any = data
    for step in prefix:
        inner = inner.get(step, {}) if isinstance(inner, dict) else {}
    return Source(path.name, text, inner if isinstance(inner, dict) else {}, prefix)
