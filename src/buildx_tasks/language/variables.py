"""``[variable.NAME]`` and ``${NAME}``: values from ``--set``, the environment or the default.

``${NAME}`` stands for a value in any string (:mod:`forms` has what else can stand there), ``$${`` for
the characters ``${``. An element of a list that holds a variable of type list stands for one element
for each of its values; one that ``${NAME:+…}`` leaves empty falls away. Keys are filled in as values are.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import re
import time
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.errors import ConfigError, UsageError, nearest
from buildx_tasks.language import forms
from buildx_tasks.language.git import Git, GitError, GitRefusedError
from buildx_tasks.language.given import Given, from_file
from buildx_tasks.language.kinds import breaks, kind_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Sources

_MARK = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_WHOLE = re.compile(r"\$\{([^{}]*)\}")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_LOCAL_PLATFORM = "BAKE_LOCAL_PLATFORM"  # bake's own
_BUILD_DATE = "build.date"
_FLAGS = frozenset({"no-cache", "pull"})
_MAPS = frozenset({"args", "labels", "extra-hosts"})


class Missing(Exception):  # noqa: N818 - a state, seldom an error
    """A declared variable has no value, and none was given."""


class Variables:
    """The variables of one file: each is worked out once, when it is first needed."""

    def __init__(
        self, declared: dict[str, dict[str, Any]], given: Given, git: Git, sources: Sources
    ) -> None:
        self._declared = declared
        self._given = given
        self._git = git
        self._sources = sources
        self._values: dict[str, Any] = {}
        self._open: list[str] = []
        epoch = given.environment.get("SOURCE_DATE_EPOCH", "")
        now = int(epoch) if epoch.isdigit() else time.time()
        self._built_at = f"{dt.datetime.fromtimestamp(now, dt.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        for name in given.sets:
            if name not in declared:
                known = nearest(name, declared) or f"; declared: {', '.join(declared) or 'none'}"
                raise UsageError(f"--set: no [variable.{name}] is declared{known}")

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment that the values come from."""
        return self._given.environment

    def check_all(self) -> None:
        """Work out what does not hang on git, so that a wrong value is found before it is used."""
        for name in self._declared:
            if not self.given_by_git(name):
                with contextlib.suppress(Missing):
                    self.value(name)

    def given_by_git(self, name: str) -> bool:
        """Say whether a declared variable has its value from git, and nobody gave another."""
        return self._raw(name) is None and self._hangs_on_git(name, set())

    def given_here(self, name: str) -> bool:
        """Say whether a declared variable has its value from the environment or a file of ``[env]``."""
        return name not in self._given.sets and self._raw(name) is not None

    def _hangs_on_git(self, name: str, seen: set[str]) -> bool:
        seen.add(name)
        text = str(self._declared[name].get("default", ""))
        names = {forms.name_of(body) for body in _WHOLE.findall(text)}
        return any(
            other.startswith("git.")
            or (other in self._declared and other not in seen and self._hangs_on_git(other, seen))
            for other in names
        )

    def value(self, name: str) -> Any:
        """Return a declared variable's value: str, int, float, bool or list of str.

        Raises:
            ConfigError: the value is not what the declaration says, or hangs on itself.
            Missing: there is none.

        """
        if name in self._values:
            return self._values[name]
        where = ("variable", name)
        if name in self._open:
            way = " → ".join([*self._open[self._open.index(name) :], name])
            raise self._sources.fail(
                (*where, "default"),
                f"variables hang on each other: {way}; give one of them a value of its own",
                value=True,
            )
        table = self._declared[name]
        raw = self._raw(name)
        kind = table.get("type") or kind_of(table.get("default"))
        if raw is not None:
            value = self._convert(name, kind, raw)
        elif "default" in table:
            self._open.append(name)
            try:
                value = self.fill(table["default"], (*where, "default"))
                if isinstance(value, dict):
                    value = from_file(self._sources.folder, value)
            except ValueError as error:
                raise self._sources.fail((*where, "default"), str(error), value=True) from None
            finally:
                self._open.pop()
            if kind_of(value) != kind:
                if not isinstance(value, str):
                    raise self._sources.fail(
                        (*where, "default"),
                        f"the default of [variable.{name}] is no {kind}; give it one or "
                        f'change its type to "{kind_of(value)}"',
                        value=True,
                    )
                value = self._convert(name, kind, value)
        else:
            raise Missing(name)
        self._validate(name, table.get("validation") or [], value)
        self._values[name] = value
        return value

    def _raw(self, name: str) -> str | None:
        return self._given.raw(name)

    def _convert(self, name: str, kind: str, raw: str) -> Any:
        low = raw.strip().lower()
        if kind == "string":
            return raw
        if kind == "list":
            return [item.strip() for item in raw.split(",") if item.strip()]
        if kind == "bool" and low in _TRUE | _FALSE:
            return low in _TRUE
        if kind == "number" and re.fullmatch(r"[+-]?\d+(\.\d+)?", low):
            return float(low) if "." in low else int(low)
        wanted = "true or false" if kind == "bool" else "a number"
        raise self._sources.fail(
            ("variable", name),
            f'[variable.{name}] must be {wanted}, not "{raw}"{self._given.origin(name)}',
        )

    def _validate(self, name: str, rules: Any, value: Any) -> None:
        items = value if isinstance(value, list) else [value]
        for rule in rules if isinstance(rules, list) else [rules]:
            wrong = next((r for item in items if (r := breaks(rule, item))), None)
            if wrong:
                shown = ",".join(value) if isinstance(value, list) else text_of(value)
                raise self._sources.fail(
                    ("variable", name),
                    f'[variable.{name}] cannot be "{shown}": {rule.get("message") or wrong}'
                    + self._given.origin(name),
                )

    def fill(self, data: Any, path: KeyPath, local: Mapping[str, Any] | None = None) -> Any:
        """Return ``data`` with all ``${…}`` in its strings replaced, in keys too.

        Raises:
            ConfigError: a variable is unknown or has no value.

        """
        if isinstance(data, str):
            return self._fill_text(data, path, local) if "${" in data else data
        if isinstance(data, dict):
            filled: dict[str, Any] = {}
            for written, item in data.items():
                where = (*path, written)
                key = self._fill_key(written, where, local) if "${" in written else written
                if key in filled:
                    raise self._sources.fail(where, f'"{key}" is there already; keep one')
                try:
                    filled[key] = self.fill(item, where, local)
                except Missing as missing:
                    if path[-1] not in _MAPS or not _WHOLE.fullmatch(item):
                        raise self._lacks(missing, where) from None
                    filled[key] = {"unset": True}
            return filled
        if isinstance(data, list):
            items: list[Any] = []
            for number, item in enumerate(data):
                where = (*path, number)
                try:
                    if isinstance(item, str) and "${" in item:
                        items += self._fill_element(item, where, local)
                    else:
                        items.append(self.fill(item, where, local))
                except Missing as missing:
                    raise self._lacks(missing, where) from None
            return items
        return data

    def _fill_key(self, key: str, where: KeyPath, local: Mapping[str, Any] | None) -> str:
        try:
            # In the place of a key, no list and no flag is meant.
            return str(self._fill_text(key, (*where, "key"), local))
        except Missing as missing:
            raise self._lacks(missing, where) from None

    def _fill_element(
        self, item: str, where: KeyPath, local: Mapping[str, Any] | None
    ) -> list[Any]:
        """Return what an element of a list comes to: one for each value of the lists in it."""
        parsed = [
            self._form(body, where)
            for body in dict.fromkeys(match[1] for match in _MARK.finditer(item) if match[1])
        ]
        if _WHOLE.fullmatch(item) and not (parsed and parsed[0].mark == ":+"):
            value = self._fill_text(item, where, local)
            return value if isinstance(value, list) else [value]
        lists = {
            form.name: value
            for form in parsed
            if isinstance(value := self._had(form, where, local), list)
        }
        filled = [
            self._fill_text(item, where, {**(local or {}), **dict(zip(lists, values))})
            for values in itertools.product(*lists.values())
        ]
        falls_away = any(form.mark == ":+" for form in parsed)
        return [one for one in filled if one != ""] if falls_away else filled

    def emptied(self, path: KeyPath) -> list[str]:
        """Return the variables in the text at ``path`` that are empty, for an error about it."""
        found: Any = self._sources.data
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                break
        names: dict[str, None] = {}
        waiting = [forms.name_of(body) for body in _WHOLE.findall(str(found))]
        while waiting:
            name = waiting.pop()
            if name in self._declared and name not in names:
                default = str(self._declared[name].get("default", ""))
                if self._values.get(name) == "":
                    names[name] = None
                if self._raw(name) is None:
                    waiting += [forms.name_of(body) for body in _WHOLE.findall(default)]
            elif name in [f"git.{one}" for one in self._git.empty]:
                names[name] = None
        return list(names)

    def _lacks(self, missing: Missing, path: KeyPath) -> ConfigError:
        name = missing.args[0]
        return self._sources.fail(
            path,
            f"[variable.{name}] has no value; give it a default, --set {name}=… or set it in "
            "the environment",
            value=True,
        )

    def _fill_text(self, text: str, path: KeyPath, local: Mapping[str, Any] | None) -> Any:
        whole = _WHOLE.fullmatch(text)
        if whole:
            value = self._look_up(whole[1], path, local)
            in_list = bool(path) and isinstance(path[-1], int)
            if isinstance(value, list):
                if in_list or path[0] == "variable":
                    return value
            elif not isinstance(value, dict):
                if path[-1] not in _FLAGS or path[-2] in _MAPS:
                    return text_of(value)
                if isinstance(value, bool):
                    return value
                raise self._sources.fail(
                    path,
                    f'"{path[-1]}" must be true or false, not "{value}"; give the variable '
                    'type = "bool"',
                    value=True,
                )

        def replace(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match[1] is None:
                raise self._sources.fail(
                    path, '"${" is not closed; write ${NAME}, or $${ for the characters', value=True
                )
            value = self._look_up(match[1], path, local)
            if isinstance(value, (list, dict)):
                if isinstance(value, list):
                    wrong = (
                        "is a list and cannot stand inside a text; use it as an element of a list"
                    )
                else:
                    key = next(iter(value), "key")
                    wrong = f"is a table; name one of its keys, as in ${{{match[1]}.{key}}}"
                raise self._sources.fail(path, f"${{{match[1]}}} {wrong}", value=True)
            return text_of(value)

        return _MARK.sub(replace, text)

    def _look_up(self, body: str, path: KeyPath, local: Mapping[str, Any] | None) -> Any:
        form = self._form(body, path)
        value = self._had(form, path, local)
        if not form.changes or isinstance(value, dict):
            return value
        try:
            if isinstance(value, list):
                return [form.changed(one) for one in value]
            return form.changed(text_of(value))
        except ValueError as error:
            raise self._sources.fail(path, f"${{{body}}}: {error}", value=True) from None

    def _form(self, body: str, path: KeyPath) -> forms.Form:
        try:
            return forms.parse(body)
        except ValueError as error:
            raise self._sources.fail(path, f"${{{body}}}: {error}", value=True) from None

    def _had(self, form: forms.Form, path: KeyPath, local: Mapping[str, Any] | None) -> Any:
        """Return what a form stands for, before it is changed."""
        name = form.name
        try:
            value = self._find(name, path, local)
        except Missing:
            if not form.mark:
                raise
            value = ""
        except GitRefusedError as error:
            raise self._sources.fail(
                path, f"${{{name}}} cannot be had: {error}", value=True
            ) from None
        except GitError as error:
            if not form.mark:
                raise self._sources.fail(
                    path,
                    f"${{{name}}} cannot be had: {error}; write ${{{name}:-text}} for a value to "
                    "use then",
                    value=True,
                ) from None
            value = ""
        if form.mark == ":+":
            return form.text if value not in ("", []) else ""
        return form.text if form.mark and value == "" else value

    def _find(self, name: str, path: KeyPath, local: Mapping[str, Any] | None) -> Any:
        if local is not None:
            axis, _, key = name.partition(".")
            if name in local:
                return local[name]
            if axis in local and isinstance(local[axis], dict) and key in local[axis]:
                return local[axis][key]
        if name.startswith("git.") and name[len("git.") :] in self._git.names:
            return self._git.get(name[len("git.") :])
        if name in self._declared:
            return self.value(name)
        if name == _BUILD_DATE:
            return self._built_at
        if name == _LOCAL_PLATFORM:
            return str(platforms.host_platform())
        if not name:
            raise self._sources.fail(
                path,
                '"${}" names no variable; write ${NAME}, or $${ for the characters',
                value=True,
            )
        known = [
            *self._declared,
            *(local or ()),
            _BUILD_DATE,
            *(f"git.{key}" for key in self._git.names),
        ]
        hint = nearest(name, known)
        literal = f"; or write $${{{name}}} for the text itself"
        raise self._sources.fail(
            path,
            f"${{{name}}} is no variable{hint or f'; declare [variable.{name}]'}{literal}",
            value=True,
        )
