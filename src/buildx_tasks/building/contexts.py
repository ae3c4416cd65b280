"""A bake file in; one that keeps ``.buildx/`` out of every build context, with the files it needs, out.

What is in there changes with each build, so that ``COPY . .`` would never be cached. A project's
``.dockerignore`` is its own; BuildKit takes ``NAME.dockerignore`` beside a Dockerfile in its place.
Source: https://docs.docker.com/build/concepts/context/#filename-and-location
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.language.targets import LINK, files_helper
from buildx_tasks.machine.files import write_file
from buildx_tasks.planning.bakefile import unescaped
from buildx_tasks.records import ledger
from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from buildx_tasks.language.merging import Attributes

_FOLDER = f"{ledger.FOLDER}/dockerfiles"
_STATE = f"**/{ledger.FOLDER}"
_WHOLE_CONTEXT = "FROM scratch\nCOPY . /\n"
_COVERING = frozenset({_STATE, "*", "**"})


def without_state(definition: dict[str, Any], root: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the bake file, and the files that it reads, by their path below the project's folder."""
    files: dict[str, str] = {}
    targets: dict[str, Attributes] = {}
    for name, attributes in definition["target"].items():
        changed = dict(attributes)
        for number, (key, value) in enumerate(attributes.get("contexts", {}).items()):
            if _is_one_file(name, key, attributes) or not _has_state(root, unescaped(value)):
                continue
            if _covers(_ignore_file(root, unescaped(value)) or ""):
                continue
            # Of a named context BuildKit reads no other ignore file: it becomes a target's context.
            helper = f"{name}--context{number}"
            changed["contexts"] = {**changed["contexts"], key: LINK + helper}
            targets[helper] = _helper(value, attributes)
            _copy(targets[helper], helper, root, files)
        if _has_state(root, unescaped(attributes["context"])):
            _copy(changed, name, root, files)
        targets[name] = changed
    return {**definition, "target": dict(sorted(targets.items()))}, files


def _escaped(text: str) -> str:
    return text.replace("${", "$${").replace("%{", "%%{")


def _helper(context: str, attributes: Attributes) -> Attributes:
    found = {"context": context, "dockerfile-inline": _WHOLE_CONTEXT}
    if "platforms" in attributes:
        found["platforms"] = attributes["platforms"]
    return {**found, "output": [{"type": "cacheonly"}]}


def _is_one_file(name: str, key: str, attributes: Attributes) -> bool:
    """Say whether a context is a folder of which a helper of ours takes single files only."""
    inline = attributes.get("dockerfile-inline", "")
    return name.endswith(files_helper("")) and f'COPY --from={key} [".",' not in inline


def _has_state(root: Path, context: str) -> bool:
    """Say whether a context has, or will have, a ``.buildx/`` in it."""
    if REMOTE.match(context) or context == "-":
        return False
    folder, here = (root / context).resolve(), root.resolve()
    around = folder == here or folder in here.parents
    return folder.is_dir() and (around or (folder / ledger.FOLDER).is_dir())


def _ignore_file(root: Path, context: str) -> str | None:
    return _text(root / context / ".dockerignore")


def _covers(text: str) -> bool:
    """Say whether an ignore file leaves out each ``.buildx/``, without doubt."""
    covered = False
    for line in text.splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            covered = pattern.rstrip("/") in _COVERING or (covered and pattern[0] != "!")
    return covered


def _copy(attributes: Attributes, name: str, root: Path, files: dict[str, str]) -> None:
    """Have a target read a copy of its Dockerfile that has our ignore file beside it."""
    context = unescaped(attributes["context"])
    dockerfile = unescaped(attributes.get("dockerfile", "Dockerfile"))
    own: str | None = None
    text: str | None
    if "dockerfile-inline" in attributes:
        dockerfile, text = "Dockerfile", unescaped(attributes["dockerfile-inline"])
    elif REMOTE.match(dockerfile) or dockerfile == "-":
        return
    else:
        path = root / context / dockerfile
        if not path.exists():
            path = path.with_name(path.name.lower())  # buildx takes `dockerfile` too
        text = _text(path)
        own = _text(path.with_name(f"{path.name}.dockerignore"))
    ignored = own if own is not None else _ignore_file(root, context) or ""
    if text is None or _covers(ignored):
        return
    file = f"{_FOLDER}/{name}/{Path(dockerfile).name}"
    files[file] = _ended(text)
    files[f"{file}.dockerignore"] = f"{_ended(ignored)}{_STATE}\n"
    attributes.pop("dockerfile-inline", None)
    # bake names a Dockerfile from its context, by the letters of both paths.
    start = os.path.normpath(root / context)
    attributes["dockerfile"] = _escaped(os.path.relpath(root / file, start))


def dockerfile_text(attributes: Attributes, root: Path) -> str | None:
    """Return the text of a target's Dockerfile; None where it is not here."""
    if "dockerfile-inline" in attributes:
        return unescaped(attributes["dockerfile-inline"])
    context, name = attributes.get("context", "."), attributes.get("dockerfile", "Dockerfile")
    if REMOTE.match(context) or REMOTE.match(name) or name == "-":
        return None
    return _text(root / name[len(CWD) :] if name.startswith(CWD) else root / context / name)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return None


def write(files: dict[str, str], root: Path) -> None:
    """Write such files, where they are not there as they are to be."""
    for file, text in files.items():
        if _text(root / file) != text:
            write_file(root / file, text)
