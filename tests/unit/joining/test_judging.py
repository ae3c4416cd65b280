"""Parts judged by their ELF files: what is for another platform than the part says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import parts

from buildx_tasks import platforms
from buildx_tasks.errors import EngineError
from buildx_tasks.images.attestations import ATTESTATION, ATTESTED, ATTESTED_AS
from buildx_tasks.joining import join, judging, records
from buildx_tasks.joining.letterbox import Part
from buildx_tasks.language import loading
from buildx_tasks.machine import executables
from buildx_tasks.planning import runs
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from buildx_tasks.planning.selection import Plan

TOML = """
[target.app]
platforms = ["linux/arm/v7"]
tags = ["localhost:5000/app:v1"]
{verify}
"""
FIXED = runs.Fixed("1", "c" * 40, "0")
CHECKED = [{"name": "binaries", "kind": "binaries", "status": "ok"}]


def elf(architecture: str) -> bytes:
    data = executables.binary(platforms.parse(f"linux/{architecture}"))
    assert data
    return data


ARM, AMD64, ARM64 = elf("arm"), elf("amd64"), elf("arm64")
START = {"Entrypoint": ["/app"]}
BINARIES = "verify.binaries = {{ {} }}"


def problems(
    folder: Path, verify: str, files: Mapping[str, bytes], config: dict[str, Any], **record: Any
) -> list[str]:
    path = folder / "buildx.toml"
    path.write_text(TOML.format(verify=verify))
    plan = make_plan(loading.load(path, environment={}))
    run = runs.run_of(plan, FIXED)
    (one,) = run.targets
    told = {"checks": CHECKED, "verified": "passed"} if verify else {}
    made = parts.part(
        run, one, platforms.parse("linux/arm/v7"), files, config, **{**told, **record}
    )
    part = Part("here", made.tag, made.record, made.whole.root, made.source, lambda _, look: look())
    return [one.partition(": ")[2] for one in judging.judge(run, plan, [part], ()).problems]


@pytest.mark.parametrize(
    ("verify", "files", "config", "said"),
    [
        ("", {"app": ARM}, START, []),
        ("", {"app": ARM, "tool": AMD64}, START, []),  # may be there on purpose
        ("", {"app": AMD64}, {}, ["its only ELF file is for amd64, not for linux/arm/v7"]),
        (
            "",
            {"app": AMD64, "tool": ARM64},
            {},
            ["all of its 2 ELF files are for amd64, arm64, not for linux/arm/v7"],
        ),
        (
            "",
            {"app": ARM64, "bin/sh": ARM},
            START,
            ["the program that it starts, /app, is for arm64, not for linux/arm/v7"],
        ),
        (
            "",
            {"usr/bin/app": ARM64, "bin/sh": ARM},
            {"Cmd": ["app"]},
            ["the program that it starts, /usr/bin/app, is for arm64, not for linux/arm/v7"],
        ),
        (
            "",
            {"opt/app": ARM64, "bin/sh": ARM},
            {"Cmd": ["./app"], "WorkingDir": "/opt"},
            ["the program that it starts, /opt/app, is for arm64, not for linux/arm/v7"],
        ),
        (
            "",
            {"opt/app": ARM64, "bin/sh": ARM},
            {"Cmd": ["app"], "Env": ["PATH=/none:/opt"]},
            ["the program that it starts, /opt/app, is for arm64, not for linux/arm/v7"],
        ),
        ("", {"app": b"#!/bin/sh\n" * 9, "bin/sh": ARM, "x": ARM64}, START, []),
        ("", {"x": ARM64, "bin/sh": ARM}, {"Cmd": ["/gone"]}, []),
        (
            BINARIES.format(""),
            {"app": ARM, "tool": AMD64},
            START,
            ["/tool is for amd64, not for linux/arm/v7, as binaries expects"],
        ),
        (BINARIES.format('allow = ["/tool"]'), {"app": ARM, "tool": AMD64}, START, []),
        (BINARIES.format('paths = ["/app"]'), {"app": ARM, "tool": AMD64}, START, []),
        (
            BINARIES.format('paths = ["/opt/**"]'),
            {"app": ARM, **{f"opt/{n}": AMD64 for n in range(5)}},
            START,
            [
                *(
                    f"/opt/{n} is for amd64, not for linux/arm/v7, as binaries expects"
                    for n in range(3)
                ),
                "2 more ELF files are not for linux/arm/v7",
            ],
        ),
        (
            BINARIES.format(""),
            {"app": AMD64, "tool": ARM},
            START,
            ["/app is for amd64, not for linux/arm/v7, as binaries expects"],  # said once
        ),
    ],
)
def test_a_part_is_judged_by_its_files(
    tmp_path: Path,
    verify: str,
    files: dict[str, bytes],
    config: dict[str, Any],
    said: list[str],
) -> None:
    assert problems(tmp_path, verify, files, config) == said


def test_what_is_skipped_or_meant_to_fail_is_not_held_against_it(tmp_path: Path) -> None:
    for word, status in (("skip", "skip"), ("xfail", "xfail")):
        skipped = f'{word}."linux/arm/v7" = "x"'
        verify = f'[[target.app.verify.check]]\nname = "binaries"\nbinaries = {{}}\n{skipped}'
        checks = [{"name": "binaries", "kind": "binaries", "status": status}]
        files = {"app": ARM, "tool": AMD64}
        assert problems(tmp_path, verify, files, START, checks=checks) == []


def test_a_missing_part_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(TOML.format(verify=""))
    plan = make_plan(loading.load(path, environment={}))
    run = runs.run_of(plan, FIXED)
    command = "run the job that ends with invoke part --id 1 -t app -p linux/arm/v7"
    start = "app@linux/arm/v7 is missing"
    assert judging.judge(run, plan, [], ()).problems == [
        f"{start}: there is no localhost:5000/app:part-1-app-linux-arm-v7; {command}"
    ]
    folders = [tmp_path / "one", tmp_path / "two"]
    assert judging.judge(run, plan, [], (), folders=folders).problems == [
        f"{start}: part-1-app-linux-arm-v7 is in none of {folders[0]}, {folders[1]}; {command} --to DIR"
    ]


def forged(sample: parts.Sample, entries: list[dict[str, Any]]) -> Part:
    """The part with other entries in its index, and its own record."""
    root = records.index_of(entries, {}, records.written(sample.record))
    sample.source[root.digest] = root.data
    return Part("here", sample.tag, sample.record, root, sample.source, lambda _, look: look())


NOBODY = {"os": "unknown", "architecture": "unknown"}


@pytest.mark.parametrize(
    ("platform", "marks", "is_good"),
    [
        (NOBODY, {ATTESTATION: ATTESTED_AS, ATTESTED: "OWN"}, True),
        (
            {"os": "linux", "architecture": "s390x"},
            {ATTESTATION: ATTESTED_AS, ATTESTED: "OWN"},
            False,
        ),
        (NOBODY, {ATTESTATION: ATTESTED_AS, ATTESTED: f"sha256:{'0' * 64}"}, False),
        (NOBODY, {ATTESTATION: ATTESTED_AS}, False),
        (NOBODY, {ATTESTATION: "", ATTESTED: "OWN"}, False),
        (None, {ATTESTATION: ATTESTED_AS, ATTESTED: "OWN"}, False),
    ],
)
def test_a_part_brings_nothing_along_that_nobody_looked_at(
    tmp_path: Path, platform: dict[str, str] | None, marks: dict[str, str], is_good: bool
) -> None:
    run, plan, sample = one_part(tmp_path)
    ((entry, raw),) = records.entries_of(sample.whole.root)
    own = {key: entry.digest if value == "OWN" else value for key, value in marks.items()}
    other = {**raw, "annotations": own, "platform": platform}
    other["digest"] = sample.source.add({"schemaVersion": 2, "config": raw, "layers": []})
    plain = {key: value for key, value in other.items() if value is not None}
    found = judging.judge(run, plan, [forged(sample, [raw, plain])], ()).problems
    wrong = f"here: it lists {other['digest']}, which is neither its image nor attested of that"
    assert found == ([] if is_good else [wrong])


def test_an_image_without_a_platform_or_of_another_size_is_refused(tmp_path: Path) -> None:
    run, plan, sample = one_part(tmp_path)
    ((_, raw),) = records.entries_of(sample.whole.root)
    without = {key: value for key, value in raw.items() if key != "platform"}
    found = judging.judge(run, plan, [forged(sample, [without])], ()).problems
    assert found == ["here: its index says no platform, not linux/arm/v7"]
    with pytest.raises(
        EngineError, match=r"has \d+ bytes, and the index .* says 1; it is no image"
    ):
        join.composed([forged(sample, [{**raw, "size": 1}])])


def one_part(folder: Path) -> tuple[runs.Run, Plan, parts.Sample]:
    path = folder / "buildx.toml"
    path.write_text(TOML.format(verify=""))
    plan = make_plan(loading.load(path, environment={}))
    run = runs.run_of(plan, FIXED)
    arm = platforms.parse("linux/arm/v7")
    return run, plan, parts.part(run, run.targets[0], arm, {"app": ARM}, START)
