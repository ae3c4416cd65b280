from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.language.expectations import Mount, Run, Service
from buildx_tasks.platforms import parse
from buildx_tasks.verification.check import Found, Subject
from buildx_tasks.verification.checks import container, run, service

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


def test_nothing_is_looked_at_where_no_program_was_at_fault() -> None:
    nothing: Any = None
    for found in (Found(stderr="exec /x: exec format error"), Found(("exit code",), stdout="else")):
        assert container.with_hint(nothing, nothing, found) == found


def test_the_last_lines_are_told() -> None:
    assert container.last_lines("", "\n\n") == ""
    assert container.last_lines("a\nb\nc\nd\n", "e\x1b\n") == '; it printed "b", "c", "d", "e\\x1b"'


def test_a_mount_is_below_the_project(tmp_path: Path) -> None:
    inside = tmp_path / "project"
    (inside / "data").mkdir(parents=True)
    (inside / "data/file").touch()
    (inside / "link").symlink_to("data")
    (inside / "circle").symlink_to("circle/x")
    (inside / "outside").symlink_to(tmp_path)
    (inside / "nowhere").symlink_to("gone")
    assert container.source(inside, Mount("link/file", "/x")) == inside / "data/file"
    assert container.source(inside, Mount(".", "/x")) == inside
    missing = f'is not in the project\'s folder "{inside}"; make it, or correct the path'
    for name, problem in {
        "outside": f'leads out of the project\'s folder, to "{tmp_path}"; copy what it needs into',
        "../gone": f'leads out of the project\'s folder, to "{tmp_path}/gone"; copy what it needs',
        "nowhere": missing,
        "data/file/x": missing,
        "circle": "cannot be read: Too many levels of symbolic links; correct it",
        "x" * 300: "cannot be read: File name too long; correct it",
    }.items():
        with pytest.raises(RefusedError) as caught:
            container.source(inside, Mount(name, "/x"))
        assert problem in str(caught.value)
        assert str(caught.value).startswith(f'mount "{name}" ')


def without_engine(base_url: str, **facts: Any) -> Any:
    """A subject of which nothing is known but how docker reaches the engine."""
    api = SimpleNamespace(base_url=base_url)
    client, info = SimpleNamespace(api=api), {"OperatingSystem": "Debian"}
    engine = SimpleNamespace(client=client, info=info, is_local=False)
    session = SimpleNamespace(engine=engine, root=ROOT, keep=True)
    return Subject(session, None, None, ARM, **facts)  # type: ignore[arg-type]


def test_over_ssh_nothing_is_run() -> None:
    subject = without_engine("http+docker://ssh")
    for found in (run.check(subject, Run()), service.check(subject, Service(port=80))):
        assert found.problems == (
            "verify cannot keep time-outs over ssh://; forward the socket: "
            "ssh -NL ~/.docker-remote.sock:/var/run/docker.sock HOST, "
            "and set DOCKER_HOST=unix://$HOME/.docker-remote.sock",
        )


@pytest.mark.parametrize("url", ["http://remote:2375", "https://remote:2376"])
def test_an_engine_elsewhere_has_no_files_of_the_project(url: str) -> None:
    found = run.check(without_engine(url), Run(mounts=[Mount("a", "/b")]))
    assert found.problems == (
        'mount "a" is not on the engine\'s machine, which is another one; '
        "run verify there, or leave out what mounts with only or skip",
    )


def test_a_container_that_fails_as_is_known_is_not_kept() -> None:
    found = Found(("no",))
    subject = without_engine("http+docker://localhost", keep=False)
    assert container.kept(subject, None, found) is found
