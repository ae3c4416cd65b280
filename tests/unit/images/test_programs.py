"""Why the kernel cannot run a program, as its file says."""

from __future__ import annotations

import struct

import pytest

from buildx_tasks.images.programs import Start, why_not
from buildx_tasks.machine.executables import binary
from buildx_tasks.platforms import Platform, parse

AMD, ARM = parse("linux/amd64"), parse("linux/arm64")


def _binary(platform: Platform) -> bytes:
    found = binary(platform)
    assert found
    return found


def _dynamic(interpreter: str) -> bytes:
    """An ELF file for amd64 that asks for an interpreter."""
    text = interpreter.encode() + b"\0"
    head = b"\x7fELF\2\1\1" + bytes(9)
    head += struct.pack("<2HI3QI6H", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<2I6Q", 3, 4, 120, 0, 0, len(text), len(text), 1) + text


FILES = {
    "/bin/sh": _binary(AMD),
    "/usr/bin/env": _binary(AMD),
    "/bare": b"echo hi\n",
    "/late": b" #!/bin/sh\n",
    "/marked": b"\xef\xbb\xbf#!/bin/sh\n",
    "/crlf": b"#!/bin/sh\r\necho hi\r\n",
    "/env-crlf": b"#!/usr/bin/env sh\r\n",
    "/bash": b"#!/bin/bash -e\n",
    "/env-bash": b"#!/usr/bin/env -S A=1 bash\n",
    "/good": b'#!/bin/sh -e\nexec "$@"\n',
    "/env-good": b"#!/usr/bin/env sh\n",
    "/nobody": b"#!\n",
    "/through": b"#!/bash-arm\n",
    "/bash-arm": _binary(ARM),
    "/arm": _binary(ARM),
    "/386": _binary(parse("linux/386")),
    "/glibc": _dynamic("/lib64/ld-linux-x86-64.so.2"),
    "/empty": b"",
    "/windows": b"MZ\x90\0",
    "/damaged": b"\x7fELF\2\1",
    "/data.txt": b"no program\n",
    "/app/run": b"#!/bin/zsh\n",
}


def why(*words: str, said: str = "", folder: str = "/") -> str:
    return why_not(Start(words, {"PATH": "/bin:/usr/bin"}, folder), AMD, FILES.get, said)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("/bare", "/bare is a script without #!; write #!/bin/sh as its first line"),
        ("/late", "/late is a script without #!"),
        ("/marked", "begins with a byte order mark"),
        ("/crlf", r"line 1 of /crlf ends with \r"),
        ("/env-crlf", r"line 1 of /env-crlf ends with \r"),
        ("/bash", "/bash is a script for /bin/bash, which is not in the image"),
        ("/env-bash", "/env-bash is a script for bash, which is not in the image"),
        ("/nobody", "names no interpreter"),
        ("/through", "/bash-arm is a program for arm64, not for linux/amd64"),
        ("/arm", "/arm is a program for arm64, not for linux/amd64"),
        ("/glibc", "/glibc needs /lib64/ld-linux-x86-64.so.2, which is not in the image"),
        ("/empty", "/empty is an empty file"),
        ("/windows", "/windows is a program for Windows"),
        ("/damaged", "/damaged is a damaged program"),
        ("run", "/app/run is a script for /bin/zsh"),
    ],
)
def test_the_file_says_why_it_cannot_run(program: str, reason: str) -> None:
    name = "./run" if program == "run" else program
    assert reason in why(name, folder="/app" if program == "run" else "/")


@pytest.mark.parametrize("program", ["sh", "/good", "/env-good", "/386", "/gone", "nothing"])
def test_what_can_run_and_what_is_not_there_is_not_blamed(program: str) -> None:
    assert why(program) == ""


def test_what_a_shell_or_an_entrypoint_starts_is_looked_at_too() -> None:
    assert "/arm is a program for arm64" in why("/bin/sh", "-c", "exec /arm --serve")
    assert "/arm is a program for arm64" in why("/good", "/arm")
    assert "/bash is a script for /bin/bash" in why("sh", said="/x.sh: line 2: /bash: not found")
    said = "/good: line 2: /bare: cannot execute binary file: Exec format error"
    assert "/bare is a script without #!" in why("/good", said=said)


def test_a_file_that_is_only_an_argument_is_no_program() -> None:
    assert why("sh", "/data.txt", said="cat: /data.txt: No such file or directory") == ""


def test_a_program_that_may_not_be_run_is_that_before_all_else() -> None:
    start = Start(["/bare"], {}, "/")
    said = why_not(start, AMD, FILES.get, is_executable=lambda path: path != "/bare")
    assert said.startswith("/bare is not executable; write COPY --chmod=755")
    # A shell reads a script that is only its argument.
    sh = Start(["/good", "/bare"], {}, "/")
    assert why_not(sh, AMD, FILES.get, is_executable=lambda path: path != "/bare") == ""
