"""Our own .buildx/ is in no build context, whatever the project's ignore files say."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

DOCKERFILE = "FROM alpine:3.22\nCOPY . /srv\nRUN find /srv > /list; echo compiled\nCMD cat /list\n"


def built(project: Project) -> str:
    result = project.invoke("build", "--always", "--progress", "plain")
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".buildx" not in path.parts)
    return {str(path): path.read_bytes() for path in found if "__pycache__" not in path.parts}


def declared(project: Project, name: str, **more: str) -> Project:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    (project.folder / "hi.txt").write_text("hi\n")
    return project.write(f'[target.{name}]\ntags = ["{name}:dev"]\n{lines}')


@pytest.mark.parametrize(
    "ignores",
    [
        {},
        {".dockerignore": "tasks.py\n"},
        {".dockerignore": "*\n!.buildx\n!hi.txt\n!tasks.py"},
        {".dockerignore": ".buildx\n", "Dockerfile.dockerignore": "tasks.py\n"},
    ],
)
def test_the_second_build_is_cached(project: Project, name: str, ignores: dict[str, str]) -> None:
    declared(project, name)
    for file, text in {"Dockerfile": DOCKERFILE, **ignores}.items():
        (project.folder / file).write_text(text)
    before = files(project.folder)
    built(project)
    assert "RUN find /srv > /list; echo compiled\n" in (again := built(project))
    assert again.count("CACHED") >= 2
    listed = project.ok("run").splitlines()
    assert "/srv/hi.txt" in listed
    assert not any(".buildx" in path for path in listed)
    kept = ignores.get("Dockerfile.dockerignore", ignores.get(".dockerignore", ""))
    assert ("/srv/tasks.py" in listed) is not kept.startswith("tasks.py")
    assert files(project.folder) == before


def test_nor_is_it_in_other_contexts(project: Project, name: str) -> None:
    # Beside the project's folder are those of other tests, whatever is in them.
    (below := project.folder / "below").mkdir()
    project = type(project)(below)
    inline = (
        "FROM alpine:3.22\\nCOPY . /a\\nCOPY --from=here . /b\\nCOPY --from=one hi.txt /c/\\n"
        "CMD find /a /b /c"
    )
    declared(
        project,
        name,
        **{
            "context": '".."',
            "dockerfile-inline": f'"{inline}"',
            "contexts": '{ here = ".", one = ".." }'.replace('".."', f'"../{project.folder.name}"'),
            "platforms": '["linux/amd64", "linux/arm64"]',
        },
    )
    built(project)
    listed = project.ok("run", "-p", "linux/arm64").splitlines()
    assert {"/b/hi.txt", "/c/hi.txt"} <= set(listed)
    assert not any(".buildx" in path for path in listed)
    (project.folder / "hi.txt").write_text("ho\n")
    built(project)
    assert "COPY . /\nCACHED" in re.sub(r"#\d+ (\[.*\] )?", "", built(project))


def test_a_dry_run_prints_what_makes_the_same_image(project: Project, name: str) -> None:
    declared(project, name)
    text = DOCKERFILE + "COPY <<EOF /eof\nhi\nEOF\n"
    (project.folder / "Dockerfile").write_text(text)
    script = project.ok("--dry", "build", "--progress", "quiet")
    assert not (project.folder / ".buildx").exists()
    subprocess.run(script, shell=True, cwd=project.folder, check=True, capture_output=True)
    assert ".buildx" not in project.ok("run")
