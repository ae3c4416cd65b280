from __future__ import annotations

import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.engine.engine import Engine
from buildx_tasks.language.expectations import Mount, Output, Run
from buildx_tasks.verification import containers
from buildx_tasks.verification.checks import run

from .check_image import built, subject
from .conftest import docker, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.verification.check import Found, Subject


@pytest.fixture(scope="module")
def tag() -> Iterator[str]:
    with built("whole", "linux/amd64", "linux/arm64") as tag:
        yield tag


@pytest.fixture
def native(tag: str, tmp_path: Path) -> Iterator[Subject]:
    with subject(tag, tmp_path) as made:
        yield made


@pytest.fixture
def emulated(tag: str, tmp_path: Path) -> Iterator[Subject]:
    with subject(tag, tmp_path, "linux/arm64") as made:
        yield made


def shell(script: str, **spec: Any) -> Run:
    return Run(args=["sh", "-c", script], **spec)


def together(subject: Subject, *cases: tuple[Run, list[str]]) -> list[Found]:
    """Check all at once: each has exactly these problems; one that ends in … begins so."""
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda case: run.check(subject, case[0]), cases))
    for one, (spec, problems) in zip(found, cases):
        assert len(one.problems) == len(problems), (spec, one)
        for said, expected in zip(one.problems, problems):
            if expected.endswith("…"):
                assert said.startswith(expected[:-1]), spec
            else:
                assert said == expected, spec
        assert one.enter == ""
    # What has ended is removed with others, later.
    running = ("ps", "-q", "--filter", f"label={containers.PROJECT}={subject.root}")
    wait_for(lambda: docker(*running) == "", "it runs on", 5)
    return found


def test_what_is_printed_and_the_exit_code(native: Subject) -> None:
    both = "echo a; printf 'b\\033[31m' >&2; exit 3"
    found, *_ = together(
        native,
        (Run(stdout="the image's own", stderr=""), []),
        (shell(both, exit_code=3, stdout="a", stderr=Output(matches="^b.+$")), []),
        (
            shell(both, stdout="b", stderr=Output(contains=["c"])),
            [
                "exit code: expected 0, got 3 (b\\x1b[31m)",
                'stdout: expected "b", got "a"',
                'stderr: expected to contain "c", got "b\\x1b[31m"',
            ],
        ),
        (shell("sh -c 'kill -SEGV $$'; exit $?"), ["exit code: expected 0, got 139 (SIGSEGV…"]),
    )
    assert (found.stdout, found.stderr) == ("the image's own\n", "")


def test_entrypoint_args_and_env(native: Subject) -> None:
    env = 'echo "$FROM_IMAGE-$A-$B"'
    together(
        native,
        (Run(entrypoint=["echo", "a"], args=["b c"], stdout="a b c"), []),
        (Run(entrypoint=["echo", "a"], stdout="a"), []),
        (Run(entrypoint=[]), ["cannot be started: no command specified"]),
        (shell(env, env={"A": "x=y", "B": "l1\nl2"}, stdout="yes-x=y-l1\nl2"), []),
        (shell(env, stdout="yes-x=y-"), ['stdout: expected "yes-x=y-", got "yes--"']),
    )


def test_standard_input(native: Subject) -> None:
    big = "0123456789abcde\n" * 1_000_000
    together(
        native,
        (Run(args=["cat"], stdin="ünï\nb", stdout="ünï\nb"), []),
        (Run(args=["cat"], stdin="", stdout=""), []),
        (Run(args=["cat"], stdout=""), []),  # none said: it ends at once
        (Run(args=["cat"], stdin="a", stdout="b"), ['stdout: expected "b", got "a"']),
        (Run(args=["wc", "-c"], stdin=big, stdout="16000000"), []),
        # Not read, read too late, and never read.
        (Run(args=["true"], stdin=big, stdout=""), []),
        (shell("sleep 0.5; head -c 5", stdin=big, stdout="01234"), []),
        (
            Run(args=["sleep", "9"], stdin=big, timeout=1),
            ["still running after 1 s; it was stopped"],
        ),
        (
            Run(args=["cat"], stdin=big),
            ["printed more than 1,000,000 bytes on stdout; it was stopped"],
        ),
    )


def test_user_and_workdir(native: Subject) -> None:
    who = "id -u; pwd"
    together(
        native,
        (shell(who, user="1000:1000", workdir="/etc", stdout="1000\n/etc"), []),
        (shell(who, user="someone", stdout="1234\n/work"), []),
        (
            shell(who, user="1000", stdout="0\n/work"),
            ['stdout: expected line 1 to be "0", got "1000"'],
        ),
        (shell(who, stdout="0\n/etc"), ['stdout: expected line 2 to be "/etc", got "/work"']),
        (
            Run(user="nobody-here"),
            [
                "cannot be started: unable to find user nobody-here: no matching entries in passwd file"
            ],
        ),
        (
            Run(user="1:99999999999"),
            ["cannot be started: uids and gids must be in range 0-2147483647"],
        ),
        (
            Run(workdir="/etc/passwd"),
            ["cannot be started: Cannot mkdir: /etc/passwd is not a directory"],
        ),
    )


def test_mounts(native: Subject) -> None:
    root = native.root
    (root / "a, b").mkdir()
    (root / "a, b" / "file").write_text("content")
    (root / "link").symlink_to(root / "a, b")
    (root / "out").symlink_to("/etc")
    mount = Mount("a, b", "/mnt")
    outside = {"out": "/etc", "../x": str(root.parent / "x"), "/etc": "/etc"}
    together(
        native,
        (shell("cat /mnt/file", mounts=[mount], stdout="content"), []),
        (shell("cat /one", mounts=[Mount("a, b/file", "/one")], stdout="content"), []),
        (shell("cat /mnt/file", mounts=[Mount("link", "/mnt")], stdout="content"), []),
        (
            shell("echo x > /mnt/new", mounts=[mount]),
            [
                "exit code: expected 0, got 1 "
                "(sh: line 0: can't create /mnt/new: Read-only file system)"
            ],
        ),
        (shell("echo x > /mnt/too", mounts=[Mount("a, b", "/mnt", readonly=False)]), []),
        *(
            (
                Run(mounts=[Mount(source, "/mnt")]),
                [
                    f'mount "{source}" leads out of the project\'s folder, to "{place}"; '
                    "copy what it needs into the project"
                ],
            )
            for source, place in outside.items()
        ),
        (
            Run(mounts=[Mount("nope", "/mnt")]),
            [
                f'mount "nope" is not in the project\'s folder "{root}"; make it, or correct the path'
            ],
        ),
        (Run(mounts=[mount, mount]), ["cannot be started: Duplicate mount point: /mnt"]),
        (
            Run(mounts=[Mount("a, b", "/bin/busybox")]),
            ["cannot be started: error during container init: error mounting…"],
        ),
    )
    assert (root / "a, b" / "too").read_text() == "x\n"


def test_an_engine_of_another_machine_mounts_nothing(
    native: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "is_local", False)
    together(
        native,
        (
            Run(mounts=[Mount(".", "/mnt")]),
            ['mount "." is not on the engine\'s machine, which is another one; run verify there…'],
        ),
        (Run(), []),
    )


def test_network(native: Subject) -> None:
    links = "ls /sys/class/net | grep -v lo"
    machine = docker("info", "-f", "{{.Name}}")
    together(
        native,
        (shell(links), ["exit code: expected 0, got 1"]),
        (shell(links, network="default", stdout="eth0"), []),
        (shell("hostname", network="host", stdout=machine), []),
    )


def test_memory_and_cpus(native: Subject) -> None:
    wanting = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]
    limit = "cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    child, _, first, *_ = together(
        native,
        (shell(f"{shlex.join(wanting)}; exit 0", memory=20_000_000), []),
        (Run(args=wanting, memory="200 MB"), []),
        (Run(args=wanting, memory="20MB"), ["exit code: expected 0, got 137 (SIGKILL; …"]),
        (Run(memory="1kB"), ["cannot be started: Minimum memory limit allowed is 6MB"]),
        (shell(limit, cpus=0.25, stdout=Output(matches="^25000( 100000)?$")), []),
        (Run(cpus=10_000), ["cannot be started: range of CPUs is from 0.01 to…"]),
    )
    # The engine does not notice all.
    assert child.facts in ((), ("one of its processes was killed for want of memory",))
    why = r"SIGKILL; (likely )?killed because it wanted more than 20\.0 MB of memory\)$"
    assert re.search(why, first.problems[0])


def test_time_out_and_floods(native: Subject) -> None:
    flood = "printed more than 1,000,000 bytes on {}; it was stopped"
    together(
        native,
        (Run(args=["sleep", "0.2"], timeout=9), []),
        (
            shell("echo a; sleep 9", timeout=2),
            ['still running after 2 s; it was stopped; it printed "a"'],
        ),
        (shell("yes | head -c 1000000", stdout=Output(contains=["y"])), []),
        (Run(args=["yes"]), [flood.format("stdout")]),
        (shell("yes >&2"), [flood.format("stderr")]),
    )


def test_programs_that_cannot_run(native: Subject, emulated: Subject) -> None:
    why = "cannot be started: exec: "
    together(
        native,
        (Run(args=["/nope"]), [f'{why}"/nope": stat /nope: no such file or directory']),
        (Run(args=["nope"]), [f'{why}"nope": executable file not found in $PATH']),
        (Run(args=["/etc"]), [f'{why}"/etc": permission denied']),
    )
    for made in (native, emulated):
        first, hint = run.check(made, Run(args=["/martian"])).problems
        assert "exec /martian: exec format error" in first
        assert hint.startswith("/martian is a program for ")


def test_a_binary_of_the_wrong_architecture_is_caught(emulated: Subject) -> None:
    together(
        emulated,
        (Run(args=["uname", "-m"], stdout="aarch64"), []),
        (
            Run(args=["/amd64/busybox", "uname", "-m"], stdout="aarch64"),
            ['stdout: expected "aarch64", got "x86_64"'],
        ),
    )


def test_an_image_without_the_platform_is_a_problem(tag: str, tmp_path: Path) -> None:
    with subject(tag, tmp_path, "linux/s390x") as made:
        (problem,) = run.check(made, Run()).problems
        assert re.search(r"cannot be started: .* does not provide the .* \(linux/s390x\)", problem)


def test_the_command_does_the_same(native: Subject, emulated: Subject) -> None:
    (native.root / "a, b").mkdir()
    (native.root / "a, b" / "x").write_text("file\n")
    spec = Run(
        entrypoint=["sh", "-c"],
        args=['cat; echo "$1 $A $(id -u) $PWD"; cat /m/x; ls /sys/class/net', "sh", "it's"],
        env={"A": 'q "$B"'},
        stdin="in\n",
        user="7:7",
        workdir="/etc",
        mounts=[Mount("a, b", "/m")],
        memory="30MB",
        cpus=0.5,
        stdout='in\nit\'s q "$B" 7 /etc\nfile\nlo',
    )
    for made in (native, emulated):
        (found,) = together(made, (spec, []))
        argv = run.command(made.image.reference, made.platform, made.root, spec)
        assert pasted(shlex.join(argv), "in\n") == found.stdout


def pasted(command: str, typed: str = "") -> str:
    """What a person sees who pastes a command; without a terminal, which tests lack."""
    without = command.replace(" -it ", " -i ")
    result = subprocess.run(
        ["sh", "-c", without], input=typed, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


def test_a_kept_container_can_be_entered(tag: str, tmp_path: Path) -> None:
    with subject(tag, tmp_path, keep=True) as made:
        assert run.check(made, shell("true")).enter == ""
        failed = run.check(made, shell("echo left > it; exit 4"))
        never = run.check(made, Run(args=["/nope"]))
    with subject(tag, tmp_path, "linux/arm64", keep=True) as made:
        emulated = run.check(made, shell("uname -m > it; exit 4"))
    containers.sweep(made.engine)
    (name,) = set(re.findall(f"{containers.KEPT}app-linux-amd64-[0-9a-f]+", failed.enter))
    words = failed.enter.split()
    assert words[:6] == ["docker", "run", "-it", "--rm", "--name", f"{name}-sh"]
    assert pasted(failed.enter, "pwd; cat it; uname -m\n").split() == ["/work", "left", "x86_64"]
    assert pasted(emulated.enter, "cat it; uname -m\n").split() == ["aarch64", "aarch64"]
    assert pasted(never.enter, "echo $FROM_IMAGE\n") == "yes\n"
    mine = {c.name for c in containers.kept(made.engine, tmp_path)}
    assert len(mine) == 3
    assert name in mine
    images = ("image", "ls", "-aq", "--filter", f"label={containers.PROJECT}={tmp_path}")
    assert docker(*images) != ""
    assert set(containers.remove_kept(made.engine, tmp_path)) == mine
    made.engine.close()
    assert docker(*images) == ""


def test_a_kept_container_without_a_shell_is_run_again(tmp_path: Path) -> None:
    with built("bare", "linux/amd64") as tag:
        with subject(tag, tmp_path, keep=True) as made:
            found = run.check(made, Run(stdout="else"))
        assert found.enter.startswith(f"docker start -ai {containers.KEPT}app-linux-amd64-")
        assert pasted(found.enter.replace("-ai", "-a")) == "nothing else is here\n"
        containers.remove_kept(made.engine, tmp_path)
        made.engine.close()
