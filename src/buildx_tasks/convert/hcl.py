"""Bake files' text → what their targets declare: the attributes of their own, inheritance, a matrix."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Values of an axis; or the variable that lists them.
Axis = Union["list[Any]", str]
_TEMPLATE = re.compile(r"(?<!\$)[$%]\{")
_LISTED = re.compile(r'\$\{split\(\s*","\s*,\s*(\w+)\s*\)\}|(\w+)')
_NAME = re.compile(r"(\w+(?:\.\w+)*)")
_CALLED = re.compile(r'(replace|lower|upper)\((.*?)(?:,\s*"([^"]*)"\s*,\s*"([^"]*)")?\s*\)')


class Block(NamedTuple):
    """What one target declares.

    ``keys`` are its own attributes, each with the keys of its own where it is a table; ``inherits`` are
    its parents where they are told outright; ``matrix`` is None where there is none, or none that can be
    told; ``title`` is what names the targets of the matrix.
    """

    name: str
    keys: dict[str, frozenset[str]]
    inherits: list[str]
    matrix: dict[str, Axis] | None
    title: str

    def named(self, cell: Mapping[str, str]) -> str | None:
        """Return the name of a target of the matrix; None where only bake can tell."""
        found = self.titled()
        if found is None:
            return None
        told = ""
        for text, changes in found:
            if changes is None:
                told += text
                continue
            if text not in cell:
                return None
            value = cell[text]
            for kind, old, new in changes:
                value = value.replace(old, new) if kind == "replace" else getattr(value, kind)()
            told += value
        return told

    def titled(self) -> list[tuple[str, list[tuple[str, str, str]] | None]] | None:
        """Return the parts of the title: texts, and axes with what changes their values.

        None where only bake can tell them.
        """
        parts: list[tuple[str, list[tuple[str, str, str]] | None]] = []
        at = 0
        for match in re.finditer(r"\$\{((?:[^{}\"]|\"[^\"]*\")*)\}", self.title):
            parts.append((self.title[at : match.start()], None))
            changes: list[tuple[str, str, str]] = []
            inner = match[1].strip()
            while called := _CALLED.fullmatch(inner):
                changes.insert(0, (called[1], called[3] or "", called[4] or ""))
                inner = called[2].strip()
            if not _NAME.fullmatch(inner):
                return None
            parts.append((inner, changes))
            at = match.end()
        parts.append((self.title[at:], None))
        return parts


class NotToldError(ValueError):
    """What is no literal value."""


def blocks(texts: Iterable[str]) -> dict[str, Block]:
    """Return what the targets of HCL and JSON files declare, a later file's over an earlier one's.

    Empty where a file cannot be taken apart.
    """
    found: dict[str, Block] = {}
    for text in texts:
        try:
            for name, table in _of_json(text) if text.lstrip().startswith("{") else _of_hcl(text):
                block = _block(name, table)
                found[name] = _over(found[name], block) if name in found else block
        except Exception:  # noqa: BLE001 - bake has read it: without, it is only worked out
            return {}
    return found


def _over(base: Block, own: Block) -> Block:
    keys = {key: base.keys.get(key, frozenset()) | names for key, names in own.keys.items()}
    return Block(
        base.name,
        {**base.keys, **keys},
        own.inherits or base.inherits,
        own.matrix or base.matrix,
        own.title or base.title,
    )


def _of_json(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, tables in json.loads(text).get("target", {}).items():
        for table in tables if isinstance(tables, list) else [tables]:
            yield name, _quoted(table)


def _quoted(data: Any) -> Any:
    """Return JSON with its strings as they are in HCL."""
    if isinstance(data, str):
        return json.dumps(data, ensure_ascii=False)
    if isinstance(data, dict):
        return {key: _quoted(item) for key, item in data.items()}
    return list(map(_quoted, data)) if isinstance(data, list) else data


def _of_hcl(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    import hcl2

    for one in hcl2.loads(text).get("target", ()):
        for name, table in one.items():
            yield _key(name), table


def _block(name: str, table: Mapping[str, Any]) -> Block:
    own = {_key(k): v for k, v in table.items() if not k.startswith("__")}
    keys = {
        key: frozenset(map(_key, value)) if isinstance(value, dict) else frozenset()
        for key, value in own.items()
        if key not in {"inherits", "matrix", "name"}
    }
    try:
        inherits = [str(_literal(one)) for one in own.get("inherits", ())]
    except NotToldError:
        inherits = []
    title = own.get("name", "")
    matrix = own.get("matrix")
    try:
        axes = {_key(axis): _axis(value) for axis, value in matrix.items()} if matrix else None
    except (NotToldError, AttributeError):
        axes = None
    return Block(name, keys, inherits, axes, title[1:-1] if title.startswith('"') else "")


def _axis(value: Any) -> Axis:
    listed = _LISTED.fullmatch(value) if isinstance(value, str) else None
    if listed:
        return str(listed[1] or listed[2])
    if not isinstance(value, list):
        raise NotToldError
    return [_literal(one) for one in value]


def _literal(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _literal(item) for key, item in value.items()}
    if isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, str) or not value.startswith('"') or _TEMPLATE.search(value):
        raise NotToldError
    return json.loads(value).replace("$${", "${")


def _key(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text
