"""Small projects, and invoke run in them as a person would: as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# A busy machine is no failure.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")
WAITING = re.compile(r"^still at it, \d+ s: .*\n", re.MULTILINE)

# Begun in the background, pytest and all that it starts would ignore Ctrl-C, which tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


class Project:
    """A folder with ``tasks.py`` and ``buildx.toml``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tasks.py").write_text((ROOT / "tasks.py").read_text())

    def write(self, text: str, name: str = "buildx.toml") -> Project:
        (self.folder / name).write_text(text)
        return self

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "invoke", *args]

    def invoke(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        folder: str = ".",
        timeout: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            self.command(*args),
            cwd=self.folder / folder,
            env={**os.environ, "COLUMNS": "500", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        result.stderr = WAITING.sub("", result.stderr)
        return result

    def ok(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """Invoke something that must succeed; return its standard output."""
        result = self.invoke(*args, env=env)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
