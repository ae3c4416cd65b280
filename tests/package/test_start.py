"""The Start page, word for word, in an empty folder, with the wheel: all its files, all its commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "start.md").read_text()
PYTHONS = os.environ.get("START_PYTHONS", sys.executable).split(os.pathsep)


@pytest.fixture
def wheels() -> str:
    reason = ""
    if "DIST" not in os.environ:
        reason = "nothing is built: run nox -s package"
    elif (
        not shutil.which("docker") or subprocess.run(["docker", "version"], check=False).returncode
    ):
        reason = "no Docker Engine answers: run ./bootstrap"
    if reason and os.environ.get("CI") == "true" and "DIST" in os.environ:
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
    return str(Path(os.environ["DIST"]).resolve())


def script() -> str:
    """What a person would do: each file is written, each command typed, in the page's order."""
    lines = ["set -eu"]
    for language, title, text in re.findall(
        r"(?ms)^```(\w+)(?: title=\"(.*?)\")?\n(.*?)^```$", PAGE
    ):
        if title:
            lines.append(f"cat > {title} <<'END'\n{text}END")
        elif language == "console":
            lines += [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        else:
            assert language == "text"  # what is printed
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_start_page_is_true_word_for_word(
    python: str, wheels: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "python3").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
    (shim / "python3").chmod(0o755)
    env = {**bare, "PATH": f"{shim}:{bare['PATH']}", "PIP_FIND_LINKS": wheels, "COLUMNS": "200"}
    folder = tmp_path / "hello"
    folder.mkdir()
    start = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", script()],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=290,
    )
    seconds = time.monotonic() - start
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        (shown,) = re.findall(r"(?ms)^```text\n(.*?)^```$", PAGE)
        for line in shown.splitlines():
            cells = line.split()
            assert re.search(r"\s+".join(map(re.escape, cells[:2])), done.stdout), line
        assert "Hello, linux/arm64!" in done.stdout
        assert "unchanged since" in done.stdout
    finally:
        invoke = [str(folder / ".venv" / "bin" / "invoke"), "clean"]
        if Path(invoke[0]).exists():
            subprocess.run(invoke, cwd=folder, env=env, capture_output=True, check=False)
    with capsys.disabled():
        print(f"\nstart.md with {Path(python).name}: {seconds:.0f} s")
