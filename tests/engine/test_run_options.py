"""run takes what a person needs of docker run, and says why a program could not be started."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from .conftest import docker, running

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[target.{name}]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{name}:dev"]
dockerfile-inline = '''
FROM alpine:3.22
CMD ["cat"]
'''
"""
ARM = ("run", "-p", "linux/arm64")
FOREIGN = """
[target.{name}]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{name}:dev"]
dockerfile-inline = '''
FROM --platform=linux/arm64 alpine:3.22 AS arm
FROM alpine:3.22
COPY --from=arm /bin/busybox /arm
RUN printf 'echo hi\\n' > /bare; printf '#!/bin/bash\\necho\\n' > /bash; \\
    printf '#!/bin/sh\\r\\necho\\r\\n' > /crlf; chmod +x /bare /bash /crlf; \\
    printf '#!/bin/sh\\necho\\n' > /plain
CMD ["true"]
'''
[target.{name}.verify]
only = ["linux/amd64"]
[[target.{name}.verify.check]]
name = "bare"
run = {{ args = ["/bare"] }}
[[target.{name}.verify.check]]
name = "bash"
run = {{ args = ["/bash"] }}
[[target.{name}.verify.check]]
name = "crlf"
service = {{ args = ["/crlf"], port = 80 }}
[[target.{name}.verify.check]]
name = "plain"
run = {{ args = ["/plain"] }}
[[target.{name}.verify.check]]
name = "arm"
run = {{ args = ["sh", "-c", "/arm true"] }}
"""
WHY = {
    "bare": "/bare is a script without #!",
    "bash": "/bash is a script for /bin/bash, which is not in the image",
    "plain": "/plain is not executable; write COPY --chmod=755",
    "crlf": r"line 1 of /crlf ends with \r",
}


@pytest.fixture
def image(project: Project, name: str) -> Project:
    project.write(TOML.format(name=name))
    project.ok("build", "--progress", "quiet")
    return project


def test_flags_are_dockers_and_arguments_stand_after_dashes(image: Project) -> None:
    (image.folder / "data").mkdir()
    (image.folder / "data" / "file").write_text("seen\n")
    flags = ("--env", "A=1 2", "--env", "B", "--user", "1000:1000", "--workdir", "/usr")
    mounted = ("--volume", "./data:/data", "--publish", "127.0.0.1::80")
    script = ("sh", "-c", 'echo "$A|$B"; echo "a  b"; id -u; pwd; cat /data/file')
    command = (*ARM, *flags, *mounted, "--", *script)
    found = image.invoke(*command, env={"B": "here"})
    assert found.stdout == "1 2|here\na  b\n1000\n/usr\nseen\n", found.stderr
    both = image.ok(*ARM, "--args", "echo 'a b'", "--", "c  d")
    assert both == "a b c  d\n"
    typed = image.invoke("--dry", *command).stdout
    for flag in (*flags[::2], "--volume", "--publish"):
        assert f" {flag} " in typed
    ran = subprocess.run(
        typed,
        shell=True,
        cwd=image.folder,
        env={**os.environ, "B": "here"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == found.stdout


def test_an_entrypoint_and_a_shell(image: Project) -> None:
    assert image.ok(*ARM, "--entrypoint", "echo", "--", "x") == "x\n"
    assert image.ok(*ARM, "--shell", "--", "-c", "echo $0") == "/bin/sh\n"
    assert " --entrypoint /bin/sh " in image.ok("--dry", *ARM, "--shell")
    both = image.invoke(*ARM, "--shell", "--entrypoint", "x")
    assert (both.returncode, "leave out one" in both.stderr) == (2, True)


def test_an_image_without_a_shell_says_so(project: Project, name: str) -> None:
    inline = "FROM alpine:3.22 AS a\\nFROM scratch\\nCOPY --from=a /etc/passwd /x"
    text = f'[target.{name}]\ntags = ["{name}:dev"]\ndockerfile-inline = "{inline}"\n'
    project.write(text).ok("build", "--progress", "quiet")
    result = project.invoke("run", "--shell")
    assert result.returncode == 1
    assert f"{name}@linux/amd64 has no shell (/bin/bash, " in result.stderr


def test_what_is_piped_in_reaches_the_program_unchanged(image: Project) -> None:
    data = bytes(range(256)) * 500
    argv = image.command(*ARM)
    ran = subprocess.run(argv, cwd=image.folder, input=data, capture_output=True, check=True)
    assert ran.stdout == data
    (image.folder / "hi").write_text("hi\n")
    with (image.folder / "hi").open() as stream:
        ran = subprocess.run(
            image.command("run"), cwd=image.folder, stdin=stream, capture_output=True, check=True
        )
    assert ran.stdout == b"hi\n" * 2


def test_a_terminal_is_handed_on(image: Project) -> None:
    ours, theirs = pty.openpty()
    # Native: QEMU's user mode of Debian does not tell a program that it has a terminal.
    with running(
        image.command("run", "-p", "linux/amd64", "--shell"),
        cwd=image.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        os.write(ours, b"test -t 0 && test -t 1 && exit 7; exit 8\n")
        with contextlib.suppress(OSError):  # the other end is closed
            while os.read(ours, 1024):
                pass
        assert process.wait(timeout=60) == 7
    os.close(ours)


def test_why_a_program_cannot_be_started(project: Project, name: str) -> None:
    project.write(FOREIGN.format(name=name)).ok("build", "--progress", "quiet")
    for program, why in WHY.items():
        ran = project.invoke("run", "-p", "linux/amd64", "--", f"/{program}")
        assert ran.returncode not in (0, 2)
        assert why in ran.stderr
        assert "emulator" not in ran.stderr
    verified = project.invoke("verify", "-p", "linux/amd64")
    for why in WHY.values():
        assert why in verified.stdout
    assert "emulator" not in verified.stdout
    listed = [
        "ps",
        "--all",
        "--quiet",
        "--filter",
        f"label=dev.buildx-tasks.project={project.folder}",
    ]
    assert docker(*listed) == ""
