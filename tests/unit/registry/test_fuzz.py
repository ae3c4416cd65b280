"""A tenth of ``nox -s fuzz``, always with the same cases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_strangers_bytes_harm_nothing(seed: int) -> None:
    # Its own process: memory and folders are looked at.
    command = [sys.executable, "-m", "fuzz.session", "--share", "0.1", "--seed", str(seed)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "manifests: 10,000 of 10,000" in done.stdout
    assert "layers: 2,000 of 2,000" in done.stdout
    assert "conversations: 2,000 of 2,000" in done.stdout
