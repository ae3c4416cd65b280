"""A build as a person sees it on a terminal, and what its record tells afterwards."""

from __future__ import annotations

import fcntl
import http.server
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

import pyte
import pytest

from buildx_tasks.records import builds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

_LINES = 60  # of the terminals
CELLS = ("app@linux/amd64", "app@linux/arm64", "tool@linux/amd64")
TWO = """\
[target.app]
dockerfile = "Dockerfile"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
[target.tool]
dockerfile-inline = "FROM alpine:3.22\\nRUN sleep 1\\nMAINTAINER me\\n"
platforms = ["linux/amd64"]
tags = ["{registry}/{name}:tool"]
"""
DOCKERFILE = """\
FROM --platform=$BUILDPLATFORM alpine:3.22 AS build
ARG TARGETARCH
RUN echo for $TARGETARCH; \\
    sleep 3; touch /out
FROM alpine:3.22
COPY --from=build /out /out
RUN uname -m
"""
FAILING = """\
[target.app]
dockerfile-inline = \"\"\"
FROM alpine:3.22
RUN echo before
RUN --mount=type=secret,id=TOKEN for i in $(seq 30); do echo line $i; done; \\\\
    cat /run/secrets/TOKEN; echo; echo '::error::no'; exit 3
\"\"\"
platforms = ["linux/amd64"]
secret = ["id=TOKEN"]
"""


class Terminal:
    """A process on a terminal of its own, and what is on its screen."""

    def __init__(self, project: Project, columns: int, *args: str, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        self.screen = pyte.Screen(columns, _LINES)
        self._stream = pyte.ByteStream(self.screen)
        self.data = b""
        self.resize(columns)
        known = {**os.environ, "TERM": "xterm", **env}
        for name in ("COLUMNS", "LINES", "NO_COLOR", *(("CI",) if "CI" not in env else ())):
            if name not in env:
                known.pop(name, None)
        self.process = subprocess.Popen(
            project.command(*args),
            cwd=project.folder,
            env=known,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
        self.screen.resize(_LINES, columns)

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, ready: Callable[[list[str]], bool], what: str) -> list[str]:
        for _ in self._read():
            if ready(self.lines()):
                return self.lines()
        pytest.fail(f"{what}; there is\n" + "\n".join(self.lines()))

    def end(self) -> list[str]:
        """Read until it has ended; return what is on the screen then."""
        for _ in self._read():
            pass
        os.close(self._ours)
        self.process.wait()
        return self.lines()

    def __enter__(self) -> Terminal:  # noqa: PYI034 - Python 3.9 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> Iterator[None]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if select.select([self._ours], [], [], 0.1)[0]:
                data = b""
                with suppress(OSError):  # how Linux says that nobody has it open any more
                    data = os.read(self._ours, 1 << 16)
                if not data:
                    return
                self.data += data
                self._stream.feed(data)
            yield


def newest(project: Project) -> builds.Build:
    return builds.read(project.folder, builds.recent(project.folder)[0])


def union(build: builds.Build) -> float:
    """The seconds in which any step ran."""
    total = end = 0.0
    for step in sorted(build.steps, key=lambda one: one.started):
        if step.ended is not None and step.ended > end:
            total += step.ended - max(end, step.started)
            end = step.ended
    return total


def see_it_compile(terminal: Terminal) -> None:
    """Look at the screen at three widths while both platforms of app compile."""
    for columns in (200, 100, 60):
        terminal.resize(columns)
        lines = terminal.until(
            lambda lines: is_compiling(lines) and max(map(len, lines)) < columns,  # noqa: B023
            f"never both compiled on {columns} columns",
        )
        shown = "\n".join(lines)
        assert terminal.screen.cursor.hidden
        (arm,) = (line for line in lines if "app@linux/arm64" in line)
        assert re.match(r"[|/\\-] app@linux/arm64 +1/3 build RUN echo", arm), shown
        assert re.search(r" s$", arm), shown
        assert "emulated" in arm, shown
        assert re.fullmatch(r"\d of 3 built, .*\d s(, .*B)?", lines[-1]), shown
        assert b"still at it" not in terminal.data.partition(b"[?25l")[2]


def is_compiling(lines: list[str]) -> bool:
    # A line that the terminal has cut has no seconds at its end.
    return sum(bool(re.search("build RUN echo.* s$", line)) for line in lines) == 2


def test_a_build_on_a_terminal(project: Project, name: str, registry: str) -> None:
    project.write(TWO.format(registry=registry, name=name)).write(DOCKERFILE, "Dockerfile")
    with Terminal(project, 200, "build", "--no-cache") as terminal:
        see_it_compile(terminal)
        lines = terminal.end()
    assert terminal.process.returncode == 0
    assert not terminal.screen.cursor.hidden
    assert lines[0].startswith("warning: tool: MaintainerDeprecated: ")
    assert lines[1].endswith("(line 3)")
    assert lines[2].startswith("target"), "nothing of the display stays"
    assert len(lines) == 5
    build = newest(project)
    assert (build.outcome, build.failed) == ("built", ())
    assert [cell.id for cell in build.cells] == list(CELLS)
    assert [cell.is_emulated for cell in build.cells] == [False, True, False]
    assert all(cell.fingerprint for cell in build.cells)
    assert build.versions.keys() >= {"engine", "buildx"}
    assert build.seconds
    bake = max(step.ended or 0 for step in build.steps) - min(s.started for s in build.steps)
    assert bake > 0.9 * build.seconds - 1, "what reads bake's results comes after it"
    assert union(build) >= 0.97 * bake, build
    found = {
        (s.name.split("  ")[0], s.platform, s.dockerfile, s.line, s.cells) for s in build.steps
    }
    compiled = "RUN echo for arm64;"
    assert (compiled, "linux/amd64", "Dockerfile", 3, CELLS[1:2]) in found
    assert ("RUN uname -m", "linux/arm64", "Dockerfile", 7, CELLS[1:2]) in found
    emulated = [step.name for step in build.steps if step.is_emulated]
    assert emulated == ["RUN uname -m"]
    # What buildx shows itself is recorded too: as the engine has it.
    project.ok("build", "--always", "--progress", "plain")
    again = newest(project)
    assert again.id != build.id
    assert {(s.name, s.cells) for s in again.steps if s.instruction} == {
        (s.name, s.cells) for s in build.steps if s.instruction
    }
    assert all(step.is_cached for step in again.steps if step.instruction in ("RUN", "COPY"))


def test_a_failure_is_the_last_thing_seen(project: Project) -> None:
    project.write(FAILING)
    secret = "hunter22-is-secret"  # noqa: S105
    args = ("build", "-s", "app.args.X=1")
    with Terminal(project, 100, *args, TOKEN=secret, NO_COLOR="1") as terminal:
        lines = terminal.end()
    assert terminal.process.returncode == 1
    assert not terminal.screen.cursor.hidden
    start = lines.index("--- app@linux/amd64 failed at [target.app] dockerfile-inline:3")
    source, printed = lines[start + 1 : start + 6], lines[start + 6 : start + 8]
    assert source[0] == "     1 | FROM alpine:3.22"
    assert source[2].startswith(">    3 | RUN --mount=type=secret,id=TOKEN for i in")
    assert "it printed, after 12 other lines:" in lines[start:], (source, printed)
    rest = lines[lines.index("it printed, after 12 other lines:") + 1 :]
    assert rest[0] == "| line 13"
    assert rest[18:20] == ["| ***", "| : :error::no"]
    assert rest[-2:] == [
        "again: invoke build -t app -p linux/amd64 -s app.args.X=1",
        "error: the build failed: app@linux/amd64",
    ]
    assert b"\x1b[31" not in terminal.data
    assert b"\x1b[1m" not in terminal.data
    assert secret.encode() not in terminal.data
    (path,) = (project.folder / ".buildx" / "builds").iterdir()
    assert secret not in path.read_text()
    build = newest(project)
    assert (build.outcome, build.failed) == ("failed", CELLS[:1])
    assert any(step.error.endswith("exit code: 3") for step in build.steps)
    # A log has it too, and the command as a person would type it.
    result = project.invoke("--echo", "build", env={"TOKEN": secret})
    assert "--progress auto" in result.stdout
    assert "rawjson" not in result.stdout
    assert "app@linux/amd64: started\n" in result.stderr
    # The log comes with the line that says it, and once more at the end.
    early, _, _ = result.stderr.partition("\nERROR: ")
    assert "\napp@linux/amd64: FAILED at RUN --mount" in early
    assert early.endswith("\n".join(["it printed, after 12 other lines:", *rest[:20]]))
    assert result.stderr.rstrip().endswith("\n" + "\n".join(rest[-1:]))
    assert "ERROR: failed to solve: process" in result.stderr
    plain = project.invoke("build", "--progress", "plain", env={"TOKEN": secret}).stderr
    assert plain.rstrip().endswith("\n" + "\n".join(rest[-1:]))
    assert "--- app@linux/amd64 failed at" in plain
    # What BuildKit cannot read it begins no step of.
    project.write(FAILING.replace("RUN echo before", "RUNX echo before"))
    refused = project.invoke("build", env={"TOKEN": secret})
    assert refused.returncode == 1
    assert "app@linux/amd64: FAILED\n" in refused.stderr
    told = refused.stderr.partition("\n\n")[2].splitlines()
    assert told[0] == "--- app@linux/amd64 failed at [target.app] dockerfile-inline:2"
    assert told[2] == ">    2 | RUNX echo before"
    assert told[-3].startswith("dockerfile parse error on line 2: unknown instruction: RUNX")
    assert told[-2:] == ["again: invoke build -t app -p linux/amd64", rest[-1]]


def test_images_that_are_asked_for_and_what_is_printed_meanwhile(
    project: Project, name: str, registry: str
) -> None:
    answers = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.wait(60)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - their name

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"localhost:{server.server_port}/base:v1"
        project.write(f'[target.app]\ndockerfile-inline = "FROM {base}\\n"\n')
        with Terminal(project, 100, "lock") as terminal:
            # All that was ever drawn counts: on a slow machine the row may be gone again.
            terminal.until(lambda _: b"is asked for" in terminal.data, "no row")
            answers.set()
            lines = terminal.end()
        server.shutdown()
    assert terminal.process.returncode == 1
    assert not terminal.screen.cursor.hidden
    assert lines[0].startswith(f"{base} ([target.app] dockerfile-inline:1) is not locked: ")
    drawn = terminal.data.decode()
    assert re.search(rf"[|/\\-] {base}  is asked for .* s\r\n", drawn), drawn
    assert re.search(r"0 of 1 asked for, .* s", drawn), drawn
    # Tags that are moved while layers are sent stand above what is sent.
    text = '[target.app]\ndockerfile-inline = "FROM alpine:3.22\\n"\nplatforms = ["linux/amd64"]\n'
    project.write(f'{text}tags = ["{registry}/{name}:v1", "{registry}/{name}:v2"]\n')
    project.ok("build", "--progress", "quiet")
    with Terminal(project, 100, "push", "--no-verify") as terminal:
        lines = terminal.end()
    assert terminal.process.returncode == 0
    moved = [rf"{registry}/{name}:v{number}  [0-9a-f]{{12}}  moved" for number in (1, 2)]
    assert re.fullmatch("\n".join([*moved, "2 tags moved"]), "\n".join(lines))


def test_what_was_broken_off(project: Project) -> None:
    text = '[target.app]\nplatforms = ["linux/amd64"]\noutput = ["type=cacheonly"]\n'
    project.write(f'{text}dockerfile-inline = "FROM alpine:3.22\\nRUN sleep 60\\n"\n')
    with Terminal(project, 80, "build", "--no-cache") as terminal:
        terminal.until(lambda lines: any("1/1 RUN sleep 60" in x for x in lines), "it never ran")
        terminal.process.send_signal(signal.SIGINT)
        lines = terminal.end()
    assert terminal.process.returncode == 130
    assert not terminal.screen.cursor.hidden
    assert re.match(r"  app@linux/amd64  1/1 RUN sleep 60 .*native, [\d.]+ s$", lines[-3])
    assert lines[-2].startswith("0 of 1 built, 1 stopped, ")
    assert lines[-1] == "build was interrupted (SIGINT)"
    assert newest(project).outcome == "interrupted"
    with subprocess.Popen(
        project.command("build", "--no-cache"),
        cwd=project.folder,
        start_new_session=True,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 60
        running: list[str] = []
        while not running and time.monotonic() < deadline:
            time.sleep(0.1)
            build = newest(project)
            if build.outcome == "unfinished":
                running = [s.name for s in build.steps if s.ended is None and s.instruction]
        os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr
        assert b"app@linux/amd64: started\n" in process.stderr.read()
    build = newest(project)
    assert (build.outcome, build.seconds) == ("unfinished", None)
    assert [s.name for s in build.steps if s.ended is None and s.instruction] == ["RUN sleep 60"]
    assert [cell.id for cell in build.cells] == ["app@linux/amd64"]
