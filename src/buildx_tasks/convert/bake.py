"""A bake or compose file, as ``bake --print`` resolves it → the text of a ``buildx.toml``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.convert.asking import Asking, Refused
from buildx_tasks.convert.attributes import given
from buildx_tasks.errors import ConfigError, UsageError, listed, nearest
from buildx_tasks.language import loading
from buildx_tasks.language.merging import ATTRIBUTES, as_csv
from buildx_tasks.language.targets import DEFAULT, LINK
from buildx_tasks.machine.files import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.machine.commands import Commands

_HEADER = "# Imported from {name}; variables, matrices and inheritance are worked out.\n\n"
_COMPOSABLE = ("attest", "cache-from", "cache-to", "output", "secret", "ssh")
_ESCAPED = {"$${": "${", "%%{": "%{"}
# bake prints these escaped, and all other strings as they are.
_ESCAPED_KEYS = frozenset({"annotations", "args", "dockerfile-inline", "extra-hosts", "labels"})
_WORKED_OUT = frozenset({"inherits", "matrix", "name"})
_LOCAL = "local"  # bake's word for this machine's own platform


class Imported(NamedTuple):
    """The text of a ``buildx.toml``, and what is to be said of how it came to be."""

    text: str
    notes: list[str]


def convert(commands: Commands, path: Path, targets: Sequence[str] = ()) -> Imported:
    """Return a ``buildx.toml`` that declares what the file's targets and groups come to.

    Variables, functions, matrices and inheritance are gone: bake has worked them out. With
    ``targets`` (or groups) only these are taken, and what they are built on.

    Raises:
        UsageError: bake cannot read the file, or no ``buildx.toml`` can say it; the message says why.

    """
    import tomli_w

    data, notes, names = read(commands, path, targets)
    text = _HEADER.format(name=names) + tomli_w.dumps(data, multiline_strings=True)
    _require_taken(path, text)
    return Imported(text, notes)


def read(
    commands: Commands, path: Path, targets: Sequence[str] = ()
) -> tuple[dict[str, Any], list[str], str]:
    """Return the data of that ``buildx.toml``, notes, and the names of the files; raise as above."""
    if not path.is_file():
        raise UsageError(f"--from: {path} is no file")
    asking = Asking(commands, path)
    try:
        entries = asking.ask("--list", "type=targets,format=json") or []
    except Refused as refused:
        raise asking.error(str(refused)) from None
    names = list(dict.fromkeys(entry["name"] for entry in entries))
    for name in targets:
        if name not in names:
            hint = nearest(name, names) or f"; it declares: {listed(names)}"
            raise UsageError(f'--target: {path.name} declares no target "{name}"{hint}')
    if not any(not entry.get("group") for entry in entries):
        raise UsageError(f"--from: {path.name} declares no target that is built")
    everything = _everything(asking, list(targets) or names)
    if not everything["target"]:
        raise UsageError(f"--from: {path.name} declares no target that is built")
    groups = {k: v for k, v in everything["group"].items() if k != DEFAULT}
    grouped = {entry["name"] for entry in entries if entry.get("group")}
    if DEFAULT in (targets or names) and DEFAULT in grouped:
        # Asked for by name, all of them would be in the default group.
        alone = _answer(asking, "--print", DEFAULT)
        groups = {DEFAULT: alone["group"][DEFAULT], **groups}
    notes = [*_about(asking), *_dropped(asking, everything["target"])]
    data: dict[str, Any] = {"group": groups} if groups else {}
    data["target"] = {name: _target(t) for name, t in everything["target"].items()}
    notes += _apart(data)
    return data, notes, ", ".join(file.name for file in asking.files)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        UsageError: it is there.

    """
    if path.exists():
        raise UsageError(f"--to: {path} is there already; name another file, or - to see it")
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
            f"--from: bake cannot work out all of {asking.path.name}: {said}; correct it (a secret's "
            f"file may be empty for this), or take the others: {left}"
        ) from None


def _about(asking: Asking) -> list[str]:
    """Return what is to be said of other files, and of the environment."""
    notes = [f"{file.name} was read too, as bake does" for file in asking.files[1:]]
    if asking.hidden:
        several = "are" if asking.hidden[1:] else "is"
        notes.append(
            f"{', '.join(asking.hidden)} {several} set here; the value may be a secret and was not "
            "taken: what the file says without it is written. For ${NAME}, declare [variable.NAME]"
        )
    return notes


def _dropped(asking: Asking, resolved: dict[str, Any]) -> list[str]:
    """Return the attributes that bake drops without a word."""
    notes = []
    for file, text in zip(asking.files, asking.texts):
        for target, key, line in given(text) if not asking.is_compose else ():
            place = f"{file.name}:{line}" if line else file.name
            if key not in ATTRIBUTES | _WORKED_OUT:
                hint = nearest(key, ATTRIBUTES | _WORKED_OUT)
                notes.append(f'{place}: target "{target}": bake knows no "{key}", left out{hint}')
            elif key in {"policy", "resources"} and key not in resolved.get(target, {}):
                why = f'"{key}" needs a newer buildx than is here, left out'
                notes.append(f'{place}: target "{target}": {why}')
    return list(dict.fromkeys(notes))


def _apart(data: dict[str, Any]) -> list[str]:
    """Give groups and targets of one name two: bake takes the group where that is asked for."""
    notes = []
    groups, targets = data.get("group", {}), data["target"]
    for name in [name for name in groups if name in targets]:
        # What is built where nothing is said must keep its name.
        kind = "target" if name == DEFAULT else "group"
        new = f"{name}-{kind}"
        while new in groups or new in targets:
            new += "-"
        if kind == "group":
            data["group"] = {new if key == name else key: one for key, one in groups.items()}
            for key, group in data["group"].items():
                members = group["targets"]
                group["targets"] = [new if m == name and key != new else m for m in members]
        else:
            data["target"] = {new if key == name else key: one for key, one in targets.items()}
            for group in groups.values():
                group["targets"] = [new if m == name else m for m in group["targets"]]
            for one in data["target"].values():
                for key, value in one.get("contexts", {}).items():
                    one["contexts"][key] = LINK + new if value == LINK + name else value
        groups, targets = data["group"], data["target"]
        notes.append(f'"{name}" is a target and a group; the {kind} is called "{new}" now')
    return notes


def _require_taken(path: Path, text: str) -> None:
    """Refuse to write what the tool would refuse to read."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, loading.FILE_NAME)
        file.write_text(text, encoding="utf-8")
        try:
            loading.load(file, environment={})
        except ConfigError as error:
            raise UsageError(
                f"--from: a buildx.toml cannot say what {path.name} does: "
                f"{str(error).partition(': ')[2]}; correct it there, or name the other targets with -t"
            ) from None


def _target(attributes: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = {}
    for key, value in attributes.items():
        if (key, value) in (("dockerfile", "Dockerfile"), ("context", ".")) or value in _NOTHING:
            continue
        if key == "platforms":
            target.update(_platforms(value))
        elif key in _COMPOSABLE:
            target[key] = [_ours(as_csv(key, entry) or entry) for entry in value]
        else:
            target[key] = _ours(_unescaped(value) if key in _ESCAPED_KEYS else value)
    # A target that only says the defaults still has to say something.
    return target or {"context": "."}


_NOTHING: tuple[Any, ...] = ("", None, [], {})


def _platforms(written: list[str]) -> dict[str, list[str]]:
    """Return the platforms, each once; none for this machine's own alone, which is the default."""
    if set(written) == {_LOCAL}:
        return {}
    own = str(platforms.host_platform())
    found: dict[Any, str] = {}
    for text in (own if text == _LOCAL else text for text in written if text):
        try:
            found.setdefault(platforms.parse(text), text)
        except ValueError:  # said when it is loaded
            found.setdefault(text, text)
    return {"platforms": list(found.values())}


def _unescaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unescaped(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return list(map(_unescaped, value))
    for escaped, plain in _ESCAPED.items():
        value = value.replace(escaped, plain)
    return value


def _ours(value: Any) -> Any:
    """Escape what our own file would take for a variable."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {_ours(key): _ours(item) for key, item in value.items()}
    return [_ours(item) for item in value if item != ""] if isinstance(value, list) else value
