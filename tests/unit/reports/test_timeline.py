"""A recorded build on a terminal, as JSON, as HTML, as GitHub's summary; the sample's own record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.recorded import AMD64, ARM64, FILE, large, small

from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.errors import EngineError
from buildx_tasks.language import loading
from buildx_tasks.platforms import parse
from buildx_tasks.records import comparison, timeline
from buildx_tasks.records.builds import CellRecord
from buildx_tasks.reports import jobs, page, recalled, timeline_markdown, timeline_page
from buildx_tasks.reports import timeline as shown_as
from buildx_tasks.reports.timeline import Shown, data, lines
from buildx_tasks.verification.results import CellResult, Report
from buildx_tasks.workspace import Workspace

if TYPE_CHECKING:
    from buildx_tasks.records.builds import Build

ROOT = Path(__file__).parents[3]
SAMPLE = "20261126-084129-824-348e"
RECORD = ROOT / "tests" / "support" / "data" / f"{SAMPLE}.jsonl"
FOREIGN = "\x1b[31m</script><script>alert(1)</script>\u202e|`x`"


def finding(code: str, platform: str = "", target: str = "hello") -> Finding:
    where = parse(platform) if platform else None
    return Finding(code, target, where, FILE, 5, "builder", "it is slow", f"mend {code}")


HINTS = {
    (FILE, 5): [
        finding("EmulatedCompile", "linux/arm64"),
        finding("NoCacheMount"),
        finding("Other", target="else"),
    ]
}


def shown(build: Build, before: Build | None = None) -> Shown:
    compared = comparison.compared(before, build) if before else None
    return Shown(timeline.of(build), timeline.ranking(build), HINTS, compared)


def test_a_timeline_on_a_terminal() -> None:
    told = list(lines(shown(small()), 80, None))
    assert told[0].startswith(
        "build 20261126-080000-000-0001: built in 1 min 40 s, 2026-11-26 08:00"
    )
    assert "Docker Engine 28.5.2, buildx v0.29.1" in told
    arm64 = next(line for line in told if line.startswith(ARM64))
    assert "1 min 37 s" in arm64
    drawn = arm64.partition("|")[2].partition("|")[0]
    assert drawn.count("#") >= 0.7 * len(drawn)
    assert "=" not in drawn
    assert "under emulation: 74% of the time" in told
    at = told.index("the most expensive steps")
    assert told[at + 1] == (f" 1  1 min 14 s under emulation, 9.0 s natively ({AMD64}): lint")
    assert told[at + 2 : at + 6] == [
        "    EmulatedCompile, NoCacheMount",
        f"    {ARM64} RUN go build -o hello . ({FILE}:5)",
        "    EmulatedCompile: mend EmulatedCompile",
        "    NoCacheMount: mend NoCacheMount",
    ]
    # The other platform's is none of emulation's.
    assert "2  9.0 s natively: lint NoCacheMount" in "\n".join(told)


@pytest.mark.parametrize("columns", [40, 60, 100, 200, None])
def test_it_fits_the_terminal(columns: int | None) -> None:
    build = large(50, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"))
    told = list(lines(shown(build, small()), columns, None))
    assert max(map(len, told)) <= (columns or 100)
    assert sum("|" in line for line in told) == 200
    few = list(lines(shown(build), columns, 10))
    assert sum("|" in line for line in few) == 10
    assert "190 cells that took less are not shown" in " ".join(few)


def test_what_has_nothing_says_so() -> None:
    cached = tuple(s._replace(is_cached=True, ended=s.started) for s in small().steps[2:4])
    told = "\n".join(lines(shown(small(steps=cached)), 80, None))
    assert told.count("cached\n") >= 2
    assert "the most expensive steps" not in told
    told = "\n".join(lines(shown(small(steps=(), seconds=None, outcome="unfinished")), 80, None))
    assert "unfinished, < 0.1 s of it are known" in told
    assert told.count("nothing done") == 2
    assert "it has no cells" in "\n".join(lines(shown(small(cells=())), 80, None))
    cut = "\n".join(lines(shown(small(is_cut=True, failed=(ARM64,))), 200, None))
    assert "what is missing here is not known" in cut
    assert "1 min 37 s failed" in cut


def test_what_changed_is_told_with_its_reason() -> None:
    before = small(
        seconds=10.0,
        steps=tuple(s._replace(is_cached=True, ended=s.started) for s in small().steps),
    )
    told = list(lines(shown(small(), before), 200, None))
    at = next(n for n, line in enumerate(told) if line.startswith("against build"))
    assert told[at].endswith("(built, 10 s): 1 min 30 s longer")
    # The same of several cells is told once.
    cells = f"{ARM64}, {AMD64}"
    assert told[at + 1] == f"  done again: {cells} RUN go build -o hello .: up to 1 min 14 s"
    assert told[at + 2].startswith("      why: the builder no longer had its result")
    same = list(lines(shown(small(), small()), 80, None))
    assert same[-2].endswith("as long")
    assert same[-1] == "  no step took longer, or was done again"


def test_json_has_all_of_it() -> None:
    told = json.loads(json.dumps(data(shown(small(), small(seconds=90.0)))))
    assert (told["seconds"], told["emulated_share"]) == (100.0, 0.74)
    assert told["went"]["under emulation"] == 74.0
    assert [one["id"] for one in told["cells"]] == [ARM64, AMD64]
    first = told["ranking"][0]
    assert first["lint"] == ["EmulatedCompile", "NoCacheMount"]
    assert (first["seconds"], first["native_seconds"], first["native_cell"]) == (74.0, 9.0, AMD64)
    assert told["compared"] == {
        "with": "20261126-080000-000-0001",
        "seconds": 10.0,
        "changes": [],
    }


def test_foreign_words_do_nothing() -> None:
    steps = tuple(s._replace(name=f"RUN {FOREIGN}", error=FOREIGN) for s in small().steps)
    build = small(steps=steps)
    for text in (
        "\n".join(lines(shown(build, small()), 80, None)),
        timeline_page.text(shown(build, small())),
        timeline_markdown.text(shown(build)),
        json.dumps(data(shown(build, small()))),
    ):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>alert" not in timeline_page.text(shown(build, small()))


def test_the_page_has_each_cell_with_its_steps_and_the_ranking() -> None:
    text = timeline_page.text(shown(small(), small(seconds=90.0)))
    for part in (
        "<title>build: built in 1 min 40 s</title>",
        "74% under emulation",
        "9.0 s natively (hello@linux/amd64): lint EmulatedCompile, NoCacheMount",
        "against build 20261126-080000-000-0001",
        "default-src 'none'",
    ):
        assert part in text
    assert text.count('class="lane"') == 2
    whole = page.text(_report(), timeline_page.section(shown(small())))
    assert "By cell" in whole
    assert "By cell" not in page.text(_report())


def _report() -> Report:
    cell = CellResult("hello", parse("linux/arm64"), "sha256:1")
    return Report("2026-11-25T02:37:44+00:00", 1.0, (cell,), {})


def test_a_summary_of_github_is_bounded() -> None:
    text = timeline_markdown.text(shown(small()))
    assert text.startswith("## ✅ build: built in 1 min 40 s, 74% under emulation\n")
    assert f"| `{ARM64}` | 1 min 37 s | 76% | 1 of 4 |" in text
    assert "1. **1 min 14 s under emulation, 9.0 s natively" in text
    build = large(1000, ("linux/amd64", "linux/arm64"))
    many = timeline_markdown.text(shown(build._replace(outcome="failed")))
    assert many.startswith("## ❌ build: failed")
    assert "and 1,800 more that took less" in many
    assert len(many) < 50_000


@pytest.fixture
def sample(tmp_path: Path) -> Workspace:
    """The bundled sample, with the record of a real build of its emulated and its cross way."""
    shutil.copytree(ROOT / "go-sample", tmp_path / "go-sample")
    file = tmp_path / "buildx.toml"
    shutil.copy(ROOT / "buildx.toml", file)
    folder = tmp_path / ".buildx" / "builds"
    folder.mkdir(mode=0o700, parents=True)
    folder.parent.chmod(0o700)
    shutil.copy(RECORD, folder / RECORD.name)
    return Workspace(file, loading.load(file))


def test_the_sample_s_emulated_compile_is_first_in_its_own_ranking(sample: Workspace) -> None:
    found = recalled.recalled(sample)
    first = found.costs[0]
    assert first.step.cells == ("hello-emulated@linux/arm64",)
    assert first.step.name == "RUN go build -o hello ."
    assert (first.step.dockerfile, first.step.line) == ("go-sample/Dockerfile", 5)
    assert first.native_cell == "hello-emulated@linux/amd64"
    verdict = shown_as.verdict(first, found.hints)
    assert verdict.startswith("6 min 33 s under emulation, 2 min 25 s natively")
    assert verdict.endswith(": lint EmulatedCompile, NoCacheMount")
    # Nothing else of it is said to compile under emulation.
    codes = [
        one.code for cost in found.costs[1:] for one in shown_as.findings_of(cost, found.hints)
    ]
    assert "EmulatedCompile" not in codes
    assert found.timeline.share > 0.9


def test_the_last_build_is_meant_or_the_one_that_is_named(sample: Workspace) -> None:
    other = SAMPLE.replace("-084129-", "-094129-")
    folder = sample.root / ".buildx" / "builds"
    shutil.copy(RECORD, folder / f"{other}.jsonl")
    assert recalled.recalled(sample).timeline.build.id == other
    assert recalled.recalled(sample, SAMPLE).timeline.build.id == SAMPLE
    compared = recalled.recalled(sample, against="previous").comparison
    assert compared is not None
    assert (compared.before.id, compared.changes) == (SAMPLE, ())
    with pytest.raises(EngineError, match="no build before 20261126-084129-824-348e with one of"):
        recalled.recalled(sample, SAMPLE, "previous")
    with pytest.raises(EngineError, match="no build"):
        recalled.recalled(sample, "x")
    own = recalled.recalled(sample, targets=["hello-cross"]).timeline
    assert own.build.id == other
    assert {lane.id.partition("@")[0] for lane in own.lanes} == {"hello-cross"}
    with pytest.raises(EngineError, match="no build of missing is recorded"):
        recalled.recalled(sample, targets=["missing"])
    # What cannot be read is passed over where something else was looked for.
    newest = folder / f"{SAMPLE.replace('-084129-', '-094130-')}.jsonl"
    newest.write_text("")
    assert recalled.recalled(sample, targets=["hello-cross"]).timeline.build.id == other
    with pytest.raises(EngineError, match="is damaged"):
        recalled.recalled(sample)
    newest.unlink()
    path = sample.root / "t.html"
    recalled.write_page(recalled.recalled(sample), str(path))
    assert "hello-emulated" in path.read_text("utf-8")
    with pytest.raises(EngineError, match="cannot be written"):
        recalled.write_page(recalled.recalled(sample), str(sample.root))


def test_builds_that_share_no_cell_are_not_compared() -> None:
    other = small(cells=(CellRecord("other@linux/amd64"),), steps=())
    said = list(shown_as.compared(comparison.compared(other, small())))
    assert said[1:] == ["  it had none of these cells: there is nothing to compare"]


def test_only_what_is_selected_is_shown(sample: Workspace) -> None:
    found = shown_as.only(recalled.recalled(sample), {"hello-cross"})
    assert {lane.id.partition("@")[0] for lane in found.timeline.lanes} == {"hello-cross"}
    assert found.costs
    assert all("hello-cross" in str(cost.step.cells) for cost in found.costs)
    compared = shown_as.only(shown(small(), small(steps=())), {"other"}).comparison
    assert compared is not None
    assert not compared.changes


def test_without_a_build_it_is_said(tmp_path: Path) -> None:
    file = tmp_path / "buildx.toml"
    file.write_text("[target.a]\n")
    with pytest.raises(EngineError, match="no build is recorded yet; run invoke build"):
        recalled.recalled(Workspace(file, loading.load(file)))


def test_a_dockerfile_that_is_gone_leaves_the_ranking(sample: Workspace) -> None:
    shutil.rmtree(sample.root / "go-sample")
    found = recalled.recalled(sample)
    assert shown_as.findings_of(found.costs[0], found.hints) == []
    sample.file.write_text("[target.other]\n")
    changed = Workspace(sample.file, loading.load(sample.file))
    assert recalled.recalled(changed).hints == {}


def test_a_job_of_github_is_told_of_what_was_built(
    sample: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv(jobs.SUMMARY, str(summary))
    with jobs.told_github(sample):
        pass
    assert not summary.exists()
    later = sample.root / ".buildx" / "builds" / f"{SAMPLE.replace('-084129-', '-104129-')}.jsonl"
    with pytest.raises(EngineError, match="failed"):
        _build(sample, later)
    assert "| `hello-emulated@linux/arm64` |" in summary.read_text("utf-8")
    monkeypatch.setenv(jobs.SUMMARY, str(tmp_path))
    with jobs.told_github(sample):
        shutil.copy(RECORD, later.with_name(later.name.replace("-104129-", "-114129-")))
    assert "has no table of the build" in capsys.readouterr().err


def _build(workspace: Workspace, record: Path) -> None:
    """Fail as a build does that leaves a record."""
    with jobs.told_github(workspace):
        shutil.copy(RECORD, record)
        raise EngineError("failed")
