from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from conftest import Project

from buildx_tasks.language.expectations import File

from .looked import looked, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .looked import Look

PLATFORM = "linux/s390x"  # nothing here runs, so no emulator is needed
DOCKERFILE = r"""
FROM --platform=$BUILDPLATFORM alpine:3.22 AS made
RUN <<EOF
mkdir -p /root-of/app/data /root-of/etc /root-of/usr/lib64 /root-of/dev/shm
cd /root-of
printf 'root:x:0:0::/:/bin/sh\nserver:x:1000:1000::/:\n' >etc/passwd
printf 'root:x:0:\nstaff:x:50:\n' >etc/group
printf 'level = info\nport = 8080\n' >app/app.conf
printf '#!/bin/sh\n' >app/start
chmod 0755 app/start
chown 1000:50 app/data
chmod 2750 app/data
ln app/start app/start-again
ln -s ../app/app.conf etc/app.conf
ln -s usr/lib64 lib64
printf loader >usr/lib64/ld.so
chmod 1777 dev/shm
printf 'the image says' >etc/hosts
printf 'the image says' >.dockerenv
EOF
FROM scratch AS files
COPY --from=made /root-of /
USER nobody-knows
WORKDIR /work
VOLUME /app/data
FROM scratch AS bare
COPY Dockerfile /
"""
CONF = b"level = info\nport = 8080\n"

REASONS: list[tuple[str, dict[str, Any], str]] = [
    ("/app/app.cnf", {}, "nothing is at /app/app.cnf; did you mean /app/app.conf?"),
    ("/app/start", {"exists": False}, "/app/start is there (file), expected nothing"),
    ("/app/data", {"type": "file"}, "/app/data is a directory, expected a file"),
    (
        "/app/app.conf",
        {"mode": "0600"},
        "/app/app.conf has mode 0644, expected 0600; chmod it, or COPY --chmod=0600",
    ),
    (
        "/app/data",
        {"owner": "root"},
        "/app/data belongs to user server (1000), expected root (0); chown it, or COPY --chown",
    ),
    (
        "/app/data",
        {"owner": "server:server"},
        "/app/data: expected group server, which is not in the image's /etc/group "
        "(root, staff); write its number",
    ),
    (
        "/etc/app.conf",
        {"link": "/app/app.conf"},
        "/etc/app.conf links to ../app/app.conf, expected /app/app.conf",
    ),
    (
        "/app/app.conf",
        {"size": 20},
        "/app/app.conf has 25 B (25 bytes), expected 20 B at most",
    ),
    (
        "/app/app.conf",
        {"sha256": "0" * 64},
        f"/app/app.conf has sha256 {hashlib.sha256(CONF).hexdigest()}, expected {'0' * 64}",
    ),
    (
        "/etc/app.conf",
        {"contains": ["level = debug"]},
        '/etc/app.conf (a link to /app/app.conf) does not contain "level = debug"; '
        'it begins "level = info"',
    ),
    (
        "/app/app.conf",
        {"matches": "^ort"},
        '/app/app.conf has no match of "^ort"; it begins "level = info"',
    ),
]


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    project = Project(tmp_path_factory.mktemp("files"))
    project.write(DOCKERFILE, "Dockerfile")
    stages = {"files": (PLATFORM,), "bare": (PLATFORM,)}
    project.write(targets_of(stages, f"bt-{uuid4().hex[:8]}"))
    with looked(project) as look:
        yield look


def test_all_is_as_expected(look: Look) -> None:
    spec = {
        "/app/start": File(type="file", mode="0755", owner="root:root", size="1kB"),
        "/app/start-again": File(contains=["#!/bin/sh"]),
        "/app/data": File(type="directory", mode="2750", owner="server:staff"),
        "/app/app.conf": File(sha256=hashlib.sha256(CONF).hexdigest(), mode="644"),
        "/etc/app.conf": File(type="symlink", link="../app/app.conf", matches=r"port = \d+"),
        "/lib64/ld.so": File(contains=["loader"]),
        "/app/*.pem": File(exists=False),
        "/app/**": File(),
        "/work": File(type="directory"),
        "/dev/shm": File(mode="1777"),  # noqa: S108
    }
    (found,) = look("files", PLATFORM, spec)
    assert found.problems == ()
    assert found.facts == ("13 paths as expected",)


def test_each_reason(look: Look) -> None:
    # All in one walk.
    found = look("files", PLATFORM, *({path: File(**said)} for path, said, _ in REASONS))
    assert [item.problems for item in found] == [(problem,) for _, _, problem in REASONS]


def test_what_the_engine_makes_is_refused(look: Look) -> None:
    paths = (
        "/.dockerenv /dev/console /dev/pts /etc/hostname /etc/hosts /etc/mtab /etc/resolv.conf "
        "/proc /sys"
    ).split()
    for target in ("files", "bare"):
        (found,) = look(target, PLATFORM, {path: File() for path in paths})
        for path, problem in zip(paths, found.problems):
            begin = f"{path} cannot be checked: the engine makes it in every container, "
            assert problem.startswith(begin)
        assert len(found.problems) == len(paths)


def test_a_bare_image_holds_what_was_put_into_it(look: Look) -> None:
    (found,) = look("bare", PLATFORM, {"/**": File(type="file")})
    assert found.facts == ("1 path as expected",)
