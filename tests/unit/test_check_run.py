from __future__ import annotations

from pathlib import Path

import pytest

from buildx_tasks.checks import Found, container, run, service
from buildx_tasks.expectations import Mount, Run, Service
from buildx_tasks.platforms import parse

ARM = parse("linux/arm/v7")
ROOT = Path("/project")
BASE = ["docker", "run", "--rm", "--pull", "never", "--platform", "linux/arm/v7"]


@pytest.mark.parametrize(
    ("spec", "options", "arguments"),
    [
        (Run(), [], []),
        (Run(args=["--for", "x y"]), [], ["--for", "x y"]),
        (Run(entrypoint=["a", "b"], args=["c"]), ["--entrypoint", "a"], ["b", "c"]),
        (Run(entrypoint=[]), ["--entrypoint", ""], []),
        (Run(stdin=""), ["--interactive"], []),
        (Run(env={"A": "b=c"}), ["--env", "A=b=c"], []),
        (Run(user="1:2", workdir="/w"), ["--user", "1:2", "--workdir", "/w"], []),
        (Run(memory="20MB"), ["--memory", "20000000", "--memory-swap", "20000000"], []),
        (Run(cpus=2.0), ["--cpus", "2"], []),
        (Run(cpus=0.123456789), ["--cpus", "0.123456789"], []),
        (
            Run(mounts=[Mount("a", "/b")]),
            ["--mount", "type=bind,source=/project/a,target=/b,readonly"],
            [],
        ),
        (
            Run(mounts=[Mount('a,"', "/b", readonly=False)]),
            ["--mount", 'type=bind,"source=/project/a,""",target=/b'],
            [],
        ),
    ],
)
def test_the_command_has_what_is_declared(
    spec: Run, options: list[str], arguments: list[str]
) -> None:
    argv = run.command("x:v1", ARM, ROOT, spec)
    assert argv == [*BASE, "--network", "none", *options, "x:v1", *arguments]


def test_a_services_command_publishes_its_port() -> None:
    argv = service.command("x:v1", ARM, ROOT, Service(port=80, stop_signal="SIGINT"))
    assert argv == [*BASE, "--publish", "127.0.0.1:80:80", "--stop-signal", "SIGINT", "x:v1"]
    argv = service.command("x:v1", ARM, ROOT, Service(port=80, network="host"))
    assert argv == [*BASE, "--network", "host", "x:v1"]


def test_a_foreign_program_gets_a_hint() -> None:
    hint = "no emulator for linux/arm/v7, or no binary for it; see invoke doctor"
    said = "exec /x: exec format error"
    for found in (Found((said,)), Found(("exit code",), stderr=f"{said}\n")):
        assert container.with_hint(ARM, found).problems[1:] == (hint,)
    for found in (Found(stderr=said), Found(("exit code",), stdout="else")):
        assert container.with_hint(ARM, found) == found


def test_the_last_lines_are_told() -> None:
    assert container.last_lines("", "\n\n") == ""
    assert container.last_lines("a\nb\nc\nd\n", "e\x1b\n") == '; it printed "b", "c", "d", "e\\x1b"'
