"""docs/import.md: each example is imported, and what comes of it is what the page shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
SECTIONS = [part for part in PAGE.split("\n## ") if "```toml" in part]
BLOCK = re.compile(r'(?m)^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.DOTALL)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.splitlines()[0])
def test_the_page_shows_what_is_written(section: str, project: Project) -> None:
    found = BLOCK.findall(section)
    for language, name, text in found:
        if name and language != "toml":
            project.write(text, name)
    [said] = [text for language, _, text in found if language == "console"]
    [written] = [text for language, _, text in found if language == "toml"]
    command, *shown = said.splitlines()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = project.invoke(*command.split()[2:], env={"PATH": programs})
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert [*lines, *result.stdout.splitlines()] == shown
    assert (project.folder / "buildx.toml").read_text() == written
    project.ok("plan")
