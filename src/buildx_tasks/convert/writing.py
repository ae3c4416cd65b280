"""The data of a ``buildx.toml``, and comments → its text, which is held to what the loader takes."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.language.targets import Config


_FILE = re.compile(r'(?m)^\[variable\.[\w-]+\.default\]\nfile = "([^"\n]+)"')


def text_of(
    data: Mapping[str, Any],
    comments: Sequence[str] = (),
    beside: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return the text, comments at its top, and ``beside`` the tables of targets (or others) by name."""
    import tomli_w

    head = "".join(f"# {line}\n" for comment in comments for line in comment.splitlines())
    # Over several lines tomli_w turns CRLF into LF.
    body = tomli_w.dumps(data, multiline_strings=False)
    if "\\r" not in body:
        body = tomli_w.dumps(data, multiline_strings=True)
    for name, said in (beside or {}).items():
        table = re.escape(name if name in data else f"target.{name}")
        noted = "".join(f"# {' '.join(comment.split())}\n" for comment in said)
        # A function: a backslash of the comment is no reference.
        body = re.sub(rf"(?m)^\[{table}[.\]]", lambda m, n=noted: n + m[0], body, count=1)  # type: ignore[misc]
    return head + "\n" * bool(head) + body


def loaded(
    text: str, folder: Path, values: Mapping[str, str] | None = None, *, with_env: bool = True
) -> Config:
    """Return what a text comes to beside the files of a folder, with these values of variables.

    Without ``with_env`` no ``.env`` is read, whose values may be secrets.

    Raises:
        ConfigError: it cannot be used.

    """
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, loading.FILE_NAME)
        file.write_bytes(text.encode())
        env = folder.glob(".env*") if with_env else ()
        named = [folder / name for name in _FILE.findall(text)]
        for beside in (*env, folder / "package.json", *named):
            copy = Path(made, os.path.relpath(beside, folder))
            if beside.is_file() and ".." not in copy.parts:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(beside.read_bytes())
        return loading.load(file, environment=values or {})


def require_taken(text: str, of: str, folder: Path) -> None:
    """Refuse to write what the tool would refuse to read.

    Raises:
        UsageError: it would; says what ``of`` does that no ``buildx.toml`` can say.

    """
    try:
        loaded(text, folder)
    except ConfigError as error:
        raise UsageError(
            f"--from: a buildx.toml cannot say what {of} does: {str(error).partition(': ')[2]}; "
            "correct it there, or name the other targets with -t"
        ) from None
