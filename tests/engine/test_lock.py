"""``buildx.lock`` with a real engine and registry: what is pinned stays, however its tag moves."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from buildx_tasks import Project as Loaded
from buildx_tasks.building import resolving

from . import buildkit_image
from .conftest import docker, in_registry, rounds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Project

BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\n'
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Published:
    """A tag of a registry, and the two images that it can stand for: ``/v`` says which, and for what."""

    def __init__(self, registry: str, name: str, folder: Path) -> None:
        self.registry, self.name = registry, name
        self.reference = f"{registry}/{name}:t"
        (folder / "Dockerfile").write_text(
            "FROM scratch\nARG V TARGETARCH\nCOPY ${V}-${TARGETARCH} /v\n"
        )
        self.digests: dict[str, str] = {}
        for v, made in (("one", "2020-01-01"), ("two", "")):
            for architecture in ("amd64", "arm64"):
                (folder / f"{v}-{architecture}").write_text(f"{v} {architecture}\n")
            epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1577836800"] if made else []
            options = ["--platform", "linux/amd64,linux/arm64", "--build-arg", f"V={v}", *epoch]
            options += [
                "--provenance=false",
                "--output",
                "type=image,oci-mediatypes=true,push=true",
            ]
            tag = f"{registry}/{name}:{v}"
            docker("buildx", "build", *options, "--tag", tag, str(folder))
            docker("image", "rm", "--force", tag, check=False)
            found = in_registry(tag)
            assert found
            self.digests[v] = found[0]

    def move(self, v: str, tag: str = "t", digest: str = "") -> None:
        digest = digest or self.digests[v]
        base = f"http://{self.registry}/v2/{self.name}/manifests"
        kind = INDEX if digest in self.digests.values() else MANIFEST
        asked = urllib.request.Request(f"{base}/{digest}", headers={"Accept": kind})
        with urllib.request.urlopen(asked) as answer:
            data = answer.read()
        put = urllib.request.Request(f"{base}/{tag}", data, {"Content-Type": kind}, method="PUT")
        with urllib.request.urlopen(put):
            pass


@pytest.fixture(scope="module")
def published(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(registry, f"bt-{uuid4().hex[:8]}", tmp_path_factory.mktemp("base"))


@pytest.fixture
def base(published: Published) -> Published:
    published.move("one")
    return published


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text().strip()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


EVERYWHERE = """
ARG TAG=t
FROM --platform=$BUILDPLATFORM {ref} AS native
FROM {repository}:alpine AS run
RUN --mount=from={ref},target=/m cp /m/v /run
FROM scratch
COPY --from=native /v /native
COPY --from={ref} /v /copied
COPY --from=run /run /run
COPY --from=context /v /context
FROM {repository}:${{TAG}} AS last
COPY --from=2 / /
"""


def everywhere(project: Project, base: Published, more: str = "") -> None:
    repository = base.reference.rpartition(":")[0]
    docker("tag", "alpine:3.22", f"{repository}:alpine")
    docker("push", "--quiet", f"{repository}:alpine")
    docker("image", "rm", f"{repository}:alpine")
    text = EVERYWHERE.format(ref=base.reference, repository=repository)
    project.write(text, "Dockerfile")
    project.write(
        f'{more}[target.app]\n{BOTH}output = ["type=local,dest=out"]\n'
        f'contexts = {{ context = "docker-image://{base.reference}" }}\n'
        # For one platform a build of its own: a helper, pinned as well.
        '[target.app.platform."linux/arm64"]\nargs = { X = "1" }\n'
        '[lock]\nexclude = ["*:alpine"]\n'
    )


def expected(v: str) -> dict[str, str]:
    return {
        f"linux_{one}/{file}": f"{v} {'amd64' if file == 'native' else one}"
        for one in ("amd64", "arm64")
        for file in ("context", "copied", "native", "run", "v")
    }


def test_a_pin_holds_wherever_an_image_is_named(project: Project, base: Published) -> None:
    everywhere(project, base)
    one, two = base.digests["one"], base.digests["two"]
    assert project.ok("lock").splitlines() == [
        f"locked {base.reference} {one[:19]} (linux/amd64, linux/arm64)",
        "buildx.lock: 1 pinned, 1 changed",
    ]
    line = f'"{base.reference}" = "{one}"  # linux/amd64, linux/arm64\n'
    assert (project.folder / "buildx.lock").read_text().endswith(line)
    assert project.ok("lock") == "buildx.lock: 1 pinned, nothing to change\n"
    base.move("two")
    done = project.invoke("build", "--progress", "quiet")
    assert done.returncode == 0, done.stderr
    assert "buildx.lock pins 1 of what is read" in done.stderr
    assert files(project.folder / "out") == expected("one")
    # What is printed is what is built, and can be pasted.
    for args in (("plan", "--format", "bake"), ("--dry", "build")):
        said = project.ok(*args)
        assert said.count(f'"{base.reference}": "docker-image://{base.reference}@{one}"') == 2
        assert said.count(f'"context": "docker-image://{base.reference}@{one}"') == 2
    done = project.invoke("lock", "--check")
    assert done.returncode == 1
    assert done.stdout == f"moved {base.reference} {one[:19]} → {two[:19]}\n"
    # Without the lock, and with --pull beside it.
    done = project.invoke("build", "--progress", "quiet", "--no-lock")
    assert "buildx.lock is left aside (--no-lock)" in done.stderr
    assert files(project.folder / "out") == expected("two")
    done = project.invoke("build", "--progress", "quiet", "--pull")
    assert "--pull brings nothing newer of it: that is done by invoke lock --update" in done.stderr
    assert files(project.folder / "out") == expected("one")
    assert project.ok("lock", "--update", base.reference).splitlines() == [
        f"moved {base.reference} {one[:19]} → {two[:19]}",
        "buildx.lock: 1 pinned, 1 changed",
    ]
    assert project.ok("lock", "--check") == "buildx.lock: 1 pinned, and nothing moved\n"


def test_a_pin_holds_on_a_builder_of_its_own(project: Project, base: Published, name: str) -> None:
    image = buildkit_image.ensure_image()
    options = f'driver-opts = {{ image = "{image}", network = "host" }}\n'
    builder = f'[builder]\nname = "{name}"\ndriver = "docker-container"\n{options}'
    everywhere(project, base, builder)
    try:
        project.ok("setup")
        project.ok("lock")
        base.move("two")
        done = project.invoke("build", "--progress", "quiet")
        assert done.returncode == 0, done.stderr
        assert files(project.folder / "out") == expected("one")
    finally:
        buildkit_image.remove_builder(name)


class _Flipping(BaseHTTPRequestHandler):
    """A registry whose tag stands for the other image whenever it is asked for."""

    protocol_version = "HTTP/1.1"
    server: Flipping

    def handle(self) -> None:
        # The engine tries TLS first.
        if self.rfile.peek(1)[:1] == b"\x16":  # type: ignore[attr-defined] # it is buffered
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        else:
            super().handle()

    def do_GET(self) -> None:
        path = self.path
        if path.endswith("/manifests/t"):
            path = path[:-1] + self.server.next_digest()
        kept = {key: v for key, v in self.headers.items() if key in ("Accept", "Range")}
        url = f"http://{self.server.base.registry}{path}"
        asked = urllib.request.Request(url, headers=kept, method=self.command)
        try:
            answer = urllib.request.urlopen(asked)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            self.send_response(answer.status)
            for key in ("Content-Type", "Docker-Content-Digest", "Content-Length"):
                if answer.headers[key]:
                    self.send_header(key, answer.headers[key])
            self.end_headers()
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the server's own name

    def log_message(self, *_: Any) -> None:
        pass


class Flipping(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, base: Published) -> None:
        super().__init__(("127.0.0.1", 0), _Flipping)
        self.base = base
        self.asked = 0

    def next_digest(self) -> str:
        self.asked += 1
        return self.base.digests[("one", "two")[self.asked % 2]]


@pytest.fixture
def flipping(base: Published) -> Iterator[Flipping]:
    with Flipping(base) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_base_that_moves_in_mid_build_each_time(
    project: Project, base: Published, flipping: Flipping
) -> None:
    reference = f"localhost:{flipping.server_port}/{base.name}:t"
    project.write(f"FROM {reference} AS a\nFROM {reference}\nCOPY --from=a /v /a\n", "Dockerfile")
    targets = "".join(f'[target.{n}]\noutput = ["type=local,dest=out/{n}"]\n' for n in "abc")
    project.write(f"[defaults]\n{BOTH}{targets}")

    def found() -> list[str]:
        """What all targets and platforms were built from."""
        said = files(project.folder / "out")
        assert len(said) == 12
        return sorted({text.split()[0] for text in said.values()})

    # Without a lock: whatever it is, it is one in all of a run.
    seen = set()
    for _ in range(3):
        with Loaded.load(project.folder) as loaded:
            loaded.select().build(progress="quiet")
        (v,) = found()
        seen.add(v)
        flipping.asked += 1  # as if somebody else asked, too
    with Loaded.load(project.folder) as loaded:
        outcome = loaded.select().lock()
    assert outcome.problems == []
    locked = next(
        v for v, digest in base.digests.items() if digest == outcome.pins[reference].digest
    )
    for _ in range(rounds(20)):
        with Loaded.load(project.folder) as loaded:
            loaded.select().build(progress="quiet")
        assert found() == [locked]
    assert seen == {"one", "two"} or len(seen) == 1
    # That it would be mixed otherwise: bake's own file, without pins.
    file = project.folder / ".buildx" / "bake.json"
    definition = json.loads(file.read_text())
    for one in definition["target"].values():
        one.pop("contexts")
    file.write_text(json.dumps(definition))
    subprocess.run(
        ["docker", "buildx", "bake", "--file", str(file), "--progress", "quiet", "--allow=fs=*"],
        cwd=project.folder,
        check=True,
    )
    assert found() == ["one", "two"]


def test_lint_and_builds_name_what_is_not_pinned_or_pinned_wrongly(
    project: Project, base: Published
) -> None:
    repository = base.reference.rpartition(":")[0]
    index = json.dumps(in_registry(base.reference))
    manifest = re.findall(r"sha256:[0-9a-f]{64}", index)[1]
    assert manifest != base.digests["one"]
    base.move("one", "other")
    base.move("", "single", manifest)
    project.write(
        f"FROM {base.reference}\nCOPY --from={repository}:other /v /o\n"
        f"COPY --from={repository}:single /v /s\nCOPY --from=busybox:never /v /n\n",
        "Dockerfile",
    )
    project.write(f'[target.app]\n{BOTH}tags = ["{base.name}:v1"]\n')
    project.write(
        f'"{base.reference}" = "{manifest}"\n"{repository}:single" = "{manifest}"\n', "buildx.lock"
    )
    done = project.invoke("lint", "--format", "json")
    assert done.returncode == 1
    said = {
        (one["code"], one["file"], one["line"]): one["message"]
        for one in json.loads(done.stdout)["findings"]
    }
    assert said[("SinglePlatformPin", "buildx.lock", 1)] == (
        f'"{base.reference}" is pinned to the manifest of one platform, {manifest}, and is an image '
        "of several"
    )
    assert said[("Unlocked", "Dockerfile", 2)].startswith(
        f"{repository}:other is not in buildx.lock"
    )
    assert ("SinglePlatformPin", "buildx.lock", 2) not in said  # it has no index
    done = project.invoke("build")
    assert done.returncode == 2
    assert f'buildx.lock:1:1: "{base.reference}" is pinned to the manifest of one' in done.stderr
    assert f"not in buildx.lock: busybox:never, {repository}:other; run invoke lock" in done.stderr
    done = project.invoke("lock", "--check", base.reference)
    assert done.returncode == 1
    assert f"buildx.lock:1:1: {base.reference} is pinned to the manifest" in done.stdout


def test_a_base_that_lacks_a_platform_is_named_before_the_build(
    project: Project, base: Published
) -> None:
    project.write(f"FROM scratch AS x\nFROM {base.reference}\n", "Dockerfile")
    project.write('[target.app]\nplatforms = ["linux/amd64", "linux/riscv64"]\ntags = ["x:y"]\n')
    done = project.invoke("build")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: Dockerfile:2: the base image {base.reference} has no linux/riscv64; it has "
        "linux/amd64, linux/arm64; name an image that has it, or take linux/riscv64 out of "
        "[target.app] platforms"
    )
    assert not (project.folder / ".buildx" / "bake.json").exists()
    done = project.invoke("lock")
    assert done.returncode == 1
    assert f"Dockerfile:2: {base.reference} has no linux/riscv64" in done.stdout


def test_a_lock_waits_for_the_cooldown_and_forgets_what_nothing_reads(
    project: Project, base: Published, name: str
) -> None:
    project.write(f"FROM {base.reference}\n", "Dockerfile")
    text = f'[target.app]\n{BOTH}[target.app.metadata]\nimages = ["{name}"]\nbase = true\n'
    project.write(f'{text}fallback = "v1"\n[lock]\ncooldown = "14d"\n')
    one, two = base.digests["one"], base.digests["two"]
    project.ok("lock")
    base.move("two")
    done = project.invoke("lock", "--update")
    assert done.returncode == 0
    assert f"{base.reference} stays at {one[:19]}: {two[:19]} was made 20" in done.stderr
    assert "and cooldown is 14d" in done.stderr
    lock = project.folder / "buildx.lock"
    pinned = lock.read_text()
    assert one in pinned
    lock.write_text(pinned + f'"gone:1" = "{one}"\n')
    assert (
        "note: gone:1 is pinned, and nothing reads it" in project.invoke("lock", "--check").stderr
    )
    assert project.ok("lock") == "buildx.lock: 2 pinned, nothing to change\n"
    assert project.ok("lock", "--update").splitlines()[0] == "removed gone:1: nothing reads it"
    assert lock.read_text() == pinned
    # And the image says what it is based on.
    project.ok("build", "--progress", "quiet")
    labels = json.loads(
        docker("image", "inspect", "--format", "{{json .Config.Labels}}", f"{name}:v1")
    )
    assert labels["org.opencontainers.image.base.name"] == base.reference
    assert labels["org.opencontainers.image.base.digest"] == one


def test_what_only_this_engine_has_is_built_and_never_pinned(
    project: Project, registry: str, name: str
) -> None:
    local = f"{registry}/{name}-local:1"
    docker("tag", "alpine:3.22", local)
    project.write(f"FROM {local}\n", "Dockerfile")
    project.write(f'[target.app]\n{BOTH}tags = ["{name}:v1"]\n')
    done = project.invoke("lock")
    assert (done.returncode, done.stdout) == (0, "buildx.lock: 0 pinned, nothing to change\n")
    assert f"{local} (Dockerfile:1) is in this engine's store alone" in done.stderr
    assert not (project.folder / "buildx.lock").exists()
    project.ok("build", "--progress", "quiet")


def test_a_check_asks_once_for_each_of_20_images(
    project: Project, base: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = base.reference.rpartition(":")[0]
    for number in range(20):
        base.move("one", f"t{number}")
    lines = [f"COPY --from={repository}:t{number} /v /{number}\n" for number in range(20)]
    project.write("FROM scratch\n" + "".join(lines), "Dockerfile")
    project.write(f"[target.app]\n{BOTH}")
    project.ok("lock")
    asked: list[str] = []
    look = resolving.Resolved._looked

    def noting(self: resolving.Resolved, name: str) -> resolving.Found:
        asked.append(name)
        return look(self, name)

    monkeypatch.setattr(resolving.Resolved, "_looked", noting)
    with Loaded.load(project.folder) as loaded:
        started = time.monotonic()
        outcome = loaded.select().lock(check=True)
        assert time.monotonic() - started < 20  # one after the other, a silent host would cost more
    assert outcome.problems == []
    assert len(asked) == 20
