"""What is known not to be the same in each build, by its path or by what differs in it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from buildx_tasks.dockerfiles.origins import line_of
from buildx_tasks.verification.checks import leftovers

DOCKERFILE = """FROM debian AS build
ARG X=1
RUN <<FOO
echo a > /a
echo b
FOO
RUN --mount=type=tmpfs,target=/x \\
    echo 1 && \\
    # a comment
    echo 2 > /b
COPY <<EOT /c
hello
EOT
COPY --chmod=644 ${X}/file \\
   /d
RUN ["touch", "/f"]
RUN make
RUN make
WORKDIR /e
"""


@pytest.mark.parametrize(
    ("created_by", "line"),
    [
        ("RUN /bin/sh -c echo a > /a\necho b\n # buildkit", 3),
        ("RUN |1 X=1 /bin/sh -c echo 1 &&     echo 2 > /b # buildkit", 7),
        ("COPY <<EOT /c # buildkit", 11),
        ("COPY --chmod=644 1/file /d # buildkit", 14),
        ("RUN |1 X=1 touch /f # buildkit", 16),
        ("RUN /bin/sh -c make # buildkit", 0),  # two lines say it
        ("RUN /bin/sh -c remake # buildkit", 0),
        ("WORKDIR /e", 19),
        ("RUN /bin/sh -c echo of a base image # buildkit", 0),
        ("/bin/sh -c #(nop) COPY x in y", 0),
        ("", 0),
    ],
)
def test_the_line_that_made_a_layer(created_by: str, line: int) -> None:
    assert line_of(DOCKERFILE, created_by) == line


def test_no_dockerfile_has_no_line() -> None:
    assert line_of("RUN <<EOF\nnever ended", "RUN /bin/sh -c x # buildkit") == 0


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/var/lib/apt/lists/deb.debian.org_debian_dists_InRelease", "lists and caches of apt"),
        ("/var/cache/apt/pkgcache.bin", "lists and caches of apt"),
        ("/var/log/dpkg.log", "logs of apt and dpkg"),
        ("/var/log/apt/history.log", "logs of apt and dpkg"),
        ("/var/cache/ldconfig/aux-cache", "the cache of ldconfig"),
        ("/usr/lib/python3/dist-packages/a/__pycache__/b.cpython-311.pyc", "bytecode of Python"),
        ("/opt/x.pyc", "bytecode of Python"),
        ("/var/log/dnf.rpm.log", "caches, logs and history of dnf"),
        ("/var/lib/dnf/history.sqlite", "caches, logs and history of dnf"),
        ("/var/lib/rpm/rpmdb.sqlite", "the database of rpm"),
        ("/var/cache/apk/APKINDEX.tar.gz", "lists and logs of apk"),
        ("/root/.cache/pip/http/a", "the cache of pip"),
        ("/home/me/.npm/_logs/x.log", "the cache and logs of npm"),
        ("/etc/ssh/ssh_host_rsa_key", "keys that ssh made"),
        ("/etc/machine-id", "the machine's id"),
        ("/etc/shadow", "the day that a user was made"),
        ("/etc/passwd-", "the day that a user was made"),
        ("/var/tmp/x", "temporary files"),  # noqa: S108 - in an image
        ("/app/server", None),
        ("/var/log/other.log", None),
    ],
)
def test_by_path(path: str, what: str | None) -> None:
    found = leftovers.cause(path)
    assert (found is None) if what is None else (found and found.what.startswith(what))


def zipped(second: int, *names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, second)), f"in {name}")
    return held.getvalue()


def tarred(mtime: int, *names: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(name), mtime
            file.addfile(info, io.BytesIO(name.encode()))
    return held.getvalue()


def member(time: int) -> bytes:
    return f"{'a.o/':16}{time:<12}{0:<6}{0:<6}{'100644':8}{3:<10}`\n".encode() + b"abc\n"


def elf(build_id: int, code: bytes = b"code") -> bytes:
    note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0" + bytes([build_id]) * 20
    return b"\x7fELF" + bytes(60) + code + note + bytes(16)


UUID = b"id 5b2c1b1e-1d3b-4f6a-8c0d-%012x"


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        (gzip.compress(b"x", mtime=1), gzip.compress(b"x", mtime=2), "the time in its gzip header"),
        (gzip.compress(b"x", 1, mtime=1), gzip.compress(b"x", 9, mtime=2), "the time in its gzip"),
        (
            gzip.compress(tarred(1, "a"), mtime=1),
            gzip.compress(tarred(2, "a"), mtime=1),
            "the times or owners of its members",
        ),
        (tarred(1, "a", "b"), tarred(1, "b", "a"), "the order of its members"),
        (tarred(1, "a", "b"), tarred(2, "a", "b"), "the times or owners of its members"),
        (tarred(1, "a"), tarred(1, "c"), None),
        (zipped(2, "a", "b"), zipped(4, "a", "b"), "the times of its members"),
        (zipped(2, "a", "b"), zipped(2, "b", "a"), "the order of its members"),
        (zipped(2, "a"), zipped(2, "b"), None),
        (b"!<arch>\n" + member(1), b"!<arch>\n" + member(99), "the times of its members"),
        (elf(1), elf(2), "its build id, and nothing else"),
        (elf(1), elf(1, b"edoc"), "what a compiler wrote in"),
        (b"\x7fELF Go\0\0" + b"a" * 83, b"\x7fELF Go\0\0" + b"b" * 83, "its build id"),
        (
            b"\xa7\r\r\n\0\0\0\0" + b"1" * 8 + b"c",
            b"\xa7\r\r\n\0\0\0\0" + b"2" * 8 + b"c",
            "bytecode",
        ),
        (b"at 2024-01-02T03:04:05Z", b"at 2024-02-03T04:05:06.789Z", "the time that it was made"),
        (b"Tue Jan  2 03:04:05 UTC 2024", b"Wed Jan  3 03:04:05 UTC 2024", "the time that it was"),
        (b"1704164645 ok", b"1704164646 ok", "the time that it was made"),
        (UUID % 1 + b" 2024-01-02", UUID % 2 + b" 2024-01-03", "an id or hash that is made anew"),
        (b"one", b"two", None),
        (b"", b"two", None),
        (b"PK\x03\x04broken", b"PK\x03\x04br0ken", None),
        (b"\x1f\x8bbroken", b"\x1f\x8bbr0ken", None),
    ],
)
def test_by_content(before: bytes, now: bytes, what: str | None) -> None:
    found = leftovers.cause("/file", before, now)
    assert (found is None) if what is None else (found and found.what.startswith(what))


def test_what_differs_in_a_known_place_counts_before_the_place() -> None:
    found = leftovers.cause(
        "/etc/shadow", gzip.compress(b"x", mtime=1), gzip.compress(b"x", mtime=2)
    )
    assert found
    assert found.what == "the time in its gzip header"
    found = leftovers.cause("/var/log/dpkg.log", b"2024-01-02 03:04:05 a", b"2024-01-02 03:04:06 b")
    assert found
    assert found.what == "logs of apt and dpkg"
