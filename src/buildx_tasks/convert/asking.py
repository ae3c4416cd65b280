"""A bake or compose file in; what bake makes of it out, without what this machine's environment holds."""

from __future__ import annotations

import codecs
import json
import os
import re
import shlex
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.machine.commands import Commands

_OVERRIDES = ("docker-bake.override.json", "docker-bake.override.hcl")
_BASES = ("docker-bake.json", "docker-bake.hcl")
_COMPOSE = frozenset({".yaml", ".yml"})
# Without these docker does not find itself.
_KEPT = re.compile(
    r"PATH|HOME|USER|TMPDIR|(?:DOCKER|BUILDX|XDG|SSH)_\w+|(?:https?|no)_proxy", re.IGNORECASE
)
_DOT_ENV = re.compile(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")


class Refused(Exception):  # noqa: N818 - bake's answer
    """What bake says of files that it cannot read."""


class Asking:
    """Asks bake about a file; the files that bake reads with it are read too (``files``).

    ``hidden`` are the variables that are set here, and were kept from bake: a value may be a secret.
    """

    def __init__(self, commands: Commands, path: Path) -> None:
        self._commands = commands
        self.path = path
        beside = [path.parent / name for name in _OVERRIDES if path.name in _BASES]
        self.files = [path, *(one for one in beside if one.is_file())]
        self.texts = [one.read_bytes().decode("utf-8-sig", "replace") for one in self.files]
        self.hidden: list[str] = []
        self._words: list[str] = []
        self._hide()

    @property
    def is_compose(self) -> bool:
        """Whether it is a compose file."""
        return self.path.suffix in _COMPOSE

    def ask(self, *options: str) -> Any:
        """Return bake's answer.

        Raises:
            Refused: it has none.

        """
        with self._without_marks() as files:
            named = [word for file in files for word in ("--file", str(file))]
            result = self._commands.query(
                [*self._words, "docker", "buildx", "bake", *named, *options]
            )
        if not result.ok:
            raise Refused(_why(result.stderr))
        return json.loads(result.stdout)

    def error(self, said: str) -> UsageError:
        """Return the error about files that bake cannot read."""
        named = " ".join(f"--file {shlex.quote(str(file))}" for file in self.files)
        return UsageError(
            f"--from: bake cannot read {self.path.name}: {said}; see docker buildx bake {named} --print"
        )

    def _hide(self) -> None:
        if self.is_compose:
            dot_env = Path(".env")
            text = dot_env.read_text("utf-8-sig", "replace") if dot_env.is_file() else ""
            said = set(re.findall(r"[A-Za-z_]\w*", "\n".join(self.texts)))
            emptied = sorted(said.intersection(_DOT_ENV.findall(text)))
            unset = sorted(name for name in said & os.environ.keys() if name not in emptied)
        else:
            try:
                listed = self.ask("--list", "type=variables,format=json") or []
            except Refused:  # what is wrong is said where targets are asked for
                listed = []
            emptied = []
            unset = sorted({entry["name"] for entry in listed} & os.environ.keys())
        unset = [name for name in unset if not _KEPT.fullmatch(name)]
        words = [word for name in unset for word in ("-u", name)]
        words += [f"{name}=" for name in emptied]
        self.hidden = [*unset, *emptied]
        self._words = ["env", *words] if words else []

    @contextmanager
    def _without_marks(self) -> Iterator[Sequence[Path]]:
        """Give the files, those that begin with a byte order mark as copies without: bake takes none."""
        if not any(_bytes(file).startswith(codecs.BOM_UTF8) for file in self.files):
            yield self.files
            return
        with tempfile.TemporaryDirectory() as folder:
            copies = [Path(folder, file.name) for file in self.files]
            for file, copy in zip(self.files, copies):
                copy.write_bytes(_bytes(file).removeprefix(codecs.BOM_UTF8))
            yield copies


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _why(said: str) -> str:
    """Return the line in which bake says why: where it panics, the stack comes after that."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for start in ("panic:", "ERROR:"):
        for line in lines:
            if line.startswith(start):
                return line
    return lines[-1] if lines else "no reason given"
