"""The wheel and the sdist that ``nox -s package`` has built: all is in them that a stranger needs."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder() -> Path:
    if "DIST" not in os.environ:
        pytest.skip("nothing is built: run nox -s package")
    return Path(os.environ["DIST"])


def test_the_wheel_says_who_it_is_and_leads_to_whole_addresses(folder: Path) -> None:
    (wheel,) = folder.glob("buildx_tasks-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        said = email.message_from_bytes(archive.read(metadata))
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "[pytest11]\nbuildx_tasks = buildx_tasks.pytest.plugin" in archive.read(
            points
        ).decode().replace("\r", "")
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Description-Content-Type"] == "text/markdown"
    assert {url.split(",")[0] for url in said.get_all("Project-URL", [])} == {
        "Homepage",
        "Documentation",
        "Changelog",
        "Issues",
    }
    text = str(said.get_payload())
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    for link in links:  # those into the repository lead to something that is there
        within = re.fullmatch(
            r"https://github.com/buildx-tasks/buildx-tasks/blob/main/([^#]+).*", link
        )
        assert within is None or (ROOT / within[1]).exists(), link
    for name in ("py.typed", "buildx.schema.json", "reports/page.html", "pytest/plugin.py"):
        assert f"buildx_tasks/{name}" in names


def test_the_sdist_is_enough_to_work_on_it(folder: Path) -> None:
    (sdist,) = folder.glob("buildx_tasks-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = (".ci/run", "README.md", "LICENSE", "SECURITY.md", "bootstrap", "stand-ins/make")
    for name in (
        *wanted,
        "tests/conftest.py",
        "docs/design.md",
        "mkdocs.yml",
        "go-sample/Dockerfile.cross",
    ):
        assert name in names
    assert not [name for name in names if ".buildx/" in name or "__pycache__" in name]


@pytest.fixture(scope="module")
def offline(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which installers find the wheel and what it needs in a folder."""
    house = tmp_path_factory.mktemp("wheels")
    (wheel,) = folder.resolve().glob("buildx_tasks-*.whl")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(house), str(wheel)]
    subprocess.run(argv, check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {
        **kept,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(house),
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(house),
        "UV_PYTHON": sys.executable,
    }


def test_uvx_runs_it_without_installing(offline: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from buildx_tasks import namespace\n")
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("there is no uv: run nox -s package")
    env = {**offline, "UV_CACHE_DIR": str(tmp_path / "cache")}
    argv = [uv, "tool", "run", "--from", "buildx-tasks", "invoke", "--list"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "  verify " in done.stdout


def test_pipx_installs_it(offline: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from buildx_tasks import namespace\n")
    pipx = shutil.which("pipx")
    if pipx is None:
        pytest.skip("there is no pipx: run nox -s package")
    env = {**offline, "PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    argv = [pipx, "install", "--include-deps", "--python", sys.executable, "buildx-tasks"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    argv = [str(tmp_path / "bin" / "invoke"), "--list"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "  verify " in done.stdout
