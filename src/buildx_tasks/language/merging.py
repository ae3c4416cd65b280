"""Bake's attributes in one canonical form, and bake's rules for merging them.

The form is that of ``docker buildx bake --print``: composable attributes (exports, caches, secrets
…) are tables, whether they were written as tables or as CSV.
Source of the rules: https://docs.docker.com/build/bake/inheritance/ and, where that is silent,
``Target.Merge`` and ``Target.normalize`` in buildx's ``bake/bake.go``.
"""

from __future__ import annotations

import csv
import posixpath
import re
from typing import Any, Callable

from buildx_tasks.references import CWD, REMOTE

REPLACED = frozenset(
    "cache-to call context description dockerfile dockerfile-inline network no-cache output "
    "platforms pull shm-size tags target".split()
)
MERGED_BY_KEY = frozenset("args contexts extra-hosts labels resources".split())
APPENDED = frozenset(
    "annotations attest cache-from entitlements no-cache-filter policy secret ssh ulimits".split()
)
ATTRIBUTES = REPLACED | MERGED_BY_KEY | APPENDED

Attributes = dict[str, Any]

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # Go's strconv.ParseBool
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_POLICY_FLAGS = ("reset", "disabled", "strict")


def canonical(key: str, value: Any) -> Any:
    """Return an attribute's value as ``bake --print`` shows it; ``None`` for a value left out.

    Raises:
        ValueError: an entry cannot be read; its ``args`` are the entry's number or key, and the reason.

    """
    parse = _ENTRIES.get(key)
    if parse:
        entries = []
        for number, entry in enumerate(value):
            try:
                if entry != "":  # bake skips it too
                    entries.append(parse(entry))
            except ValueError as error:
                raise ValueError(number, str(error)) from None
        return entries
    if key in MERGED_BY_KEY and key != "resources":
        for name, item in value.items():
            if item == {"unset": False}:
                raise ValueError(name, "unset can only be true; remove it to keep the value")
        return {
            name: item if isinstance(item, str) else _text(item) for name, item in value.items()
        }
    return value


def merge(base: Attributes, own: Attributes) -> Attributes:
    """Return ``base`` with ``own`` merged over it, both in canonical form; neither is changed."""
    merged = dict(base)
    for key, value in own.items():
        if key in MERGED_BY_KEY:
            merged[key] = {**merged.get(key, {}), **value}
        elif key in APPENDED:
            merged[key] = _without_duplicates(key, [*merged.get(key, []), *value])
        else:
            merged[key] = value
    return merged


def normalise(attributes: Attributes) -> Attributes:
    """Return the attributes without duplicates, unset keys and empty values, as bake does."""
    done: Attributes = {}
    for key, value in attributes.items():
        if value is None or value == "":
            # An overridden Dockerfile is None; bake leaves out an empty string only for these two.
            if value is not None and key not in {"description", "dockerfile"}:
                done[key] = value
        elif isinstance(value, dict):
            # "" takes a named context back, None any other key.
            gone = "" if key == "contexts" else None
            kept = {name: item for name, item in value.items() if item != gone}
            if kept:
                done[key] = kept
        elif isinstance(value, list):
            items = _without_duplicates(key, value) if len(value) > 1 or "" in value else value
            if items:
                done[key] = items
        else:
            done[key] = value
    if "context" in done:
        done["context"] = _clean(done["context"])
    return entitled(done)


def entitled(attributes: Attributes) -> Attributes:
    """Return the attributes with the entitlement that the host's network needs.

    Whoever inherits has it too, even with another network: so does bake.
    """
    if attributes.get("network") != "host":
        return attributes
    entitlements = attributes.get("entitlements", [])
    if "network.host" in entitlements:
        return attributes
    return {**attributes, "entitlements": [*entitlements, "network.host"]}


def _clean(context: str) -> str:
    if REMOTE.match(context):
        return context
    return posixpath.normpath(context.removeprefix(CWD))


def _without_duplicates(key: str, entries: list[Any]) -> list[Any]:
    if key == "attest":
        # One of each type: the last one, in the place of the first.
        return list({entry["type"]: entry for entry in entries}.values())
    if key not in _ENTRIES:
        return [entry for entry in dict.fromkeys(entries) if entry]
    if key == "policy":
        return entries
    # buildx's order: the last entry moves to the place of a later duplicate.
    kept = list(entries)
    for number in range(len(kept) - 2, -1, -1):
        if kept[number] in kept[number + 1 :]:
            kept[kept.index(kept[number], number + 1)] = kept[-1]
            kept.pop()
    return kept


def _text(value: Any) -> str | None:
    if isinstance(value, dict):  # { unset = true }
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _fields(text: str) -> list[str]:
    rows = list(csv.reader([text], strict=True))
    if len(rows) != 1:
        raise ValueError(f'"{text}" is not one line')
    return rows[0]


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    try:
        fields = _fields(text)
    except csv.Error as error:
        raise ValueError(f'"{text}" is not CSV: {error}') from None
    for item in fields:
        key, mark, value = item.partition("=")
        if not mark:
            raise ValueError(f'"{item}" in "{text}" is no KEY=VALUE')
        pairs.append((key.strip(), value))
    return pairs


def _typed(text: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    entry = {key.lower(): value for key, value in pairs}
    if not entry.get("type"):
        raise ValueError(f'"{text}" lacks type=…')
    return entry


def _table(entry: dict[str, Any]) -> dict[str, str]:
    if not entry.get("type"):
        raise ValueError('lacks "type"; add it')
    return {key: _text(value) or "" for key, value in entry.items()}


def _cache(entry: Any) -> dict[str, str]:
    if isinstance(entry, dict):
        return _table(entry)
    if "=" not in entry and "," not in entry:
        return {"type": "registry", "ref": entry}
    return _typed(entry, _pairs(entry))


def _export(entry: Any) -> dict[str, str]:
    if isinstance(entry, dict):
        return _table(entry)
    if "," not in entry and '"' not in entry and not entry.startswith("type="):
        return {"type": "tar" if entry == "-" else "local", "dest": entry}
    return _typed(entry, _pairs(entry))


def _attest(entry: Any) -> dict[str, Any]:
    if isinstance(entry, dict):
        fields: dict[str, Any] = _table(entry)
    else:
        pairs = _pairs(entry)
        fields = {key.lower() if key.lower() in _ATTEST_KEYS else key: v for key, v in pairs}
        fields = _typed(entry, list(fields.items())) and fields
    disabled = fields.pop("disabled", "false")
    if disabled not in _TRUE | _FALSE:
        raise ValueError(f'disabled cannot be "{disabled}"; write true or false')
    return {**fields, "disabled": True} if disabled in _TRUE else fields


_ATTEST_KEYS = frozenset({"type", "disabled"})
_SECRET_KEYS = {"id": "id", "src": "src", "source": "src", "env": "env", "type": "type"}


def _optional(entry: str) -> str:
    """Return a secret that is written as CSV as the table that may say that it is optional."""
    pairs = [(key, value) for key, value in _pairs(entry) if key.lower() != "optional"]
    table = "".join(f'{key} = "{value}", ' for key, value in pairs)
    return f"{{ {table}optional = true }}"


def _secret(entry: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in entry.items() if isinstance(entry, dict) else _pairs(entry):
        if key == "optional" and isinstance(entry, dict):
            if value:  # ours, and never bake's
                fields["optional"] = True
            continue
        if key.lower() == "optional":
            raise ValueError(f'"{entry}": optional is for tables; write {_optional(entry)}')
        if key.lower() not in _SECRET_KEYS:
            raise ValueError(f'"{entry}": a secret knows id, src, env and type, not "{key}"')
        fields[_SECRET_KEYS[key.lower()]] = value
    kind = fields.pop("type", "file")
    if kind not in {"file", "env"}:
        raise ValueError(f'a secret\'s type is file or env, not "{kind}"')
    if kind == "env" and "env" not in fields and "src" in fields:
        fields["env"] = fields.pop("src")
    return fields


def _ssh(entry: Any) -> dict[str, Any]:
    if isinstance(entry, dict):
        return {key: value for key, value in entry.items() if value != []}
    name, _, paths = entry.partition("=")
    return {"id": name, "paths": paths.split(",")} if paths else {"id": name}


def _policy(entry: Any) -> dict[str, Any]:
    if isinstance(entry, dict):
        return entry
    fields: dict[str, Any] = {}
    for key, value in _pairs(entry):
        name = key.lower()
        if name in _POLICY_FLAGS:
            if value not in _TRUE | _FALSE:
                raise ValueError(f'{name} cannot be "{value}"; write true or false')
            fields[name] = value in _TRUE
        elif name in {"filename", "log-level"} and value:
            fields[name] = value
        else:
            raise ValueError(
                f'"{key}={value}": a policy knows filename, reset, disabled, strict and log-level'
            )
    return fields


_ENTRIES: dict[str, Callable[[Any], Any]] = {
    "attest": _attest,
    "cache-from": _cache,
    "cache-to": _cache,
    "output": _export,
    "policy": _policy,
    "secret": _secret,
    "ssh": _ssh,
}

PLAIN = (ATTRIBUTES - _ENTRIES.keys() - MERGED_BY_KEY) | {"resources"}  # already canonical

_UNQUOTED = re.compile(r'[^,"\n\r]*')  # what CSV can hold as it is


def as_csv(key: str, entry: dict[str, Any]) -> str | None:
    """Return a canonical entry as the CSV that people write; None where only a table can say it."""
    if key == "ssh":
        return "=".join([entry["id"], *([",".join(entry["paths"])] if "paths" in entry else [])])
    if key == "output" and entry.keys() == {"type", "dest"} and entry["type"] == "local":
        text = str(entry["dest"])
        return f"type=local,dest={text}" if _UNQUOTED.fullmatch(text) else None
    if key.startswith("cache-") and entry.keys() == {"type", "ref"} and entry["type"] == "registry":
        return f"type=registry,ref={entry['ref']}" if _UNQUOTED.fullmatch(entry["ref"]) else None
    first = [name for name in ("type", "id") if name in entry]
    pairs = {name: entry[name] for name in [*first, *(n for n in entry if n not in first)]}
    texts = {name: _text(value) or "" for name, value in pairs.items()}
    if not all(map(_UNQUOTED.fullmatch, (*texts, *texts.values()))):
        return None
    return ",".join(f"{name}={value}" for name, value in texts.items())
