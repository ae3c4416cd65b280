"""What good images have: setuid programs of distributions, and files that are data."""

from __future__ import annotations

import pytest

from buildx_tasks.auditing.known import is_data, is_usual


@pytest.mark.parametrize(
    "path",
    [
        "/bin/su",
        "/usr/bin/passwd",
        "/sbin/unix_chkpwd",
        "/usr/lib/openssh/ssh-keysign",
        "/usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        "/usr/lib/x86_64-linux-gnu/utempter/utempter",
        "/usr/libexec/polkit-agent-helper-1",
        "/bin/bbsuid",
        "/opt/google/chrome/chrome-sandbox",
    ],
)
def test_setuid_programs_that_distributions_have(path: str) -> None:
    assert is_usual(path)


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/x/su", "/su", "/tmp/su", "/usr/local/bin/su", "/usr/bin/bash", "/opt/bin/passwd"],  # noqa: S108
)
def test_setuid_programs_that_nobody_has(path: str) -> None:
    assert not is_usual(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/local/go/src/debug/elf/testdata/hello", True),
        ("/app/node_modules/bcrypt/prebuilds/linux-arm64/bcrypt.node", True),
        ("/usr/lib/firmware/wifi.elf", True),
        ("/usr/aarch64-linux-gnu/lib/libc.so.6", True),
        ("/usr/lib/python3/dist-packages/setuptools/cli-arm64.exe", True),
        ("/usr/lib/python3.9/distutils/command/wininst-14.0.exe", True),
        ("/app/node_modules/@esbuild/linux-x64/bin/esbuild", False),
        ("/usr/bin/tool", False),
        ("/usr/lib/libc.so.6", False),
        ("/srv/server.exe", False),
    ],
)
def test_files_for_others_that_are_data(path: str, expected: bool) -> None:
    assert is_data(path) == expected
