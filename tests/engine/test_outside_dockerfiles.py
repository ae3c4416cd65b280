"""A Dockerfile outside the project's folder builds and lints like one inside; one bad one is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

DOCKERFILE = "FROM alpine:3.22\nCOPY f /f\nMAINTAINER me\n"  # BuildKit warns of the last line
WHOLE = '[target.app]\nplatforms = ["linux/amd64"]\noutput = ["type=cacheonly"]\n'
ONE = 'platforms = ["linux/amd64", "linux/arm64"]\noutput = ["type=cacheonly"]\n'


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory, project: Project) -> Path:
    """A folder that is not the project's, with a Dockerfile; what it copies is in the project."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (project.folder / "f").write_text("x")
    return folder


def _relative(project: Project, shared: Path) -> str:
    return f'{WHOLE}dockerfile = "../{shared.relative_to(project.folder.parent)}/Dockerfile"\n'


def _absolute(project: Project, shared: Path) -> str:
    del project
    return f'{WHOLE}dockerfile = "{shared}/Dockerfile"\n'


def _linked(project: Project, shared: Path) -> str:
    (project.folder / "Dockerfile").symlink_to(shared / "Dockerfile")
    return WHOLE


def _in_a_linked_folder(project: Project, shared: Path) -> str:
    (project.folder / "docker").symlink_to(shared)
    return f'{WHOLE}dockerfile = "docker/Dockerfile"\n'


def _of_one_platform(project: Project, shared: Path) -> str:
    (project.folder / "Dockerfile").write_text(DOCKERFILE)
    own = f'[target.app.platform."linux/amd64"]\ndockerfile = "{shared}/Dockerfile"\n'
    return f"[target.app]\n{ONE}{own}"


def _with_its_context(project: Project, shared: Path) -> str:
    del project
    (shared / "f").write_text("x")
    return f'{WHOLE}context = "{shared}"\n'


def _of_another_folder_s_context(project: Project, shared: Path) -> str:
    (shared / "context").mkdir()
    (shared / "context" / "f").write_text("x")
    del project
    return f'{WHOLE}context = "{shared}/context"\ndockerfile = "../Dockerfile"\n'


@pytest.mark.parametrize(
    "declare",
    [
        _relative,
        _absolute,
        _linked,
        _in_a_linked_folder,
        _of_one_platform,
        _with_its_context,
        _of_another_folder_s_context,
    ],
)
def test_it_builds_and_lints(project: Project, shared: Path, declare: object) -> None:
    assert callable(declare)
    project.write(declare(project, shared))
    if declare is _relative and shared.parent != project.folder.parent:
        pytest.skip("no way from one to the other")
    result = project.invoke("build", "--progress", "quiet")
    assert result.returncode == 0, result.stderr
    linted = project.invoke("lint")
    assert linted.returncode == 1, linted.stderr
    assert "MaintainerDeprecated" in linted.stdout


def test_one_that_cannot_be_read_leaves_the_others_findings(project: Project) -> None:
    (project.folder / "Dockerfile").write_text(DOCKERFILE)
    (project.folder / "folder").mkdir()
    (project.folder / "loose").symlink_to("gone")
    (project.folder / "turning").symlink_to("turning")
    text = f'{WHOLE}\n[target.a]\ndockerfile = "folder"\n[target.b]\ndockerfile = "loose"\n'
    text += '[target.c]\ncontexts = { x = "none" }\n[target.d]\ndockerfile = "turning"\n'
    project.write(text)
    linted = project.invoke("lint")
    assert linted.returncode == 1, linted.stderr
    assert "MaintainerDeprecated" in linted.stdout
    for words in ("is a folder", "is a link to gone", "there is no context none", "turning"):
        assert words in linted.stdout
    assert linted.stdout.count("Unbuildable") == 4


def test_what_is_not_there_is_named_before_bake(project: Project) -> None:
    project.write(f'{WHOLE}dockerfile = "docker/app.Dockerfile"\n')
    result = project.invoke("build", "--progress", "quiet")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "buildx.toml:4:1: [target.app] docker/app.Dockerfile: there is no"
    )
    assert not (project.folder / ".buildx" / "bake.json").exists()
