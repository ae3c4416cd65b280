"""Structure: unknown keys, wrong types and values outside a closed set, each said in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from buildx_tasks.errors import nearest
from buildx_tasks.language.buildkitd import keys_of_daemon
from buildx_tasks.language.config import NAME, VARIABLE_NAME, BuildxToml
from buildx_tasks.language.merging import ATTRIBUTES
from buildx_tasks.language.targets import NO_TARGET

if TYPE_CHECKING:
    from buildx_tasks.errors import ConfigError
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Fail

_TYPE_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "a string",
}
_PATH = "^/"
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def check(data: dict[str, Any], fail: Fail) -> BuildxToml:
    """Return the data as typed structures.

    Raises:
        ConfigError: they are not what :mod:`~buildx_tasks.language.config` describes.

    """
    try:
        found = msgspec.convert(data, BuildxToml)
    except msgspec.ValidationError as error:
        _refuse_buildkitd(data, fail)
        # Slow, but only where there is an error to be named.
        _check_keys(data, msgspec.inspect.type_info(BuildxToml), (), fail)
        raise _type_error(data, str(error), fail) from None
    if not (found.target or found.artifact or found.audit.images):
        raise fail(("target",) if "target" in data else (), NO_TARGET)
    return found


def _refuse_buildkitd(data: dict[str, Any], fail: Fail) -> None:
    """Say what it is, where it is the configuration of BuildKit's daemon: many have it in this file."""
    ours = {one.encode_name for one in msgspec.structs.fields(BuildxToml)}
    found = keys_of_daemon(data)
    if not found:
        return
    first = found[0]
    value = data[first]
    if isinstance(value, dict):
        inner = next((f'."{k}"' for k in value if first == "registry"), "")
        inner = inner or next((f".{k}" for k in value if first == "worker"), "")
        shown = f"[builder.buildkitd.{first}{inner}]"
    else:
        shown = f"[builder.buildkitd] {first} = …"
    keys = ", ".join(f'"{key}"' for key in found)
    if ours.isdisjoint(data):
        raise fail(
            (first,),
            f"this is the configuration of BuildKit's daemon ({keys}), which buildx reads as "
            f"buildkitd.toml; rename it, or write it below [builder.buildkitd], as in {shown}",
        )
    raise fail(
        (first,),
        f"{keys} {'belong' if found[1:] else 'belongs'} to the configuration of BuildKit's daemon; "
        f"write {shown}",
    )


def _check_keys(data: Any, kind: Any, path: KeyPath, fail: Fail) -> None:
    """Raise for the first key that its table does not know, with the nearest one that it does."""
    if isinstance(kind, msgspec.inspect.Metadata):
        _check_keys(data, kind.type, path, fail)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for option in kind.types:
            _check_keys(data, option, path, fail)
    elif isinstance(data, list) and isinstance(kind, msgspec.inspect.ListType):
        for number, item in enumerate(data):
            _check_keys(item, kind.item_type, (*path, number), fail)
    elif not isinstance(data, dict):
        return
    elif isinstance(kind, msgspec.inspect.DictType):
        for key, value in data.items():
            _check_keys(value, kind.value_type, (*path, key), fail)
    elif isinstance(kind, msgspec.inspect.StructType):
        known = {field.encode_name: field for field in kind.fields}
        for key, value in data.items():
            if key not in known:
                table = _table(path) if path else "the file"
                if path[2:3] == ("platform",) and len(path) == 4 and key in ATTRIBUTES:
                    raise fail(
                        (*path, key),
                        f'"{key}" belongs to the whole image and not to one platform; move it to '
                        f"[target.{path[1]}]",
                    )
                inner = [name for name, field in known.items() if _knows(field.type, key)]
                if inner:
                    raise fail(
                        (*path, key),
                        f'"{key}" belongs to "{inner[0]}" in {table}; '
                        f"write {inner[0]} = {{ {key} = … }}",
                    )
                hint = nearest(key, known) or f"; {table} knows: {', '.join(sorted(known))}"
                raise fail((*path, key), f'unknown key "{key}" in {table}{hint}')
            _check_keys(value, known[key].type, (*path, key), fail)


def _type_error(data: dict[str, Any], message: str, fail: Fail) -> ConfigError:
    if wrong_key := re.fullmatch(r".* - at `key` in `\$(.*)`", message):
        return _key_error(data, _pin(data, _steps(wrong_key[1])), fail)
    reason, _, steps = message.partition(" - at `$")
    path = _pin(data, _steps(steps.rstrip("`")))
    if required := re.fullmatch(r"Object missing required field `(.+)`", reason):
        return fail(path, f'{_table(path)} lacks "{required[1]}"; add it')
    subject = f'"{path[-1]}"' if isinstance(path[-1], str) else f"item {path[-1] + 1}"
    if expected := re.fullmatch(r"Expected `(.+?)`(.*?)(?:, got `(.+)`)?", reason):
        got = f", not {_TYPE_NAMES.get(expected[3], expected[3])}" if expected[3] else ""
        return fail(path, f"{subject} must be {_wanted(expected[1], expected[2])}{got}", value=True)
    if choice := re.fullmatch(r"Invalid enum value '?(.*?)'?", reason):
        options = _options(path)
        return fail(
            path,
            f'{subject} cannot be "{choice[1]}"{nearest(choice[1], options) or ";"} '
            f"known: {', '.join(options)}",
            value=True,
        )
    return fail(path, f"{subject}: {reason}", value=True)


def _steps(text: str) -> list[str]:
    return [name or index for name, index in _STEP.findall(text)]


def _knows(kind: Any, key: str) -> bool:
    """Say whether a kind of value is a table that has this key."""
    return any(
        field.encode_name == key
        for option in _flat([kind])
        if isinstance(option, msgspec.inspect.StructType)
        for field in option.fields
    )


def _table(path: KeyPath) -> str:
    name = ".".join(part for part in path if isinstance(part, str))
    return f"[[{name}]]" if path and isinstance(path[-1], int) else f"[{name}]"


def _wanted(kinds: str, limit: str) -> str:
    # "array | null": null is TOML's absence, nothing that could be written.
    names = [_TYPE_NAMES.get(kind, kind) for kind in kinds.split(" | ") if kind != "null"]
    if limit.startswith(" matching regex '^\\\\$"):
        return "true, false or one variable, as in ${NAME}"
    for theirs, ours in (
        (" of length >= 1", " that is not empty"),
        ("> 0.0", "above 0"),
        (">= ", "of at least "),
        ("<= ", "of at most "),
        ("matching regex", "that matches"),
    ):
        limit = limit.replace(theirs, ours)
    return " or ".join(names) + limit


def _key_error(data: dict[str, Any], path: KeyPath, fail: Fail) -> ConfigError:
    table: Any = data
    for step in path:
        table = table[step]
    kind = path[-1]
    pattern = {"variable": VARIABLE_NAME, "files": _PATH}.get(str(kind), NAME)
    name = next(key for key in table if not re.search(pattern, key))
    if pattern == _PATH:
        return fail((*path, name), f'"{name}" is no path in the image; write it as in "/{name}"')
    letters = (
        'letters, digits and "_", no digit first'
        if kind == "variable"
        else ('letters, digits, "_" and "-"')
    )
    return fail((*path, name), f'{kind} name "{name}" may only have {letters}; rename it')


def _pin(data: dict[str, Any], steps: list[str]) -> KeyPath:
    """Turn msgspec's path, which calls every key of a dict ``...``, into the exact one."""
    path: KeyPath = ()
    here: Any = data
    for step in steps:
        if step != "...":
            path = (*path, int(step) if isinstance(here, list) else step)
            here = here[path[-1]]
            continue
        keys = range(len(here)) if isinstance(here, list) else list(here)
        for key in keys:
            if _fails(_only(data, (*path, key))):
                path, here = (*path, key), here[key]
                break
    return path


def _only(data: Any, path: KeyPath) -> Any:
    """Return ``data`` without the siblings of the last key of ``path``."""
    if len(path) == 1:
        return {path[0]: data[path[0]]}
    changed = _only(data[path[0]], path[1:])
    if isinstance(data, list):
        return [changed if number == path[0] else item for number, item in enumerate(data)]
    return {**data, path[0]: changed}


def _fails(data: dict[str, Any]) -> bool:
    try:
        msgspec.convert(data, BuildxToml)
    except msgspec.ValidationError:
        return True
    return False


def _options(path: KeyPath) -> list[str]:
    """Return the closed set of values that the key at ``path`` takes."""
    kinds: list[Any] = [msgspec.inspect.type_info(BuildxToml)]
    for part in path:
        kinds = [inner for kind in _flat(kinds) for inner in _inside(kind, part)]
    literals = [k for k in _flat(kinds) if isinstance(k, msgspec.inspect.LiteralType)]
    return [str(value) for kind in literals for value in kind.values]


def _flat(kinds: list[Any]) -> list[Any]:
    """Return the kinds behind unions and metadata."""
    flat = []
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.Metadata):
            flat += _flat([kind.type])
        elif isinstance(kind, msgspec.inspect.UnionType):
            flat += _flat(list(kind.types))
        else:
            flat.append(kind)
    return flat


def _inside(kind: Any, part: str | int) -> list[Any]:
    if isinstance(kind, msgspec.inspect.StructType):
        return [field.type for field in kind.fields if field.encode_name == part]
    if isinstance(kind, msgspec.inspect.DictType):
        return [kind.value_type]
    return [kind.item_type] if isinstance(kind, msgspec.inspect.ListType) else []
