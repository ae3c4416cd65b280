"""Images in all forms that registries and folders hold them in, and files of all machines."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support import published, workspaces
from support.elves import EXECUTABLE, arm_attributes, elf
from support.pes import pe
from support.published import BOTH, OCI, Maker, Member, Sample, program

from buildx_tasks.auditing import audit as auditing
from buildx_tasks.auditing import subjects
from buildx_tasks.machine.executables import Header
from buildx_tasks.platforms import parse
from buildx_tasks.publishing.audience import _Unwatched

from .test_audit import NOTHING, audited, problems

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INTERPRETERS = {
    "386": "lib/ld-linux.so.2",
    "amd64": "lib64/ld-linux-x86-64.so.2",
    "arm64": "lib/ld-linux-aarch64.so.1",
    "loong64": "lib64/ld-linux-loongarch-lp64d.so.1",
    "mips64le": "lib64/ld.so.1",
    "ppc64le": "lib64/ld64.so.2",
    "riscv64": "lib/ld-linux-riscv64-lp64d.so.1",
    "s390x": "lib/ld64.so.1",
}
USR = {one: Member(symlink=f"usr/{one}") for one in ("bin", "lib", "lib64")}


def image(platform: str, *layers: Any, **more: Any) -> Sample:
    maker = Maker(docker=more.pop("docker", False))
    made = [maker.layer(one, more.get("packing", "gzip")) for one in layers]
    more.pop("packing", "")
    return maker.sample("app", maker.index(maker.platform(platform, made, **more)))


def said(sample: Sample) -> str:
    return "\n".join(text for listed in problems(audited(sample)).values() for text in listed)


@pytest.mark.parametrize("architecture", INTERPRETERS)
def test_a_linked_usr_is_seen_through_on_any_platform(architecture: str) -> None:
    loader = INTERPRETERS[architecture]
    flags = 2 if architecture == "ppc64le" else 0
    asks = elf(architecture, kind=EXECUTABLE, interpreter=f"/{loader}", flags=flags)
    library = elf(architecture, flags=flags)
    for packing in ("gzip", "zstd", ""):
        base = {**USR, f"usr/{loader}": library}
        whole = image(f"linux/{architecture}", base, {"usr/bin/tool": asks}, packing=packing)
        assert said(whole) == ""
    folder, _, name = loader.rpartition("/")
    for gone in (f"usr/{folder}/.wh.{name}", f".wh.{folder}", f"{folder}/.wh..wh..opq"):
        broken = image(f"linux/{architecture}", base, {"bin/tool": asks, gone: b""})
        assert f"/usr/bin/tool needs the interpreter /{loader}, which is not in" in said(broken)


@pytest.mark.parametrize(
    ("loader", "says"),
    [
        (Member(folder=True), "which is a directory"),
        (Member(), "which is no ELF file"),
        (Member(b"# moved"), "which is no ELF file"),
        (Member(symlink="/usr/lib/gone"), "which is not in the image"),
        (Member(symlink="ld-linux-x86-64.so.2"), "which is not in the image"),
        (Member(symlink="/usr/lib/ld"), ""),
    ],
)
def test_an_interpreter_is_a_program(loader: Member, says: str) -> None:
    files = {"usr/lib/ld": elf(), INTERPRETERS["amd64"]: loader}
    asks = elf(kind=EXECUTABLE, interpreter=f"/{INTERPRETERS['amd64']}")
    found = said(image(BOTH[0], {**files, "app": asks}))
    assert (says in found, bool(found)) == (True, bool(says))


@pytest.mark.parametrize(
    ("platform", "flags", "version", "says"),
    [
        ("linux/arm/v5", 0x05000200, 4, ""),
        ("linux/arm/v5", 0x05000002, 0, ""),  # Go's, which says nothing of it
        ("linux/arm/v5", 0x05000400, 4, "has the hard-float ABI, expected soft"),
        ("linux/arm/v6", 0x05000400, 6, ""),
        ("linux/arm/v6", 0x05000400, 10, "needs ARMv7, expected ARMv6 at most"),
        ("linux/arm/v7", 0x05000400, 10, ""),
        ("linux/arm/v7", 0x05000200, 10, "has the soft-float ABI, expected hard"),
        ("linux/arm/v7", 0x05000400, 14, "needs ARMv8, expected ARMv7 at most"),
    ],
)
def test_arm_of_all_kinds(platform: str, flags: int, version: int, says: str) -> None:
    sections = (arm_attributes((6, version)),) if version else ()
    tool = elf("arm", kind=EXECUTABLE, flags=flags, sections=sections)
    found = said(image(platform, {"usr/bin/tool": tool}))
    assert (says in found, bool(found)) == (True, bool(says))


@pytest.mark.parametrize(
    ("platform", "path", "data", "note"),
    [
        ("linux/amd64", "opt/x.hsaco", elf(header=Header(64, "<", 224)), "1 files for others"),
        ("linux/amd64", "opt/x.cubin", elf(header=Header(64, "<", 190)), "1 files for others"),
        ("linux/arm64", "opt/probe.bpf", elf(header=Header(64, "<", 247)), "1 files for others"),
        ("linux/amd64", "usr/libx32/c.so", elf(header=Header(32, "<", 62)), "the CPU runs too"),
        ("linux/s390x", "lib/ld.so.1", elf(header=Header(32, ">", 22)), "the CPU runs too"),
        ("linux/amd64", "srv/windows/tool.exe", pe(), "1 files for others"),
        ("linux/amd64", "srv/windows/tool", pe(), None),
        ("linux/arm64", "usr/lib/s.so", elf(header=Header(64, ">", 43)), None),
        ("linux/amd64", "usr/lib/a.so", elf("arm64"), None),
    ],
)
def test_what_is_for_no_system_is_data(
    platform: str, path: str, data: bytes, note: str | None
) -> None:
    own = program(platform)
    report = audited(image(platform, {"app": own, path: data}))
    facts = [fact for one in report.results for check in one.checks for fact in check.facts]
    assert bool(problems(report)) == (note is None)
    assert any(note in fact for fact in facts) if note else True


def test_one_name_of_a_file_stays_for_another_platform_when_the_other_is_replaced() -> None:
    own, other = program(BOTH[0]), program(BOTH[1])
    found = said(image(BOTH[0], {"opt/a": other}, {"opt/b": Member(link="opt/a")}, {"opt/a": own}))
    assert "/opt/b is for linux/arm64" in found
    assert "/opt/a is" not in found


def test_a_variant_that_the_index_leaves_out_is_a_note() -> None:
    for said_in_config, is_good in (("linux/arm/v6", True), ("linux/arm/v8", False)):
        maker = Maker()
        files = {"app": program("linux/arm/v6")}
        one = maker.platform(said_in_config, [maker.layer(files)])
        one["platform"] = {"os": "linux", "architecture": "arm"}
        report = audited(maker.sample("a", maker.index(one)))
        assert (problems(report) == {}) == is_good


def descriptor(maker: Maker, digest: str, **more: Any) -> dict[str, Any]:
    kind = f"{OCI}index.v1+json"
    return {"mediaType": kind, "digest": digest, "size": len(maker.store[digest]), **more}


def two(maker: Maker, *, faulty: bool = False) -> list[dict[str, Any]]:
    """Descriptors of two platforms, and of what attests them."""
    files = [{"app": program(p)} for p in (BOTH[0], BOTH[0] if faulty else BOTH[1])]
    both = [maker.platform(p, [maker.layer(one)]) for p, one in zip(BOTH, files)]
    return [*both, *(maker.attestation(one["digest"]) for one in both)]


@pytest.mark.parametrize("faulty", [False, True])
def test_indexes_in_an_index_are_looked_into(faulty: bool) -> None:
    maker = Maker()
    inner = maker.index(*two(maker, faulty=faulty))
    words: list[dict[str, Any]] = [{}, {"platform": published.words(BOTH[0])}]
    for more in words:
        report = audited(maker.sample("n", maker.index(descriptor(maker, inner, **more))))
        assert [str(one.platform) for one in report.results] == [*BOTH, "None"]
        assert set(problems(report)) == ({BOTH[1]} if faulty else set())
        facts = [fact for check in report.results[-1].checks for fact in check.facts]
        assert "it lists indexes in turn, which not every engine looks into" in facts
        assert "2 statements" in facts
    deep = inner
    for _ in range(5):
        deep = maker.index(descriptor(maker, deep), descriptor(maker, deep))
    assert "indexes below the image's own" in said(maker.sample("d", deep))
    gone = maker.index({**descriptor(maker, inner), "digest": f"sha256:{'7' * 64}"})
    assert f"{'7' * 64} is not there" in said(maker.sample("g", gone))


def test_platforms_that_an_index_does_not_name_are_those_of_configs() -> None:
    for words in (None, {}, {"os": "linux"}):
        maker = Maker()
        listed = two(maker)[:2]
        for one in listed:
            one.pop("platform")
            if words is not None:
                one["platform"] = words
        report = audited(maker.sample("n", maker.index(*listed)))
        assert [str(one.platform) for one in report.results] == [*BOTH, "None"]
        assert problems(report) == {}


@pytest.mark.parametrize("kind", ["application/octet-stream", f"{OCI}manifest.v1+json"])
def test_what_is_too_large_to_be_read_takes_no_room_of_what_is_not(kind: str) -> None:
    maker = Maker()
    big = maker.store.put(b"x" * (9 << 20), kind)
    report = audited(maker.sample("n", maker.index(big, *two(maker)[:2], big)))
    assert big["digest"] not in maker.store.reads
    found = {str(one.platform): one.status for one in report.results if one.platform}
    assert [found[one] for one in map(str, BOTH)] == ["ok", "ok"]
    (problem,) = {text for one in report.failed for text in one.problems}
    assert "more than the 8,388,608 bytes that are read" in problem


def written(folder: Path, maker: Maker, listed: list[dict[str, Any]]) -> str:
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    for digest, data in maker.store.items():
        (blobs / digest[7:]).write_bytes(data)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
    return f"oci:{folder}"


def test_folders_list_an_image_in_several_ways(tmp_path: Path) -> None:
    maker = Maker()
    listed = two(maker)
    inner = maker.index(*listed)
    outer = maker.index(descriptor(maker, inner))
    name = "org.opencontainers.image.ref.name"
    tags = [descriptor(maker, inner, annotations={name: tag}) for tag in ("v1", "latest")]
    ways: Mapping[str, list[dict[str, Any]]] = {
        "index": [descriptor(maker, inner)],
        "nested": [descriptor(maker, outer)],
        "plain": listed,
        "tags": tags,
        "manifest": [{**listed[0], "platform": None}],
    }
    with closing(workspaces.bare(tmp_path)) as workspace:
        for way, content in ways.items():
            named = subjects.named(
                workspace, [written(tmp_path / way, maker, content)], "--ref", ()
            )
            report = auditing.audit(auditing.looked_up(named), NOTHING, _Unwatched())
            assert problems(report) == {}
            there = [one.platform for one in report.results]
            whole = [parse(one) for one in BOTH]
            assert there == (whole[:1] if way == "manifest" else [*whole, None])
