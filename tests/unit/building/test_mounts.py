"""What copies cache mounts: nothing of a secret goes out, each mount has a tag of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.building import mounts
from buildx_tasks.language.placeholders import filled, of_platform
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from pathlib import Path

ARM = parse("linux/arm/v7")
SECRET = b"a-long-secret"


def searched(
    folder: Path, secret: bytes | None, content: bytes
) -> subprocess.CompletedProcess[str]:
    """Run the search as the helper does, on folders of the test's own."""
    for name in ("secrets", "words", "mount/deep"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if secret is not None:
        (folder / "secrets" / "secret0").write_bytes(secret)
    (folder / "mount" / "deep" / ".file").write_bytes(content)
    script = mounts._SEARCH.replace(mounts._PLACE, str(folder))
    argv = ["/bin/sh", "-c", f"{script}\necho kept"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("secret", "content"),
    [
        (SECRET, b"x=" + SECRET + b";"),
        (SECRET + b"\n", b"\x00\xff" + SECRET + b"\x00"),
        (b"\n\n-----\n" + SECRET + b"\n", b"line\n" + SECRET),
        (b"a.secret*[x", b"a.secret*[x"),  # no pattern
        (b"-e something", b"-e something"),
    ],
)
def test_a_mount_that_holds_a_secret_is_not_kept(
    tmp_path: Path, secret: bytes, content: bytes
) -> None:
    done = searched(tmp_path, secret, content)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [mounts._FOUND]


@pytest.mark.parametrize(
    ("secret", "content"),
    [
        (None, SECRET),
        (b"", b"anything"),
        (b"\n\n", b"anything\n\n"),
        (b"short", b"short"),  # would be in everything
        (SECRET, b"another-secret"),
        (b"a.secret*[x", b"aXsecret[x"),
    ],
)
def test_other_mounts_are(tmp_path: Path, secret: bytes | None, content: bytes) -> None:
    done = searched(tmp_path, secret, content)
    assert (done.returncode, done.stdout) == (0, "kept\n"), done.stderr


def test_what_cannot_be_searched_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "grep").write_text('#!/bin/sh\n[ "$1" = -aE ] && exec cat "$3"\nexit 2\n')
    (tmp_path / "bin" / "grep").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    done = searched(tmp_path, SECRET, b"anything")
    assert (done.returncode != 0, done.stdout) == (True, "")


@pytest.mark.parametrize(
    ("pattern", "name", "tag"),
    [
        ("go-{arch}", "go-arm", "mount-go-arm"),
        ("go-{platform}", "go-linux/arm/v7", "mount-go-linux-arm-v7"),
        ("go", "go", "mount-go-linux-arm-v7"),
        (
            "/root/.cache/go-build",
            "/root/.cache/go-build",
            "mount-root-.cache-go-build-linux-arm-v7",
        ),
    ],
)
def test_each_mount_of_a_platform_has_its_tag(pattern: str, name: str, tag: str) -> None:
    assert filled(pattern, of_platform(ARM)) == name
    assert mounts.tag_of(pattern, name, ARM) == tag


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"#6 RUN {mounts._FOUND}\n#6 0.412 {mounts._FOUND}\nERROR: x", "a secret of the build is"),
        (
            f"#6 RUN {mounts._FOUND}\nERROR: p did not complete successfully: exit code: 2",
            "exit code: 2",
        ),
        ("#1 x\nERROR: failed to push: denied\n", "ERROR: failed to push: denied"),
        ("#1 x\nERROR: p did not complete successfully: exit code: 44\n", "it is empty"),
        ("", "buildx is silent"),
    ],
)
def test_one_line_says_why(said: str, why: str) -> None:
    assert mounts._why(said).startswith(why)
