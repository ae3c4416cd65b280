"""Bake and compose files, as ``bake --print`` resolves them → the text of a ``buildx.toml``."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from buildx_tasks import references
from buildx_tasks.convert import beside, hcl
from buildx_tasks.convert.asking import STAND_IN, Asking, Refused
from buildx_tasks.convert.attributes import given, without_comments
from buildx_tasks.convert.declared import Declared, as_declared
from buildx_tasks.convert.imported import Imported
from buildx_tasks.convert.keeping import Kept, frozen, kept, steady
from buildx_tasks.convert.printed import data_of
from buildx_tasks.convert.writing import require_taken, text_of
from buildx_tasks.errors import UsageError, listed, nearest
from buildx_tasks.language.merging import ATTRIBUTES
from buildx_tasks.language.targets import DEFAULT
from buildx_tasks.machine.files import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.machine.commands import Commands

_DECLARING = re.compile(r'\b(?:inherits|matrix)"?\s*[=:]')
_NOT_APART = "the file has something that only bake can take apart."
_FUNCTION = re.compile(r"\b[a-z][a-z0-9_]*\(")
_WORKED_OUT = frozenset({"inherits", "matrix", "name"})


def convert(commands: Commands, paths: Sequence[Path], targets: Sequence[str] = ()) -> Imported:
    """Return a ``buildx.toml`` that declares what the files' targets and groups come to.

    Variables, inheritance and matrices stay where the new file then says what bake says, for the defaults
    and for each variable changed. What functions say is worked out by bake. With ``targets`` (or groups)
    only these are taken, and what they are built on.

    Raises:
        UsageError: bake cannot read a file, or no ``buildx.toml`` can say it; the message says why.

    """
    for path in paths:
        if "://" in str(path) or re.match(r"https?:/|git@", str(path)):
            raise UsageError(
                f"--from: {path} is a remote address, which is not read; clone it first"
            )
        if not path.is_file():
            raise UsageError(f"--from: {path} is no file")
    asking = Asking(commands, paths)
    blocks = hcl.blocks(asking.of_bake)
    plain, answer, notes = _read(asking, targets, blocks)
    if _tell(asking, plain, answer):
        plain, answer, notes = _read(asking, targets, blocks)
    if asking.is_fleeting:
        time.sleep(1.1)  # the seconds in which a time is told
        answer = steady(answer, plain, answer({}) or plain)
    found = kept(answer, asking.defaults, plain, asking.others)
    told = as_declared(found, blocks)
    variables = {**found.variables, **told.variables}
    data: dict[str, Any] = {}
    if set(variables).intersection(asking.of_dot_env):
        data["env"] = {"file": ".env"}
    if variables:
        data["variable"] = variables
    data.update(told.data)
    comments = [f"Imported from {', '.join(file.name for file in asking.files)}."]
    if any(_FUNCTION.search(without_comments(text)) for text in asking.of_bake):
        comments[0] = f"{comments[0][:-1]}; what functions say is worked out."
    secretly = [name for name in found.unused if asking.uses(name)]
    found = found._replace(
        frozen=[*(one for one in found.frozen if one not in told.variables), *secretly],
        unused=[name for name in found.unused if name not in secretly],
        variables=variables,
    )
    comments += [*frozen(found), *_worked_out(told)]
    if not blocks and any(_DECLARING.search(without_comments(text)) for text in asking.of_bake):
        comments.append(f"Inheritance and matrices are worked out: {_NOT_APART}")
    text = text_of(data, comments)
    require_taken(text, asking.name, Path())
    notes = [*_about(asking, found), *notes, *comments[1:]]
    return Imported(text, notes)


def _read(
    asking: Asking, targets: Sequence[str], blocks: Mapping[str, hcl.Block]
) -> tuple[dict[str, Any], Callable[[Mapping[str, str]], dict[str, Any] | None], list[str]]:
    """Return the data of that ``buildx.toml``, what gives it for other values, and notes."""
    try:
        entries = asking.ask("--list", "type=targets,format=json") or []
    except Refused as refused:
        raise asking.error(str(refused)) from None
    names = list(dict.fromkeys(entry["name"] for entry in entries))
    for name in targets:
        if name not in names:
            hint = nearest(name, names) or f"; it declares: {listed(names)}"
            raise UsageError(f'--target: {asking.name} declares no target "{name}"{hint}')
    if not any(not entry.get("group") for entry in entries):
        raise UsageError(f"--from: {asking.name} declares no target that is built")
    matrices = [name for name, block in blocks.items() if block.title]
    wanted = list(targets) or _declared(entries, blocks) or names
    everything = _everything(asking, wanted)
    parents = _parents(everything, blocks)
    if parents:
        wanted += parents
        everything = _everything(asking, wanted)
    if not everything["target"]:
        raise UsageError(f"--from: {asking.name} declares no target that is built")
    grouped = {entry["name"] for entry in entries if entry.get("group")}
    default: dict[str, Any] = {}
    if DEFAULT in wanted and DEFAULT in grouped:
        # Asked for by name, all of them would be in the default group.
        default = {DEFAULT: _answer(asking, "--print", DEFAULT)["group"][DEFAULT]}

    def answer(values: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            printed = asking.ask("--print", *wanted, values=values)
        except Refused:
            return None
        return data_of(printed, default, matrices, is_compose=asking.is_compose)[0]

    plain, notes = data_of(everything, default, matrices, is_compose=asking.is_compose)
    return plain, answer, [*_dropped(asking, everything["target"]), *notes]


def _tell(
    asking: Asking,
    plain: Mapping[str, Any],
    answer: Callable[[Mapping[str, str]], dict[str, Any] | None],
) -> bool:
    """Give those variables a value without which a tag is none; say whether there are any."""
    before = _tags(plain)
    if all(map(_is_tag, before)):
        return False
    open_ = [name for name, default in asking.defaults({}).items() if not default]
    found = {name: answer({name: STAND_IN}) for name in open_}
    told = {name: STAND_IN for name, one in found.items() if one and _tags(one) != before}
    asking.told.update(told)
    return bool(told)


def _tags(data: Mapping[str, Any]) -> list[str]:
    return [tag for target in data["target"].values() for tag in target.get("tags", ())]


def _is_tag(text: str) -> bool:
    try:
        references.parse(text)
    except ValueError:
        return False
    return True


def _declared(entries: Sequence[Mapping[str, Any]], blocks: Mapping[str, hcl.Block]) -> list[str]:
    """Return what the files declare of all that bake lists: not the targets that a matrix makes."""
    names = [one["name"] for one in entries if one.get("group") or one["name"] in blocks]
    return list(dict.fromkeys(names)) if blocks else []


def _parents(everything: Mapping[str, Any], blocks: Mapping[str, hcl.Block]) -> list[str]:
    """Return what is inherited from, and is not printed: what bake hides, or nobody asked for."""
    there = {*everything["target"], *everything["group"]}
    waiting = [name for name in blocks if name in there]
    found: dict[str, None] = {}
    while waiting:
        for name in blocks[waiting.pop()].inherits:
            if name in blocks and name not in found:
                found[name] = None
                waiting.append(name)
    return [name for name in found if name not in there]


def _worked_out(told: Declared) -> list[str]:
    """Return comments about what is not as it is declared."""
    several = "are" if told.worked_out[1:] else "is"
    named = f"{', '.join(told.worked_out)} {several} worked out"
    return [f"{named}: what a target inherits, or its matrix, would come to something else."][
        : len(told.worked_out)
    ]


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        UsageError: it is there.

    """
    if path.exists():
        raise UsageError(
            f"--to: {path} is there already; move it away, name another file, or - to see it"
        )
    write_file(path, text)


def _answer(asking: Asking, *options: str) -> Any:
    try:
        return asking.ask(*options)
    except Refused as refused:
        raise asking.error(str(refused)) from None


def _everything(asking: Asking, names: list[str]) -> Any:
    """Return what all of these come to; where bake refuses, say which of them it refuses."""
    try:
        return asking.ask("--print", *names)
    except Refused as refused:
        broken: dict[str, str] = {}
        for name in names if len(names) > 1 else ():
            try:
                asking.ask("--print", name)
            except Refused as own:
                broken[name] = str(own)
        good = [name for name in names if name not in broken]
        if not broken or not good:
            raise asking.error(str(refused)) from None
        said = "; ".join(f'target "{name}": {why}' for name, why in broken.items())
        left = " ".join(f"-t {name}" for name in good)
        raise UsageError(
            f"--from: bake cannot work out all of {asking.name}: {said}; correct it (a secret's "
            f"file may be empty for this), or take the others: {left}"
        ) from None


def _about(asking: Asking, found: Kept) -> list[str]:
    """Return what is to be said of other files, and of the environment."""
    named = {path.resolve() for path in asking.named}
    over = [file for file in asking.files if file.resolve() not in named]
    notes = [f"{file.name} was read too, over what it stands beside" for file in over]
    notes += beside.others(asking.files)
    notes += [
        f"{name} comes from the environment; without it, it is {value}"
        for name, value in asking.told.items()
        if name in found.variables
    ]
    notes += [f"{name} is written as what it is on this machine" for name in asking.kept]
    if found.unused:
        notes.append(f"{', '.join(found.unused)}: used by no target, left out")
    hidden = [name for name in asking.hidden if name not in found.variables]
    if hidden:
        several = "are" if hidden[1:] else "is"
        notes.append(
            f"{', '.join(hidden)} {several} set here; the value may be a secret and was not "
            "taken: what the file says without it is written. For ${NAME}, declare [variable.NAME]"
        )
    for file, text in zip(asking.files, asking.texts):
        if file.suffix in {".yaml", ".yml"}:
            notes += beside.platforms(file.name, text)
        else:
            notes += beside.fleeting(file.name, text)
    return notes


def _dropped(asking: Asking, resolved: dict[str, Any]) -> list[str]:
    """Return the attributes that bake drops without a word."""
    notes = []
    for file, text in zip(asking.files, asking.texts):
        for target, key, line in given(text) if file.suffix not in {".yaml", ".yml"} else ():
            place = f"{file.name}:{line}" if line else file.name
            if key not in ATTRIBUTES | _WORKED_OUT:
                hint = nearest(key, ATTRIBUTES | _WORKED_OUT)
                notes.append(f'{place}: target "{target}": bake knows no "{key}", left out{hint}')
            elif key in {"policy", "resources"} and key not in resolved.get(target, {}):
                why = f'"{key}" needs a newer buildx than is here, left out'
                notes.append(f'{place}: target "{target}": {why}')
    return list(dict.fromkeys(notes))
