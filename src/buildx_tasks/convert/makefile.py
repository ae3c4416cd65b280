"""A Makefile and goals → the data of a ``buildx.toml``: make itself says what it would run."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.convert import lines, shell, withheld
from buildx_tasks.convert.sections import ASSIGNED
from buildx_tasks.convert.tokens import closing
from buildx_tasks.errors import UsageError, nearest
from buildx_tasks.language.secrets import LEAST_SOUGHT, is_named_as_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.machine.commands import Commands

_RULE = re.compile(r"([\w./-]+(?:\s+[\w./-]+)*)\s*::?(?!=)")
_DOCKERLY = re.compile(r"docker|buildx|\$[({](?:DOCKER|BUILDX|CONTAINER|PODMAN)\w*", re.IGNORECASE)
_USED = re.compile(r"\$[({]([A-Za-z_]\w*)[)}:]|(?m:^\s*ifn?def\s+([A-Za-z_]\w*))")
_GIVEN = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_COMPARED = (
    r"ifn?eq\s*\(\s*\$[({{]{name}[)}}]\s*,\s*([^\s$)]+)\s*\)",
    r"ifn?eq\s*\(\s*([^\s$(),]+)\s*,\s*\$[({{]{name}[)}}]\s*\)",
    r"ifn?eq\s+[\"']\$[({{]{name}[)}}][\"']\s+[\"']([^\"'$]+)[\"']",
    r"\$[({{]filter(?:-out)?\s+([^\s$,]+)[^,]*,\s*\$[({{]{name}[)}}]",
    r"\$[({{]findstring\s+([^\s$,]+)\s*,\s*\$[({{]{name}[)}}]",
)
_SET = re.compile(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)\s*(?:[:?+!]|::)?=")
# A variable, its target's or everyone's, and the rest of the line from what a shell is asked on.
_ASKING = re.compile(
    r"(?m)^ *(?:[\w./%-]+[ \t]*::?[ \t]+)?(?:(?:export|override|private)[ \t]+)*([A-Za-z_]\w*)[ \t]*"
    r"(?:(?:::?:?|[?+])?=.*?(?=\$[({]shell\b)|!=[ \t]*)(.+)"
)
_OF_A_RULE = re.compile(r"\$(?:[@<*^?%+|]|[({](?:[@<*^?%+|]|\d+[)}]|call\b))")
_TRACED = re.compile(r"(.+?):(\d+): (?:update )?target '([^']+)'.*")
_ENTERED = re.compile(r"g?make(?:\[\d+\])?: (Entering|Leaving) directory '(.+)'")
_INCLUDED = re.compile(r"(?m)^\s*[-s]?include\s+(.*)$")
_EXPORTED = re.compile(r"(?m)^\s*export\b[ \t]*([^=:?+!#\n]*)")
_VERSION = re.compile(r"GNU Make (\d+)\.")
_OLDEST = 4  # with --trace; macOS has 3.81
_SHOWN = "__buildx_tasks_value__"
_MAKES_OWN = frozenset("MAKE CURDIR MAKEFLAGS MAKECMDGOALS SHELL MAKEFILE_LIST VALUE".split())


class Makefile:
    """Asks make, which runs what ``$(shell …)`` says, as it does for each goal; no recipe is run.

    Among the goals may be variables, as ``TAG=v1``.
    """

    def __init__(self, commands: Commands, path: Path, goals: Sequence[str]) -> None:
        self._commands = commands
        self._make = _program(commands, path)
        self.path = path
        self.text = path.read_text("utf-8", "replace")
        prefix = re.search(r"(?m)^\.RECIPEPREFIX\s*[:?]*=\s*(\S)", self.text)
        self._prefix = prefix[1] if prefix else "\t"
        self._is_one_shell = bool(re.search(r"(?m)^\.ONESHELL\s*:", self.text))
        self._given = {one[1]: one[2] for one in map(_GIVEN.fullmatch, goals) if one}
        goals = [goal for goal in goals if not _GIVEN.fullmatch(goal)]
        self._why = ""
        self.notes: dict[str, None] = {}
        self._known: dict[tuple[tuple[str, str], ...], dict[str, str | None]] = {}
        self._files: dict[str, list[str]] = {}
        self._withheld: dict[str, str] = {}
        self._says: dict[str, str] = {}
        self.text = "\n".join([self.text, *self._included()])
        for name, asked in _ASKING.findall(self.text.replace("\\\n", " ")):
            if is_named_as_one(name) or withheld.may_be_secret(asked):
                said = asked[: _closed(asked)] if asked[:1] == "$" else asked
                self._withheld[name] = f"{name} is what {said} says, which {withheld.WHY}"
        known = self._goals()
        self.goals = list(goals) or [
            name for name, recipe in known.items() if _DOCKERLY.search(recipe)
        ]
        if not self.goals:
            raise UsageError(f"--from: no goal of {path.name} has a docker command; name the goals")
        for goal in goals:
            if goal not in known and self._run([goal], {}) is None:
                hint = nearest(goal, known) or f"; there are: {', '.join(known)}"
                raise UsageError(f'--from: {path.name} has no goal "{goal}"{hint}')

    def _included(self) -> Iterator[str]:
        """Yield the texts of the files that the Makefile includes, but those of variables alone."""
        listed = f"$(info {_SHOWN}$(MAKEFILE_LIST))"
        printed = self._run([f"--eval={_SHOWN}:;@: {listed}", _SHOWN], {}) or ""
        for line in printed.splitlines():
            for name in line[len(_SHOWN) :].split() if line.startswith(_SHOWN) else ():
                path = self.path.parent / name
                own = not path.is_file() or path.samefile(self.path)
                if not own and not _is_env(path):
                    yield path.read_text("utf-8", "replace")

    @property
    def env_file(self) -> str:
        """The file of variables, as ``.env``, that it includes, and that may hold secrets."""
        for named in _INCLUDED.findall(self.text):
            for word in named.split():
                path = self.path.parent / word
                if _is_env(path):
                    return os.path.relpath(path) if path.is_file() else ""
        return ""

    def steps(self, values: Mapping[str, str]) -> list[lines.Step] | None:
        """Return the commands of the goals with these values; None where make refuses them."""
        printed = self._run(["--trace", *self.goals], values)
        if printed is None:
            return None
        self.notes.update(
            {why: None for name, why in self._withheld.items() if f"${{{name}}}" in printed}
        )
        found: list[lines.Step] = []
        goal, place, block = "", self.path.name, ""
        folders = [os.path.relpath(self.path.parent)]
        for line in [*printed.splitlines(), "<end>:0: target 'end'"]:
            entered = _ENTERED.fullmatch(line)
            if entered:
                found += self._steps(block, goal, place, folders[-1])
                block = ""
                if entered[1] == "Entering":
                    folders.append(os.path.relpath(entered[2]))
                else:
                    folders.pop()
                continue
            traced = _TRACED.fullmatch(line)
            if not traced:
                block += line + "\n"
                continue
            found += self._steps(block, goal, place, folders[-1])
            place, goal, block = f"{traced[1].rpartition('/')[2]}:{traced[2]}", traced[3], ""
        return found

    def _steps(self, block: str, goal: str, place: str, folder: str) -> Iterator[lines.Step]:
        name, _, first = place.partition(":")
        recipe = self._recipe(posixpath.join(folder, name), int(first or 0))
        # make says where a recipe begins; the lines are told apart where each came out as one.
        one_by_one = len(recipe) == len(block.splitlines())
        for number, line in enumerate(recipe, int(first or 0)):
            for found in re.finditer(r"\$[({]shell\b", line) if _DOCKERLY.search(line) else ():
                asked = line[found.start() :][: _closed(line[found.start() :])]
                is_secret = withheld.may_be_secret(asked)
                block = self._without(block, asked) if is_secret else block
                why = withheld.WHY if is_secret else "is written as what it says here"
                self.notes[f"{name}:{number}: {asked} {why}"] = None
        for one in shell.commands(block, apart=not self._is_one_shell):
            where = f"{name}:{int(first) + one.line - 1}" if one_by_one else place
            yield lines.Step(one, goal, where, folder)

    def _without(self, block: str, asked: str) -> str:
        """Return what make would run with a variable in place of what may be a secret.

        Empty where that cannot be told: what hangs on the rule, or is another one each time.
        """
        if _OF_A_RULE.search(asked):
            return ""
        if asked not in self._says:
            shown = f"--eval={_SHOWN}:;@: $(info {_SHOWN}{asked})"
            lines_ = (self._run([shown, _SHOWN], {}) or "").splitlines()
            found = [one[len(_SHOWN) :] for one in lines_ if one.startswith(_SHOWN)]
            self._says[asked] = "".join(found[:1])
        value = self._says[asked]
        if len(value) < LEAST_SOUGHT or value.startswith("${"):
            return block
        return (
            block.replace(value, f"${{{shell.unknown_name(asked[7:])}}}") if value in block else ""
        )

    def _recipe(self, file: str, first: int) -> list[str]:
        """Return the lines of a recipe that begins at a line."""
        if file not in self._files:
            path = Path(file)
            self._files[file] = (
                path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
            )
        found: list[str] = []
        for line in self._files[file][first - 1 :] if first else ():
            if not line.startswith(self._prefix) and not _goes_on(found):
                break
            found.append(line)
        return found

    def exported(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return what recipes have in their environment of the Makefile's variables."""
        named = {word for match in _EXPORTED.finditer(self.text) for word in match[1].split()}
        everything = re.search(r"(?m)^\s*export\s*(?:#.*)?$", self.text)
        known = self.defaults(values)
        found = {k: v or "" for k, v in known.items() if everything or k in named}
        return {**found, **values}

    def defaults(self, values: Mapping[str, str]) -> dict[str, str | None]:
        """Return the variables that a person can set, and what they come to with these values."""
        key = tuple(values.items())
        if key not in self._known:
            self._known[key] = self._asked(values)
        return self._known[key]

    def _asked(self, values: Mapping[str, str]) -> dict[str, str | None]:
        names = dict.fromkeys(_SET.findall(self.text))
        names.update(dict.fromkeys(self._used()))
        blank = re.findall(r"(?m)^(\w+)\s*:?=\s*$", self.text)  # as empty := of a space
        wanted = [name for name in names if name not in {*_MAKES_OWN, *blank, *self._told()}]
        shown = "".join(f"$(info {_SHOWN}{name}=$({name}))" for name in wanted)
        printed = self._run([f"--eval={_SHOWN}:;@: {shown}", _SHOWN], values) or ""
        found: dict[str, str | None] = {}
        for line in printed.splitlines():
            if line.startswith(_SHOWN):
                name, _, value = line[len(_SHOWN) :].partition("=")
                # A comma or a space has a name only so that a function can take it.
                if value.strip() == value and (not value or re.search(r"\w", value)):
                    found[name] = value
        return found

    def others(self, name: str, _: str) -> list[str]:
        """Return more values that a variable has to be tried with: what it is compared with."""
        found = [v for one in _COMPARED for v in re.findall(one.format(name=name), self.text)]
        return list(dict.fromkeys(found))[:4]

    def said_by(self, name: str) -> str | dict[str, str]:
        """Return what a variable is for us that a ``$(shell …)`` of git or date gives, or a file.

        ``""`` for another one.
        """
        asked = self._asks(name)
        ours = shell.known(asked.replace("$$", "$"))
        read = re.fullmatch(r"cat\s+([\w./-]+)(?:\s*2>\s*\S+)?", asked)
        path = self.path.parent / read[1] if read else None
        if path and path.is_file() and len(path.read_text("utf-8", "replace").split()) == 1:
            return {"file": os.path.relpath(path)}
        return ours and f"${{{ours}}}"

    def asked(self, name: str) -> str:
        """Return the ``$(shell …)`` that a variable hangs on; ``""`` for none."""
        match = re.search(rf"(?m)^\s*(?:export\s+)?{name}\s*[:?]*=.*?(\$\(shell\b.*)", self.text)
        return match[1][: _closed(match[1])] if match else ""

    def _asks(self, name: str) -> str:
        line = rf"(?m)^\s*(?:export\s+)?{name}\s*[:?]*=\s*\$\(shell\s+(.+)\)\s*$"
        match = re.search(line, self.text)
        return match[1] if match else ""

    def error(self) -> UsageError:
        """Return the error about goals that make cannot work out."""
        line = shlex.join([self._make, "-f", str(self.path), "-n", *self.goals])
        given = f"; a variable is given as in --from {self.path.name} {self.goals[0]} NAME=value"
        return UsageError(
            f"--from: make cannot work out {self.path.name}: {self._why or 'it does not say why'}; see "
            f"{line}{given}"
        )

    def _run(self, words: Sequence[str], values: Mapping[str, str]) -> str | None:
        told = {**self._told(), **self._given, **values}
        set_ = [f"{name}={value}" for name, value in told.items()]
        unset = [word for name in self._hidden() for word in ("-u", name)]
        unset += withheld.environment(self.text)
        asked = [self._make, "-f", self.path.name, "-C", str(self.path.parent), "--print-directory"]
        result = self._commands.query(["env", *unset, "LC_ALL=C", *asked, "-n", *words, *set_])
        if not result.ok:
            said = [line for line in result.stderr.splitlines() if "***" in line]
            self._why = re.sub(r"\.?\s+Stop\.$", "", said[-1].replace("*** ", "")) if said else ""
        return result.stdout if result.ok else None

    def _told(self) -> dict[str, str]:
        """Return by name alone what may be a secret, as from a file of variables: the shell has these."""
        file = self.env_file
        text = Path(file).read_text("utf-8", "replace") if file else ""
        names = [*ASSIGNED.findall(text), *self._withheld]
        return {name: f"$${{{name}}}" for name in names}

    def _hidden(self) -> Iterator[str]:
        """Yield what the Makefile would take from this machine's environment: it may be a secret."""
        for name in dict.fromkeys([*_SET.findall(self.text), *self._used()]):
            if name not in {"PATH", "HOME", "USER", "TMPDIR"}:
                yield name

    def _used(self) -> list[str]:
        return [one[1] or one[2] for one in _USED.finditer(self.text)]

    def _goals(self) -> dict[str, str]:
        """Return the goals that stand in the file itself, and their recipes."""
        found: dict[str, str] = {}
        names: list[str] = []
        for line in self.text.splitlines():
            if line.startswith(self._prefix):
                for name in names:
                    found[name] += line + "\n"
            elif (rule := _RULE.match(line)) and not line.startswith("."):
                names = rule[1].split()
                _, mark, recipe = line.partition(";")
                for name in names:
                    found[name] = found.get(name, "") + recipe * bool(mark)
        return found


def _closed(text: str) -> int:
    """Return where the function that a text begins with ends."""
    try:
        return closing(text, 1, "{}" if text[1:2] == "{" else "()")
    except ValueError:
        return len(text)


def _goes_on(lines_: Sequence[str]) -> bool:
    return bool(lines_) and lines_[-1].endswith("\\")


def _is_env(path: Path) -> bool:
    return path.name.startswith(".env") or path.suffix == ".env"


def _program(commands: Commands, path: Path) -> str:
    """Return the GNU make that is new enough to say where its commands stand."""
    for name in filter(shutil.which, ("make", "gmake")):
        found = _VERSION.search(commands.query([name, "--version"]).stdout)
        if found and int(found[1]) >= _OLDEST:
            return name
    raise UsageError(
        f"--from: {path.name}: GNU make {_OLDEST} says what its recipes run, and is not here; install "
        "it, as in apt-get install make, or brew install make (which calls it gmake)"
    )
