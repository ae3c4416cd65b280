"""A registry that does it wrong, at every stage of a push: what comes of it, and of the next push."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pytest
from conftest import Project

from buildx_tasks import Project as LoadedProject
from buildx_tasks import references
from buildx_tasks.building import staging
from buildx_tasks.errors import PushError, RegistryError
from buildx_tasks.images import evidence as attached
from buildx_tasks.images import statements, store
from buildx_tasks.planning import cells
from buildx_tasks.publishing import evidence, mirrors, release
from buildx_tasks.publishing import publish as pushing
from buildx_tasks.publishing.audience import Nobody
from buildx_tasks.records.ledger import Ledger
from buildx_tasks.registry import connection, endpoints, faults, manifests
from buildx_tasks.registry import repository as client
from buildx_tasks.registry.endpoints import Endpoint
from buildx_tasks.workspace import Workspace

from . import secured
from .conftest import free_port, in_registry
from .fault_proxy import FAULTS, FaultProxy, TokenRealm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from docker import DockerClient

    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.sources import Source
    from buildx_tasks.publishing.evidence import Attachment
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.publishing.release import Release

REFUSALS = ("401", "403", "404", "quota")
STAGES = ("blobs", "manifests", "tags")
# Only the answer is wrong: the blob is there, and is found there.
HARMLESS = {("lost", "blobs"), ("slow", "blobs"), ("wrong-digest", "blobs")}
FIX = re.compile(
    "run this again|run docker login|ask for the right|check the name|raise the quota|wait, or ask"
)
ALL = pytest.mark.parametrize(
    ("fault", "stage"),
    [(fault, stage) for fault in FAULTS if fault != "503" for stage in STAGES],
)
TOML = '''
[target.{name}]
dockerfile-inline = """
FROM scratch
ARG TARGETPLATFORM
COPY {name}.data /data
LABEL platform=$TARGETPLATFORM
"""
platforms = ["linux/amd64", "linux/arm64"]
attest = ["type=provenance,disabled=true"]
annotations = ["index:org.opencontainers.image.title={name}"]
tags = ["localhost/{image}-{name}:v1"]
'''


class Quiet:
    def planned(self, *_: object) -> None: ...
    def sent(self, *_: object) -> None: ...
    def present(self, *_: object) -> None: ...


class Kept:
    """What an engine gives, read once: here it is not the engine that does it wrong."""

    def __init__(self, source: Source, whole: Graph) -> None:
        self.source = source
        self.blobs = {
            one.digest: b"".join(source.blob(one.digest, one.size)) for one in whole.blobs
        }

    def manifest(self, digest: str) -> manifests.Manifest:
        return self.source.manifest(digest)

    def config(self, descriptor: manifests.Descriptor) -> manifests.Config:
        return self.source.config(descriptor)

    def blob(self, digest: str, size: int) -> Iterator[bytes]:  # noqa: ARG002
        data = self.blobs[digest]
        yield from (data[at : at + 65536] for at in range(0, len(data), 65536))

    def origin(self, repository: client.Repository) -> str:
        return self.source.origin(repository)


class Images(NamedTuple):
    """Two images of the engine, without tags to push."""

    old: Release
    new: Release
    workspace: Callable[[], Workspace]


@pytest.fixture(scope="module")
def built(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    project = Project(tmp_path_factory.mktemp("project"))
    image = f"bt-{uuid4().hex[:8]}"
    names = ("old", "new")
    for name in names:
        data = random.Random(name).randbytes(300_000)  # noqa: S311 - what no layer compresses
        (project.folder / f"{name}.data").write_bytes(data)
    project.write("".join(TOML.format(name=name, image=image) for name in names))
    project.ok("build", "--progress", "quiet")
    loaded = LoadedProject.load(project.folder)

    def workspace() -> Workspace:
        return Workspace(loaded.file, loaded.config, client=engine)

    made = []
    for target in loaded.select().plan.images:
        found = store.stored(workspace().engine, cells.reference_of(target))
        assert found
        one = release.release(workspace(), target, release.Located(found, "no"), ())
        assert one.entry["way"] == staging.IN_STORE
        made.append(one._replace(source=Kept(one.source, one.graph)))
    by_name = {one.target: one for one in made}
    yield Images(by_name["old"], by_name["new"], workspace)
    for name in names:
        engine.api.remove_image(f"localhost/{image}-{name}:v1", force=True)


@pytest.fixture(scope="module", autouse=True)
def known_endpoints() -> Iterator[None]:
    """Read the authorities once for each address, not for each push: they take 40 ms."""
    known: dict[str, Endpoint] = {}
    real = endpoints.of

    def of(name: str, *arguments: Any) -> Endpoint:
        if name not in known:
            known[name] = real(name, *arguments)
        return known[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoints, "of", of)
        yield


@pytest.fixture(scope="module")
def proxy(registry: str) -> Iterator[FaultProxy]:
    with FaultProxy(registry) as proxy:
        proxy.stall = 0.5
        yield proxy


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(faults, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(faults, "LONGEST_PAUSE", 0.02)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Place:
    """Two fresh repositories with a tag each, in a registry that is reached through a proxy."""

    def __init__(self, built: Images, proxy: FaultProxy, root: Path) -> None:
        self.built = built
        self.proxy = proxy
        self.root = root
        self.attachments: tuple[Attachment, ...] = ()
        name = f"faults/{uuid4().hex[:8]}"
        self.tags = (f"{proxy.address}/{name}/a:v1", f"{proxy.address}/{name}/b:latest")

    def workspace(self) -> Workspace:
        """As another command would have it: with connections, tokens and a ledger of its own."""
        workspace = self.built.workspace()
        workspace.ledger = Ledger(self.root)
        return workspace

    def begin(self, *, old: bool) -> None:
        """Let the tags hold the old image, or be absent."""
        if old:
            tags = tuple(references.parse(self.direct(tag)) for tag in self.tags)
            one = self.built.old._replace(tags=tags)
            pushing.publish(self.workspace(), [one], Quiet(), lambda _: None)
        self.before = self.built.old.graph.root.digest if old else None

    def direct(self, tag: str) -> str:
        """Return a tag's name without the proxy."""
        return tag.replace(self.proxy.address, self.proxy.upstream)

    def push(self) -> list[Published]:
        """Push as another command would: with connections and tokens of its own."""
        tags = tuple(map(references.parse, self.tags))
        one = self.built.new._replace(tags=tags, attachments=self.attachments)
        done: list[Published] = []
        moved = pushing.publish(self.workspace(), [one], Quiet(), done.append)
        assert moved == done
        return moved

    def held(self) -> dict[str, str | None]:
        """Return what each tag really holds; whatever one holds is there, and whole."""
        found = {}
        for tag in self.tags:
            index = in_registry(self.direct(tag))
            found[tag] = index and index[0]
            assert found[tag] in {self.before, self.digest}
            if index:
                self._require_whole(self.direct(tag).rpartition(":")[0], index[1]["manifests"])
        return found

    @property
    def digest(self) -> str:
        return self.built.new.graph.root.digest

    def _require_whole(self, repository: str, entries: Iterable[dict[str, str]]) -> None:
        host, _, name = repository.partition("/")
        for entry in entries:
            manifest = in_registry(f"{repository}@{entry['digest']}")
            assert manifest, f"{repository} lacks {entry['digest']}"
            assert manifest[0] == entry["digest"]
            for blob in (manifest[1]["config"], *manifest[1]["layers"]):
                url = f"http://{host}/v2/{name}/blobs/{blob['digest']}"
                with urllib.request.urlopen(url) as answer:
                    content = answer.read()
                assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob["digest"]

    def require_told(self, text: str) -> None:
        """Require that an error says of each tag what it really holds, and what to do."""
        held = self.held()
        assert any(tag.rpartition(":")[0] in text for tag in self.tags), text
        assert FIX.search(text), text
        assert "Authorization" not in text
        for tag in self.tags:
            said = re.search(rf"^  {re.escape(tag)}: (.+)$", text, re.MULTILINE)
            assert said, text
            if said[1] == "as before":  # it was not asked for
                assert held[tag] == self.before
                continue
            digest = re.search(r"sha256:[0-9a-f]{64}", said[1])
            assert digest or "there is no such tag" in said[1]
            assert held[tag] == (digest and digest[0]), text

    def finish(self) -> None:
        """Push again without faults: then all is there."""
        self.proxy.calm()
        moved = self.push()
        assert {one.tag: one.digest for one in moved} == self.whole
        assert self.held() == self.whole

    @property
    def whole(self) -> dict[str, str]:
        return dict.fromkeys(self.tags, self.digest)


@pytest.fixture
def place(built: Images, proxy: FaultProxy, tmp_path: Path) -> Iterator[Place]:
    yield Place(built, proxy, tmp_path)
    proxy.calm()


def hurry(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    if fault == "slow":
        monkeypatch.setattr(connection, "READ_SECONDS", 0.3)


@ALL
def test_a_fault_that_stays_and_then_happens_once_more(
    place: Place, monkeypatch: pytest.MonkeyPatch, fault: str, stage: str
) -> None:
    hurry(monkeypatch, fault)
    place.begin(old=stage == "tags" or fault in {"lost", "403"})
    # Without the method, it would be the request that only looks whether one may push.
    place.proxy.arm(fault, stage, None, method="PUT")
    if (fault, stage) in HARMLESS:
        place.push()
        assert place.held() == place.whole
        return
    with pytest.raises((RegistryError, PushError)) as caught:
        place.push()
    place.require_told(str(caught.value))
    refused = fault in REFUSALS and (fault, stage) != ("404", "blobs")  # that upload is forgotten
    assert (place.proxy.most_hits < faults.ATTEMPTS) == refused
    # A request of the push that was given up may still be on its way, and would have the only fault.
    place.proxy.arm(fault, stage, None if refused else 1, method="PUT")
    if refused:
        with pytest.raises((RegistryError, PushError)) as caught:
            place.push()
        place.require_told(str(caught.value))
        place.finish()
        return
    place.push()
    assert place.proxy.hits == 1
    assert place.held() == place.whole


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refusal_is_told_at_once_and_before_anything_is_sent(place: Place, fault: str) -> None:
    place.begin(old=False)
    place.proxy.arm(fault, "blobs", None)
    with pytest.raises(RegistryError) as caught:
        place.push()
    place.require_told(str(caught.value))
    assert place.proxy.hits == 1
    fixes = {
        "401": f"docker login {place.proxy.address}",
        "403": "ask for the right to push there",
        "404": "check the name",
        "quota": "raise the quota or remove old images",
    }
    assert fixes[fault] in str(caught.value)
    place.finish()


@pytest.mark.parametrize("fault", ["500", "slow", "truncated", "wrong-digest"])
def test_what_is_read_wrong_once_is_read_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    hurry(monkeypatch, fault)
    place.begin(old=True)
    place.proxy.arm(fault, "reading", 1, method="GET")
    moved = place.push()
    assert place.proxy.hits == 1
    assert place.held() == place.whole
    assert {one.was for one in moved} == {place.before}


@pytest.mark.parametrize("fault", ["truncated", "wrong-digest", "500"])
def test_what_is_always_read_wrong_is_not_believed(place: Place, fault: str) -> None:
    place.begin(old=True)
    place.proxy.arm(fault, "reading", None)
    with pytest.raises((RegistryError, PushError)) as caught:
        place.push()
    assert all(f"  {tag}: as before" in str(caught.value) for tag in place.tags)
    assert place.held() == dict.fromkeys(place.tags, place.before)
    place.finish()


@pytest.mark.parametrize("fault", ["refuse", "500", "403", "truncated", "wrong-digest", "lost"])
def test_verdicts_are_attached_before_a_tag_moves(place: Place, fault: str) -> None:
    """Where the list that a registry does not keep cannot be written, all is as before."""
    place.begin(old=True)
    one = place.built.new
    verdicts = {p: statements.Verdict(f"new@{p}", ("run",)) for p in one.manifests}
    place.attachments = evidence.of_verdicts(one.graph, one.manifests, verdicts, True)
    place.proxy.arm(fault, "tags", None, method="PUT")
    with pytest.raises((RegistryError, PushError)) as caught:
        place.push()
    place.require_told(str(caught.value))
    assert all(f"  {tag}: as before" in str(caught.value) for tag in place.tags)
    assert place.held() == dict.fromkeys(place.tags, place.before)
    place.finish()
    workspace = place.workspace()
    for tag in place.tags:
        repository = workspace.registries.of(place.direct(tag))
        for digest in one.manifests.values():
            (found,) = attached.attached(repository, digest)
            assert found.verdict is not None
    workspace.close()


class Told(Nobody):
    """Keeps the remarks."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def said(self, line: str) -> None:
        self.lines.append(line)


def test_a_mirror_may_fail_and_the_command_that_finishes_it_is_told(place: Place) -> None:
    place.begin(old=False)
    home = references.parse(place.direct(place.tags[0]))
    names = [text.rpartition(":")[0] for text in place.tags]
    bad, good = f"{names[0]}-bad", f"{place.direct(names[1])}-good"
    workspace = place.workspace()
    known = workspace.config.target
    target = known["new"]._replace(mirrors=(bad, good))
    workspace.config = workspace.config._replace(target={**known, "new": target})
    one = place.built.new._replace(tags=(home, home._replace(tag="latest")))
    pushing.publish(workspace, [one], Quiet(), lambda _: None)
    place.proxy.arm("403", "tags", None, method="PUT")
    told = Told()
    moved = mirrors.mirror(workspace, [one], Quiet(), told, pushing.Before())
    assert [item.tag for item in moved] == [f"{good}:v1", f"{good}:latest"]
    found = in_registry(f"{good}:latest")
    assert found
    assert found[0] == place.digest
    (line,) = told.lines
    assert f"the mirror {bad} was not brought up to date" in line
    finishing = f"invoke promote --from {home.registry}/{home.repository}@{place.digest} "
    assert line.endswith(f"{finishing}--to {bad}:v1 --to {bad}:latest")
    workspace.close()


@pytest.mark.parametrize("uses", [4, None])
def test_tokens_that_run_out_are_asked_for_again(
    built: Images,
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uses: int | None,
) -> None:
    user, password = "somebody", uuid4().hex
    realm = TokenRealm(user, password, uses)
    secret = base64.b64encode(f"{user}:{password}".encode()).decode()
    with FaultProxy(registry, realm) as proxy:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        config = tmp_path / "config.json"
        config.write_text("{}")
        place = Place(built, proxy, tmp_path)
        place.begin(old=False)
        with pytest.raises(RegistryError) as caught:
            place.push()
        place.require_told(str(caught.value))
        config.write_text(json.dumps({"auths": {proxy.address: {"auth": secret}}}))
        # A new token is refused as well: that is no expiry.
        proxy.arm("401", "blobs", None)
        with pytest.raises(RegistryError) as caught:
            place.push()
        place.require_told(str(caught.value))
        assert password not in str(caught.value)
        assert secret not in str(caught.value)
        assert proxy.hits <= 2
        proxy.calm()
        place.push()
        assert place.held() == place.whole
        if uses:
            assert realm.refused >= 3
        else:
            # One for each repository and push, and one more where one that was good is refused.
            assert realm.issued <= 6
    assert password not in (tmp_path / ".buildx" / "ledger.json").read_text()


def test_an_upload_stays_on_https_where_the_registry_says_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr(secured, "free_port", lambda: port)
    monkeypatch.setenv("REGISTRY_HTTP_HOST", f"http://localhost:{port}")  # as behind a proxy
    data = b"a layer"
    digest = manifests.digest_of(data)
    with secured.tls_registry(tmp_path) as (address, authority):
        trust = ssl.create_default_context(cafile=str(authority))
        endpoint = Endpoint(address, address, ("https",), trust, own_network=True)
        repository = client.Repository(connection.Registry(endpoint), "app")
        repository.upload(digest, len(data), lambda: [data], lambda _: None)
        assert b"".join(repository.read(digest)) == data
