"""What was seen in; the text of each new file, and the diff that a person reads first, out."""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import UsageError
from buildx_tasks.language import loading
from buildx_tasks.machine.files import PUBLIC, write_file
from buildx_tasks.text import json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.starting.looking import Found, Seen

FIRST_CHECKS = "binaries = {}\nindex = {}\n"
_TASKS = '"""Tasks of invoke: invoke --list names them."""\n\nfrom buildx_tasks import namespace\n'
_HEAD = """# What the images of this repo are: https://github.com/buildx-tasks/buildx-tasks

[variable.REGISTRY]
default = "{registry}"
description = "Where push sends the images"

[defaults]
platforms = ["linux/amd64", "linux/arm64"]
"""
_TARGET = """
[target.{target}]
{place}
[target.{target}.metadata]
images = ["${{REGISTRY}}/{image}"]
fallback = "dev"

# What each platform must be; invoke init --expect {target} adds what the built image is.
[target.{target}.verify]
{checks}"""
_IGNORED = (".buildx", "**/.venv", "**/node_modules", "**/__pycache__")


def files(seen: Seen) -> dict[str, str]:
    """Return the text of each file that is not there yet, by its path from the folder.

    Raises:
        UsageError: nothing here declares an image.

    """
    texts = {"tasks.py": _TASKS, ".dockerignore": _ignored(seen)}
    if not loading.declared_in(seen.folder):
        if not seen.dockerfiles:
            one_of = " or ".join(f"--dockerfile {one}" for one in seen.languages or ("go",))
            raise UsageError(
                f"init: no Dockerfile is here; write one, have one written with {one_of}, or "
                + (
                    f"run invoke import --from {seen.declaring[0]}"
                    if seen.declaring
                    else "name its folder by running init there"
                )
            )
        texts["buildx.toml"] = _declared(seen)
        _require_loaded(texts["buildx.toml"])
    if tasks_of(seen.folder):
        del texts["tasks.py"]
    return {name: text for name, text in texts.items() if not os.path.lexists(seen.folder / name)}


def tasks_of(folder: Path) -> Path | None:
    """Return the file of a person's own tasks, as invoke finds it; None where there is none."""
    places = (folder / "tasks" / "__init__.py", folder / "tasks.py")
    return next((place for place in places if place.exists()), None)


def has_ours(tasks: Path) -> bool:
    """Say whether a file of tasks has those of this package."""
    return "buildx_tasks" in tasks.read_text("utf-8", "replace")


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a unified diff of whole files; one that is not in ``before`` is new."""
    lines: list[str] = []
    for name, text in after.items():
        old = before.get(name)
        origin = "/dev/null" if old is None else f"a/{name}"
        pieces = ((old or "").splitlines(), text.splitlines())
        lines += difflib.unified_diff(*pieces, origin, f"b/{name}", lineterm="")
    return "\n".join(lines)


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files."""
    for name, text in texts.items():
        write_file(folder / name, text, PUBLIC)


def _declared(seen: Seen) -> str:
    parts = [_HEAD.format(registry=seen.registry)]
    for one in seen.dockerfiles:
        place = _place(one)
        parts.append(
            _TARGET.format(target=one.target, place=place, image=one.target, checks=FIRST_CHECKS)
        )
    return "".join(parts)


def _place(one: Found) -> str:
    lines = [f"context = {toml(one.context)}\n"]
    if one.dockerfile != "Dockerfile":
        lines.append(f"dockerfile = {toml(one.dockerfile)}\n")
    return "".join(lines)


def toml(value: Any) -> str:
    """Return a text, or a list of texts, as our TOML says it, whatever is in it."""
    # JSON's are TOML's too, once nothing in them acts on a terminal; ${ would be a variable.
    shown = (c if c.isprintable() else f"\\U{ord(c):08x}" for c in json_line(value))
    return "".join(shown).replace("${", "$${")


def _ignored(seen: Seen) -> str:
    return "\n".join([*([] if seen.mentions_git else [".git"]), *_IGNORED, ""])


def _require_loaded(text: str) -> None:
    """Do nothing where the tool reads what it writes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, loading.FILE_NAME)
        file.write_text(text, encoding="utf-8")
        loading.load(file, environment={})
