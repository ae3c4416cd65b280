from __future__ import annotations

import os
import shutil
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support import workspaces

from buildx_tasks.errors import EngineError
from buildx_tasks.images.image import Image
from buildx_tasks.language import loading
from buildx_tasks.language.expectations import Run, Verify
from buildx_tasks.language.verify_table import faults
from buildx_tasks.planning.cells import Cell
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.records.ledger import Ledger, Verified
from buildx_tasks.reports.cells import print_report
from buildx_tasks.verification import check as checks
from buildx_tasks.verification import passed
from buildx_tasks.verification.check import Check, Found
from buildx_tasks.verification.recording import record_verified
from buildx_tasks.verification.results import CellResult, CheckResult, Report
from buildx_tasks.verification.unit_checks import FaultError, result_of
from buildx_tasks.verification.units import Mounted, context_of, hash_of, units
from buildx_tasks.verification.verify import Options

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell("hello", parse("linux/arm/v7"))
ARM64 = Cell("hello", parse("linux/arm64"))


def declared(**table: Any) -> Verify:
    return msgspec.convert(table, Verify)


def test_placeholders_are_filled_in_and_other_braces_stay() -> None:
    text = '{"p": "{platform}", "rest": "{os}-{arch}-{variant} {target} {tag} {nothing}"}'
    values = checks.placeholders(CELL, "app:v1")
    filled = '{"p": "linux/arm/v7", "rest": "linux-arm-v7 hello app:v1 {nothing}"}'
    assert checks.fill_in(text, values) == filled
    spec = Run(args=["{arch}"], env={"P": "{platform}"}, timeout=2.5)
    assert checks.fill_in(spec, values) == Run(args=["arm"], env={"P": "linux/arm/v7"}, timeout=2.5)


def test_checks_of_a_cell_by_only_skip_and_xfail() -> None:
    expected = declared(
        run={"stdout": "Hello, {platform}!"},
        binaries={},
        index={},
        skip={"linux/arm": "no board"},
        check=[
            {"name": "arm", "only": ["linux/arm64", "arm"], "run": {"args": ["{arch}"]}},
            {"name": "both", "run": {}, "size": {"unpacked": 1}, "xfail": {"linux/arm64": "slow"}},
        ],
    )
    found = checks.of_cell(expected, CELL, "app:v1")
    assert [(c.name, c.kind, c.skip, c.xfail) for c in found] == [
        ("run", "run", "no board", ""),
        ("binaries", "binaries", "no board", ""),
        ("arm", "run", "", ""),
        ("both: run", "run", "", ""),
        ("both: size", "size", "", ""),
    ]
    assert found[2].spec.args == ["arm"]
    assert [c.xfail for c in checks.of_cell(expected, ARM64, "app:v1")] == [
        "",
        "",
        "",
        "slow",
        "slow",
    ]
    amd64 = checks.of_cell(expected, Cell("hello", parse("linux/amd64")), "app:v1")
    assert "arm" not in [c.name for c in amd64]
    assert [c.name for c in checks.of_whole(expected)] == ["index"]


@pytest.mark.parametrize(
    ("table", "path", "message"),
    [
        ({"only": ["linux/amr64"]}, ("only", 0), 'unknown architecture "amr64"'),
        ({"skip": {"linux": "x"}}, ("skip", "linux"), "is no platform"),
        (
            {"skip": {"arm64": "x"}, "xfail": {"linux/arm64": "y"}},
            ("xfail", "linux/arm64"),
            "linux/arm64 is in skip as well, and is not run; keep one",
        ),
        ({"size": {}}, ("size",), "says nothing; write compressed, unpacked or growth"),
        (
            {"run": {"stderr": {"matches": "a("}}},
            ("run", "stderr", "matches"),
            "is no regular expression: missing ), unterminated subpattern at position 1; correct it",
        ),
        (
            {"service": {"http": {"body": {"json-at": {"a.b": 1}}}}},
            ("service", "http", "body", "json-at", "a.b"),
            'is no JSON pointer; write "/a/b"',
        ),
        (
            {"run": {"mounts": [{"source": "../x", "target": "/x"}]}},
            ("run", "mounts", 0, "source"),
            "must be a path below the project's folder",
        ),
        (
            {"files": {"/a": {"exists": False, "mode": "0755"}}},
            ("files", "/a", "exists"),
            "nothing that does not exist has mode; remove one or the other",
        ),
        ({"check": [{"name": "x"}]}, ("check", 0), 'check "x" checks nothing; add one of: run,'),
        (
            {"run": {}, "check": [{"name": "run", "size": {"unpacked": 1}}]},
            ("check", 0, "name"),
            'there is another check "run"; give each a name of its own',
        ),
        (
            {"check": [{"name": "i", "index": {}, "only": ["arm64"]}]},
            ("check", 0, "only"),
            "is about the whole image, not one platform; remove only",
        ),
    ],
)
def test_what_types_cannot_say(
    table: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    where, said = next(iter(faults(table)))
    assert where == path
    assert message in said


def test_the_hash_is_of_all_that_counts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("1")
    mounted = {"mounts": [{"source": "data", "target": "/data"}]}

    def of(**table: Any) -> str:
        return hash_of(checks.of_cell(declared(**table), CELL, "app:v1"), Mounted(tmp_path))

    plain = of(run=mounted)
    assert plain == of(run=mounted)
    others = [
        of(run={}),
        of(run={**mounted, "stdout": "x"}),
        of(run=mounted, xfail={"linux/arm/v7": "x"}),
        of(check=[{"name": "other", "run": mounted}]),
    ]
    for change in (
        lambda: (tmp_path / "data" / "file").write_text("2"),
        (tmp_path / "data" / "empty").mkdir,
        lambda: (tmp_path / "data" / "link").symlink_to("file"),
        lambda: (tmp_path / "data" / "file").chmod(0o700),
        lambda: shutil.rmtree(tmp_path / "data"),
    ):
        change()
        others.append(of(run=mounted))
    assert len({plain, *others}) == 10


def test_what_is_mounted_is_neither_followed_nor_our_own(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/")
    assert Mounted(tmp_path).hash("out") == "outside"
    (tmp_path / ".buildx").mkdir()
    before = Mounted(tmp_path).hash(".")
    (tmp_path / ".buildx" / "ledger.json").write_text("[]")
    assert Mounted(tmp_path).hash(".") == before
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(EngineError, match="file cannot be read"):
            Mounted(tmp_path).hash("file")
    # Python 3.13 takes a link to itself for nothing, the others do not: the check refuses it.
    (tmp_path / "loop").symlink_to("loop")
    with suppress(EngineError):
        assert Mounted(tmp_path).hash("loop") == Mounted(tmp_path).hash("nothing")


def test_a_verdict_depends_on_more_than_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "buildx.toml"
    text = "[target.a]\nplatforms = ['linux/arm64']\ntags = ['a:1']\n"

    def context(more: str, pushed: str = "", **annotations: str) -> list[Any]:
        path.write_text(text + more)
        (target,) = make_plan(loading.load(path)).targets
        assert target.spec.verify
        platform = target.platforms[0]
        image = Image("a:1", "sha256:1", {}, annotations={platform: annotations})
        listed = (
            *checks.of_cell(target.spec.verify, target.cells[0], "a:1"),
            *checks.of_whole(target.spec.verify),
        )
        return context_of(listed, target, image, platform, pushed)

    index = "verify.index = {}\n"
    assert context(index) != context("attest = ['type=sbom']\n" + index)
    growth = "verify.size.growth = 5\n"
    assert context(growth) != context(growth, pushed="sha256:2")
    config = "verify.config = { annotations = { a = 'b' } }\n"
    assert context(config) != context(config, a="b")
    assert context("verify.binaries = {}\n", pushed="sha256:2", a="b") == ["a"]


def test_a_known_failure_must_fail() -> None:
    check = Check("run", "run", Run(), xfail="issue 7")
    failing = result_of(check, Found(("exit code: expected 0, got 1",)), 0.5)
    assert (failing.status, failing.reason) == ("xfail", "issue 7")
    faulty = result_of(check, FaultError("the engine failed 3 times"), 0.5)
    assert (faulty.status, faulty.problems) == ("FAIL", ("the engine failed 3 times",))
    passing = result_of(check, Found(), 0.5)
    assert passing.status == "FAIL"
    assert passing.problems == (
        'passes, but xfail says "issue 7"; remove this platform from xfail',
    )


def result(status: Any, platform: str = "linux/arm64", **more: Any) -> CellResult:
    check = CheckResult("run", "run", status, problems=more.pop("problems", ()))
    return CellResult("hello", parse(platform), "sha256:1", (check,), **more)


def test_the_ledger_knows_what_passed_and_what_failed_last(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    amd64 = "linux/amd64"
    for results in (
        [result("ok"), result("ok", amd64)],
        [result("FAIL"), result("ok", amd64, since="then")],
        [result("skip", "linux/riscv64"), result("FAIL", "linux/386", was_run=False)],
    ):
        record_verified(ledger, results, {r.id: f"hash of {r.id}" for r in results})
    history = Verified(ledger.read())
    assert history.failed == {"hello@linux/arm64"}
    assert [key for _, key in history.passed] == ["hash of hello@linux/amd64"]
    assert len(ledger.read()) == 3
    known = [result("ok", since="then")]
    record_verified(ledger, known, {"hello@linux/arm64": "hash of hello@linux/arm64"})
    assert Verified(ledger.read()).failed == set()


def test_what_ended_before_an_interruption_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text("[target.hello]\nplatforms = ['arm64']\ntags = ['a:1']\nverify.run = {}\n")
    with closing(workspaces.declared(tmp_path)) as workspace:
        plan = make_plan(workspace.config)
        manifests = {plan.targets[0].platforms[0]: "sha256:1"}
        listed = units(plan.targets, tmp_path, lambda _: Image("a:1", "index", manifests), {})
        told: list[str] = []

        class Watcher:
            def started(self, unit_id: str) -> None:
                told.append(f"{unit_id} began")

            def ended(self, result: CellResult) -> None:
                told.append(f"{result.id} ended")

        def interrupted(*_: Any, watcher: Watcher, **__: Any) -> None:
            watcher.started(listed[0].id)
            watcher.ended(result("ok"))
            raise KeyboardInterrupt

        monkeypatch.setattr("buildx_tasks.verification.verify.verify", interrupted)
        monkeypatch.setattr("buildx_tasks.builders.capability.require_runnable", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            passed.verified(workspace, plan, listed, {}, Options(), Watcher())
        assert told == ["hello@linux/arm64 began", "hello@linux/arm64 ended"]
        known = Verified(workspace.ledger.read()).passed
        assert list(known) == [("sha256:1", listed[0].hash)]


def test_foreign_output_does_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    check = CheckResult(
        "run", "run", "FAIL", problems=("bad",), stdout="::error::x\n" + "a\n" * 29 + "\x1b[2J\n"
    )
    failed = CellResult("hello", parse("linux/arm64"), "sha256:1", (check,), 0.5)
    print_report(Report("", 0.0, (failed,), {}))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed.partition("---")[2]
    assert "(11 lines before these are in the written reports)\n" in printed
    assert printed.endswith("| a\n| \\x1b[2J\n0 of 1 ok, 1 FAIL\n")
