from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from buildx_tasks import reports
from buildx_tasks.images.differences import Difference
from buildx_tasks.platforms import parse
from buildx_tasks.reports import differences, github, jsonreport, junit, markdown, page
from buildx_tasks.verification.results import CellResult, CheckResult, Report

if TYPE_CHECKING:
    from buildx_tasks.verification.results import CheckStatus

# Jenkins' xUnit plug-in's schema, as pytest's source distribution on PyPI carries it (MIT).
SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[2] / "support" / "data" / "junit-10.xsd"))
HOSTILE = (
    "\x00\x1b[31m</script><script>alert(1)</script> & \"'\n```\n</details>\n::error::x\ud800\u202e"
)


def check(name: str, status: CheckStatus = "ok", *problems: str, reason: str = "") -> CheckResult:
    return CheckResult(name, "run", status, 0.25, problems, reason=reason)


def cell(target: str, platform: str, *checks: CheckResult, since: str = "") -> CellResult:
    where = parse(platform) if platform else None
    return CellResult(target, where, "sha256:1", checks, 0.5, since)


def report(*results: CellResult) -> Report:
    return Report("2026-11-25T02:37:44+00:00", 65.04, results, {"Docker Engine": "28.5.2"})


OF_ALL_KINDS = report(
    cell("hello", "linux/amd64", check("run"), check("size")),
    cell(
        "hello",
        "linux/arm64",
        check("run", "FAIL", "exit code: expected 0, got 3", "stdout: 100%")._replace(
            stdout="Bye!\n", stderr="oh\n", enter="docker exec -it x sh", facts=("took long",)
        ),
        check("size", "skip", reason="no room"),
    ),
    cell("hello", "", check("index")),
    cell("other", "linux/arm64", check("run", "xfail", "too slow", reason="see #7")),
    cell("other", "linux/riscv64", check("run", "skip", reason="no room")),
    cell("other", "linux/amd64", check("run"), since="2026-11-24T17:05:12+00:00"),
    cell("plain", "linux/amd64"),
)
FOREIGN = report(
    cell(
        "hello",
        "linux/amd64",
        CheckResult(
            HOSTILE, "run", "FAIL", 0.1, (HOSTILE,), (HOSTILE,), "", HOSTILE, HOSTILE, HOSTILE
        ),
        check("known", "xfail", HOSTILE, reason=HOSTILE),
    )
)


def test_what_all_comes_to() -> None:
    assert reports.counts(OF_ALL_KINDS) == {
        "ok": 3,
        "FAIL": 1,
        "xfail": 1,
        "skip": 1,
        "unchecked": 1,
    }
    assert reports.headline(OF_ALL_KINDS) == "1 of 7 cells failed"
    assert reports.headline(report(*OF_ALL_KINDS.results[2:])) == "2 of 5 cells passed, none failed"
    assert reports.headline(report(OF_ALL_KINDS.results[0])) == "all 1 cell passed"
    assert list(map(str, reports.platforms(OF_ALL_KINDS))) == [
        "linux/amd64",
        "linux/arm64",
        "linux/riscv64",
        "None",
    ]


def test_a_reason_is_told_once() -> None:
    both = [
        cell("hello", platform, *(check(name, "skip", reason="no room") for name in ("a", "b")))
        for platform in ("linux/arm64", "linux/arm/v7")
    ]
    assert reports.notes(report(*both)) == [
        ("skip", "no room", ("a", "b"), ("hello@linux/arm64", "hello@linux/arm/v7"))
    ]
    assert [note.status for note in reports.notes(OF_ALL_KINDS)] == ["xfail", "skip", "skip"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "< 0.1 s"), (0.94, "0.9 s"), (48.4, "48 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s")],
)
def test_times_as_people_read_them(seconds: float, words: str) -> None:
    assert reports.duration(seconds) == words


def test_control_characters_are_seen_and_do_nothing() -> None:
    assert reports.visible("a\r\nb\rc\t\x1b[2J\x7f\x9b\ud800\u2067") == "a\nb␍c\t␛[2J␡���"


# ---------------------------------------------------------------- JUnit


@pytest.mark.parametrize("made", [OF_ALL_KINDS, FOREIGN, report()])
def test_junit_is_what_its_schema_says(made: Report) -> None:
    SCHEMA.validate(junit.text(made))


def test_junit_has_a_suite_a_target_and_a_case_a_check() -> None:
    root = ET.fromstring(junit.text(OF_ALL_KINDS))
    assert [suite.attrib["name"] for suite in root] == ["hello", "other", "plain"]
    assert (root.attrib["tests"], root.attrib["failures"]) == ("9", "1")
    hello, other, plain = root
    assert hello.attrib["timestamp"] == "2026-11-25T02:37:44"
    assert (hello.attrib["tests"], hello.attrib["skipped"]) == ("5", "1")
    assert hello.find("properties/property[@name='digest hello@linux/arm64']") is not None
    failed = hello.find("testcase[@name='hello@linux/arm64 run']")
    assert failed is not None
    assert failed.attrib["classname"] == "hello"
    assert failed.attrib["time"] == "0.250"
    failure = failed.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "exit code: expected 0, got 3 (and 1 more)"
    assert failure.text == (
        "exit code: expected 0, got 3\nstdout: 100%\nenter it with: docker exec -it x sh"
    )
    assert failed.findtext("system-out") == "took long\nBye!\n"
    assert failed.findtext("system-err") == "oh\n"
    known = other.find("testcase[@name='other@linux/arm64 run']/skipped")
    assert known is not None
    assert known.attrib["message"] == "known failure: see #7"
    assert known.text == "too slow"
    assert "not run again" in (other.findtext("testcase/system-out") or "")
    assert plain.find("testcase[@name='plain@linux/amd64']/skipped") is not None


def test_junit_holds_what_xml_cannot() -> None:
    case = ET.fromstring(junit.text(FOREIGN))[0].find("testcase")
    assert case is not None
    error = case.findtext("system-err") or ""
    assert error.startswith("��[31m</script><script>alert(1)</script>")
    assert "\ud800" not in error


# ---------------------------------------------------------------- GitHub


def test_the_summary_is_the_table_then_what_failed() -> None:
    lines = github.summary(OF_ALL_KINDS).splitlines()
    assert lines[0] == "## ❌ verify: 1 of 7 cells failed"
    assert (
        lines[2] == "✅ 3 passed · ❌ 1 failed · ⚠️ 1 known failure · ⏭️ 1 skipped · ⚪ 1 unchecked"
    )
    assert lines[6:11] == [
        "| target | linux/amd64 | linux/arm64 | linux/riscv64 | index |",
        "|:--|:-:|:-:|:-:|:-:|",
        "| `hello` | ✅ | ❌ |   | ✅ |",
        "| `other` | ✅ | ⚠️ | ⏭️ |   |",
        "| `plain` | ⚪ |   |   |   |",
    ]
    assert "<details><summary>❌ <b>hello@linux/arm64</b>: 2 problems</summary>" in lines
    assert lines[-3:] == [
        "- ⚠️ known failure: **run** of `other@linux/arm64`: see \\#7",
        "- ⏭️ skipped: **size** of `hello@linux/arm64`: no room",
        "- ⏭️ skipped: **run** of `other@linux/riscv64`: no room",
    ]


def test_output_stays_in_its_block_of_the_summary() -> None:
    summary = github.summary(FOREIGN)
    fence = "````text\n"
    assert summary.count(fence) == 3
    for block in summary.split(fence)[1:]:
        inside, _, rest = block.partition("\n````\n")
        assert "</details>" in inside
        assert "<script>" not in rest
    summary.encode()


def test_a_summary_fits_in_what_github_takes() -> None:
    loud = check("run", "FAIL", *(f"problem {n}" for n in range(90)))._replace(
        stdout="\n".join(f"{number} " + "ü" * 500 for number in range(999))
    )
    many = [cell(f"target-{number}", "linux/arm64", loud) for number in range(200)]
    summary = github.summary(report(*many))
    assert 900_000 < len(summary.encode()) <= 1024 * 1024
    assert "and 40 more\n" in summary
    assert "stdout, its end:\n" in summary
    assert "\n998 ü" in summary
    said = re.fullmatch(r"(\d+) more do not fit here: see .*", summary.splitlines()[-1])
    assert said
    assert int(said[1]) + summary.count("<details>") == 200


def test_a_table_that_is_too_large_is_left_out_of_the_summary() -> None:
    many = [cell("x" * 200 + str(number), "linux/arm64", check("run")) for number in range(6000)]
    assert len(github.summary(report(*many))) < 200


def test_annotations_are_one_line_each() -> None:
    (line,) = github.annotations(OF_ALL_KINDS, "a,b:c%.toml", {"hello": 12}.__getitem__)
    assert line == (
        "::error file=a%2Cb%3Ac%25.toml,line=12,title=hello@linux/arm64 run"
        "::exit code: expected 0, got 3%0Astdout: 100%25"
    )
    (line,) = github.annotations(FOREIGN, "buildx.toml", lambda _: 1)
    assert "\n" not in line
    line.encode()


def test_the_tenth_annotation_stands_for_the_rest() -> None:
    failed = [cell("hello", "linux/arm64", check(f"c{n}", "FAIL", "x" * 9999)) for n in range(13)]
    lines = github.annotations(report(*failed), "buildx.toml", lambda _: 1)
    assert len(lines) == 10
    assert lines[-1].startswith("::error file=buildx.toml,line=1,title=4 more checks failed::")
    assert lines[-1].count("hello@linux/arm64") == 4
    assert max(map(len, lines)) < 4200


# ---------------------------------------------------------------- JSON


def test_json_has_all_in_a_form_that_stays() -> None:
    found = json.loads(jsonreport.text(OF_ALL_KINDS))
    keys = "version ok started seconds tools commit tags sizes counts results"
    assert list(found) == keys.split()
    assert (found["version"], found["ok"], found["seconds"]) == (1, False, 65.04)
    assert found["counts"]["FAIL"] == 1
    assert found["results"][1] == {
        "id": "hello@linux/arm64",
        "target": "hello",
        "platform": "linux/arm64",
        "digest": "sha256:1",
        "outcome": "FAIL",
        "seconds": 0.5,
        "since": "",
        "checks": [
            {
                "name": "run",
                "kind": "run",
                "status": "FAIL",
                "seconds": 0.25,
                "reason": "",
                "problems": ["exit code: expected 0, got 3", "stdout: 100%"],
                "facts": ["took long"],
                "stdout": "Bye!\n",
                "stderr": "oh\n",
                "enter": "docker exec -it x sh",
            },
            {
                "name": "size",
                "kind": "run",
                "status": "skip",
                "seconds": 0.25,
                "reason": "no room",
                "problems": [],
                "facts": [],
                "stdout": "",
                "stderr": "",
                "enter": "",
            },
        ],
    }
    assert found["results"][2]["platform"] is None
    assert found["results"][5]["since"] == "2026-11-24T17:05:12+00:00"


def test_json_holds_what_utf8_cannot() -> None:
    check = json.loads(jsonreport.text(FOREIGN))["results"][0]["checks"][0]
    assert check["stdout"] == HOSTILE.replace("\ud800", "?")


# ---------------------------------------------------------------- the page


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, attribute: str) -> list[str]:
        return [
            str(attributes[attribute]) for _, attributes in self.tags if attribute in attributes
        ]


@pytest.mark.parametrize("made", [OF_ALL_KINDS, FOREIGN, report()])
def test_the_page_is_whole_and_loads_nothing(made: Report) -> None:
    text = page.text(made)
    text.encode()
    parsed = Tags(text)
    names = [tag for tag, _ in parsed.tags]
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "base", "form", "a"} & set(names)
    assert not parsed.values("src")
    assert all(value.startswith(("#ui.", "data:,")) for value in parsed.values("href"))
    assert not parsed.values("style")
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert not re.search(r"@import|url\(|https?:", text)
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    assert set(parsed.values("popovertarget")) <= set(ids)


def test_the_policy_allows_this_style_and_this_script_alone() -> None:
    text = page.text(OF_ALL_KINDS)
    for tag in ("style", "script"):
        content = text.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in text
    assert "default-src 'none'" in text
    assert "unsafe" not in text


def test_the_page_shows_foreign_text_and_does_nothing_with_it() -> None:
    text = page.text(FOREIGN)
    assert "␛[31m&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "\x1b" not in text


def test_long_output_is_cut_in_view_and_whole_in_the_page() -> None:
    lines = "\n".join(f"line {number}" for number in range(500))
    loud = check("run", "FAIL", "failed")._replace(stdout=lines, stderr="x" * 9000)
    text = page.text(report(cell("hello", "linux/arm64", loud)))
    assert "Show all of stdout: 500 lines" in text
    assert "Show all of stderr: 9,000 characters" in text
    assert text.count("line 499\n") + text.count("line 499<") == 2
    assert text.count("line 0\n") == 1
    assert "x" * 9000 in text


def test_many_failures_are_one_click_away() -> None:
    failed = [
        cell("hello", platform, check("run", "FAIL", *(f"problem {n}" for n in range(9))))
        for platform in ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")
    ]
    text = page.text(report(*failed))
    assert "Show 1 more" in text
    assert "and 5 more" in text


DESCRIBED = OF_ALL_KINDS._replace(
    commit="1f2e3d",
    tags={"hello": ("localhost:5000/hello:v1",)},
    differences=(
        Difference(
            "hello", parse("linux/amd64"), "sha256:1", 2_400_000, "sha256:2", 2_000_000, "x:v0"
        ),
        Difference("hello", parse("linux/arm64"), "sha256:3", None, "sha256:3", 5, "x:v0"),
        Difference("plain", parse("linux/amd64"), "sha256:4", 7, remark=HOSTILE, is_fault=True),
    ),
)


def test_what_is_written_for_others_has_commit_tags_and_sizes() -> None:
    SCHEMA.validate(junit.text(DESCRIBED))
    assert '<property name="size hello@linux/amd64" value="2400000 bytes +400.0 kB' in junit.text(
        DESCRIBED
    )
    assert '<property name="tag" value="localhost:5000/hello:v1" />' in junit.text(DESCRIBED)
    found = json.loads(jsonreport.text(DESCRIBED))
    assert (found["commit"], found["tags"]) == ("1f2e3d", {"hello": ["localhost:5000/hello:v1"]})
    assert found["sizes"][0]["difference"] == 400_000
    assert found["sizes"][1]["same"]
    row = "| `hello` | `linux/amd64` | 2.4 MB | 2.0 MB | +400.0 kB (+20.0 %) | changed |"
    assert row in github.summary(DESCRIBED)
    assert "commit 1f2e3d" in github.summary(DESCRIBED)
    shown = page.text(DESCRIBED)
    assert "+400.0 kB (+20.0 %)" in shown
    assert "commit 1f2e3d" in shown
    assert "<script>alert" not in shown
    assert "\x1b" not in shown


def test_a_table_of_differences(capsys: pytest.CaptureFixture[str]) -> None:
    differences.print_differences(DESCRIBED.differences, "text")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(differences.HEADINGS)
    assert lines[2].split() == ["hello", "linux/arm64", "not", "known", "5", "B", "same"]
    assert lines[4] == "hello: compared with x:v0"
    assert lines[5].startswith("plain: \\x00\\x1b[31m")
    differences.print_differences(DESCRIBED.differences, "json")
    assert len(json.loads(capsys.readouterr().out)) == 3
    differences.print_differences(DESCRIBED.differences, "markdown")
    table, _, below = capsys.readouterr().out.partition("\n\n")
    assert [line.count(" | ") for line in table.splitlines()] == [5, 0, 5, 5, 5]
    assert below.count("<script") == below.count("\\<script")


@pytest.mark.parametrize(
    ("text", "shown"), [("a|b", "`a\\|b`"), ("a`b", "`` a`b ``"), ("x\ny", "`x y`")]
)
def test_code_stays_in_its_cell(text: str, shown: str) -> None:
    assert markdown.code(text) == shown
