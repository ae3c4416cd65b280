"""``buildx.toml`` → :class:`~buildx_tasks.config.Config`, or one clear error with its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable

import msgspec
import tomli

from buildx_tasks import platforms, references
from buildx_tasks.config import Config
from buildx_tasks.errors import ConfigError, nearest
from buildx_tasks.positions import Path as KeyPath
from buildx_tasks.positions import Positions

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "buildx.toml"

_NAME = re.compile(r"[a-zA-Z0-9_-]+")  # bake's own rule for targets and groups
_TYPE_NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "a string",
}
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

Fail = Callable[..., ConfigError]


def find(start: Path) -> Path:
    """Return the nearest ``buildx.toml`` in ``start`` or a folder above it.

    Raises:
        ConfigError: there is none.

    """
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigError(
        f"{FILE_NAME}: not found in {start} or any folder above it; "
        "create it with at least a [target.NAME] that has platforms and tags"
    )


def load(path: Path) -> Config:
    """Read and check one file.

    Raises:
        ConfigError: it cannot be read or used; the message starts with ``file:line:column:``.

    """
    text = _read(path)
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        # tomli's own text repeats the place in brackets; the place comes first here.
        reason = str(error).rpartition(" (at ")[0] or str(error)
        lines = text.split("\n")
        line = min(getattr(error, "lineno", len(lines)), len(lines))
        column = getattr(error, "colno", 1)
        raise ConfigError(f"{path.name}:{line}:{column}: not valid TOML: {reason}") from None

    def fail(where: KeyPath, message: str, *, value: bool = False) -> ConfigError:
        positions = Positions(text)
        place = positions.value(where) if value else positions.key(where)
        return ConfigError(f"{path.name}:{place.line}:{place.column}: {message}")

    _check_keys(data, msgspec.inspect.type_info(Config), (), fail)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise _type_error(data, str(error), fail) from None
    _check_targets(config, data, fail)
    _check_groups(config, fail)
    return config


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror}") from None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigError(
            f"{path.name}:{line}:{column}: not valid UTF-8; save the file as UTF-8"
        ) from None


def _check_keys(data: Any, kind: Any, path: KeyPath, fail: Fail) -> None:
    """Raise for the first key that its table does not know, with the nearest one that it does."""
    if not isinstance(data, dict):
        return
    if isinstance(kind, msgspec.inspect.UnionType):
        for option in kind.types:
            _check_keys(data, option, path, fail)
    elif isinstance(kind, msgspec.inspect.DictType):
        for key, value in data.items():
            _check_keys(value, kind.value_type, (*path, key), fail)
    elif isinstance(kind, msgspec.inspect.Metadata):
        _check_keys(data, kind.type, path, fail)
    elif isinstance(kind, msgspec.inspect.StructType):
        known = {field.encode_name: field for field in kind.fields}
        for key, value in data.items():
            if key not in known:
                table = f"[{'.'.join(str(part) for part in path)}]" if path else "the file"
                hint = nearest(key, known) or f"; {table} knows: {', '.join(sorted(known))}"
                raise fail((*path, key), f'unknown key "{key}" in {table}{hint}')
            _check_keys(value, known[key].type, (*path, key), fail)


def _type_error(data: dict[str, Any], message: str, fail: Fail) -> ConfigError:
    reason, _, steps = message.partition(" - at `$")
    path = _pin(data, [name or index for name, index in _STEP.findall(steps.rstrip("`"))])
    if required := re.fullmatch(r"Object missing required field `(.+)`", reason):
        table = ".".join(str(part) for part in path)
        if not path:
            return fail((), "no [target.NAME] is declared; add one with platforms and tags")
        return fail(path, f'[{table}] lacks "{required[1]}"; add it')
    subject = f'"{path[-1]}"' if isinstance(path[-1], str) else f"item {path[-1] + 1}"
    if expected := re.fullmatch(r"Expected `(.+?)`(.*?)(?:, got `(.+)`)?", reason):
        # "array | null": null is TOML's absence, nothing that could be written.
        wanted = _TYPE_NAMES.get(expected[1].replace(" | null", ""), expected[1])
        got = f", not {_TYPE_NAMES.get(expected[3], expected[3])}" if expected[3] else ""
        limit = (
            expected[2].replace(" of length >= 1", " that is not empty").replace("> 0.0", "above 0")
        )
        return fail(path, f"{subject} must be {wanted}{limit}{got}", value=True)
    if choice := re.fullmatch(r"Invalid enum value '(.*)'", reason):
        options = _options(path)
        hint = nearest(choice[1], options)
        return fail(
            path,
            f'{subject} cannot be "{choice[1]}"{hint or ";"} known: {", ".join(options)}',
            value=True,
        )
    return fail(path, f"{subject}: {reason}", value=True)


def _pin(data: dict[str, Any], steps: list[str]) -> KeyPath:
    """Turn msgspec's path, which calls every key of a dict ``...``, into the exact one."""
    path: KeyPath = ()
    here: Any = data
    for step in steps:
        if step != "...":
            path = (*path, int(step) if isinstance(here, list) else step)
            here = here[path[-1]]
            continue
        for key in here:
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
        msgspec.convert(data, Config)
    except msgspec.ValidationError:
        return True
    return False


def _options(path: KeyPath) -> list[str]:
    """Return the closed set of values that the key at ``path`` takes."""
    kind: Any = msgspec.inspect.type_info(Config)
    for part in path:
        while isinstance(kind, (msgspec.inspect.Metadata, msgspec.inspect.UnionType)):
            kind = (
                kind.type
                if isinstance(kind, msgspec.inspect.Metadata)
                else next(t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType))
            )
        if isinstance(kind, msgspec.inspect.StructType):
            kind = next(field.type for field in kind.fields if field.encode_name == part)
        else:
            kind = kind.value_type
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    return [str(value) for value in kind.values]


def _check_name(kind: str, name: str, fail: Fail) -> None:
    if not _NAME.fullmatch(name):
        raise fail(
            (kind, name),
            f'{kind} name "{name}" may only have letters, digits, "_" and "-"; rename it',
        )


def _check_targets(config: Config, data: dict[str, Any], fail: Fail) -> None:
    if not config.target:
        raise fail(("target",), "no [target.NAME] is declared; add one with platforms and tags")
    tag_owners: dict[references.Reference, str] = {}
    for name, target in config.target.items():
        _check_name("target", name, fail)
        if not data["target"][name]:
            raise fail(
                ("target", name),
                f"[target.{name}] is empty; give it at least a context, a dockerfile or platforms",
            )
        if target.dockerfile and target.dockerfile_inline:
            raise fail(
                ("target", name, "dockerfile-inline"),
                f"[target.{name}] has both dockerfile and dockerfile-inline; keep one",
            )
        _check_platforms(name, target.platforms or [], fail)
        for number, tag in enumerate(target.tags):
            where = ("target", name, "tags", number)
            try:
                reference = references.parse(tag)
            except ValueError as error:
                raise fail(where, str(error)) from None
            owner = tag_owners.setdefault(reference, name)
            if owner != name:
                raise fail(
                    where,
                    f'tag "{tag}" is already the one of target "{owner}"; '
                    "give each target tags of its own",
                )
    _check_links(config, fail)


def _check_platforms(name: str, declared: list[str], fail: Fail) -> None:
    seen: dict[platforms.Platform, str] = {}
    for number, text in enumerate(declared):
        where = ("target", name, "platforms", number)
        try:
            parsed = platforms.parse(text)
        except ValueError as error:
            raise fail(where, str(error)) from None
        if parsed in seen:
            raise fail(where, f'"{text}" is the same platform as "{seen[parsed]}"; keep one')
        seen[parsed] = text


def links(target: Any) -> dict[str, str]:
    """Return the targets that a target builds on: key in the file → name after ``target:``."""
    named = {f"contexts.{key}": value for key, value in target.contexts.items()}
    if target.context:
        named["context"] = target.context
    return {
        key: value[len("target:") :] for key, value in named.items() if value.startswith("target:")
    }


def _check_links(config: Config, fail: Fail) -> None:
    graph = {name: list(links(target).values()) for name, target in config.target.items()}
    for name, target in config.target.items():
        for key, linked in links(target).items():
            where = ("target", name, *key.split(".", 1))
            if linked not in config.target:
                raise fail(
                    where,
                    f'[target.{name}] builds on unknown target "{linked}"'
                    + (nearest(linked, config.target) or "; declare it"),
                    value=True,
                )
            if cycle := _cycle(graph, name):
                raise fail(where, f"targets build on each other: {cycle}; remove one link")


def _check_groups(config: Config, fail: Fail) -> None:
    graph = {name: list(group.targets) for name, group in config.group.items()}
    for name, group in config.group.items():
        _check_name("group", name, fail)
        if name in config.target:
            raise fail(("group", name), f'"{name}" is a target and a group; rename one of them')
        for number, member in enumerate(group.targets):
            if member not in config.target and member not in config.group:
                raise fail(
                    ("group", name, "targets", number),
                    f'[group.{name}] names unknown target "{member}"'
                    + (nearest(member, {*config.target, *config.group}) or "; declare it"),
                )
        if cycle := _cycle(graph, name):
            raise fail(
                ("group", name), f"groups contain each other: {cycle}; remove one of these members"
            )


def _cycle(graph: dict[str, list[str]], start: str) -> str:
    """Return the way from ``start`` back to ``start`` as ``a → b → a``, or ``""``."""
    trail: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while trail:
        way = trail.pop()
        for following in graph.get(way[-1], []):
            if following == start:
                return " → ".join((*way, start))
            if following not in seen:
                seen.add(following)
                trail.append((*way, following))
    return ""
