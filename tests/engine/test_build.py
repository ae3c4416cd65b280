from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from .conftest import docker, shell_image

if TYPE_CHECKING:
    import pytest
    from conftest import Project


def test_two_builds_at_once_do_not_mix(project: Project, name: str, registry: str) -> None:
    names = [f"{name}-{number}" for number in range(3)]
    project.write("".join(shell_image(one, registry, f"echo {one}") for one in names))
    processes = [
        subprocess.Popen(
            project.command("build", "-t", one, "--progress", "quiet"),
            cwd=project.folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in names
    ]
    for one, process in zip(names, processes):
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        digest = docker("image", "inspect", "--format", "{{.Id}}", f"{registry}/{one}:v1")
        row = printed.splitlines()[1].split()
        assert (row[0], row[3]) == (one, digest)
        assert 0 < float(row[4]) < 120  # as BuildKit's record of the build says


def test_values_arrive_in_the_image_as_they_are_written(
    project: Project, name: str, registry: str
) -> None:
    value = """it's "q" $(x) $${HOME} `y` %{if} \\\\ \n z"""
    # JSON's strings are TOML's too.
    text = shell_image(name, registry, "cat /value")
    text = text.replace("ENV PLATFORM=$TARGETPLATFORM", 'ARG V\nRUN printf %s "$V" > /value')
    text += f"stdout = {json.dumps(value)}\n[target.{name}.args]\nV = {json.dumps(value)}\n"
    project.write(text)
    printed = project.ok("build", "--progress", "quiet", "--format", "json")
    told = json.loads(printed)[name]
    tag = f"{registry}/{name}:v1"
    digest = docker("image", "inspect", "--format", "{{.Id}}", tag)
    assert (told["tags"], told["digest"], told["parts"]) == ([tag], digest, {})
    project.ok("verify")


def test_paths_outside_the_project_need_no_question(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text("x")
    project.write(
        f'[target.files]\ncontext = "{outside}"\noutput = ["type=local,dest={outside}/new/out"]\n'
        'dockerfile-inline = "FROM scratch\\nCOPY file /"\n'
    )
    assert "(files)" in project.ok("build", "--progress", "quiet")
    assert (outside / "new" / "out" / "file").read_text() == "x"


def test_a_failed_build_is_exit_code_1(project: Project) -> None:
    project.write(
        '[target.a]\nplatforms = ["linux/amd64"]\ndockerfile-inline = "FROM scratch\\nCOPY nope /"\n'
    )
    result = project.invoke("build", "--progress", "plain")
    assert result.returncode == 1
    assert '"/nope": not found' in result.stderr
    assert result.stderr.strip().endswith("error: the build failed: a@linux/amd64")
