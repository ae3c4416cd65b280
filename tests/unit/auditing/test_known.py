"""What good images have: setuid programs of distributions, and files that are data."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from buildx_tasks.auditing.known import Bundles, is_data, is_usual
from buildx_tasks.images.paths import Entry, Tree
from buildx_tasks.platforms import parse


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
        ("/app/runtimes/linux-musl-x64/native/libSkiaSharp.so", True),
        ("/app/runtimes/win-x64/native/sni.dll", True),
        ("/opt/v/site-packages/debugpy/x/pydevd_attach_to_process/attach_linux_amd64.so", True),
        ("/var/www/vendor/symfony/console/Resources/bin/hiddeninput.exe", True),
        ("/opt/conda/lib/python3.12/site-packages/conda/shell/cli-64.exe", True),
        ("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.elf", True),
        ("/usr/lib/python3/site-packages/numpy/core/_multiarray.so", False),
        ("/app/node_modules/@esbuild/linux-x64/bin/esbuild", False),
        ("/usr/bin/tool", False),
        ("/usr/lib/libc.so.6", False),
        ("/srv/server.exe", False),
    ],
)
def test_files_for_others_that_are_data(path: str, expected: bool) -> None:
    assert is_data(path) == expected


# Folders and files as packages have them that bring something for each platform; those with a star
# are nothing to complain of in an image for linux/arm64.
BUNDLES = """
* /srv/onnx/napi-v3/linux/x64/o.node
  /srv/onnx/napi-v3/linux/arm64/o.node
* /srv/onnx/napi-v3/win32/x64/o.dll
* /srv/onnx/napi-v3/darwin/arm64/o.node
* /srv/lib/cpu_profiler-linux-x64-musl-108.node
  /srv/lib/cpu_profiler-linux-arm64-glibc-108.node
* /srv/lib/cpu_profiler-win32-x64-108.node
* /opt/jruby/lib/jni/x86_64-Linux/l.so
  /opt/jruby/lib/jni/aarch64-Linux/l.so
* /opt/jruby/lib/jni/sparcv9-Linux/l.so
* /opt/rust/lib/rustlib/x86_64-unknown-linux-gnu/lib/std.so
  /opt/rust/lib/rustlib/aarch64-unknown-linux-gnu/lib/std.so
  /usr/lib/x86_64-linux-gnu/libc.so.6
  /usr/lib/aarch64-linux-gnu/libc.so.6
* /opt/v/pulp/solverdir/cbc/linux/i64/cbc
* /opt/v/pulp/solverdir/cbc/linux/i32/cbc
  /opt/v/pulp/solverdir/cbc/linux/arm64/cbc
* /opt/v/OpenGL/DLLS/freeglut64.vc14.dll
* /opt/v/selenium/webdriver/common/linux-x86_64/selenium-manager
  /opt/v/selenium/webdriver/common/linux-arm64/selenium-manager
  /srv/only/amd64/tool
  /srv/other/darwin-arm64/tool
  /srv/other/linux-amd64/tool
  /srv/other/tool
  /srv/max64/tool
  /srv/linux/selenium
* /srv/windows/selenium.exe
* /srv/windows/selenium
  /srv/server.exe
""".splitlines()[1:]
OWN = ("linux/arm64", "linux-arm64", "aarch64")


@pytest.mark.parametrize("line", BUNDLES)
def test_one_of_several_files_for_each_platform_is_known_by_their_names(line: str) -> None:
    tree = Tree()
    for one in BUNDLES:
        path = PurePosixPath(one[2:])
        tree.add(Entry(one[2:], "file"))
        for folder in path.parents:
            tree.add(Entry(str(folder), "directory"))
    found = Bundles(tree, parse("linux/arm64"))
    assert found.has(line[2:]) == (line[0] == "*") or any(word in line for word in OWN)


def test_what_has_nothing_for_the_platform_itself_is_no_bundle() -> None:
    tree = Tree()
    for path in ("/srv/l-linux-x64.node", "/srv/l-darwin-arm64.node", "/srv/l-win32-arm64.node"):
        tree.add(Entry(path, "file"))
    assert not Bundles(tree, parse("linux/arm64")).has("/srv/l-linux-x64.node")
    assert Bundles(tree, parse("linux/arm64")).has("/srv/l-win32-arm64.node")
