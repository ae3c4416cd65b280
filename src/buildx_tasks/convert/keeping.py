"""Which variables of another tool stay variables: each is changed, and what comes of it compared.

The other tool is asked with each variable changed, and with all of them. Where a changed value comes
out again it was put in by ``${NAME}``; what then loads must be, for the defaults and for each variable
changed, what the other tool said. A variable for which it is not is worked out, and named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from buildx_tasks.convert.writing import loaded, text_of
from buildx_tasks.errors import BuildxTasksError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Data = dict[str, Any]
# What the other tool says for these values, as data of a buildx.toml; None: it refuses them.
Answers = Callable[["Mapping[str, str]"], Optional[Data]]
# More values that a variable is to be tried with: its name, and the value that is tried anyway.
Others = Callable[[str, str], "list[str]"]
# The defaults as they are for these values: None for a variable that has none.
Defaults = Callable[["Mapping[str, str]"], "Mapping[str, str | None]"]

_PLATFORMS = ("linux/riscv64", "linux/s390x", "linux/ppc64le", "linux/mips64le", "linux/loong64")
_MARK = "zq"  # how a changed value begins
_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
_DEFAULTS = {"context": ".", "dockerfile": "Dockerfile"}
_FLAGS = {"true": "false", "false": "true"}


class Kept(NamedTuple):
    """Data with ``${NAME}`` in it, the tables of these variables, and those that were worked out.

    ``says`` tells whether other data, with more variables, come to the same.
    """

    data: Data
    variables: Data
    frozen: list[str]
    unused: list[str]
    defaults: Mapping[str, str | None] = {}
    says: Callable[[Data, Data], bool] = lambda _, __: False


def frozen(found: Kept) -> list[str]:
    """Return comments about the variables that are none any more."""
    several = "are" if found.frozen[1:] else "is"
    return [
        f"{', '.join(found.frozen)} {several} worked out: no ${{NAME}} says what it does in all cases."
    ][: len(found.frozen)]


def kept(answers: Answers, defaults: Defaults, plain: Data, other: Others) -> Kept:
    """Return ``plain`` (the answer for no values) with the variables in it that can stay.

    ``other`` gives more values of a variable that are to be tried, beside one that is another value.
    """
    return _Keeping(answers, defaults, plain, other).kept()


def steady(answers: Answers, plain: Data, again: Data) -> Answers:
    """Return answers in which what is another value each time is as it is in ``plain``."""
    places = _differences(plain, again)

    def steadied(values: Mapping[str, str]) -> Data | None:
        answer = answers(values)
        for path in places if answer else ():
            if _MARK not in str(_at(answer, path)):
                _put(answer, path, _at(plain, path))
        return answer

    return steadied


class _Keeping:
    def __init__(self, answers: Answers, defaults: Defaults, plain: Data, other: Others) -> None:
        self._answers = answers
        self._other = other
        self._plain = plain
        self._defaults = dict(defaults({}))
        self._all_defaults = defaults
        self._probes = _probes(self._defaults, str(plain))
        self._tried: dict[str, list[tuple[str, Data]]] = {}
        self._lists: set[str] = set()

    def kept(self) -> Kept:
        unused = []
        for name, probe in self._probes.items():
            values = [probe, *(self._other(name, probe) if self._is_text(name) else ())]
            found = [(value, self._answers({name: value})) for value in values]
            self._tried[name] = [(value, answer) for value, answer in found if answer is not None]
            if all(answer == self._plain for _, answer in found):
                unused.append(name)
        names = [name for name, probe in self._probes.items() if name not in unused]
        names = [name for name in names if self._tried[name][:1]]
        names = [name for name in names if self._tried[name][0][0] == self._probes[name]]
        names.sort(key=self._shapes)  # what is simple first
        good = [name for name in names if not self._shapes(name)]
        if self._wrong(good):
            good = []  # one by one: a wrong one must not take the others with it
        for name in [name for name in names if name not in good]:
            for as_list in (False, True)[: 1 + self._is_text(name)]:
                if self._defaults[name] == "" and self._shapes(name) and not as_list:
                    continue  # what is there only with a value is no text of one
                self._lists.difference_update([name])
                self._lists.update([name] * as_list)
                if not self._wrong([*good, name]):
                    good.append(name)
                    break
        frozen = [name for name in self._probes if name not in {*good, *unused}]
        data, variables = self._made(good) if good else (self._plain, {})

        def says(other: Data, more: Data) -> bool:
            text = text_of({**other, "variable": {**variables, **more}})
            tried = [({n: v}, one) for n in (*good, *more) for v, one in self._tried[n]]
            known = all(self._tried[name] for name in more)
            return known and all(_same(text, v, a) for v, a in [({}, self._plain), *tried])

        return Kept(data, variables, frozen, unused, self._defaults, says)

    def _shapes(self, name: str) -> bool:
        """Say whether a variable decides how many elements there are, and not what is in them."""
        return any(_shape(answer) != _shape(self._plain) for _, answer in self._tried[name])

    def _is_text(self, name: str) -> bool:
        return (self._defaults[name] or "").lower() not in _FLAGS

    def _made(self, names: list[str]) -> tuple[Data, Data]:
        """Return the answer with ``${NAME}`` where a changed value is, and the variables' tables."""
        marked = {name: self._probes[name] for name in names if self._is_text(name)}
        joint = self._answers(marked) if marked else self._plain
        if joint is None:
            return self._plain, {}
        data = _named(joint, marked)
        variables: Data = {}
        for name in names:
            if name not in marked:
                for path in _differences(self._plain, self._tried[name][0][1]):
                    _put(data, path, self._flagged(name, path, _at(data, path)))
                variables[name] = {"default": (self._defaults[name] or "").lower() == "true"}
                continue
            default = self._defaults[name]
            if default is None or _TIME.match(default):
                default = _default_of(self._plain, self._tried[name][0][1], self._probes[name])
            else:
                others = {one: probe for one, probe in marked.items() if one != name}
                less = dict(self._all_defaults(others)).get(name) or ""
                hangs = any(probe in less for probe in others.values())
                default = _named(_ours(less if hangs else default), others if hangs else {})
            if name in self._lists:
                words = re.split(r"[,\s]+", default.strip(", ")) if default else []
                variables[name] = {"type": "list", "default": words}
            else:
                variables[name] = {} if default is None else {"default": default}
        return data, variables

    def _flagged(self, name: str, path: tuple[Any, ...], text: Any) -> str:
        """Return what stands for a flag in a text, or in place of a value."""
        before, after = _at(self._plain, path), _at(self._tried[name][0][1], path)
        old, new = self._defaults[name] or "", self._probes[name]
        if isinstance(text, str) and str(before).replace(old, new) == after:
            return text.replace(old, f"${{{name}}}")
        return f"${{{name}}}"

    def _wrong(self, names: list[str]) -> list[str]:
        """Return the variables for which what would be written is not what the other tool says."""
        data, variables = self._made(names)
        text = text_of({**data, "variable": {**data.get("variable", {}), **variables}})
        wrong = [
            name
            for name in names
            if any(not _same(text, {name: value}, answer) for value, answer in self._tried[name])
        ]
        if not wrong and (not _comes_to(text, {}) or not _same(text, {}, self._plain)):
            return list(names)
        return wrong


def several(probe: str) -> str:
    """Return two values like one, with a comma between them."""
    if probe in _PLATFORMS:
        return f"{probe},linux/386"
    return f"{probe}8,{probe}9" if probe.isdigit() else f"{probe}y,{probe}z"


def _shape(data: Any) -> Any:
    """Return a tree without its texts."""
    if isinstance(data, dict):
        return {key: _shape(item) for key, item in data.items()}
    return [_shape(item) for item in data] if isinstance(data, list) else type(data)


def _probes(defaults: Mapping[str, str | None], text: str) -> dict[str, str]:
    """Return another value for each variable, which says nothing of the others'."""
    free = [one for one in _PLATFORMS if one not in text]
    found = {}
    for number, (name, default) in enumerate(defaults.items()):
        letters = chr(ord("a") + number // 26 % 26) + chr(ord("a") + number % 26)
        low = (default or "").lower()
        if low in _FLAGS:
            found[name] = _FLAGS[low]
        elif low.isdigit():
            found[name] = f"9{number:03}7"
        elif low.startswith("linux/") and free:
            found[name] = free.pop(0)
        else:
            found[name] = f"{_MARK}{letters}x"
    return found


def _same(text: str, values: Mapping[str, str], answer: Data) -> bool:
    # What is refused either way is the same: a value that is tried may be no platform.
    return bool(_comes_to(text, values) == _comes_to(text_of(answer), {}))


def _comes_to(text: str, values: Mapping[str, str]) -> Any:
    """Return what bake would be told; None where it cannot be loaded."""
    try:
        config = loaded(text, Path(), values)
    except BuildxTasksError:
        return None
    attributes = {name: dict(target.attributes) for name, target in config.target.items()}
    for table in attributes.values():
        for key, value in _DEFAULTS.items():  # which a table without anything else says
            if table.get(key) == value:
                del table[key]
    # bake tells the targets of a matrix in any order.
    groups = {name: sorted(group.targets) for name, group in config.group.items()}
    return attributes, groups, config.builder, config.emulators


def _named(data: Any, marked: Mapping[str, str]) -> Any:
    """Return data with ``${NAME}`` where a variable's changed value stands."""
    if isinstance(data, str):
        for name, probe in marked.items():
            data = data.replace(probe, f"${{{name}}}")
        return data
    if isinstance(data, dict):
        return {_named(key, marked): _named(item, marked) for key, item in data.items()}
    return [_named(item, marked) for item in data] if isinstance(data, list) else data


def _ours(text: str | None) -> str | None:
    return None if text is None else text.replace("${", "$${")


def _steps(data: Any) -> Iterable[Any]:
    return data if isinstance(data, dict) else range(len(data))


def _differences(one: Any, other: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the leaves of two trees differ."""
    if type(one) is not type(other) or not isinstance(one, (dict, list)):
        return [] if one == other else [path]
    found = []
    for step in dict.fromkeys([*_steps(one), *_steps(other)]):
        try:
            pair = one[step], other[step]
        except (KeyError, IndexError):
            found.append((*path, step))
            continue
        found += _differences(*pair, (*path, step))
    return found


def _put(data: Any, path: tuple[Any, ...], value: str) -> None:
    try:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value
    except (KeyError, IndexError, TypeError):  # not to be said this way, which is found out later
        return


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    try:
        for step in path:
            data = data[step]
    except (KeyError, IndexError, TypeError):
        return None
    return data


def _default_of(plain: Data, changed: Data, probe: str) -> str | None:
    """Return the text that stands where a changed value does; None where there is none."""
    for path in _differences(plain, changed):
        before, after = _at(plain, path), _at(changed, path)
        if isinstance(before, str) and isinstance(after, str) and after.count(probe) == 1:
            start, _, end = after.partition(probe)
            if before.startswith(start) and before.endswith(end):
                return before[len(start) : len(before) - len(end)]
    return None
