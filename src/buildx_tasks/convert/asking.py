"""A bake or compose file in; what bake makes of it out, without what this machine's environment holds."""

from __future__ import annotations

import codecs
import json
import os
import re
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert.attributes import without_comments
from buildx_tasks.convert.beside import KEPT_IN_ENVIRONMENT, fleeting, with_overrides
from buildx_tasks.convert.exporting import Exports
from buildx_tasks.convert.keeping import several
from buildx_tasks.convert.standing import agent
from buildx_tasks.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.machine.commands import Commands

_COMPOSE = frozenset({".yaml", ".yml"})
_IN_COMPOSE = re.compile(r"(?<!\$)\$(?:\{([A-Za-z_]\w*)|([A-Za-z_]\w*))")
_BARE_ARGUMENT = re.compile(r"(?m)^\s*(?:-\s*([A-Z_][A-Z0-9_]*)|([A-Z_][A-Z0-9_]*):)\s*$")
# A default that may hang on another variable.
_WORKED_OUT = re.compile(r'default\s*=\s*(?!"[^"$]*"|[\d.]+\b|true\b|false\b|null\b)')
_DECLARED = re.compile(r'\bvariable"?\s+"(\w+)"')
_REQUIRED = re.compile(r"required variable (\w+) is missing a value")
STAND_IN = "dev"  # for a value that only the environment has
_EMPTIED = (
    "asked what it builds, it empties archives that are exported, and their dest is not told plainly; "
    "write it as dest= in a text of output"
)
_DOT_ENV = re.compile(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")


class Refused(Exception):  # noqa: N818 - bake's answer
    """What bake says of files that it cannot read."""


class Asking:
    """Asks bake about files, and those that are read over them (``files``).

    ``hidden`` are the variables that are set here, and were kept from bake: a value may be a secret.
    ``kept`` are set here, and bake had to have them. ``of_dot_env`` are those that ``.env`` sets.
    With ``beside``, what stands beside them is read as bake reads it where no file is named. ``told``
    are variables that need a value, and are given one here.
    """

    def __init__(self, commands: Commands, paths: Sequence[Path], *, beside: bool = True) -> None:
        self._commands = commands
        self.named = list(paths)
        self.files = with_overrides(paths) if beside else list(paths)
        self.name = ", ".join(path.name for path in paths)
        self.texts = [one.read_bytes().decode("utf-8-sig", "replace") for one in self.files]
        self.hidden: list[str] = []
        self.of_dot_env: list[str] = []
        self.kept: list[str] = []
        self.told: dict[str, str] = {}
        self._words: list[str] = []
        self._unread: str | None = None  # why files cannot be read that are asked as copies
        self._known: dict[tuple[tuple[str, str], ...], dict[str, str | None]] = {}
        self._hide()

    @property
    def is_compose(self) -> bool:
        """Whether one of them is a compose file."""
        return any(path.suffix in _COMPOSE for path in self.files)

    @property
    def of_bake(self) -> list[str]:
        """The texts of the bake files among them."""
        return [t for f, t in zip(self.files, self.texts) if f.suffix not in _COMPOSE]

    def others(self, name: str, probe: str) -> list[str]:
        """Return more values that a variable has to be tried with: what the files compare it with."""
        found = []
        for text in self.texts:
            for pattern in (
                rf'\b{name}\s*[!=]=\s*"([^"$]*)"',
                rf'"([^"$]*)"\s*[!=]=\s*{name}\b',
                rf'equal\(\s*{name}\s*,\s*"([^"$]*)"',
                rf'equal\(\s*"([^"$]*)"\s*,\s*{name}\b',
            ):
                found += re.findall(pattern, text)
            if re.search(r"\b(?:split|csvdecode|regexall)\b", text):
                found.append(several(probe))
        return [one for one in dict.fromkeys(found) if one != self.defaults({}).get(name)][:4]

    def uses(self, name: str) -> bool:
        """Say whether the files have a variable somewhere else than where they declare it."""
        texts = [without_comments(text) for text in self.texts]
        return sum(len(re.findall(rf"\b{name}\b", text)) for text in texts) > 1

    @property
    def is_fleeting(self) -> bool:
        """Whether something in them is another value each time."""
        return any(True for text in self.texts for _ in fleeting("", text))

    def ask(self, *options: str, values: Mapping[str, str] | None = None) -> Any:
        """Return bake's answer, with these values of variables.

        Raises:
            Refused: it has none.

        """
        with tempfile.TemporaryDirectory() as folder:
            exports = Exports(Path(tempfile.mkdtemp(dir=folder)))
            files = self._as_read(Path(folder), exports)
            named = [word for file in files for word in ("--file", str(file))]
            known = agent(Path(folder))
            words = [exports.told(word) for word in options]
            while True:
                given = {**self.told, **(values or {})}
                told = [*self._words, *(exports.told(f"{k}={v}") for k, v in given.items())]
                bake = ["env", *told, *known, "docker", "buildx", "bake"]
                result = self._commands.query([*bake, *named, *words])
                lacking = None if result.ok else _REQUIRED.search(result.stderr)
                if not lacking or lacking[1] in given:
                    break
                self.told[lacking[1]] = STAND_IN
            if not result.ok and files != self.files:
                self._require_read(bake, named)
        if not result.ok:
            said = _why(result.stderr)
            for copy, file in zip(files, self.files):
                said = said.replace(str(copy), str(file))
            raise Refused(exports.back(said))
        answer = exports.back(json.loads(result.stdout))
        if exports.is_in(answer):
            raise Refused(_EMPTIED)
        return answer

    def _as_read(self, folder: Path, exports: Exports) -> list[Path]:
        """Return the files, copies where bake must not read them as they are.

        It takes no byte order mark, and opens and empties what they export.
        """
        found: list[Path] = []
        for number, file in enumerate(self.files):
            given = file.read_bytes()
            text = given.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
            away = exports.told if file.suffix in _COMPOSE else exports.declared
            taken = away(text).encode("utf-8", "surrogateescape")
            copy = file if taken == given else folder / f"file-{number}" / file.name
            if copy != file:
                copy.parent.mkdir()
                copy.write_bytes(taken)
            found.append(copy)
        return found

    def _require_read(self, bake: Sequence[str], named: Sequence[str]) -> None:
        """Refuse files that bake reads, but not with what they export elsewhere, or reads neither way.

        What bake says then is of the files as they are: of their own lines and columns.
        """
        if self._unread is None:
            listed = ("--list", "type=targets")
            own = [word for file in self.files for word in ("--file", str(file))]
            result = self._commands.query([*bake, *own, *listed])
            is_read = not result.ok or self._commands.query([*bake, *named, *listed]).ok
            self._unread = "" if result.ok else _why(result.stderr)
            self._unread = self._unread if is_read else _EMPTIED
        if self._unread:
            raise Refused(self._unread)

    def defaults(self, values: Mapping[str, str]) -> dict[str, str | None]:
        """Return the variables of the files and their defaults, as these values of others make them.

        None is one that has no default, or, in compose files, a default in each place.
        """
        hcl = [t for f, t in zip(self.files, self.texts) if f.suffix not in _COMPOSE]
        if values and not any(_WORKED_OUT.search(text) for text in hcl):
            values = {}
        key = tuple(values.items())
        if key not in self._known:
            entries: list[dict[str, Any]] = []
            if hcl:
                try:
                    entries = self.ask("--list", "type=variables,format=json", values=values) or []
                except Refused:  # what is wrong is said where targets are asked for
                    entries = []
            found: dict[str, str | None] = {one["name"]: one.get("value") for one in entries}
            for name in self._of_compose():
                found.setdefault(name, None)
            self._known[key] = {
                k: v for k, v in found.items() if not KEPT_IN_ENVIRONMENT.fullmatch(k)
            }
        return {**self._known[key], **{k: v for k, v in self.told.items() if k in self._known[key]}}

    def _of_compose(self) -> list[str]:
        found: list[str] = []
        for file, text in zip(self.files, self.texts):
            if file.suffix in _COMPOSE:
                for pattern in (_IN_COMPOSE, _BARE_ARGUMENT):
                    found += [match[1] or match[2] for match in pattern.finditer(text)]
        return list(dict.fromkeys(found))

    def error(self, said: str) -> UsageError:
        """Return the error about files that bake cannot read."""
        named = " ".join(f"--file {shlex.quote(str(file))}" for file in self.files)
        if said == _EMPTIED:  # as it would do if it was looked at
            return UsageError(f"--from: bake cannot be asked about {self.name}: {said}")
        return UsageError(
            f"--from: bake cannot read {self.name}: {said}; see docker buildx bake {named} --print"
        )

    def _hide(self) -> None:
        dot_env = Path(".env")
        has_dot_env = self.is_compose and dot_env.is_file()
        text = dot_env.read_text("utf-8-sig", "replace") if has_dot_env else ""
        words = set(re.findall(r"[A-Za-z_]\w*", "\n".join(self.texts)))
        emptied = sorted(words.intersection(_DOT_ENV.findall(text)))
        # By their text too: bake lists none where the value that is set here is refused.
        declared = {name for text in self.texts for name in _DECLARED.findall(text)}
        said = words if self.is_compose else declared | set(self.defaults({}))
        there = sorted(name for name in said & os.environ.keys() if name not in emptied)
        unset = [name for name in there if not KEPT_IN_ENVIRONMENT.fullmatch(name)]
        used = declared | set(self._of_compose())
        self.kept = [name for name in there if name not in unset and name in used]
        self._words = [word for name in unset for word in ("-u", name)]
        self._words += [f"{name}=" for name in emptied]
        self.hidden = [*unset, *emptied]
        self.of_dot_env = emptied
        self._known.clear()


def _why(said: str) -> str:
    """Return the line in which bake says why: where it panics, the stack comes after that."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for start in ("panic:", "ERROR:"):
        for line in lines:
            if line.startswith(start):
                return line
    return lines[-1] if lines else "no reason given"
