"""pytest in a foreign project: the tests of docs/pytest.md, and what fails, told plainly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import docker, running, wait_for

if TYPE_CHECKING:
    from conftest import Project

PAGE = (Path(__file__).parents[2] / "docs" / "pytest.md").read_text()
(SHOWN,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TOML = """
[target.app]
dockerfile-inline = '''
FROM alpine:3.22
RUN echo hello > /greeting && chmod 640 /greeting && mkdir /www && ln -s /greeting /www/greeting
RUN cp /bin/busybox /copy && ln /copy /other
'''
platforms = ["linux/amd64", "linux/arm64"]
tags = ["NAME:v1"]
[target.never]
dockerfile-inline = "FROM alpine:3.22"
platforms = ["linux/arm64", "linux/arm/v7"]
tags = ["NAME-never:v1"]
"""
PLUGIN = "buildx_tasks.pytest.plugin"
IS_REGISTERED = any(
    point.value == PLUGIN
    for distribution in metadata.distributions()
    for point in distribution.entry_points
    if point.group == "pytest11"
)


def command(*args: str) -> list[str]:
    # An editable install that is older than the entry point does not have it.
    named = [] if IS_REGISTERED else ["-p", PLUGIN]
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *named, *args]


def ran(project: Project, text: str, *args: str) -> subprocess.CompletedProcess[str]:
    (project.folder / "test_it.py").write_text(text)
    return subprocess.run(
        command("--strict-markers", "-W", "error", *args),
        cwd=project.folder,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def foreign(project: Project, name: str) -> Project:
    project.write(TOML.replace("NAME", name))
    project.ok("build", "app", "--progress", "quiet")
    return project


def test_the_tests_of_the_page_pass_and_failing_ones_say_why(foreign: Project, name: str) -> None:
    done = ran(foreign, SHOWN, "-v")
    assert done.returncode == 0, done.stdout
    for one in ("test_on_each_platform[app@linux/amd64]", "test_on_each_platform[app@linux/arm64]"):
        assert f"::{one} PASSED" in done.stdout
    assert docker("ps", "-aq", "--filter", f"label=dev.buildx-tasks.project={foreign.folder}") == ""

    failing = """
import pytest
@pytest.fixture(scope="module")
def app(image): return image("app", "linux/amd64")
def test_links(app):
    files = app.files("/www/greeting", "/other")
    assert files["/www/greeting"].text == "hello\\n" and files["/www/greeting"].kind == "symlink"
    assert len(files["/other"].content) == files["/other"].size > 100_000
    assert app.files()["/copy"].content is None and "/nothing" not in app.files("/noth*")
def test_stop(app):
    args = ["sh", "-c", "trap 'echo bye; exit 0' TERM; httpd -p 80; while :; do sleep 1 & wait $!; done"]
    with app.service(80, *args) as service:
        assert service.stop().stdout == "bye\\n"
def test_not_built(image): image("never", "linux/arm64").run()
def test_unknown(image): image("ap")
def test_ambiguous(image): image("never")
def test_platform(image): image("app", "linux/s390x")
def test_code(app): app.run("sh", "-c", "echo out; echo err >&2; exit 4")
def test_text(app): app.run("echo", "{platform}", stdout="linux/arm64")
def test_time(app): app.run("sleep", "9", timeout=0.5)
def test_option(app): app.run(timeot=3)
def test_type(app): app.run(env={"A": 3})
def test_silent(app):
    with app.service(80, "sleep", "9", ready_within=0.5): pass
def test_ends(app):
    with app.service(80, "sh", "-c", "echo sorry; exit 7"): pass
def test_path(app): app.files("/greetin")
def test_program(app): app.run("/nope")
def test_unmarked(cell): pass
"""
    done = ran(foreign, failing, "-rfE", "--tb=short")
    assert done.returncode == 1, done.stdout
    said = dict(re.findall(r"(?m)^(?:FAILED|ERROR) test_it.py::(\w+) - Failed: (.*)$", done.stdout))
    first = "app@linux/amd64: "
    assert said == {
        "test_not_built": f"{name}-never:v1 is not built; run invoke build -t never",
        "test_unknown": 'image: unknown target "ap"; did you mean "app"?',
        "test_ambiguous": 'image: "never" is for linux/arm/v7, linux/arm64: name one, as in '
        'image("never", "linux/arm64")',
        "test_platform": 'target "app" does not declare linux/s390x; it declares: linux/amd64, '
        "linux/arm64",
        "test_code": f"{first}exit code: expected 0, got 4 (err)",
        "test_text": f'{first}stdout: expected "linux/arm64", got "linux/amd64"',
        "test_time": f"{first}still running after 0.5 s; it was stopped",
        "test_option": 'run: unknown option "timeot"; did you mean "timeout"?',
        "test_type": "run: Expected `str`, got `int` - at `$.env[...]`; see docs/reference.md for what "
        "it takes",
        "test_silent": f"{first}not ready within 0.5 s: port 80: nothing listens there (127.0.0.1 "
        "inside the container is not enough)",
        "test_ends": f"{first}ended with exit code 7 before it answered on port 80; it printed "
        '"sorry"',
        "test_path": f"{first}nothing is at /greetin; did you mean /greeting?",
        "test_program": said.get("test_program", ""),
        "test_unmarked": 'mark the test with its targets, as in @pytest.mark.cells("app")',
    }
    assert "cannot be started" in said["test_program"]
    assert re.search(r"(?m)^test_it.py:\d+: in test_code$", done.stdout)
    assert "failing.py" not in done.stdout
    assert "--- stdout\nE   out\nE   --- stderr\nE   err" in done.stdout
    assert docker("ps", "-aq", "--filter", f"label=dev.buildx-tasks.project={foreign.folder}") == ""


def test_what_cannot_be_collected_is_said_in_one_line(foreign: Project) -> None:
    marked = "import pytest\n@pytest.mark.cells({})\ndef test_it({}): pass\n"
    done = ran(foreign, marked.format('"nope"', "cell"))
    assert 'unknown target "nope"; known: app, never' in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    done = ran(foreign, marked.format('"app"', ""))
    assert 'test_it is marked with cells, and has no argument "cell": add it' in done.stdout
    (foreign.folder / "buildx.toml").unlink()
    done = ran(foreign, marked.format("", "cell"))
    assert "buildx.toml: not found in" in done.stdout
    assert ran(foreign, "def test_other(): pass\n").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_container(foreign: Project, number: signal.Signals) -> None:
    (foreign.folder / "test_it.py").write_text(
        "def test_it(image):\n"
        "    image('app', 'linux/amd64').run('true')\n"
        "    image('app', 'linux/amd64').run('sleep', '60')\n"
    )
    mine = ["ps", "-q", "--filter", f"label=dev.buildx-tasks.project={foreign.folder}"]
    with running(command(), cwd=foreign.folder, stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: docker(*mine, "--filter", "status=running") != "", "nothing runs")
        began = time.monotonic()
        process.send_signal(number)
        process.wait()
    assert time.monotonic() - began < 20
    assert docker(*mine, "--all") == ""


def test_nothing_is_loaded_where_no_image_is_asked_for(project: Project) -> None:
    script = (
        "import sys, pytest; pytest.main(['-q', '-p', 'buildx_tasks.pytest.plugin', 'nothing.py']); "
        "print(*[n for n in sys.modules if n.partition('.')[0] in "
        "('buildx_tasks', 'docker', 'invoke', 'msgspec', 'requests')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert sorted(loaded) == [
        "buildx_tasks",
        "buildx_tasks.machine",
        "buildx_tasks.machine.version",
        "buildx_tasks.pytest",
        "buildx_tasks.pytest.plugin",
    ]
