"""A Taskfile and tasks → the commands that task would run: task itself is asked."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert import sections, shell, withheld
from buildx_tasks.errors import UsageError, nearest
from buildx_tasks.language.secrets import is_named_as_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.convert.lines import Step
    from buildx_tasks.machine.commands import Commands

_PRINTED = re.compile(r"task: \[([^\]]+)\] (.*)")
_ABOUT = "task: "  # what task says of itself
_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_USED = re.compile(r"\.([A-Za-z_]\w*)")
_OWN = frozenset(
    "ALIAS CHECKSUM CLI_ARGS CLI_ARGS_LIST CLI_ASSUME_YES CLI_FORCE CLI_OFFLINE CLI_SILENT CLI_VERBOSE "
    "EXIT_CODE ITEM KEY MATCH ROOT_DIR ROOT_TASKFILE TASK TASKFILE TASKFILE_DIR TASK_DIR TASK_EXE "
    "TASK_VERSION TIMESTAMP USER_WORKING_DIR".split()
)
_SET = r"""(?m)^\s+{name}:[ \t]*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"'{{\[#|>&*][^#\n]*?))[ \t]*(?:#.*)?$"""
_FILLED = re.compile(
    r"""\{\{\s*\.([A-Za-z_]\w*)\s*(?:\|\s*default\s+(?:"([^"]*)"|'([^']*)')\s*)?\}\}"""
)
_DIR = re.compile(r"\s+dir:\s*(.+?)\s*")
_INCLUDED = r"(?m)^\s+{name}:(?:.*\{{|\s*\n(?:\s+(?!dir:).*\n)*?)\s*dir:\s*([^\s,}}]+)"
_DOT_ENV = re.compile(r"""(?m)^\s*dotenv:\s*\[?\s*\n?\s*-?\s*['"]?([^'"\],\s]+)""")
_INSTALL = (
    "task says what its tasks run, and is not here; install it, as in pip install go-task-bin (or, "
    "where it is: task --dry TASK 2> build.sh, and --from build.sh)"
)


class Taskfile:
    """Asks task, which runs what variables with ``sh`` say; no task is run."""

    def __init__(self, commands: Commands, path: Path, goals: Sequence[str]) -> None:
        program = next((name for name in ("task", "go-task") if shutil.which(name)), "")
        if not program:
            raise UsageError(f"--from: {path.name}: {_INSTALL}")
        self._commands = commands
        self._program = program
        self.path = path
        self.text = path.read_text("utf-8", "replace")
        self._why = ""
        self.notes: dict[str, None] = {}
        told = commands.query([*self._task(), "--list-all", "--json", "--no-status"])
        if not told.ok or not told.stdout.startswith("{"):
            line = shlex.join([*self._task(), "--list-all"])
            raise UsageError(f"--from: task cannot read {path.name}; see {line}")
        self._sections = {one.name: one for one in _read(json.loads(told.stdout)["tasks"])}
        for goal in goals:
            if goal not in self._sections:
                hint = nearest(goal, self._sections) or f"; there are: {', '.join(self._sections)}"
                raise UsageError(f'--from: {path.name} has no task "{goal}"{hint}')
        self._goals = list(goals) or [n for n, one in self._sections.items() if one.has_docker]
        if not self._goals:
            raise UsageError(f"--from: no task of {path.name} has a docker command; name them")
        texts = "\n".join(line for one in self._sections.values() for line in one.lines)
        used = _USED.findall(" ".join(_TEMPLATE.findall(f"{self.text}\n{texts}")))
        self._names = [name for name in dict.fromkeys(used) if name not in _OWN]
        asked = {name: self.asked(name) for name in self._names}
        self._withheld = [
            name
            for name, one in asked.items()
            if one and (is_named_as_one(name) or withheld.may_be_secret(one))
        ]
        for name in self._withheld:
            self.notes[f"{name} is what {asked[name]} says, which {withheld.WHY}"] = None

    @property
    def env_file(self) -> str:
        """The file that task loads into the environment, where it is told to."""
        named = _DOT_ENV.search(self.text)
        path = self.path.parent / named[1] if named else None
        return os.path.relpath(path) if path and path.is_file() else ""

    def steps(self, values: Mapping[str, str]) -> list[Step] | None:
        """Return the commands of the tasks with these values; None where task refuses them."""
        printed = self._run(values)
        if printed is None:  # it may ask for variables that only a person knows
            told = self.defaults(values)
            needed = {name: f"${{{name}}}" for name, default in told.items() if default is None}
            printed = self._run({**needed, **values})
        if printed is None:
            return None
        blocks: list[tuple[str, str]] = []
        for line in printed.splitlines():
            found = _PRINTED.fullmatch(line)
            if found:
                blocks.append((found[1], found[2] + "\n"))
            elif blocks and not line.startswith(_ABOUT):
                blocks[-1] = (blocks[-1][0], blocks[-1][1] + line + "\n")
        steps: list[Step] = []
        there = [task for task, _ in blocks]
        for name in self._goals:
            if name not in there and self._sections[name].has_docker:
                self.notes[f"{name}: task runs nothing of it here"] = None
        called = {one: _internal(self.path, self.text, one) for one, _ in blocks}
        # task runs what is needed at once: in the order of the file it is the same each time.
        for name, section in {**called, **self._sections}.items():
            for task, block in blocks:
                if task == name:
                    folder = self._folder(section, values)
                    steps += sections.steps(section, block, folder, apart=False)
        return steps

    def defaults(self, values: Mapping[str, str]) -> dict[str, str | None]:
        """Return the variables that templates use, and what they come to where the file tells it."""
        names = [name for name in self._names if name not in self._of_file()]
        return {name: self._default(name, values, ()) for name in names}

    def _default(self, name: str, values: Mapping[str, str], trail: tuple[str, ...]) -> str | None:
        """Return what a variable is without a value; None where only its place shows it."""
        entry = _SET.format(name=name)
        found = {one[1] or one[2] or one[3] or "" for one in re.finditer(entry, self.text)}
        if len(found) != 1 or name in trail:
            return None
        return self._filled(found.pop(), values, (*trail, name))

    def _filled(self, text: str, values: Mapping[str, str], trail: tuple[str, ...]) -> str | None:
        """Return a template with what its variables are; None where only task can tell."""
        lacking = False

        def filled(match: re.Match[str]) -> str:
            nonlocal lacking
            name, told = match[1], match[2] or match[3]
            if name not in trail:
                told = values.get(name) or self._default(name, values, trail) or told
            lacking = lacking or told is None
            return told or ""

        done = _FILLED.sub(filled, text)
        return None if lacking or "{{" in done else done.strip()

    def exported(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return what tasks have in their environment by the file's own ``env``."""
        import yaml

        try:
            said = yaml.safe_load(self.text).get("env") or {}
        except (yaml.YAMLError, AttributeError):
            said = {}
        texts = {k: str(v) for k, v in said.items() if isinstance(v, (str, int, float))}
        told = {name: self._filled(text, values, (name,)) for name, text in texts.items()}
        return {**{name: one for name, one in told.items() if one is not None}, **values}

    def said_by(self, name: str) -> str | dict[str, str]:
        """Return what a variable is for us that ``sh`` of git or date gives; else ``""``."""
        line = rf"(?m)^\s*{name}:\s*(?:\{{\s*)?(?:\n\s+)?sh:\s*['\"]?(.+?)['\"]?\s*\}}?\s*$"
        match = re.search(line, self.text)
        ours = shell.known(match[1]) if match else ""
        return ours and f"${{{ours}}}"

    def asked(self, name: str) -> str:
        """Return the ``sh:`` that a variable hangs on; ``""`` for none."""
        match = re.search(rf"(?m)^\s*{name}:\s*(?:\{{\s*)?(?:\n\s+)?(sh:.+?)\s*\}}?\s*$", self.text)
        match = match or re.search(rf"(?m)^\s*{name}:.*?(\{{\{{\s*now\b.*?\}}\}})", self.text)
        return match[1] if match else ""

    def others(self, name: str, _: str) -> list[str]:
        """Return more values that a variable has to be tried with: what it is compared with."""
        pattern = rf"""\b(?:eq|ne)\s+\.{name}\s+["']([^"']+)["']"""
        return list(dict.fromkeys(re.findall(pattern, self.text)))[:4]

    def error(self) -> UsageError:
        """Return the error about tasks that task cannot work out."""
        line = shlex.join([*self._task(), "--dry", *self._goals])
        why = self._why or "it does not say why"
        return UsageError(f"--from: task cannot work out {self.path.name}: {why}; see {line}")

    def _folder(self, section: sections.Section, values: Mapping[str, str]) -> str:
        """Return where a task runs: its ``dir``, or that of the include that it comes from."""
        found = next((one for one in map(_DIR.fullmatch, section.lines) if one), None)
        space = re.escape(section.name.rpartition(":")[0])
        if not found and space:
            found = re.search(_INCLUDED.format(name=space), self.text)
        told = self._filled(found[1].strip("'\""), values, ()) if found else "."
        return posixpath.join(os.path.relpath(self.path.parent), "${DIR}" if told is None else told)

    def _task(self) -> list[str]:
        return [self._program, "--taskfile", str(self.path)]

    def _run(self, values: Mapping[str, str]) -> str | None:
        # Told as variables: what the environment or .env hold may be a secret.
        own = {name: f"${{{name}}}" for name in self._of_file()}
        told = [f"{name}={value}" for name, value in {**own, **values}.items()]
        unset = [word for name in self._names for word in ("-u", name)]
        unset += withheld.environment(self.text)
        # With --verbose, for it keeps what is silent to itself.
        asked = [
            "--dry",
            "--verbose",
            "--force",
            "--yes",
            "--concurrency",
            "1",
            *self._goals,
            *told,
        ]
        result = self._commands.query(["env", *unset, "NO_COLOR=1", *self._task(), *asked])
        if not result.ok:
            self._why = next(iter(reversed(result.stderr.strip().splitlines())), "")
        return result.stderr if result.ok else None

    def _of_file(self) -> list[str]:
        """Return by name alone what may be a secret: what the loaded file sets, what a shell is asked."""
        text = Path(self.env_file).read_text("utf-8", "replace") if self.env_file else ""
        names = dict.fromkeys([*sections.ASSIGNED.findall(text), *self._withheld])
        return [name for name in names if name in self._names]


def _internal(path: Path, text: str, name: str) -> sections.Section:
    """Return where a task stands that only other tasks call, which task does not list."""
    lines_ = text.splitlines()
    start = re.compile(rf"\s+['\"]?{re.escape(name)}['\"]?:")
    first = next((n for n, line in enumerate(lines_) if start.match(line)), 0)
    indent = len(lines_[first]) - len(lines_[first].lstrip()) if lines_ else 0
    end = first + 1
    while end < len(lines_) and (
        not lines_[end].strip() or len(lines_[end]) - len(lines_[end].lstrip()) > indent
    ):
        end += 1
    return sections.Section(name, path.name, first + 1, lines_[first:end])


def _read(tasks: Sequence[Mapping[str, Any]]) -> Iterator[sections.Section]:
    """Yield the tasks, in their order, with what stands below each."""
    files: dict[str, list[str]] = {}
    starts = sorted((one["location"]["taskfile"], one["location"]["line"]) for one in tasks)
    for one in sorted(tasks, key=lambda task: task["location"]["line"]):
        place = one["location"]
        if place["taskfile"] not in files:
            files[place["taskfile"]] = Path(place["taskfile"]).read_text("utf-8").splitlines()
        text, first = files[place["taskfile"]], place["line"]
        end = next((n for f, n in starts if f == place["taskfile"] and n > first), len(text) + 1)
        name = Path(place["taskfile"]).name
        yield sections.Section(one["task"], name, first, text[first - 1 : end - 1])
