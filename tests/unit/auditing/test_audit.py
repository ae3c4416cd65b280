"""What is published: each planted fault is named with platform and path, good images pass."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support import published, workspaces
from support.elves import elf
from support.pes import pe
from support.published import BOTH, Maker, Member, Sample, program

from buildx_tasks.auditing import audit as auditing
from buildx_tasks.auditing import defaults, reading, subjects
from buildx_tasks.auditing.audit import Options, Subject
from buildx_tasks.auditing.declared import Wanted
from buildx_tasks.auditing.defaults import Allowed
from buildx_tasks.errors import UsageError
from buildx_tasks.images import contents, graph
from buildx_tasks.images.layout import Layout
from buildx_tasks.language.auditing import Audit
from buildx_tasks.language.lockfile import Pin
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.publishing.audience import _Unwatched
from buildx_tasks.reports import sarif
from buildx_tasks.verification.results import CheckResult

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.verification.results import Report

NOTHING = Options(2, Allowed(), {})


def audited(sample: Sample, options: Options = NOTHING, **more: Any) -> Report:
    place = sample.store.place(sample.root)
    looked = auditing.looked_up([Subject("app", place, **more)])
    report = auditing.audit(looked, options, _Unwatched())
    assert len(report.results) == sum(one.number for one in looked)
    return report


def problems(report: Report) -> dict[str, list[str]]:
    """What is wrong, by platform; ``""`` for the index."""
    return {
        str(one.platform or ""): [text for check in one.checks for text in check.problems]
        for one in report.failed
    }


@pytest.mark.parametrize("sample", published.faulty(), ids=lambda sample: sample.name)
def test_a_planted_fault_is_named_with_platform_and_path(sample: Sample) -> None:
    found = problems(audited(sample))
    said = "\n".join(text for listed in found.values() for text in listed)
    assert sample.platform in found
    assert all(text in said for text in sample.says), said
    # The other platform is as it should be, and nobody is told otherwise.
    assert BOTH[0] not in found


@pytest.mark.parametrize("sample", published.good(), ids=lambda sample: sample.name)
def test_a_good_image_has_no_finding_and_each_blob_is_read_once(sample: Sample) -> None:
    report = audited(sample)
    assert problems(report) == {}
    layers = [one for one in sample.store.reads if one not in sample.store.kinds]
    documents = {one for one in layers if sample.store[one][:1] == b"{"}
    read = [one for one in layers if one not in documents]
    assert len(read) == len(set(read)) > 0


def image(*layers: Any, name: str = "app", **more: Any) -> Sample:
    """An image for linux/amd64 alone, of such layers."""
    maker = Maker()
    made = [one if isinstance(one, published.Layer) else maker.layer(one) for one in layers]
    for one in layers:
        if isinstance(one, published.Layer):
            maker.store.update(LAYERS.store)
    return maker.sample(name, maker.platform(BOTH[0], made, **more)["digest"])


LAYERS = Maker()
AMD64 = program(BOTH[0])


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (
            image({"app": AMD64, "opt/helper": Member(AMD64, mode=0o4755)}),
            "/opt/helper is setuid: it runs as user 0, whoever starts it (4755)",
        ),
        (
            image({"app": AMD64, "usr/bin/x/su": Member(AMD64, mode=0o2755)}),
            "/usr/bin/x/su is setgid: it runs as group 0",
        ),
        (
            image({"app": AMD64, "b": Member(link="gone")}),
            "/b is a hard link to /gone, which is not there",
        ),
        (
            image(LAYERS.layer({"app": AMD64})._replace(diff_id=f"sha256:{'0' * 64}")),
            f"and the config says sha256:{'0' * 64}, so that no engine takes it",
        ),
        (image(LAYERS.layer({"a": b"x"}, raw=b"no archive")), "COPY 0 /): it cannot be unpacked"),
        (
            image(
                LAYERS.layer(
                    {"a": b"x"}, "zstd", raw=published.packed(published.tar({"a": b"x"}), "gzip")
                )
            ),
            "says that it is compressed by zstd, and it is compressed by gzip",
        ),
        (image(LAYERS.layer({}, "zstd", raw=b"\x28\xb5\x2f\xfd\xff\xff")), "it cannot be unpacked"),
        (image({"app": AMD64}, said="freebsd/amd64"), None),
        (image({"lib/a.so": elf("386")}), "/lib/a.so is for linux/386"),
        (image({"app": b"\x7fELF\x02\x01\x01" + bytes(70)}), "/app is"),
    ],
)
def test_more_that_is_found(sample: Sample, says: str | None) -> None:
    said = "\n".join(text for listed in problems(audited(sample)).values() for text in listed)
    assert (says or "") in said
    assert bool(said) == bool(says)


@pytest.mark.parametrize(
    ("files", "fact"),
    [
        ({"app": AMD64, "usr/bin/su": Member(AMD64, mode=0o6755)}, "setuid as usual: su"),
        ({"app": AMD64, "lib/a.so": elf("386")}, "what the CPU runs too: /lib/a.so"),
        ({"bin/sh": AMD64}, "what it starts, /app, is not in the image"),
        ({"app": AMD64, "x.o": elf("arm", kind=1)}, "2 ELF files for linux/amd64"),
        ({"app": AMD64}, "1 layer, "),
        ({"app": AMD64}, "made 2026-01-31, "),
        ({"app": AMD64, "boot/grub.efi": pe(0xAA64, subsystem=10)}, "1 ELF file for"),
    ],
)
def test_what_is_usual_is_a_note(files: Any, fact: str) -> None:
    report = audited(image(files))
    assert problems(report) == {}
    facts = [text for one in report.results for check in one.checks for text in check.facts]
    assert any(fact in text for text in facts), facts


@pytest.mark.parametrize(
    "path", ["srv/win/a.node", "srv/prebuilds/linux-x64/a.node", "srv/linux-arm64/a", "srv/a"]
)
def test_a_damaged_file_is_no_file_for_others(path: str) -> None:
    half = program(BOTH[0], dynamic=True)[:150]
    (texts,) = problems(audited(image({path: half, "srv/linux-x64/a": AMD64}))).values()
    assert [f"/{path} is damaged" in text for text in texts] == [True]


def test_what_is_there_on_purpose_is_allowed() -> None:
    foreign = Member(program(BOTH[1]), mode=0o4755)
    sample = image({"app": AMD64, "opt/firmware/a": foreign, "opt/b": foreign})
    assert len(problems(audited(sample))[BOTH[0]]) == 4
    allowed = Allowed(("/opt/**",), ("/opt/b", "/opt/firmware/*"))
    assert problems(audited(sample, NOTHING._replace(allowed=allowed))) == {}


@pytest.mark.parametrize(
    ("machine", "platform", "says"),
    [
        (0x8664, "windows/amd64", ""),
        (0x14C, "windows/amd64", ""),
        (0xAA64, "windows/amd64", "is a program of Windows for arm64, expected windows/amd64"),
        (0x8664, "windows/arm64", "is a program of Windows for amd64, expected windows/arm64"),
    ],
)
def test_programs_of_windows_images_are_for_their_machine(
    machine: int, platform: str, says: str
) -> None:
    maker = Maker()
    base = maker.layer({"Files/Windows/System32/cmd.exe": pe(machine)})
    base.descriptor["urls"] = ["https://elsewhere.example/layer"]
    layer = maker.layer({"Files/app/server.exe": pe(machine)})
    sample = maker.sample("w", maker.index(maker.platform(platform, [base, layer])))
    said = problems(audited(sample))
    assert [bool(said), says in str(said)] == [bool(says), True]
    assert says in str(said)
    assert ("/Files/app/server.exe" in str(said)) == bool(says)
    assert base.descriptor["digest"] not in sample.store.reads  # it may be nowhere


def test_versions_of_windows_are_told_from_each_other() -> None:
    maker = Maker()
    listed = []
    for number, (said, own) in enumerate([("17763.1", "17763.1"), ("20348.2", "26100.3")]):
        layer = maker.layer({"Files/app/server.exe": pe(), "Files/n": bytes([number])})
        config = {"os.version": f"10.0.{own}"}
        one = maker.platform("windows/amd64", [layer], more=config)
        one["platform"] = {**one["platform"], "os.version": f"10.0.{said}"}
        listed.append(one)
    bare = maker.platform("windows/arm64", [maker.layer({"n": b"1"})], more=config)
    report = audited(maker.sample("w", maker.index(*listed, bare)))
    names = [one.id for one in report.results]
    assert names[:2] == ["app 10.0.17763.1@windows/amd64", "app 10.0.20348.2@windows/amd64"]
    assert [one.status for one in report.results] == ["ok", "FAIL", "ok", "ok"]
    (problem,) = report.failed[0].problems
    assert "config says Windows 10.0.26100.3, and it is listed as 10.0.20348.2" in problem
    facts = [fact for one in report.results for check in one.checks for fact in check.facts]
    assert "Windows 10.0.17763.1" in facts
    assert "the index leaves out os.version 10.0.26100.3, by which engines choose" in facts
    assert "windows/amd64 10.0.17763.1, windows/amd64 10.0.20348.2, windows/arm64" in facts


def test_attestations_that_do_not_hold_are_named() -> None:
    maker = Maker()
    one = maker.platform(BOTH[0], [maker.layer({"app": AMD64})])
    stray = maker.attestation(f"sha256:{'1' * 64}")
    empty = maker.attestation(one["digest"], predicate={})
    odd = maker.attestation(one["digest"], predicate={"a": 1})
    gone = maker.attestation(one["digest"], predicate={"b": 1})
    nothing = {
        **odd,
        **maker.store.document(
            {
                "schemaVersion": 2,
                "config": maker.store.put(b"{}", f"{published.OCI}config.v1+json"),
                "layers": [],
            },
            f"{published.OCI}manifest.v1+json",
        ),
    }
    del maker.store[gone["digest"]]
    sample = maker.sample("a", maker.index(one, stray, empty, odd, gone, nothing))
    (said,) = problems(audited(sample)).values()
    assert len(said) == 4
    assert "which this index does not list" in said[0]
    assert "its statement says nothing of https://slsa.dev" in said[1]
    assert said[2].endswith(" is not there")
    assert "it holds no in-toto statement" in said[3]


def test_bases_that_the_lock_has_moved_on_from_are_noted() -> None:
    maker = Maker()
    one = maker.platform(BOTH[0], [maker.layer({"app": AMD64})])
    materials = [
        {"uri": "pkg:docker/alpine@3.22?platform=linux%2Famd64", "digest": {"sha256": "1" * 64}},
        {"uri": "pkg:docker/other@1", "digest": {"sha256": "2" * 64}},
        {"uri": "git+https://example.org/app", "digest": {"sha1": "3" * 40}},
    ]
    for predicate in (
        {"materials": materials},
        {"buildDefinition": {"resolvedDependencies": materials}},
    ):
        sample = maker.sample(
            "l", maker.index(one, maker.attestation(one["digest"], predicate=predicate))
        )
        for pinned, fact in (
            (
                "4" * 64,
                f"built on alpine:3.22@sha256:{'1' * 64}, where buildx.lock is at sha256:{'4' * 64}",
            ),
            ("1" * 64, "its bases are those of the lock"),
        ):
            pins = {"alpine:3.22": Pin(f"sha256:{pinned}")}
            (whole,) = [
                o for o in audited(sample, NOTHING._replace(pins=pins)).results if not o.platform
            ]
            report = audited(sample, NOTHING._replace(pins=pins))
            assert len(list(auditing.notes(report))) == ("built on" in fact)
            (lock,) = [check for check in whole.checks if check.name == "lock"]
            assert (lock.status, fact in lock.facts[0]) == ("ok", True)


@pytest.mark.parametrize(
    ("behind", "created", "pinned", "says"),
    [
        (None, "2020-01-31T12:00:00Z", "4", ""),
        ("30d", "2020-01-31T12:00:00Z", "4", "made 2020-01-31"),
        ("30d", "2020-01-31T12:00:00Z", "1", ""),
        ("9000w", "2020-01-31T12:00:00Z", "4", ""),
        ("30d", "1970-01-01T00:00:00Z", "4", "it does not say when it was made"),
        ("30d", "", "4", "it does not say when it was made"),
    ],
)
@pytest.mark.parametrize("how", ["provenance", "annotations", "labels", "alone"])
def test_an_image_of_ours_may_stay_behind_the_lock_for_a_time(
    tmp_path: Path, behind: str | None, created: str, pinned: str, says: str, how: str
) -> None:
    maker = Maker()
    marks = {
        "org.opencontainers.image.base.name": "docker.io/library/alpine:3.22",
        "org.opencontainers.image.base.digest": f"sha256:{'1' * 64}",
    }
    start = {"Labels": marks} if how in ("labels", "alone") else {}
    one = maker.platform(BOTH[0], [maker.layer({"app": AMD64})], start=start, created=created)
    uri = "pkg:docker/alpine@3.22?platform=linux%2Famd64"
    made = maker.attestation(
        one["digest"], predicate={"materials": [{"uri": uri, "digest": {"sha256": "1" * 64}}]}
    )
    more = [made] if how == "provenance" else []
    if how == "annotations":
        one["annotations"] = marks
    root = one["digest"] if how == "alone" else maker.index(one, *more)
    (tmp_path / "buildx.toml").write_text("[target.app]\ntags = ['localhost:5000/app:v1']\n")
    with closing(workspaces.declared(tmp_path)) as workspace:
        target = make_plan(workspace.config).targets[0]
    options = NOTHING._replace(
        pins={"alpine:3.22": Pin(f"sha256:{pinned * 64}")}, said=Audit(behind=behind)
    )
    sample = maker.sample("b", root)
    found = problems(audited(sample, options, target=target))
    texts = [text for listed in found.values() for text in listed]
    assert [says in text for text in texts] == ([True] if says else [])
    assert all("built on alpine:3.22@sha256:1111" in text for text in texts)
    assert problems(audited(sample, options)) == {}  # somebody else's is not ours to mend


@pytest.mark.parametrize("digest", ["x\x1b[2J\n::error::owned\n", "1" * 63, f"{'1' * 64}\n"])
def test_bases_of_no_digest_are_none(digest: str) -> None:
    maker = Maker()
    marks = {
        "org.opencontainers.image.base.name": "alpine:3.22",
        "org.opencontainers.image.base.digest": f"sha256:{digest}",
    }
    start = {"Labels": marks}
    one = maker.platform(BOTH[0], [maker.layer({"app": AMD64})], start=start)
    materials = [{"uri": "pkg:docker/alpine@3.22", "digest": {"sha256": digest}}]
    made = maker.attestation(one["digest"], predicate={"materials": materials})
    pins = {"alpine:3.22": Pin(f"sha256:{'4' * 64}")}
    report = audited(maker.sample("d", maker.index(one, made)), NOTHING._replace(pins=pins))
    assert "lock" not in [check.name for result in report.results for check in result.checks]


def test_an_image_that_is_none_is_a_result_of_its_own() -> None:
    maker = Maker()
    old = {"schemaVersion": 1, "name": "app", "fsLayers": [], "history": []}
    for content, says in (
        (old, "docker's first schema, which no engine takes any more"),
        ({"schemaVersion": 2, "manifests": []}, "it has no platform"),
        (None, "not found"),
    ):
        data = json.dumps(content).encode()
        digest = maker.store.put(data)["digest"] if content else f"sha256:{'5' * 64}"
        (result,) = audited(maker.sample("n", digest)).results
        assert (result.status, result.platform) == ("FAIL", None)
        assert says in result.problems[0]


def test_more_paths_than_there_is_room_for_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_HELD", 100_000)
    many = image({f"d/{number}": b"" for number in range(400)})
    said = problems(audited(many))[BOTH[0]]
    assert "more paths than are looked at together" in said[0]
    # What one platform took is given back before the next.
    maker = Maker()
    both = [
        maker.platform(
            p, [maker.layer({"app": program(p), **{f"{p}/{n}": b"" for n in range(150)}})]
        )
        for p in BOTH
    ]
    assert problems(audited(maker.sample("b", maker.index(*both)))) == {}


def test_platforms_that_are_asked_for_are_all_that_is_read() -> None:
    sample = published.good()[0]
    (only, whole) = audited(sample, platforms=(parse(BOTH[1]),), is_asked=True).results
    assert (str(only.platform), whole.platform) == (BOTH[1], None)
    # Nor is what attests the others left over.
    (attested,) = (one for one in published.good() if one.name == "attested")
    found = audited(attested, platforms=(parse(BOTH[1]),), is_asked=True)
    assert problems(found) == {}
    assert "attestations" in [one.name for one in found.results[-1].checks]
    with pytest.raises(UsageError, match="has no linux/s390x; it has linux/amd64, linux/arm/v7"):
        audited(sample, platforms=(parse("linux/s390x"),), is_asked=True)
    lacking = audited(sample, platforms=(parse("linux/s390x"),))
    assert "has no linux/s390x, which is built" in problems(lacking)["linux/s390x"][0]


def test_a_link_gives_a_program_what_its_own_header_says() -> None:
    sample = image(
        {"usr/bin/x": program(BOTH[0])}, {"opt/x": Member(link="usr/bin/x", mode=0o4755)}
    )
    assert "/opt/x is setuid" in "\n".join(problems(audited(sample))[BOTH[0]])


def test_a_day_that_there_is_not_is_no_fault_of_ours() -> None:
    assert list(defaults._made("2024-13-45T00:00:00Z")) == []
    assert list(defaults._made("0000-01-01T00:00:00Z")) == []


def test_a_run_s_results_take_the_place_of_what_was_skipped_alone() -> None:
    (one,) = auditing.looked_up([Subject("app", (sample := image({})).store.place(sample.root))])
    declared = [
        CheckResult("content", "index", "ok"),
        CheckResult("setuid", "files", "FAIL", problems=("x",)),
        CheckResult("setuid", "run", "skip"),
    ]
    ran = [CheckResult("setuid", "run", "ok"), CheckResult("starts", "run", "ok")]

    class Runner:
        def results(self, *_: object) -> list[CheckResult]:
            return ran

    assert one.image
    options = NOTHING._replace(runner=Runner())
    found = auditing._run(one, one.image.parts[0], ((), options), tuple(declared))
    assert [(c.name, c.kind, c.status) for c in found] == [
        ("content", "index", "ok"),
        ("setuid", "files", "FAIL"),
        ("setuid", "run", "ok"),
        ("starts", "run", "ok"),
    ]


def test_findings_are_results_of_sarif() -> None:
    report = audited(image({"app": program(BOTH[1])}))
    (run,) = json.loads(sarif.text(report))["runs"]
    (found,) = run["results"]
    assert (found["ruleId"], "/app is for" in found["message"]["text"]) == ("programs", True)
    assert {"programs", "setuid"} < {rule["id"] for rule in run["tool"]["driver"]["rules"]}


def test_an_image_layout_on_this_machine_is_audited(tmp_path: Path) -> None:
    first, *_, single, _ = published.good()[:6]
    with closing(workspaces.bare(tmp_path)) as workspace:
        for sample in (first, single):
            whole = graph.graph_of(sample.store, sample.root)
            Layout(tmp_path / "out").add(sample.name, whole, sample.store)
        (one,) = subjects.named(workspace, [f"oci:{tmp_path}/out:{single.name}"], "--ref", ())
        report = auditing.audit(auditing.looked_up([one]), NOTHING, _Unwatched())
        assert [result.status for result in report.results] == ["ok"]
        with pytest.raises(UsageError, match="means 2 of the 2 images in that folder"):
            subjects.named(workspace, [f"oci:{tmp_path}/out"], "--ref", ())
        with pytest.raises(UsageError, match="names no folder"):
            subjects.named(workspace, ["oci:"], "--ref", ())
        layer = next(one for one in single.store if single.store[one][:2] == b"\x1f\x8b")
        (tmp_path / "out/blobs" / layer.replace(":", "/")).write_bytes(b"other")
        report = auditing.audit(auditing.looked_up([one]), NOTHING, _Unwatched())
        assert layer in report.results[0].problems[0]


ARTIFACTS = """
[artifact.docs]
path = "dist/docs"
type = "application/vnd.example.docs"
tags = ["localhost:1/docs:v1", "localhost:1/docs:latest"]
[artifact.named]
path = "dist/chart"
type = "helm"
tags = ["localhost:1/charts/app:v2"]
[artifact.chart]
path = "dist/chart"
type = "helm"
tags = ["localhost:1/charts/app", "localhost:1/charts/app:latest"]
"""


def test_artifacts_are_audited_where_their_files_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there(subject: Subject, missing: str) -> Subject:
        return subject._replace(fault=missing)

    monkeypatch.setattr(subjects, "_there", there)
    (tmp_path / "buildx.toml").write_text(ARTIFACTS)
    with closing(workspaces.declared(tmp_path)) as workspace:
        found = subjects.of_artifacts(workspace, list(workspace.config.artifact))
        listed = auditing.looked_up(list(found))
        report = auditing.audit(listed, NOTHING, _Unwatched())
        assert [one.subject.name for one in listed] == [
            "localhost:1/docs:v1",
            "localhost:1/docs:latest",
            "localhost:1/charts/app:v2",
            "artifact chart",
        ]
        assert "run invoke push --artifact docs" in report.results[0].problems[0]
        assert "not known without its chart: " in report.results[3].problems[0]
        assert '"dist/chart" is not there' in report.results[3].problems[0]
        (tmp_path / "dist/chart").mkdir(parents=True)
        (tmp_path / "dist/chart/Chart.yaml").write_text(
            "apiVersion: v2\nname: app\nversion: 1.0.0\n"
        )
        version, latest = subjects.of_artifacts(workspace, ["chart"])
        assert version.name == "localhost:1/charts/app:1.0.0"
        assert latest.name == "localhost:1/charts/app:latest"


def test_nothing_listed_to_be_audited_is_told(tmp_path: Path) -> None:
    workspace, said = workspaces.bare(tmp_path), r"write .* \[audit\] images = "
    with closing(workspace), pytest.raises(UsageError, match=said):
        subjects.listed(workspace)


def test_what_paths_take_is_about_what_is_counted() -> None:
    maker = Maker()
    made = maker.layer({f"usr/lib/package-{n // 50}/module-{n}.js": b"x" for n in range(4000)})
    layer = maker.store.manifest(maker.platform(BOTH[0], [made])["digest"]).content.layers[0]
    room = contents.Room(10_000_000)
    contents.of_layer(maker.store, layer, made.diff_id, Wanted(()), room)
    tracemalloc.start()
    try:
        read = contents.of_layer(maker.store, layer, made.diff_id, Wanted(()), room)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(read.members) == 4000
    assert 0.5 < taken / read.held < 1.2
