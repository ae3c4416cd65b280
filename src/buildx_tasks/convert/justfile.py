"""A justfile and recipes → the commands that just would run: just itself is asked."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any

from buildx_tasks.convert import sections
from buildx_tasks.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.convert.lines import Step
    from buildx_tasks.machine.commands import Commands

_ENV_CALLS = frozenset({"env", "env_var", "env_var_or_default"})
_INSTALL = (
    "just says what its recipes run, and is not here; install it, as in pip install rust-just (or, "
    "where it is: just --dry-run RECIPE 2> build.sh, and --from build.sh)"
)


class Justfile:
    """Asks just, which runs nothing for it: neither recipes nor what stands in backquotes."""

    def __init__(self, commands: Commands, path: Path, goals: Sequence[str]) -> None:
        if not shutil.which("just"):
            raise UsageError(f"--from: {path.name}: {_INSTALL}")
        self._commands = commands
        self.notes: dict[str, None] = {}
        self.path = path
        told = commands.query([*self._just(), "--dump", "--dump-format", "json"])
        if not told.ok:
            line = shlex.join([*self._just(), "--dump"])
            why = next(iter(told.stderr.strip().splitlines()), "it does not say why")
            raise UsageError(f"--from: just cannot read {path.name}: {why}; see {line}")
        self._dump: dict[str, Any] = json.loads(told.stdout)
        self._recipes: dict[str, Any] = self._dump["recipes"]
        aliases = {name: one["target"] for name, one in self._dump["aliases"].items()}
        for goal in goals:
            if goal not in self._recipes and goal not in aliases:
                hint = nearest(goal, self._recipes) or f"; there are: {', '.join(self._recipes)}"
                raise UsageError(f'--from: {path.name} has no recipe "{goal}"{hint}')
        self._sections = {one.name: one for one in self._read()}
        named = [aliases.get(goal, goal) for goal in goals]
        self._goals = named or [n for n, one in self._sections.items() if one.has_docker]
        if not self._goals:
            raise UsageError(f"--from: no recipe of {path.name} has a docker command; name them")
        self._called = _env_calls([self._dump["assignments"], self._recipes])

    @property
    def env_file(self) -> str:
        """The file that just loads into the environment, where it is told to."""
        said = self._dump["settings"]
        file = said.get("dotenv_path") or said.get("dotenv_filename") or ".env"
        loads = said.get("dotenv_load") or said.get("dotenv_filename") or said.get("dotenv_path")
        path = self.path.parent / file
        return os.path.relpath(path) if loads and path.is_file() else ""

    def steps(self, values: Mapping[str, str]) -> list[Step] | None:
        """Return the commands of the recipes with these values; None where just refuses them."""
        found: list[Step] = []
        for name, arguments in self._wanted(values):
            printed = self._run([name, *arguments], values)
            if printed is None:
                return None
            apart = not self._recipes[name]["shebang"]
            found += sections.steps(self._sections[name], printed, self._folder(name), apart=apart)
        return found

    def defaults(self, values: Mapping[str, str]) -> dict[str, str | None]:
        """Return the variables that a person can set: just's own, of its environment, parameters."""
        found: dict[str, str | None] = {}
        for name, fallback in self._called.items():
            found[name] = None if fallback is None else self._value(fallback, values)
        for name, one in self._dump["assignments"].items():
            known = _variable(name) in found or _called(one["value"]) or _asks_a_shell(one["value"])
            if not known:
                found[_variable(name)] = self._value(one["value"], values)
        for recipe, one in self._parameters():
            if one["default"] is not None:
                found[self._name(recipe, one)] = self._value(one["default"], values)
        return found

    def exported(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return what recipes have in their environment of just's variables."""
        everything = self._dump["settings"].get("export")
        found = {}
        for name, one in self._dump["assignments"].items():
            value = self._variable(name, values)
            if (everything or one["export"]) and value is not None:
                found[name] = value
        return {**found, **values}

    def said_by(self, _: str) -> str | dict[str, str]:
        """Nothing: what stands in backquotes is in the commands as it is."""
        return ""

    def asked(self, _: str) -> str:
        """Nothing: just runs nothing for it."""
        return ""

    def others(self, name: str, _: str) -> list[str]:
        """Return more values that a variable has to be tried with: what is compared in the file."""
        text = self.path.read_text("utf-8", "replace")
        found = re.findall(r"""[!=]=\s*["']([^"']+)["']""", text) if name in text else []
        return list(dict.fromkeys(found))[:4]

    def error(self) -> UsageError:
        """Return the error about recipes that just cannot work out."""
        line = shlex.join([*self._just(), "--dry-run", *self._goals])
        return UsageError(f"--from: just cannot work out {self.path.name}; see {line}")

    def _folder(self, recipe: str) -> str:
        """Return where a recipe runs."""
        said = self._dump["settings"]
        told = {"working-directory": said.get("working_directory") or ""}
        for one in self._recipes[recipe]["attributes"]:
            told.update(one if isinstance(one, dict) else {one: ""})
        if "no-cd" in told or said.get("no_cd"):
            return "."
        return os.path.normpath(self.path.parent / str(told["working-directory"]))

    def _just(self) -> list[str]:
        return ["just", "--justfile", str(self.path), "--no-dotenv", "--color", "never"]

    def _run(self, words: Sequence[str], values: Mapping[str, str]) -> str | None:
        own = {_variable(name): name for name in self._dump["assignments"]}
        asked = [one for one in own if _asks_a_shell(self._dump["assignments"][own[one]]["value"])]
        told = {**{name: f"${{{name}}}" for name in asked}, **values}
        set_ = [w for k, v in told.items() if k in own for w in ("--set", own[k], v)]
        unset = [word for name in self._called for word in ("-u", name)]
        environment = {
            name: values.get(name, f"${{{name}}}")
            for name, fallback in self._called.items()
            if name in values or fallback is None
        }
        named = [f"{name}={value}" for name, value in environment.items()]
        line = [*self._just(), "--dry-run", "--no-deps", "--yes", *set_, *words]
        result = self._commands.query(["env", *unset, *named, *line])
        return result.stderr if result.ok else None

    def _wanted(self, values: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
        """Yield the recipes with their arguments, what they hang on first, each once."""
        seen: set[tuple[str, ...]] = set()

        def with_dependencies(name: str, arguments: list[str]) -> Iterator[tuple[str, list[str]]]:
            if (name, *arguments) in seen or name not in self._sections:
                return
            seen.add((name, *arguments))
            scope = dict(zip([one["name"] for one in self._recipes[name]["parameters"]], arguments))
            for one in self._recipes[name]["dependencies"]:
                given = [self._value(word, values, scope) or "" for word in one["arguments"]]
                yield from with_dependencies(
                    one["recipe"], given or self._arguments(one["recipe"], values)
                )
            yield name, arguments

        for goal in self._goals:
            yield from with_dependencies(goal, self._arguments(goal, values))

    def _arguments(self, recipe: str, values: Mapping[str, str]) -> list[str]:
        found: list[str] = []
        for one in self._recipes[recipe]["parameters"]:
            name = self._name(recipe, one)
            default = one["default"]
            if one.get("long") or (default is None and one["kind"] == "star"):
                break
            told = None if default is None else self._value(default, values)
            if name not in values and default is not None and told is None:
                break  # just works it out
            found.append(values.get(name, f"${{{name}}}" if told is None else told))
        return found

    def _parameters(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for recipe in self._sections:
            for one in self._recipes[recipe]["parameters"]:
                yield recipe, one

    def _name(self, recipe: str, parameter: Mapping[str, Any]) -> str:
        """Return the variable that stands for a parameter: of its name, where that is one thing."""
        name = parameter["name"]
        alike = [one for _, one in self._parameters() if one["name"] == name]
        is_one = all(one["default"] == parameter["default"] for one in alike)
        if is_one and name not in self._dump["assignments"] and name not in self._called:
            return _variable(name)
        return _variable(f"{recipe}_{name}")

    def _variable(self, name: str, values: Mapping[str, str]) -> str | None:
        if _variable(name) in values:
            return values[_variable(name)]
        one = self._dump["assignments"].get(name)
        return self._value(one["value"], values) if one else None

    def _value(
        self, value: Any, values: Mapping[str, str], scope: Mapping[str, str] | None = None
    ) -> str | None:
        """Return what an expression comes to; None where only just can tell."""
        if isinstance(value, str):
            return value
        kind, *rest = value
        if kind == "variable":
            return (scope or {}).get(rest[0]) or self._variable(rest[0], values)
        if kind in {"concatenate", "join"}:
            parts = [self._value(one, values, scope) for one in rest]
            mark = "/" if kind == "join" else ""
            return None if None in parts else mark.join(map(str, parts))
        if called := _called(value):
            name, fallback = called
            told = None if fallback is None else self._value(fallback, values, scope)
            return values.get(name, told)
        return None

    def _read(self) -> Iterator[sections.Section]:
        text = self.path.read_text("utf-8", "replace").splitlines()
        for name in self._recipes:
            start = re.compile(rf"@?{re.escape(name)}(?=[\s:])(?!\s*:=).*:(?!=)")
            first = next((n for n, line in enumerate(text) if start.match(line)), None)
            if first is None:  # of another file
                yield sections.Section(name, self.path.name, 1, _of_dump(self._recipes[name]))
                continue
            end = first + 1
            while end < len(text) and (text[end][:1].isspace() or not text[end]):
                end += 1
            yield sections.Section(name, self.path.name, first + 1, text[first:end])


def _of_dump(recipe: Mapping[str, Any]) -> list[str]:
    return [str(line) for line in recipe["body"]]


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _called(value: Any) -> tuple[str, Any] | None:
    """Return what an expression asks of the environment, and what stands for it otherwise."""
    if not isinstance(value, list) or value[:1] != ["call"] or value[1] not in _ENV_CALLS:
        return None
    if not isinstance(value[2], str):
        return None
    return value[2], value[3] if value[3:] else None


def _asks_a_shell(value: Any) -> bool:
    """Say whether an expression is what a shell says, which just would print as it is written."""
    return isinstance(value, list) and (
        value[:2] == ["call", "shell"] or any(map(_asks_a_shell, value))
    )


def _env_calls(data: Any) -> dict[str, Any]:
    """Return all that is asked of the environment, each with what stands for it otherwise."""
    found: dict[str, Any] = {}
    if one := _called(data):
        found[one[0]] = one[1]
    for item in (data.values() if isinstance(data, dict) else data) or ():
        if isinstance(item, (dict, list)):
            found.update(_env_calls(item))
    return found
