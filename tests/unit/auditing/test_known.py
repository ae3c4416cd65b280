"""What good images have: setuid programs of distributions, and files that are data."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from buildx_tasks.auditing import known
from buildx_tasks.auditing.known import Bundles, is_brought, is_data, is_usual
from buildx_tasks.images.contents import Seen
from buildx_tasks.images.elf import Elf
from buildx_tasks.images.merged import Files
from buildx_tasks.images.paths import Entry, Tree
from buildx_tasks.images.pe import Pe
from buildx_tasks.machine import executables
from buildx_tasks.platforms import Platform, parse


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
        ("/usr/local/go/src/debug/elf/testdata/hello", "data"),
        ("/usr/lib/firmware/wifi.elf", "data"),
        ("/usr/share/qemu/pc-bios.elf", "data"),
        ("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.elf", "data"),
        ("/app/node_modules/bcrypt/prebuilds/linux-arm64/bcrypt.node", "brought"),
        ("/usr/aarch64-linux-gnu/lib/libc.so.6", "brought"),
        ("/usr/lib/python3/dist-packages/setuptools/cli-arm64.exe", "brought"),
        ("/usr/lib/python3.9/distutils/command/wininst-14.0.exe", "brought"),
        (
            "/opt/v/site-packages/debugpy/x/pydevd_attach_to_process/attach_linux_amd64.so",
            "brought",
        ),
        ("/var/www/vendor/symfony/console/Resources/bin/hiddeninput.exe", "brought"),
        ("/opt/conda/lib/python3.12/site-packages/conda/shell/cli-64.exe", "brought"),
        ("/usr/lib/dotnet/packs/Microsoft.NETCore.App.Host.linux-x64/apphost", "brought"),
        ("/usr/lib64/dotnet/sdk/8.0.1/AppHostTemplate/apphost", "brought"),
        ("/usr/lib/dotnet/dotnet", ""),
        ("/usr/lib/dotnet/shared/Microsoft.NETCore.App/8.0.1/libcoreclr.so", ""),
        ("/usr/share/dotnet/dotnet", ""),
        ("/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.1/libcoreclr.so", ""),
        ("/app/runtimes/linux-musl-x64/native/libSkiaSharp.so", ""),
        ("/usr/lib/python3/site-packages/numpy/core/_multiarray.so", ""),
        ("/app/node_modules/@esbuild/linux-x64/bin/esbuild", ""),
        ("/usr/bin/tool", ""),
        ("/usr/lib/libc.so.6", ""),
        ("/srv/server.exe", ""),
    ],
)
def test_files_for_others_that_are_data(path: str, expected: str) -> None:
    assert is_data(path) == (expected == "data")
    assert is_brought(path) == (expected == "brought")


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
ARM64 = parse("linux/arm64")


def seen_of(architecture: str) -> Seen:
    """Return what is seen of a file: an ELF file, a program of Windows, neither."""
    if architecture == "windows":
        return Seen(pe=Pe("amd64"))
    header = executables.header(architecture)
    return Seen(Elf(header, "EM")) if header else Seen()


def bundles(files: dict[str, str], platform: Platform = ARM64) -> Bundles:
    """Return bundles with these files, each for an architecture."""
    tree = Tree()
    for path in files:
        tree.add(Entry(path, "file", first=path))
        for folder in PurePosixPath(path).parents:
            tree.add(Entry(str(folder), "directory"))
    return Bundles(Files(tree, {}, {path: seen_of(one) for path, one in files.items()}), platform)


def architecture_of(path: str) -> str:
    is_windows = any(word in path for word in ("win", "DLLS", ".exe"))
    own = any(word in path for word in OWN) or path == "/srv/linux/selenium"
    return "windows" if is_windows and "darwin" not in path else "arm64" if own else "amd64"


@pytest.mark.parametrize("line", BUNDLES)
def test_one_of_several_files_for_each_platform_is_known_by_their_names(line: str) -> None:
    files = {one[2:]: architecture_of(one[2:]) for one in BUNDLES}
    found = bundles(files).has(line[2:], seen_of(files[line[2:]]))
    assert found == (line[0] == "*")


def test_what_has_nothing_for_the_platform_itself_is_no_bundle() -> None:
    paths = ("/srv/l-linux-x64.node", "/srv/l-darwin-arm64.node", "/srv/l-win32-arm64.node")
    found = bundles(dict.fromkeys(paths, ""))
    assert not found.has(paths[0], seen_of("amd64"))
    assert found.has(paths[2], seen_of("windows"))


@pytest.mark.parametrize(
    "others",
    [
        # The first is for another machine, and called after this one, or after none.
        ["/usr/local/bin/tool-linux-arm64", "/usr/local/bin/tool-linux-arm64.sha256="],
        ["/usr/lib/jni/libfoo-aarch64.so", "/usr/lib/jni/libfoo-aarch64.so.1=arm64"],
        ["/opt/jdk-arm64-17/bin/java", "/opt/jdk-arm64-21/bin/java=arm64"],
        ["/opt/app-aarch64", "/opt/app-aarch64.map="],
        ["/opt/lib/arm64/a.so", "/opt/lib/aarch64/b.so=arm64"],
        ["/usr/local/bin/mac-tool", "/usr/local/bin/linux-helper=arm64"],
        # What is beside it is nothing that this platform could run.
        ["/srv/alpha/bin/server", "/srv/aarch64/readme="],
        ["/srv/x64/tool", "/srv/arm64/tool="],
        ["/srv/x64/tool", "/srv/arm64/tool=amd64"],
        ["/srv/win/a.node"],
        [
            "/srv/runtimes/linux-x64/native/libfoo.so",
            "/srv/runtimes/win-x64/native/foo.dll=windows",
        ],
    ],
)
def test_a_name_excuses_no_file_of_this_platform_s_own(others: list[str]) -> None:
    path, *beside = others
    files = {path: "amd64", **dict(one.split("=") for one in beside)}
    assert not bundles(files).has(path, seen_of("amd64"))


@pytest.mark.parametrize(
    ("platform", "path", "architecture", "beside"),
    [
        ("arm64", "/srv/runtimes/linux-musl-x64/native/a.so", "amd64", "runtimes/linux-arm64/b.so"),
        ("arm64", "/srv/x86_64/linux/a.so", "amd64", "aarch64/linux/a.so"),
        ("arm64", "/srv/mac/a", "amd64", "linux/a"),
        # Other systems, and other variants, have the same machine.
        ("amd64", "/srv/freebsd/amd64/a.so", "amd64", "linux/amd64/a.so"),
        ("amd64", "/srv/linux-musl-x64/a.so", "amd64", "linux-x64/a.so"),
        ("arm/v6", "/srv/linux-armv7/a.so", "arm", "linux-armv6/a.so"),
        ("386", "/srv/linux-x86_64/a.so", "amd64", "linux-i686/a.so"),
        ("386", "/srv/linux-x86-64/a.so", "amd64", "linux-x86/a.so"),
    ],
)
def test_a_file_for_others_is_excused_by_one_of_this_platform(
    platform: str, path: str, architecture: str, beside: str
) -> None:
    own, other = parse(f"linux/{platform}"), f"/srv/{beside}"
    seen = seen_of(architecture)
    assert bundles({path: architecture, other: own.architecture}, own).has(path, seen)
    assert not bundles({path: architecture, other: "s390x"}, own).has(path, seen)
    assert not bundles({path: architecture, other: ""}, own).has(path, seen)


def test_names_of_a_large_folder_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    number, looked = 2_000, 0
    files = {f"/srv/x64-{n}": "amd64" for n in range(number)}
    files.update({f"/srv/s390x-{n}": "arm64" for n in range(number)})
    files.update({f"/srv/{n}-x64": "amd64" for n in range(number)})
    found = bundles(files)
    says = known._says

    def counted(text: str, words: str) -> bool:
        nonlocal looked
        looked += 1
        return says(text, words)

    monkeypatch.setattr(known, "_says", counted)
    assert not any(found.has(path, seen_of(one)) for path, one in files.items() if one == "amd64")
    assert looked < 100 * number
