"""What Python compiles of the package is kept for the next task, as invoke keeps nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import buildx_tasks

TOML = '[target.app]\ndockerfile-inline = "FROM scratch"\ntags = ["app:v1"]\n'
TASKS = "import beside\nfrom buildx_tasks import *  # noqa: F403\n"


def _invoke(folder: Path, *words: str, **env: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(folder / "package"), "PYTHONVERBOSE": "1", **env},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stderr


def test_the_package_is_compiled_once_and_nothing_beside_the_tasks(tmp_path: Path) -> None:
    package = tmp_path / "package" / "buildx_tasks"
    shutil.copytree(
        Path(buildx_tasks.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "buildx.toml").write_text(TOML)
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "beside.py").write_text("")
    told_not_to = _invoke(tmp_path, "schema", PYTHONDONTWRITEBYTECODE="1")
    assert "buildx_tasks/tasks/" in told_not_to
    assert not [*tmp_path.rglob("*.pyc")]
    _invoke(tmp_path, "schema")
    loaded = _invoke(tmp_path, "schema")
    sources = [line for line in loaded.splitlines() if line.startswith("# code object from /")]
    compiled = [line for line in sources if str(package) in line]
    # Until the first of ours is asked for, it is as invoke wants it.
    assert {line.rpartition(f"{package}/")[2] for line in compiled} <= {
        "__init__.py",
        "machine/__init__.py",
        "machine/compiled.py",
        "machine/version.py",
    }
    assert {path.parent.parent for path in tmp_path.rglob("*.pyc")} >= {package / "tasks"}
    assert not [*tmp_path.glob("__pycache__/*")]
