"""The text of ``buildx.lock`` in; its pins, or one clear error with its place, out; and back again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import tomli

from buildx_tasks import references
from buildx_tasks.errors import ConfigError
from buildx_tasks.language.positions import Positions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOCK_FILE = "buildx.lock"

_HEADER = "# What builds read, as invoke lock found it; invoke lock --update moves it on.\n"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?:\s|$)", re.MULTILINE)
_LINE = re.compile(r'^\s*("(?:\\.|[^"\\])*")\s*=\s*"[^"]*"[ \t]*#[ \t]*(.*?)\s*$', re.MULTILINE)
_AGAIN = "or delete the line and run invoke lock"


class Pin(NamedTuple):
    """One line: a name's digest (or commit), and the platforms that stand behind it as a comment."""

    digest: str
    platforms: tuple[str, ...] = ()
    line: int = 0

    @property
    def short(self) -> str:
        """The digest, as far as a person compares it."""
        return self.digest[: len("sha256:") + 12] if ":" in self.digest else self.digest[:12]


def read(path: Path) -> dict[str, Pin] | None:
    """Return the pins of a lock by name, None where there is no such file.

    Raises:
        ConfigError: it cannot be read or used; the message starts with ``file:line:column:``.

    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror}") from None
    try:
        return parse(raw.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}:1:1: not valid UTF-8; save the file as UTF-8") from None


def parse(text: str, name: str = LOCK_FILE) -> dict[str, Pin]:
    """Return the pins of a lock's text, by name.

    Raises:
        ConfigError: as :func:`read`.

    """
    text = text.replace("\r\n", "\n")
    if conflict := _CONFLICT.search(text):
        line = text[: conflict.start()].count("\n") + 1
        raise ConfigError(
            f"{name}:{line}:1: a merge was not finished here; keep one line for each image, then run "
            "invoke lock --check"
        )
    try:
        data = tomli.loads(text)
    except (tomli.TOMLDecodeError, RecursionError) as error:
        reason = str(error).rpartition(" (at ")[0] or str(error)
        line = min(getattr(error, "lineno", 1), text.count("\n") + 1)
        place = f"{name}:{line}:{getattr(error, 'colno', 1)}"
        raise ConfigError(f"{place}: not valid TOML: {reason}; correct it, {_AGAIN}") from None
    places = Positions(text)
    platforms = {tomli.loads(f"k = {m[1]}")["k"]: m[2] for m in _LINE.finditer(text)}
    found = {}
    for key, value in data.items():
        if problem := _problem(key, value):
            at = places.value((key,)) if isinstance(problem, _OfValue) else places.key((key,))
            raise ConfigError(f"{name}:{at.line}:{at.column}: {problem}, {_AGAIN}")
        words = [word.strip() for word in platforms.get(key, "").split(",")]
        kept = tuple(word for word in words if word)
        found[key] = Pin(value, kept, places.key((key,)).line)
    return found


class _OfValue(str):
    """A problem of a value, not of its key."""

    __slots__ = ()


def _problem(key: str, value: object) -> str:
    """Return what is wrong with a line, and the right thing; ``""`` for nothing."""
    if isinstance(value, dict):
        return f'"{key}" is a table; write a line for each image, as in "alpine:3.22" = "sha256:…"'
    if not isinstance(value, str):
        return _OfValue(f'the pin of "{key}" must be a string, as in "sha256:…"')
    if _ADDRESS.match(key):
        if _COMMIT.fullmatch(value):
            return ""
        return _OfValue(f'"{value}" is no commit: 40 hexadecimal digits; correct it')
    if problem := _named_wrongly(key):
        return problem
    if not _DIGEST.fullmatch(value):
        return _OfValue(f'"{value}" is no digest: sha256: and 64 hexadecimal digits; correct it')
    return ""


def _named_wrongly(key: str) -> str:
    """Return what is wrong with an image's name; ``""`` for nothing."""
    try:
        right = references.familiar(key)
    except ValueError:
        return f'"{key}" is no image reference; write it as in "alpine:3.22"'
    if "@" in key:
        return f'"{key}" has a digest already; take the line out'
    return "" if right == key else f'"{key}" is written "{right}" here; rename it'


def text_of(pins: Mapping[str, Pin]) -> str:
    """Return the text of a lock: one line an image, sorted, always the same for the same pins."""
    lines = []
    for name, pin in sorted(pins.items()):
        comment = f"  # {', '.join(pin.platforms)}" if pin.platforms else ""
        lines.append(f'"{name}" = "{pin.digest}"{comment}\n')
    return _HEADER + "".join(lines)
