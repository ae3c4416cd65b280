"""What a project begins with: its schema, where an editor and git find it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from buildx_tasks.language import schema

if TYPE_CHECKING:
    from conftest import Project

LINE = "#:schema ./buildx.schema.json"


def test_the_schema_is_written_beside_the_file_and_kept_up_to_date(project: Project) -> None:
    project.write("[target.app]\n")
    (project.folder / "sub").mkdir()
    assert json.loads(project.ok("schema"))["$id"] == schema.ADDRESS
    done = project.invoke("schema", "--write", folder="sub")
    assert done.stdout == (
        f"wrote buildx.schema.json; put this into the first line of buildx.toml: {LINE}\n"
    )
    file = project.folder / "buildx.schema.json"
    assert file.read_text() == schema.SCHEMA_FILE.read_text()
    project.write(f"{LINE}\n[target.app]\n")
    assert project.ok("schema", "--write") == "buildx.schema.json is as it should be\n"
    file.write_text('{"title": "buildx.toml"}')  # an older one
    assert project.ok("schema", "--write") == "wrote buildx.schema.json\n"
    file.write_text("mine")
    done = project.invoke("schema", "--write")
    assert done.returncode == 2
    assert "is there and is no schema of buildx.toml; move it away" in done.stderr
    assert file.read_text() == "mine"
