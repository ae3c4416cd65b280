"""No [builder], and an engine whose own builder cannot do the job: setup makes one, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.machine.executables import binary
from buildx_tasks.platforms import parse

from . import buildkit_image
from .conftest import docker, give_image, second_engine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from conftest import Project

IMAGE = "moby/buildkit:buildx-stable-1"
TOML = """
[target.app]
dockerfile-inline = '''
FROM scratch
ARG TARGETARCH
COPY program.$TARGETARCH /program
CMD ["/program"]
'''
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
verify.run.exit-code = 0
"""


def test_the_classic_store_gets_a_builder_and_its_results_wait_in_the_registry(
    project: Project, tmp_path: Path, registry: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arch in ("amd64", "arm64"):
        program = binary(parse(arch))
        assert program
        (project.folder / f"program.{arch}").write_bytes(program)
        (project.folder / f"program.{arch}").chmod(0o755)
    project.write(TOML.format(registry=registry, name=name))
    # What setup makes stays out of the lists of who runs the tests.
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "buildx"))
    stand_in = buildkit_image.ensure_image()
    with second_engine(tmp_path / "log", containerd=False) as engine:
        env = {"DOCKER_HOST": engine.host}
        give_image(engine, stand_in)
        docker("tag", stand_in, IMAGE, DOCKER_HOST=engine.host)
        result = project.invoke("build", env=env)
        assert "image store is the classic one" in result.stderr  # and the fix
        lines = project.ok("setup", env=env).splitlines()
        assert lines[0].startswith(
            'builder "buildx-tasks" (docker-container): the engine\'s own cannot make images of '
            "several platforms (app), for its image store is the classic one"
        )
        assert lines[1:] == [
            'create builder "buildx-tasks" (docker-container) with node "buildx-tasks0"',
            'use builder "buildx-tasks"',
            'bootstrap builder "buildx-tasks"',
            "ready",
        ]
        assert project.ok("setup", env=env).splitlines()[-1] == "ready: nothing to change"
        result = project.invoke("build", "--progress", "plain", env=env)
        assert result.returncode == 0, result.stderr
        assert f"{registry}/{name}@sha256:" in result.stderr
        rows = [line.split()[:2] for line in project.ok("verify", env=env).splitlines()[1:-1]]
        assert rows == [["app@linux/amd64", "ok"], ["app@linux/arm64", "ok"]]
        assert f"{registry}/{name}:v1@sha256:" in project.ok("push", env=env)
        # A builder of its own for one platform is not needed: the engine's own does that.
        text = TOML.format(registry=registry, name=name).replace('"linux/amd64", ', "")
        printed = project.write(text).ok("setup", env=env)
        assert 'remove builder "buildx-tasks": it is not needed any more' in printed
        assert project.ok("setup", env=env).splitlines() == [
            'builder "default": the engine\'s own, which can do all that is declared',
            "ready: nothing to change",
        ]
