"""The wheel and the sdist that ``nox -s package`` has built: all is in them that a stranger needs."""

from __future__ import annotations

import email
import os
import re
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
