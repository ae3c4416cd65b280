"""What a person sees on a terminal of 80 or 60 columns; what a log has beside it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest

from .conftest import running, shell_image

if TYPE_CHECKING:
    from conftest import Project

WHOLE = re.compile("sha256:[0-9a-f]{64}")
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(project: Project, columns: int, *args: str, **env: str) -> tuple[int, list[str]]:
    """Invoke with a terminal for standard output alone; return the code, and the lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    known = {**os.environ, "TERM": "xterm", **env}
    known.pop("COLUMNS", None)
    with running(
        project.command(*args),
        cwd=project.folder,
        env=known,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        data = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that nobody has it open any more
                break
            data += piece
            if not piece:
                break
        process.communicate()
    os.close(ours)
    return process.returncode, data.decode().replace("\r", "").splitlines()


@pytest.mark.parametrize("columns", [80, 60])
def test_tables_fit(project: Project, name: str, registry: str, columns: int) -> None:
    project.write(shell_image(name, registry, "echo no; echo no >&2", stdout="yes", stderr=""))
    code, lines = on_terminal(project, columns, "build", "--progress", "quiet")
    assert code == 0
    shown = [CODES.sub("", line) for line in lines]
    for args in (["verify"], ["inspect"], ["log"], ["plan"], ["push", "--no-verify"]):
        code, lines = on_terminal(project, columns, *args)
        assert code == (args == ["verify"])
        shown += [CODES.sub("", line) for line in lines]
    assert [line for line in shown if len(line) > columns] == []
    assert WHOLE.search("\n".join(shown)) is None
    assert shown[-1] == "1 tag moved"


def test_full_shows_whole_digests(project: Project, name: str, registry: str) -> None:
    project.write(shell_image(name, registry, "echo yes", stdout="yes"))
    for args in (["build"], ["verify"], ["inspect"], ["log"], ["push"]):
        _, lines = on_terminal(project, 60, *args, "--full")
        assert WHOLE.search("\n".join(lines)), args
    assert lines[-1] == "1 tag moved"


def test_no_color(project: Project, name: str, registry: str) -> None:
    project.write(shell_image(name, registry, "echo yes", stdout="yes"))
    project.ok("build", "--progress", "quiet")
    colored, plain = (
        "\n".join(on_terminal(project, 80, "verify", "--force", **env)[1])
        for env in ({}, {"NO_COLOR": "1"})
    )
    assert "\x1b[" in colored
    assert "\x1b[" not in plain


def test_a_log_ends_in_one_line_of_what_all_comes_to(
    project: Project, name: str, registry: str
) -> None:
    text = shell_image(name, registry, "echo no", stdout="yes")
    project.write(f"{text}exit-code = 3\n[target.{name}.verify.index]\nprovenance = true\n")
    project.ok("build", "--progress", "quiet")
    lines = project.invoke("verify").stdout.splitlines()
    assert lines[-1].endswith("2 FAIL")
    assert any(line.startswith(f"{name} (index) ") and "  ok  " in line for line in lines)
    rows = [number for number, line in enumerate(lines) if line.startswith(f"{name}@linux/amd64")]
    problems = lines[rows[0] + 1 : rows[0] + 3]
    assert all(line.startswith("    ") for line in problems), lines
    pushed = project.invoke("push", "--no-verify")
    tag, summary = pushed.stdout.splitlines()
    assert WHOLE.search(tag)
    assert summary == "1 tag moved"
    assert "sent" not in pushed.stderr
    again = project.invoke("push", "--no-verify", "--verbose", "--tag", "v1", "--tag", "v2")
    assert again.stdout.splitlines()[-1] == "1 tag moved, 1 was there already"
    assert "there already" in again.stderr
