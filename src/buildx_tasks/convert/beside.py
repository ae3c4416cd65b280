"""What bake and compose files say that bake leaves out, works out once, or would read besides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from buildx_tasks.convert.attributes import without_comments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# In the order in which bake reads them where no file is named.
DEFAULT_FILES = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
# Without these programs do not find themselves, nor docker its engine. By name: others may be secrets.
KEPT_IN_ENVIRONMENT = re.compile(
    r"PATH|HOME|TMPDIR|XDG_\w+|SSH_AUTH_SOCK|BUILDX_(?:CONFIG|BUILDER|EXPERIMENTAL)|"
    r"DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS|TLS_VERIFY|API_VERSION|CLI_\w+|BUILDKIT)"
)
_BASES = ("docker-bake.json", "docker-bake.hcl")
_OVERRIDES = ("docker-bake.override.json", "docker-bake.override.hcl")
_FLEETING = re.compile(r"\b(timestamp|uuidv4|bcrypt)\s*\(")
_SERVICE = re.compile(r"( +)([\w.-]+):\s*(?:#.*)?")
_BUILD = re.compile(r"( +)(isolation|privileged):")
_PLATFORM = re.compile(r"""( +)platform:\s*["']?([^"'\s#]+)""")


def with_overrides(files: Sequence[Path]) -> list[Path]:
    """Return the files with those that are read over them: bake's overrides, compose's own."""
    found = list(files)
    for file in files:
        names: tuple[str, ...] = _OVERRIDES if file.name in _BASES else ()
        if file.name in DEFAULT_FILES[:4]:
            stem = file.name.rpartition(".")[0]
            names = (f"{stem}.override.yaml", f"{stem}.override.yml")
        found += [one for one in (file.parent / name for name in names) if one.is_file()]
    return list(dict.fromkeys(found))


def others(files: Sequence[Path]) -> list[str]:
    """Return notes about the files that bake would read, too, where none is named."""
    taken = {file.resolve() for file in files}
    folder = files[0].parent
    there = [folder / name for name in DEFAULT_FILES if (folder / name).is_file()]
    if files[0].name not in DEFAULT_FILES:
        return []
    left = [file for file in there if file.resolve() not in taken]
    return [
        f"{file.name} was not read, and docker buildx bake alone reads it: add --from {file}"
        for file in left
    ]


def fleeting(name: str, text: str) -> Iterator[str]:
    """Yield notes about what is another value each time, and is written as what it is now."""
    for match in _FLEETING.finditer(without_comments(text)):
        line = text.count("\n", 0, match.start()) + 1
        hint = "; ${build.date} is the time of a build" if match[1] == "timestamp" else ""
        yield f"{name}:{line}: {match[1]}() is written as what it came to now{hint}"


def platforms(name: str, text: str) -> Iterator[str]:
    """Yield notes about what a compose file says of services that bake does not take."""
    within, service, indent = False, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line[:1].strip() and not line.startswith("#"):
            within, indent = line.startswith("services:"), 0
        found = _SERVICE.fullmatch(line) if within else None
        if found and (not indent or len(found[1]) == indent):
            service, indent = found[2], len(found[1])
        dropped = _BUILD.match(line) if within and service else None
        if dropped and len(dropped[1]) > indent:
            yield f'{name}:{number}: bake leaves out "{dropped[2]}" of "{service}"'
        match = _PLATFORM.match(line) if within and service else None
        if match and len(match[1]) > indent:
            yield (
                f'{name}:{number}: bake leaves out "platform: {match[2]}" of "{service}", with which '
                f'docker compose builds; for that write platforms = ["{match[2]}"]'
            )
