"""Parts of images, made and verified on several machines, and the one image that join makes of them."""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from uuid import uuid4

import msgspec
import pytest
from conftest import Project

from buildx_tasks import Project as Loaded
from buildx_tasks import platforms
from buildx_tasks.errors import BuildxTasksError, PushError, RefusalError
from buildx_tasks.images import evidence, graph, statements
from buildx_tasks.images.artifacts import descriptor_of
from buildx_tasks.images.attestations import ATTESTATION
from buildx_tasks.images.layout import Layout
from buildx_tasks.images.sources import Beside
from buildx_tasks.joining import join, judging, prune, records, runs
from buildx_tasks.joining.letterbox import InFolders, Part
from buildx_tasks.machine import executables
from buildx_tasks.planning.runs import part_tag
from buildx_tasks.publishing import upload
from buildx_tasks.publishing.audience import Nobody
from buildx_tasks.registry import referrers

from .conftest import in_registry, second_engine, serving_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.registry.repository import Repository

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7")
TARGETS = ("app", "app-api")
TOML = """
[variable.WORD]
default = "one"
[defaults]
platforms = {platforms}
labels.word = "${{WORD}}"
[target.app]
dockerfile-inline = '''
FROM scratch
ARG TARGETARCH
COPY bin/$TARGETARCH /app
CMD ["/app"]
'''
tags = ["{registry}/{name}/app:v1", "{registry}/{name}/app:latest"]
annotations = ["index:org.opencontainers.image.title=app"]
verify = {{ run = {{}}, binaries = {{ static = true }}, index = {{}} }}
[target.app-api]
contexts.app = "target:app"
dockerfile-inline = '''
FROM app
COPY bin/readme /readme
'''
tags = ["{registry}/{name}/api:v1"]
verify = {{ run = {{}}, binaries = {{}} }}
[target._wrong]
dockerfile-inline = "FROM scratch\\nCOPY bin/amd64 /app"
tags = ["{registry}/{name}/wrong:v1"]
"""


class Quiet:
    def planned(self, *_: object) -> None: ...
    def sent(self, *_: object) -> None: ...
    def present(self, *_: object) -> None: ...


def write(folder: Path, registry: str, name: str, listed: tuple[str, ...] = PLATFORMS) -> Project:
    project = Project(folder)
    (folder / "bin").mkdir()
    for text in PLATFORMS:
        platform = platforms.parse(text)
        data = executables.binary(platform)
        assert data
        path = folder / "bin" / platform.architecture
        path.write_bytes(data)
        path.chmod(0o755)
    (folder / "bin" / "readme").write_text("the interface\n")
    text = TOML.format(registry=registry, name=name, platforms=json.dumps(listed))
    return project.write(text)


def committed(folder: Path) -> None:
    (folder / ".gitignore").write_text("__pycache__\n.buildx\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=folder, check=True)


class Made(NamedTuple):
    """A project whose images were built and verified, with the parts of two runs in a folder."""

    project: Loaded
    folder: Path
    name: str

    def tags(self) -> list[str]:
        return [str(tag) for tags in self.project.select(*TARGETS).tags().values() for tag in tags]

    def found(self, run: str) -> dict[str, Part]:
        listed = InFolders([self.folder]).found(run, [])
        parts = [one for one in listed if isinstance(one, Part)]
        return {one.tag: one for one in parts if one.record.run == run}


@pytest.fixture(scope="module")
def made(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("project")
    name = f"bt-{uuid4().hex[:8]}"
    project = write(folder, registry, name)
    committed(folder)
    parts = tmp_path_factory.mktemp("parts")
    select = ("-t", "app,app-api,_wrong")
    project.ok(
        "build", *select, "--progress", "quiet", "verify", "part", "--id", "a", "--to", str(parts)
    )
    project.ok(
        "build", *select[:1], "app,app-api", "-s", "WORD=two", "--progress", "quiet", "verify"
    )
    with Loaded.load(folder, values={"WORD": "two"}) as other:
        other.select(*TARGETS).part("b", to=parts)
    with Loaded.load(folder) as loaded:
        yield Made(loaded, parts, name)
    project.ok("clean")


def test_the_same_parts_give_the_same_index_in_any_order(made: Made, tmp_path: Path) -> None:
    """Two runs at once, 50 orders in which their jobs end."""
    chance = random.Random(15)  # noqa: S311 - any order
    everything = {**made.found("a"), **made.found("b")}
    plan = made.project.select(*TARGETS).plan
    of_runs = {"a": runs.run_of(made.project, plan, "a")}
    with Loaded.load(made.project.root, values={"WORD": "two"}) as other:
        of_runs["b"] = runs.run_of(other, other.select(*TARGETS).plan, "b")
    digests: set[tuple[str, ...]] = set()
    for number in range(50):
        order = list(everything.values())
        chance.shuffle(order)
        folder = tmp_path / str(number)
        if number % 10 == 0:  # their order in the folder
            for part in order:
                whole = graph.graph_of(part.source, part.root.digest)
                Layout(folder).add(part.tag, whole, part.source)
            order = [one for one in InFolders([folder]).found("", []) if isinstance(one, Part)]
        composed = []
        for run, of_run in of_runs.items():
            listed = [one for one in order if one.record.run == run]
            judged = judging.judge(of_run, plan, listed, ())
            assert judged.problems == []
            for name in TARGETS:
                parts = judged.parts[name]
                whole, _ = join.composed([parts[platforms.parse(text)] for text in PLATFORMS])
                entries = whole.root.content.manifests
                passed = [
                    everything[part_tag(run, name, platforms.parse(text))].record.digest
                    for text in PLATFORMS
                ]
                assert [one.digest for one in entries if ATTESTATION not in one.marks] == passed
                composed.append(whole.root.digest)
        digests.add(tuple(composed))
    assert len(digests) == 1
    assert len(set(*digests)) == 4


class Forged(NamedTuple):
    """A part with something wrong: what changes in its record, and what it holds in its place."""

    record: dict[str, Any] = {}  # noqa: RUF012 - never changed
    entries: Callable[[Made, list[dict[str, Any]], str], list[dict[str, Any]]] = (
        lambda _made, entries, _target: entries
    )
    tag: str = ""


def other_platform(_: Made, entries: list[dict[str, Any]], __: str) -> list[dict[str, Any]]:
    words = {"os": "linux", "architecture": "arm", "variant": "v6"}
    return [{**entries[0], "platform": words}, *entries[1:]]


def other_config(made: Made, _: list[dict[str, Any]], target: str) -> list[dict[str, Any]]:
    """What was built for arm64, handed in as arm/v7."""
    arm64 = made.found("a")[part_tag("a", target, platforms.parse("linux/arm64"))]
    entry = records.entries_of(arm64.root)[0][1]
    words = {"os": "linux", "architecture": "arm", "variant": "v7"}
    return [{**entry, "platform": words}]


def other_machine(made: Made, _: list[dict[str, Any]], __: str) -> list[dict[str, Any]]:
    wrong = made.found("a")[part_tag("a", "_wrong", platforms.parse("linux/arm/v7"))]
    entry = records.entries_of(wrong.root)[0][1]
    return [entry]


CHECKED = [{"name": "run", "kind": "run", "status": "FAIL"}]
FAULTS: dict[str, tuple[Forged | None, str]] = {
    "left out": (None, "is missing: "),
    "unverified": (Forged({"checks": [], "verified": "no"}), "it was not verified"),
    "not all verified": (Forged({"checks": []}), "it was not verified: run, binaries"),
    "failed": (Forged({"checks": CHECKED}), "it failed: run"),
    "other run": (Forged({"run": "z"}), "it is of the run z, not of a"),
    "other commit": (Forged({"commit": "0" * 40}), "it is of the commit 000000000000, not of"),
    "other plan": (Forged({"plan": "0" * 64}), "it is of another plan (000000000000, here"),
    "other target": (Forged({"target": "_wrong"}), "its record is of _wrong@linux/arm/v7"),
    "mislabelled record": (Forged({"platform": "linux/arm64"}), "its record is of "),
    "mislabelled index": (Forged(entries=other_platform), "its index says linux/arm/v6, not"),
    "mislabelled config": (Forged(entries=other_config), "its config says linux/arm64, not"),
    "other image": (Forged({"digest": f"sha256:{'0' * 64}"}), "it holds another image than"),
    "wrong machine": (Forged(entries=other_machine), "ELF file is for amd64, not for linux/arm/v7"),
    "foreign": (Forged({"platform": "linux/s390x"}, tag="linux/s390x"), "it is foreign, for no"),
}


def forged(made: Made, target: str, how: Forged) -> tuple[str, graph.Graph, Beside]:
    """Return a part of the run "a" for arm/v7 that is not what it should be, and its tag."""
    known = made.found("a")
    good = known[part_tag("a", target, platforms.parse("linux/arm/v7"))]
    plain = [raw for _, raw in records.entries_of(good.root)]
    entries = how.entries(made, plain, target)
    changes = {"digest": entries[0]["digest"], **how.record}
    record = msgspec.convert({**msgspec.to_builtins(good.record), **changes}, records.Record)
    written = records.written(record)
    root = records.index_of(entries, {}, written)
    children = [good.source.manifest(entry["digest"]) for entry in entries]
    whole = graph.assembled(root, [*children, written.manifest])
    tag = part_tag("a", target, platforms.parse(how.tag or "linux/arm/v7"))
    return tag, whole, Beside(good.source, written.blobs)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_as_planned_is_refused_and_named(
    made: Made, registry: str, tmp_path: Path, fault: str
) -> None:
    """For each target: in folders, and in the registry."""
    how, said = FAULTS[fault]
    place = tmp_path / "parts"
    for target in TARGETS:
        bad = part_tag("a", target, platforms.parse("linux/arm/v7"))
        known = made.found("a").items()
        good = {tag: one for tag, one in known if one.record.target == target}
        if how is None or not how.tag:
            del good[bad]
        for tag, one in good.items():
            Layout(place).add(tag, graph.graph_of(one.source, one.root.digest), one.source)
        if how is not None:
            Layout(place).add(*forged(made, target, how))
    with pytest.raises(PushError) as caught:
        made.project.select(*TARGETS).join("a", folders=[place])
    require_named(made, str(caught.value), said)

    staging = f"{registry}/{made.name}/staging-{uuid4().hex[:8]}"
    with Loaded.load(made.project.root) as project:
        ci = msgspec.structs.replace(project.config.ci, staging=staging)
        project.config = project.config._replace(ci=ci)
        repository = project.registries.of(f"{staging}:x")
        layout = Layout(place)
        for tag, descriptor in layout.listed().items():
            whole = graph.graph_of(layout, descriptor.digest)
            upload.upload(layout, whole, repository, Quiet())
            repository.put(tag, whole.root)
        with pytest.raises(PushError) as caught:
            project.select(*TARGETS).join("a")
    require_named(made, str(caught.value), said)


def require_named(made: Made, text: str, said: str) -> None:
    assert "no tag moved" in text
    assert said in text, text
    lines = [line for line in text.splitlines()[1:] if said in line]
    assert len(lines) == len(TARGETS), text
    for target in TARGETS:
        assert any(f"{target}@" in line or f"-{target}-" in line for line in lines), text
    assert all(in_registry(tag) is None for tag in made.tags())


def test_a_part_that_is_there_twice_is_refused_and_named(
    made: Made, registry: str, tmp_path: Path
) -> None:
    """For each target: in two folders, and in the registry under another tag."""
    second = tmp_path / "second"
    doubles = [
        forged(made, target, Forged(entries=lambda m, _e, t: other_config(m, [], t)))
        for target in TARGETS
    ]
    for tag, whole, source in doubles:
        Layout(second).add(tag, whole, source)
    with pytest.raises(PushError) as caught:
        made.project.select(*TARGETS).join("a", folders=[made.folder, second])
    require_named(made, str(caught.value), "linux/arm/v7 is there twice, and differs")
    assert str(second) in str(caught.value)
    with pytest.raises(BuildxTasksError, match="holds no parts"):
        made.project.select(*TARGETS).join("a", folders=[tmp_path / "none"])

    with Loaded.load(made.project.root) as project:
        staging = f"{registry}/{made.name}/staging-{uuid4().hex[:8]}"
        ci = msgspec.structs.replace(project.config.ci, staging=staging)
        project.config = project.config._replace(ci=ci)
        for tag, one in made.found("a").items():
            put(project, staging, tag, one)
        repository = project.registries.of(f"{staging}:x")
        for tag, whole, source in doubles:
            upload.upload(source, whole, repository, Quiet())
            repository.put(f"{tag}-again", whole.root)
        with pytest.raises(PushError) as caught:
            project.select(*TARGETS).join("a")
    require_named(made, str(caught.value), "is there twice, under a tag that is not its own, too")


def test_a_part_is_handed_in_once_and_only_verified(
    project: Project, registry: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project.folder, registry, name, PLATFORMS[:1])
    tag = f"{registry}/{name}/app:part-7-app-linux-amd64"
    project.ok("build", "-t", "app", "--progress", "quiet")
    with Loaded.load(project.folder) as one, pytest.raises(BuildxTasksError) as caught:
        one.select("app").part("7")
    assert "not verified: app@linux/amd64; run invoke verify first" in str(caught.value)
    assert "nothing was handed in" in str(caught.value)
    assert in_registry(tag) is None
    handed = project.invoke("verify", "-t", "app", "part", "--id", "7")
    assert f"app@linux/amd64: {tag}, sha256:" in handed.stderr
    with Loaded.load(project.folder) as one:
        assert [item.was_there for item in one.select("app").part("7")] == [True]
        there = [one.select("app").part("7", to=tmp_path / "parts") for _ in range(2)]
    assert [item.was_there for listed in there for item in listed] == [False, True]
    first = in_registry(tag)
    project.ok("build", "-t", "app", "-s", "WORD=x", "--progress", "quiet", "verify")
    with Loaded.load(project.folder, values={"WORD": "x"}) as other:
        selection = other.select("app")
        for to in (None, tmp_path / "parts"):
            with pytest.raises(
                PushError, match="two jobs make it; where this one is to count, wri"
            ):
                selection.part("7", to=to)
            if to:
                assert [item.was_there for item in selection.part("7", to=to, replace=True)] == [
                    False
                ]
                assert [item.was_there for item in selection.part("7", to=to)] == [True]
        with pytest.raises(PushError, match="it is of another plan"):
            selection.join("7")
        assert in_registry(tag) == first
        assert [item.was_there for item in selection.part("7", replace=True)] == [False]
        assert in_registry(tag) != first
        repository = other.registries.of(tag)
        other_part, confirm = repository.get(tag.rpartition(":")[2]), upload.confirm

        def meanwhile(whole: graph.Graph, place: Repository) -> None:
            confirm(whole, place)
            place.put("part-9-app-linux-amd64", other_part)

        with monkeypatch.context() as patched:
            patched.setattr(upload, "confirm", meanwhile)
            with pytest.raises(PushError, match="is there already, of the run 7, with"):
                selection.part("9")
    text = (project.folder / "buildx.toml").read_text()
    project.write(text.replace("run = {}", 'run = { stdout = "x" }'))
    assert project.invoke("verify", "-t", "app", "-s", "WORD=x").returncode == 1
    result = project.invoke("part", "-t", "app", "--id", "8", "-s", "WORD=x")
    assert "app@linux/amd64 failed; correct it, and build and verify again" in result.stderr


def test_only_what_is_optional_may_be_missing(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    for tag, one in made.found("a").items():
        if "arm-v6" not in tag:
            Layout(folder).add(tag, graph.graph_of(one.source, one.root.digest), one.source)
    with Loaded.load(made.project.root) as project:
        with pytest.raises(BuildxTasksError) as caught:
            project.select("app").join("a", folders=[folder], missing=["linux/arm/v6"])
        assert 'write [target.NAME.platform."linux/arm/v6"] optional' in str(caught.value)
        target = project.config.target["app"]
        optional = {platforms.parse("linux/arm/v6"): "no runner today"}
        tag = target.tags[0].replace("/app:v1", "/partly:v1")
        changed = target._replace(
            optional=optional, attributes={**target.attributes, "tags": [tag]}
        )
        config = project.config._replace(target={**project.config.target, "app": changed})
        project.config = config
        selection = project.select("app")
        plan = runs.run_of(project, selection.plan, "a").targets[0].hash
        for own, descriptor in Layout(folder).listed().items():
            if "-app-linux" in own:
                repacked(folder, own, descriptor.digest, {"plan": plan})
        with pytest.raises(PushError, match="app@linux/arm/v6 is missing"):
            selection.join("a", folders=[folder])
        told = Told()
        (published,) = selection.join(
            "a", folders=[folder], missing=["linux/arm/v6"], audience=told
        )
    loud = "WARNING: app@linux/arm/v6 is missing, and published without: no runner today"
    assert loud in told.lines
    served = in_registry(tag)
    assert served
    assert served[0] == published.digest
    variants = [one["platform"].get("variant", "") for one in served[1]["manifests"][:3]]
    assert variants == ["", "", "v7"]


class Told(Nobody):
    """Keeps the remarks."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, line: str) -> None:
        self.lines.append(line)


def repacked(folder: Path, tag: str, digest: str, changes: dict[str, Any]) -> None:
    """Write a part again, with another record."""
    layout = Layout(folder)
    root = layout.manifest(digest)
    record = records.read(layout, root, tag)
    changed = msgspec.convert({**msgspec.to_builtins(record), **changes}, records.Record)
    written = records.written(changed)
    entries = [raw for _, raw in records.entries_of(root)]
    children = [layout.manifest(entry["digest"]) for entry in entries]
    whole = graph.assembled(
        records.index_of(entries, root.content.marks, written), [*children, written.manifest]
    )
    layout.add(tag, whole, Beside(layout, written.blobs))


def test_two_machines_and_a_third_that_joins(registry: str, name: str, tmp_path: Path) -> None:
    """Each with an engine, a home and a clone of its own; what they run is what plan says."""
    origin = tmp_path / "origin"
    origin.mkdir()
    project = write(origin, registry, name, ("linux/amd64", "linux/arm64"))
    committed(origin)
    flags = ("-t", "app", "-t", "app-api")
    planned = json.loads(project.ok("plan", *flags, "--id", "9", "--format", "json"))
    assert [[job["target"] for job in level] for level in planned["levels"]] == [
        ["app", "app"],
        ["app-api", "app-api"],
    ]
    with second_engine(tmp_path / "dockerd.log", containerd=True) as other:
        hosts = {"linux/amd64": {}, "linux/arm64": {"DOCKER_HOST": other.host}}
        clones = {text: cloned(origin, tmp_path / text.replace("/", "-")) for text in hosts}

        def run(job: dict[str, str]) -> None:
            where = job["platform"]
            command = job["run"].replace("invoke setup ", "invoke ", 1)  # the machine's, not ours
            ran(command, clones[where], {**planned["environment"], **hosts[where]})

        with ThreadPoolExecutor() as pool:
            for level in planned["levels"]:
                list(pool.map(run, level))
        records_of = {
            text: [e for e in ledger(clones[text]) if e["event"] == "part"] for text in hosts
        }
    third = cloned(origin, tmp_path / "third")
    killed(planned["join"], third, registry, name)
    ran(planned["join"], third, {"DOCKER_HOST": "unix:///nothing"})
    for target, repository in (("app", "app"), ("app-api", "api")):
        served = in_registry(f"{registry}/{name}/{repository}:v1")
        assert served
        listed = served[1]["manifests"]
        passed = [
            entry["digest"]
            for text in hosts
            for entry in records_of[text]
            if entry["target"] == target
        ]
        assert [one["digest"] for one in listed[:2]] == passed
        assert [one["platform"]["architecture"] for one in listed] == [
            "amd64",
            "arm64",
            *["unknown"] * 2,
        ]
        assert [one["annotations"]["vnd.docker.reference.digest"] for one in listed[2:]] == passed
    assert in_registry(f"{registry}/{name}/app:latest") == in_registry(f"{registry}/{name}/app:v1")
    served = in_registry(f"{registry}/{name}/app:v1")
    assert served
    assert served[1]["annotations"] == {"org.opencontainers.image.title": "app"}
    pushed = [entry for entry in ledger(third) if entry["event"] == "pushed"]
    assert {(entry["verified"], entry["way"], entry["run"]) for entry in pushed} == {
        ("passed", "joined", "9")
    }


def ledger(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / ".buildx" / "ledger.json").read_text())
    return found


def cloned(origin: Path, folder: Path) -> Path:
    subprocess.run(["git", "clone", "-q", origin, folder], check=True)
    (folder.parent / f"home-{folder.name}").mkdir()
    return folder


def argv_of(command: str) -> list[str]:
    words = shlex.split(command)
    assert words[0] == "invoke"
    return [sys.executable, "-m", *words]


def environment_of(folder: Path, more: dict[str, str]) -> dict[str, str]:
    home = str(folder.parent / f"home-{folder.name}")
    return {**os.environ, "HOME": home, "XDG_STATE_HOME": f"{home}/state", **more}


def ran(command: str, folder: Path, more: dict[str, str]) -> None:
    done = subprocess.run(
        argv_of(command),
        cwd=folder,
        env=environment_of(folder, more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def killed(command: str, folder: Path, registry: str, name: str) -> None:
    """Kill it at some moments: each tag is the old image (none) or a whole new one."""
    for number in range(6):
        process = subprocess.Popen(
            argv_of(command),
            cwd=folder,
            env=environment_of(folder, {"DOCKER_HOST": "unix:///nothing"}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.3 + 0.12 * number)
        process.kill()
        process.wait()
        for tag in ("app:v1", "app:latest", "api:v1"):
            served = in_registry(f"{registry}/{name}/{tag}")
            for entry in served[1]["manifests"] if served else ():
                repository = f"{registry}/{name}/{tag.partition(':')[0]}"
                assert in_registry(f"{repository}@{entry['digest']}")


def test_prune_removes_what_nobody_needs(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    with serving_registry(tmp_path) as address, Loaded.load(made.project.root) as project:
        staging = f"{address}/staging"
        ci = msgspec.structs.replace(project.config.ci, staging=staging)
        target = project.config.target["app"]
        attributes = {**target.attributes, "tags": [f"{staging}:v1"]}
        config = project.config._replace(ci=ci)
        project.config = config._replace(
            target={**config.target, "app": target._replace(attributes=attributes)}
        )
        plan = project.select("app").plan
        digests = {}
        for run in ("a", "b"):
            for tag, part in made.found(run).items():
                if f"-{run}-app-linux" in tag:
                    digests[tag] = put(project, staging, tag, part)
        # Of run "a" one platform is published, another one is signed.
        known = made.found("a")
        kept = known[part_tag("a", "app", platforms.parse("linux/arm64"))]
        images = [(one, raw) for one, raw in records.entries_of(kept.root)]
        index = records.whole([raw for _, raw in images], {})
        repository = project.registries.of(f"{staging}:x")
        repository.put("v0", index)
        gone = known[part_tag("a", "app", platforms.parse("linux/amd64"))]
        for record in (kept.record, gone.record):
            attach(repository, record)
        none = prune.wanted("", "7d")
        assert list(prune.piles(project, plan, none)) == []
        (pile,) = prune.piles(project, plan, prune.wanted("a", "7d"))
        assert {one.tag for one in pile.stale} == {tag for tag in digests if "-a-" in tag}
        assert not {one.digest for one, _ in images} & set(pile.manifests)
        assert all(in_registry(f"{staging}:{tag}") for tag in digests)
        prune.remove(pile)
        for tag in digests:
            assert bool(in_registry(f"{staging}:{tag}")) == ("-b-" in tag)
        for one in (index.digest, *(one.digest for one, _ in images)):
            assert in_registry(f"{staging}@{one}")
        assert in_registry(f"{staging}@{gone.record.digest}") is None
        # A verdict stays with what it is of, and goes with it.
        assert in_registry(f"{staging}:{referrers.tag_of(gone.record.digest)}") is None
        (verdict,) = evidence.attached(repository, kept.record.digest)
        assert verdict.verdict is not None
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "false")
    with serving_registry(tmp_path) as address, Loaded.load(made.project.root) as project:
        repository = project.registries.of(f"{address}/staging:x")
        left = prune.Pile(repository, (), (digests[next(t for t in digests if "-b-" in t)],), ())
        with pytest.raises(RefusalError, match="REGISTRY_STORAGE_DELETE_ENABLED=true"):
            prune.remove(left)


def attach(repository: Repository, record: records.Record) -> None:
    """Attach a part's verdict to its platform's manifest."""
    about = descriptor_of(repository.get(record.digest))
    written = statements.written(record.verdict(), about)
    for digest, data in written.blobs.items():
        repository.upload(digest, len(data), partial(iter, [data]), lambda _: None)
    referrers.attach(repository, written.manifest)


def put(project: Loaded, staging: str, tag: str, part: Part) -> str:
    """Upload a part, under its tag."""
    repository = project.registries.of(f"{staging}:x")
    whole = graph.graph_of(part.source, part.root.digest)
    upload.upload(part.source, whole, repository, Quiet())
    repository.put(tag, whole.root)
    return whole.root.digest
