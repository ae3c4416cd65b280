"""What a verification of the sample might find, with one of each outcome: for the page's test."""

from __future__ import annotations

import hashlib

from buildx_tasks.platforms import parse
from buildx_tasks.verification.results import CellResult, CheckResult, Report

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")
_RUN_SECONDS = {"linux/amd64": 0.31, "linux/arm64": 0.92, "linux/arm/v7": 0.88}
_SLOW_SECONDS = 1.24
# What a container writes is foreign: it must not become part of the page.
HOSTILE = "</script><script>document.title = 'taken'</script>\x1b[31m"
_PREBUILT_LOG = "\n".join(
    [f"selftest: case {number:02} ok" for number in range(1, 41)]
    + [HOSTILE, "exec /usr/local/bin/hello: exec format error"]
)


def report() -> Report:
    """Return 18 results: 15 passed, a failure, a known failure, a skip."""
    results = []
    for target, platforms in (
        ("hello-emulated", PLATFORMS[:2]),
        ("hello-cross", PLATFORMS),
        ("hello-prebuilt", PLATFORMS),
        ("hello-files", PLATFORMS),
    ):
        results += [_cell(target, platform) for platform in platforms]
        whole = CheckResult(
            "index",
            "index",
            "ok",
            0.04,
            facts=(f"{len(platforms)} platforms, provenance for each",),
        )
        results.append(CellResult(target, None, _digest(target), (whole,), 0.04))
    tools = {"Docker Engine": "28.5.2", "buildx-tasks": "0.1.0"}
    return Report("2026-11-25T02:37:44+00:00", 21.4, tuple(results), tools)


def _cell(target: str, platform: str) -> CellResult:
    checks = [_run(platform), _binaries(), _config(), _size(platform)]
    since = ""
    if (target, platform) == ("hello-prebuilt", "linux/arm/v7"):
        checks[:2] = _wrong_binary()
    elif (target, platform) == ("hello-cross", "linux/arm/v7"):
        checks[3] = checks[3]._replace(
            status="xfail",
            problems=("compressed size: expected at most 4 MB, got 4.3 MB; make a layer smaller",),
            reason="the linker of Go 1.24 keeps unused tables on arm; until Go 1.25",
        )
    elif (target, platform) == ("hello-files", "linux/riscv64"):
        reason = "the lab's board is away for repair until December"
        checks = [CheckResult(c.name, c.kind, "skip", reason=reason) for c in checks]
    elif target == "hello-emulated":
        since = "2026-11-24T17:05:12+00:00"
        checks = [CheckResult(check.name, check.kind, "ok") for check in checks]
    seconds = sum(check.seconds for check in checks)
    digest = _digest(f"{target}@{platform}")
    return CellResult(target, parse(platform), digest, tuple(checks), seconds, since)


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _run(platform: str) -> CheckResult:
    seconds = _RUN_SECONDS.get(platform, _SLOW_SECONDS)
    return CheckResult("run", "run", "ok", seconds, stdout=f"Hello, {platform}!\n")


def _binaries() -> CheckResult:
    return CheckResult("static binary", "binaries", "ok", 0.12, facts=("2 ELF files looked at",))


def _config() -> CheckResult:
    return CheckResult("config", "config", "ok", 0.01)


def _size(platform: str) -> CheckResult:
    megabytes = 3.1 + len(platform) / 10
    fact = f"{megabytes:.1f} MB compressed, {2.1 * megabytes:.1f} MB unpacked"
    return CheckResult("size", "size", "ok", 0.02, facts=(fact,))


def _wrong_binary() -> list[CheckResult]:
    return [
        CheckResult(
            "run",
            "run",
            "FAIL",
            0.47,
            problems=(
                "exit code: expected 0, got 255 (exec /usr/local/bin/hello: exec format error)",
                'stdout: expected "Hello, linux/arm/v7!", got nothing',
            ),
            stderr=_PREBUILT_LOG,
            enter="docker exec -it buildx-tasks-5f3c sh",
        ),
        CheckResult(
            "static binary",
            "binaries",
            "FAIL",
            0.11,
            problems=(
                "/usr/local/bin/hello: is AArch64 (64-bit), linux/arm/v7 needs ARM (32-bit, hard "
                "float); copy the binary of this platform",
            ),
            facts=("2 ELF files looked at",),
        ),
    ]
