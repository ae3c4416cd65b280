from __future__ import annotations

import os
import subprocess

from .conftest import ROOT


def bootstrap(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "bootstrap"), *args], capture_output=True, text=True, check=False, cwd="/"
    )


def test_again_it_does_nothing_and_runs_the_command_in_the_project() -> None:
    assert bootstrap().returncode == 0
    result = bootstrap("sh", "-c", "pwd; command -v invoke; exit 5")
    assert result.returncode == 5
    assert result.stdout.splitlines() == [str(ROOT), f"{ROOT}/.venv/bin/invoke"]
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("bootstrap: ready: Python 3.")


def test_it_never_touches_an_engine_that_it_did_not_start() -> None:
    env = {**os.environ, "DOCKER_HOST": "unix:///nothing.sock"}
    result = subprocess.run(
        [str(ROOT / "bootstrap"), "true"], capture_output=True, text=True, check=False, env=env
    )
    assert result.returncode == 1
    assert "the engine that DOCKER_HOST or DOCKER_CONTEXT names does not answer" in result.stderr


def test_usage() -> None:
    assert bootstrap("--bogus").returncode == 2
    assert "usage: ./bootstrap" in bootstrap("--help").stdout
