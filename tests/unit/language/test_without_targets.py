"""A file that declares artifacts alone, or only what is audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks import Project
from buildx_tasks.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

ARTIFACT = '[artifact.docs]\npath = "docs"\ntype = "a/b"\ntags = ["localhost:5000/docs:v1"]\n'
AUDIT = '[audit]\nimages = ["alpine:3.22"]\n'
NO_TARGET = r"no \[target.NAME\] is declared; add one with platforms and tags"


@pytest.mark.parametrize("text", [ARTIFACT, AUDIT, ARTIFACT + AUDIT, f"[target]\n{AUDIT}"])
def test_it_is_a_project(tmp_path: Path, text: str) -> None:
    (tmp_path / "buildx.toml").write_text(text)
    with Project.load(tmp_path) as project:
        assert project.is_of_artifacts == ("artifact" in text)
        assert len(project.artifacts().names) == text.count("[artifact.")
        for targets in ((), ("app",), ("*",)):
            with pytest.raises(UsageError, match=NO_TARGET):
                project.select(*targets)


@pytest.mark.parametrize("text", ["", "[target]\n", "[audit]\nallow = []\n", "[lock]\n"])
def test_a_file_that_declares_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "buildx.toml").write_text(text)
    with pytest.raises(ConfigError, match=NO_TARGET):
        Project.load(tmp_path)
