"""Secrets and ssh of targets in; where each comes from, and who needs it too, out; never a value."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.language.targets import links

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.sources import Fail
    from buildx_tasks.language.tables import Tables
    from buildx_tasks.language.targets import Target

KINDS = ("secret", "ssh")
LEAST_SOUGHT = (
    8  # characters of a line of a secret that is looked for; shorter ones are in too much else
)

# More than BuildKit's check SecretsUsedInArgOrEnv knows: names are written without _, too.
# Source: https://docs.docker.com/reference/build-checks/secrets-used-in-arg-or-env/
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET = re.compile(
    r"cred|creds|pat|pw|pwd|.*(?:auth|authorization|credentials?|keys?|pass|passphrase|passwd|passwords?"
    r"|pword|secrets?|tokens?)"
)

Source = tuple[str, ...]


def is_named_as_one(name: str) -> bool:
    """Say whether what has this name (or stands in this text) may be a secret by a word in it."""
    return any(_SECRET.fullmatch(word.lower()) for word in _WORD.findall(name))


def source(entry: Mapping[str, Any]) -> Source:
    """Return where an entry of secret or ssh comes from, to be compared."""
    if "paths" in entry:
        return tuple(entry["paths"])
    return tuple(f"{key}={entry[key]}" for key in ("env", "src") if key in entry)


def place_of(name: str, entry: Mapping[str, Any], environment: Collection[str]) -> tuple[str, str]:
    """Return where buildx finds a secret: ``env`` and a variable, or ``src`` and a path.

    Of one that says neither, ``name`` (its id) is the variable of that name, else the file.
    """
    for key in ("env", "src"):
        if entry.get(key) is not None:
            return key, str(entry[key])
    return ("env" if name in environment else "src"), name


def missing(entry: Mapping[str, Any], environment: Mapping[str, str], root: Path) -> str:
    """Return what a secret lacks, in words; ``""`` where it can be had. An empty value is one."""
    name, path = entry.get("env"), entry.get("src")
    if name is None and path is None:
        # buildx takes the variable of that name, else the file.
        key = entry.get("id", "")  # without one, buildx says so
        if not key or key in environment or (root / key).exists():
            return ""
        return f"there is neither a variable nor a file {key}"
    if name is not None:
        return "" if name in environment else f"the variable {name} is not set"
    file = root / str(path)
    if not file.exists():
        return f"there is no file {path}"
    if file.is_dir() or not os.access(file, os.R_OK):
        return f"the file {path} cannot be read"
    return ""


def settled(target: Target, environment: Mapping[str, str], root: Path) -> Target:
    """Return a target without the optional secrets that are not there."""
    given = [one["secret"] for one in target.builds if "secret" in one]
    if not any(_is_optional(entry) for entries in given for entry in entries):
        return target
    return target._replace(
        attributes=_without_missing(target.attributes, environment, root),
        overrides={
            platform: _without_missing(own, environment, root)
            for platform, own in target.overrides.items()
        },
    )


def _is_absent(entry: Mapping[str, Any], environment: Mapping[str, str], root: Path) -> bool:
    """Say whether a secret is not there; what is there and cannot be read is a mistake."""
    path = entry.get("src")
    is_there = "env" not in entry and path is not None and (root / str(path)).exists()
    return not is_there and bool(missing(entry, environment, root))


def _is_optional(entry: Mapping[str, Any]) -> bool:
    return "optional" in entry


def _without_missing(
    attributes: Attributes, environment: Mapping[str, str], root: Path
) -> Attributes:
    kept: dict[str, list[dict[str, Any]]] = {}
    gone: list[str] = []
    entries = attributes.get("secret", [])
    last = {entry.get("id"): entry for entry in entries}
    for entry in entries:
        key = str(entry.get("id"))
        if last[entry.get("id")].get("optional") and _is_absent(
            last[entry.get("id")], environment, root
        ):
            gone.append(key)
            continue
        plain = {name: value for name, value in entry.items() if name != "optional"}
        if plain not in kept.setdefault(key, []):
            kept[key].append(plain)
    done = {key: value for key, value in attributes.items() if key != "secret"}
    if kept:
        done["secret"] = [entry for some in kept.values() for entry in some]
    if gone:
        # BuildKit's cache knows a step by its hosts, and not by the values of its secrets: a build
        # that has the value must not find the layer that was made without it.
        hosts = {_marker(key): "127.0.0.1" for key in gone}
        done["extra-hosts"] = {**done.get("extra-hosts", {}), **hosts}
    return done


def _marker(key: str) -> str:
    """Return a name of a host that cannot be, which says of which secret there is none."""
    plain = re.sub(r"[^a-z0-9-]+", "-", key.lower()).strip("-")
    unique = "" if plain == key else f"-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    return f"without-secret-{plain[:40]}{unique}.invalid"


def effective(attributes: Attributes, kind: str) -> dict[str, dict[str, Any]]:
    """Return the entries of a build by id: of two in one build the last holds, as in bake."""
    return {str(entry.get("id")): entry for entry in attributes.get(kind, ())}


def check(targets: Mapping[str, Target], tables: Tables, fail: Fail) -> None:
    """Refuse a target that needs one id from two sources: its own, and those it is built on."""
    known: dict[tuple[str, str], dict[str, dict[Source, str]]] = {}

    def needed(name: str, kind: str) -> dict[str, dict[Source, str]]:
        """Return the sources of each id, with the target that says it."""
        if (name, kind) in known:
            return known[name, kind]
        found: dict[str, dict[Source, str]] = {}
        known[name, kind] = found
        for build in targets[name].builds:
            for key, entry in effective(build, kind).items():
                found.setdefault(key, {})[source(entry)] = name
        for steps, linked in links(targets[name]).items():
            for key, sources in needed(linked, kind).items():
                merged = {**sources, **found.get(key, {})}
                if len(merged) > 1:
                    others = " and ".join(f"{t} ({_shown(s)})" for s, t in merged.items())
                    raise fail(
                        tables.place(name, *steps.split(".", 1)),
                        f'{kind} "{key}" has two sources in what [target.{name}] is built on: '
                        f"{others}; give one of them another id",
                    )
                found[key] = merged
        return found

    for name, target in targets.items():
        linked = links(target)
        for kind in KINDS:
            if linked:
                needed(name, kind)


def _shown(where: Source) -> str:
    return ", ".join(where) or "the default"
