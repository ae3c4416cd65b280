"""A repo's folder in; what of it matters for images out: Dockerfiles, name, registry, other tools."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from buildx_tasks.dockerfiles import instructions
from buildx_tasks.starting import dockerfiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.machine.commands import Commands

_DOCKERFILE = re.compile(
    r"(?:Dockerfile|Containerfile)(?:[.-](?P<behind>.+))?|(?P<before>.+)\.Dockerfile"
)
_NO_DOCKERFILE = (".dockerignore", ".md", ".txt", ".tmpl", ".j2", ".in")
_NOT_LOOKED_INTO = frozenset(
    "node_modules vendor venv target dist build testdata __pycache__".split()
)
_DEEPEST = 4  # folders below the repo's own
# Files of other tools → what takes them over.
_DECLARING = tuple(
    "docker-bake.hcl docker-bake.json compose.yaml compose.yml docker-compose.yml "
    "docker-compose.yaml Makefile makefile GNUmakefile justfile .justfile Taskfile.yml Taskfile.yaml "
    "build.sh package.json".split()
)
_COMPOSE = re.compile(r"(?m)^\s+(?:\w+:\s*\{.*)?build\s*:")
# Of those that declare other things: a command that builds.
_BUILDS = re.compile(
    r"(?:docker|\$[({]\w*(?:DOCKER|CONTAINER)\w*[)}])(?:\s+image|\s+buildx)?\s+(?:build|bake)\b"
    r"|\bdocker-compose\s+build\b"
)
# Hosts of repositories → registries that they have for their owners.
_REGISTRIES = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}


class Found(NamedTuple):
    """One Dockerfile: its target's name, its context, and its path from there."""

    target: str
    context: str
    dockerfile: str


class Seen(NamedTuple):
    """What was seen in ``folder``; ``declaring`` are files of other tools that declare images.

    ``languages`` are those of which a Dockerfile could be written.
    """

    folder: Path
    name: str
    registry: str
    dockerfiles: tuple[Found, ...]
    declaring: tuple[str, ...]
    mentions_git: bool
    languages: tuple[str, ...] = ()


def look(folder: Path, commands: Commands) -> Seen:
    """Look at what is there; git is asked for its remote."""
    remote = commands.query(["git", "-C", str(folder), "remote", "get-url", "origin"])
    owner, repo, host = _parts(remote.stdout.strip() if remote.ok else "")
    name = as_name(repo or folder.resolve().name)
    registry = f"{_REGISTRIES[host]}/{owner.lower()}" if host in _REGISTRIES else "localhost:5000"
    listed = sorted(_dockerfiles(folder), key=lambda path: (len(path.parts), path))
    texts = [path.read_text("utf-8", "replace") for path in listed]
    found: dict[str, Found] = {}
    for path, text in zip(listed, texts):
        one = _found(folder, path, text, name)
        number = 2
        while one.target in found:
            one = one._replace(target=f"{one.target.rstrip('-0123456789')}-{number}")
            number += 1
        found[one.target] = one
    declaring = tuple(one for one in _DECLARING if _declares(folder / one))
    mentions = any(re.search(r"(?<![\w.])\.git\b", text) for text in texts)
    languages = tuple(dockerfiles.seen(folder))
    return Seen(folder, name, registry, tuple(found.values()), declaring, mentions, languages)


def _declares(file: Path) -> bool:
    if not file.is_file():
        return False
    if file.name.startswith("docker-bake"):
        return True
    wanted = _COMPOSE if "compose" in file.name else _BUILDS
    return bool(wanted.search(file.read_text("utf-8", "replace")))


def as_name(text: str) -> str:
    """Return a text as a target and an image can be called."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "app"


def _parts(remote: str) -> tuple[str, str, str]:
    """Return owner, repository and host of git's address, all ``""`` where it is no such."""
    if "://" not in remote and ":" in remote:  # git@github.com:owner/repo.git
        remote = f"ssh://{remote.replace(':', '/', 1)}"
    parts = urlsplit(remote)
    plain = parts.path.strip("/")
    owner, _, repo = re.sub(r"\.git$", "", plain).rpartition("/")
    return owner, repo, parts.hostname or ""


def _dockerfiles(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = [
            name
            for name in folders
            if depth < _DEEPEST
            and name.isprintable()
            and name not in _NOT_LOOKED_INTO
            and not name.startswith(".")
        ]
        for name in files:
            if (
                _DOCKERFILE.fullmatch(name)
                and not name.endswith(_NO_DOCKERFILE)
                and name.isprintable()
                and Path(place, name).is_file()  # not a link to nothing
            ):
                yield Path(place, name)


def _found(folder: Path, path: Path, text: str, name: str) -> Found:
    beside = path.parent.relative_to(folder)
    context = beside if _fits(path.parent, text) or not _fits(folder, text) else Path()
    match = _DOCKERFILE.fullmatch(path.name)
    kind = (match["behind"] or match["before"] or "") if match else ""
    own = [part for part in beside.parts if part not in ("docker", "build", "deploy")]
    words = [*(own or [name]), *([kind] if kind else [])]
    dockerfile = os.path.relpath(path, folder / context)
    return Found(as_name("-".join(words)), context.as_posix(), Path(dockerfile).as_posix())


def _fits(folder: Path, text: str) -> bool:
    """Say whether all that the Dockerfile copies from its context is in the folder."""
    for one in instructions.read(text):
        if one.keyword not in ("COPY", "ADD") or any(f.startswith("--from") for f in one.flags):
            continue
        words = one.json or one.arguments.split()
        for source in words[:-1] if not one.heredocs else ():
            if re.search(r"[$]|://|^git@", source):
                continue
            if not any(folder.glob(re.sub(r"^(\./)+", "", source).strip("/.") or "*")):
                return False
    return True
