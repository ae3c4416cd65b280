"""A Makefile, justfile, Taskfile, shell script or package.json → the text of a ``buildx.toml``."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert import choosing, lines, shell
from buildx_tasks.convert.baking import Bakes
from buildx_tasks.convert.comparing import TIME, compared
from buildx_tasks.convert.imported import Imported
from buildx_tasks.convert.justfile import Justfile
from buildx_tasks.convert.keeping import Answers, Kept, frozen, kept, steady
from buildx_tasks.convert.makefile import Makefile
from buildx_tasks.convert.sections import assignments
from buildx_tasks.convert.taskfile import Taskfile
from buildx_tasks.convert.writing import require_taken, text_of
from buildx_tasks.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.machine.commands import Commands

_MAKEFILE = re.compile(r"(?:GNU)?[Mm]akefile(?:\..*)?|.*\.(?:mk|make)")
_SHELL = re.compile(r".*\.(?:sh|bash)")
_HEADER = "Imported from {name}; what stands in no target is in the comments."
_SOURCED = re.compile(
    r"""(?m)(?:^|[;&]\s*|\s)(?:source|\.)\s+["']?((?:\./)?[\w./-]*\.env[\w.-]*)"""
)
_RECIPES: dict[str, type[Justfile | Taskfile]] = {
    "justfile": Justfile,
    ".justfile": Justfile,
    "taskfile.yml": Taskfile,
    "taskfile.yaml": Taskfile,
    "taskfile.dist.yml": Taskfile,
    "taskfile.dist.yaml": Taskfile,
}


def is_script(path: Path) -> bool:
    """Say whether a file is read here, and not by bake."""
    name = path.name.lower()
    return bool(
        _MAKEFILE.fullmatch(path.name)
        or _SHELL.fullmatch(path.name)
        or name == "package.json"
        or name in _RECIPES
        or name.endswith(".just")
    )


def convert(commands: Commands, path: Path, goals: Sequence[str]) -> Imported:
    """Return a ``buildx.toml`` with a target for each build of the goals, and what else they do.

    Raises:
        UsageError: the file cannot be read, has no such goal, or builds nothing.

    """
    if not path.is_file():
        raise UsageError(f"--from: {path} is no file")
    bakes = Bakes(commands)
    if path.name == "package.json" or _SHELL.fullmatch(path.name):
        found, made = _of_script(path, goals, bakes)
        sourced = [Path(one) for one in _SOURCED.findall(path.read_text("utf-8", "replace"))]
        env_file = next((str(one) for one in sourced if one.is_file()), "")
    else:
        runner = _runner(commands, path, goals)
        found, made = _of_runner(runner, bakes)
        env_file = runner.env_file
    if not found.data["target"]:
        noted = "".join(f"; {note}" for note in found.notes)
        raise UsageError(f"--from: {path.name} builds nothing with docker{noted}")
    comments = [_HEADER.format(name=path.name), *frozen(made)]
    data = {**made.data, "variable": {**made.data.get("variable", {}), **made.variables}}
    if not data["variable"]:
        del data["variable"]
    if env_file and "variable" in data:
        data["env"] = {"file": env_file}
    data, left = choosing.usable(data)
    require_taken(text_of(data), path.name, Path())
    data, several = choosing.with_default(data)
    said = {name: list(map(_from_here, told)) for name, told in found.comments.items()}
    text = text_of(dict(sorted(data.items(), key=_order)), comments, said)
    built = [one for one in found.built if one.target in data["target"]]
    told = compared(commands, text, built, found.data.get("variable", {}))
    notes = [*_results(built, told), *left, *several, *found.notes]
    return Imported(text, [*map(_from_here, notes), *comments[1:]])


def _from_here(said: str) -> str:
    """Return a text without this machine's path of the folder."""
    return re.sub(rf"{re.escape(str(Path.cwd()))}(/|\b)", lambda m: "" if m[1] else ".", said)


def _results(commands: Sequence[lines.Built], told: Sequence[str]) -> Iterator[str]:
    """Yield for each command that builds what became of it, and whether that builds the same."""
    for built, result in zip(commands, told):
        platform = f" on {built.platform}" if built.platform else ""
        yield f"{built.said} is [target.{built.target}]{platform}, {result}"


def _runner(commands: Commands, path: Path, goals: Sequence[str]) -> Makefile | Justfile | Taskfile:
    if _MAKEFILE.fullmatch(path.name):
        return Makefile(commands, path, goals)
    return _RECIPES.get(path.name.lower(), Justfile)(commands, path, goals)


def _of_runner(runner: Makefile | Justfile | Taskfile, bakes: Bakes) -> tuple[lines.Found, Kept]:
    def its_own(values: Mapping[str, str]) -> dict[str, str]:
        return {**of_git, **{name: value for name, value in values.items() if name in known}}

    def read(values: Mapping[str, str]) -> lines.Found | None:
        own = its_own(values)
        steps = runner.steps(own)
        if steps is None:
            return None
        exported = runner.exported(own)
        return lines.read([*assignments(exported), *steps], bakes, {**values, **exported})

    def answers(values: Mapping[str, str]) -> dict[str, Any] | None:
        found = read(values)
        return found.data if found else None

    def defaults(values: Mapping[str, str]) -> dict[str, str | None]:
        return {**bakes.defaults(), **runner.defaults(its_own(values))}

    def others(name: str, probe: str) -> list[str]:
        return [*runner.others(name, probe), *bakes.others(name, probe)]

    known = runner.defaults({})
    # What is written is what holds without git: here it may say nothing, or what no tag may be.
    of_git = {
        name: "dev"
        for name, value in known.items()
        if str(runner.said_by(name)).endswith(":-dev}")
        or (not value and "git" in runner.asked(name))
    }
    found = read({})
    if found is None:
        raise runner.error()
    if not found.data["target"]:
        return found, Kept(found.data, {}, [], [])
    asked: Answers = answers
    if TIME.search(str(found.data)):
        time.sleep(1.1)  # the seconds in which a time is told
        asked = steady(answers, found.data, answers({}) or found.data)
    made = kept(asked, defaults, found.data, others)
    found.notes.extend(runner.notes)
    own = found.data.get("variable", {})
    made = made._replace(frozen=[name for name in made.frozen if name not in own])
    for name, table in made.variables.items():
        if told := runner.said_by(name):
            table["default"] = told
        elif asks := runner.asked(name):
            says = f"{asks} says, and here" if name in of_git else f"{asks} says here:"
            found.notes.append(f"{name} is what {says} {table.get('default', '')}")
    return found, made


def _of_script(path: Path, goals: Sequence[str], bakes: Bakes) -> tuple[lines.Found, Kept]:
    def answers(values: Mapping[str, str]) -> dict[str, Any] | None:
        return lines.read(steps, bakes, values).data

    steps = list(_package(path, goals) if path.name == "package.json" else _script(path))
    found = lines.read(steps, bakes)
    own = found.data.get("variable", {})
    of_bake = {name: one for name, one in bakes.defaults().items() if name not in own}
    made = kept(answers, lambda _: of_bake, found.data, bakes.others)
    return found, made._replace(
        data={key: one for key, one in made.data.items() if key != "variable"},
        variables={**made.data.get("variable", {}), **made.variables},
    )


def _package(path: Path, goals: Sequence[str]) -> Iterator[lines.Step]:
    text = path.read_text("utf-8-sig", "replace")
    try:
        scripts = dict(json.loads(text).get("scripts", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"--from: {path.name} has no table of scripts: {error}") from None
    for goal in goals:
        if goal not in scripts:
            hint = nearest(goal, scripts) or f"; there are: {', '.join(scripts)}"
            raise UsageError(f'--from: {path.name} has no script "{goal}"{hint}')
    for name, script in scripts.items():
        if not goals or name in goals:
            at = text.find(f"{json.dumps(name)}:")
            place = f"{path.name}:{text.count(chr(10), 0, max(at, 0)) + 1}"
            for command in shell.commands(str(script)):
                yield lines.Step(command, name, place, os.path.relpath(path.parent))


def _script(path: Path) -> Iterator[lines.Step]:
    text = path.read_text("utf-8-sig", "replace")
    text = re.sub(r"(?m)^task: \[[^\]]*\] ", "", text)  # as task --dry prints it
    for command in shell.commands(text, os.path.relpath(path.parent)):
        yield lines.Step(command, path.stem, f"{path.name}:{command.line}")


def _order(item: tuple[str, Any]) -> int:
    return ["env", "variable", "builder", "emulators", "group", "target"].index(item[0])
