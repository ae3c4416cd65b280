"""What is attached to published images: signatures, verdicts, files; whole, and of their subject."""

from __future__ import annotations

import base64
import json
import tracemalloc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.published import BOTH, OCI, Maker, program

from buildx_tasks.auditing import audit as auditing
from buildx_tasks.auditing.attached import attached
from buildx_tasks.auditing.audit import Options, Subject
from buildx_tasks.auditing.defaults import Allowed
from buildx_tasks.auditing.places import Place
from buildx_tasks.errors import MissingError
from buildx_tasks.images.statements import Verdict, written
from buildx_tasks.publishing.audience import _Unwatched
from buildx_tasks.registry.manifests import Descriptor, Manifest, manifest_of
from buildx_tasks.registry.referrers import tag_of

if TYPE_CHECKING:
    from buildx_tasks.verification.results import CellResult

ONE = [{"sig": "YQ=="}]
OTHER = f"sha256:{'5' * 64}"
DSSE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
OLD = "application/vnd.dev.sigstore.bundle+json"
SIGNED = "application/vnd.dev.cosign.simplesigning.v1+json"
INTOTO = "application/vnd.in-toto+json"


class Registry(Maker):
    """An image, and what is attached to it, in a registry that lists nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = SimpleNamespace(lists_referrers=False)
        self.tags: dict[str, str] = {}
        self.listed: list[dict[str, Any]] = []
        one = self.platform(BOTH[0], [self.layer({"app": program(BOTH[0])})])
        self.about = str(one["digest"])
        self.subject = {key: one[key] for key in ("mediaType", "digest", "size")}

    def find(self, reference: str) -> Manifest | None:
        return self.store.manifest(self.tags[reference]) if reference in self.tags else None

    def get(self, digest: str) -> Manifest:
        if digest not in self.store:
            raise MissingError(digest)
        return self.store.manifest(digest)

    def named(self, reference: str) -> str:
        return reference

    def manifest(self, *layers: tuple[Any, str, dict[str, str]], **more: Any) -> dict[str, Any]:
        kinds = []
        for content, kind, marks in layers:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            kinds.append({**self.store.put(data, kind), "annotations": marks})
        content = {
            "schemaVersion": 2,
            "config": self.store.put(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": kinds,
            **more,
        }
        return self.store.document(content, f"{OCI}manifest.v1+json")

    def attach(self, content: Any, kind: str, subject: Any = None, **marks: str) -> dict[str, Any]:
        made = self.manifest((content, kind, marks), subject=subject or self.subject)
        self.listed.append(made)
        return made

    def found(self) -> tuple[list[str], tuple[str, ...]]:
        if self.listed:
            self.tags[tag_of(self.about)] = self.index(*self.listed)
        place: Any = self
        found = attached(
            Place("app", "v1", self.store, lambda _, look: look(), list, "app", place),  # type: ignore[arg-type]
            self.about,
        )
        return (list(found.problems), found.facts) if found else ([], ())


def statement(digest: str, predicate: Any = None) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "app", "digest": {"sha256": digest[7:]}}],
        "predicate": {"a": 1} if predicate is None else predicate,
    }


def signature(digest: str, **more: Any) -> dict[str, Any]:
    """A signature of cosign's third version: a statement that says nothing besides."""
    kind = "https://sigstore.dev/cosign/sign/v1"
    found = {**statement(digest), "predicateType": kind}
    return {**{key: one for key, one in found.items() if key != "predicate"}, **more}


def envelope(payload: Any, signatures: Any = ONE) -> dict[str, Any]:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = base64.b64encode(data).decode()
    return {
        "payloadType": INTOTO,
        "payload": text,
        "signatures": signatures,
    }


def bundle(**content: Any) -> dict[str, Any]:
    return {"mediaType": BUNDLE, "verificationMaterial": {"x": 1}, **content}


def payload(digest: str) -> dict[str, Any]:
    return {"critical": {"identity": {}, "image": {"docker-manifest-digest": digest}, "type": "x"}}


def jws(digest: str) -> dict[str, Any]:
    claims = json.dumps({"targetArtifact": {"digest": digest}}).encode()
    text = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    return {"payload": text, "protected": "x", "signature": "abc"}


@pytest.mark.parametrize("kind", ["application/vnd.cncf.helm.config.v1+json", ""])
def test_an_artifact_is_read_whole(kind: str) -> None:
    made = Registry()
    config = {"config": made.store.put(b"{}", kind)} if kind else {"artifactType": "a/b"}
    title = {"org.opencontainers.image.title": "notes\x1b.txt"}
    one = made.manifest((b"text", "text/plain", title), **config)

    def looked() -> CellResult:
        place = made.store.place(one["digest"])
        (image,) = auditing.looked_up([Subject("docs", place)])
        nothing = Options(1, Allowed(), {})
        (result,) = auditing.audit([image], nothing, _Unwatched()).results
        return result

    assert looked().checks[0].facts == (f"{kind or 'a/b'}, 1 file, 4 B",)
    layer = made.get(one["digest"]).content.layers[0].digest
    del made.store[layer]
    assert looked().problems == (f"content: {layer} (notes\\x1b.txt) is not there",)


def test_nothing_attached_is_no_result() -> None:
    assert Registry().found() == ([], ())


def test_what_holds_is_a_note() -> None:
    made = Registry()
    about = made.about
    made.attach(statement(about), INTOTO)
    made.attach(envelope(statement(about)), DSSE)
    made.attach(bundle(dsseEnvelope=envelope(statement(about))), BUNDLE)
    made.attach(bundle(messageSignature={"signature": "YQ=="}), BUNDLE)
    made.attach(bundle(dsseEnvelope=envelope(signature(about))), BUNDLE)
    made.attach(bundle(dsseEnvelope=envelope(signature(about, predicate={}))), BUNDLE)
    made.attach(bundle(dsseEnvelope=envelope(signature(about, predicate=None))), BUNDLE)
    made.attach(jws(about), "application/jose+json")
    made.attach(b"any bytes \xff", "application/spdx+json")
    verdict = written(Verdict("app@linux/amd64", ("run",)), Descriptor(about, 1, "a/b"))
    made.store.update(verdict.blobs)
    made.store.kinds[verdict.manifest.digest] = verdict.manifest.media_type
    made.store[verdict.manifest.digest] = verdict.manifest.data
    size = len(verdict.manifest.data)
    made.listed.append({**made.subject, "digest": verdict.manifest.digest, "size": size})
    sig = made.manifest((payload(about), SIGNED, {"dev.cosignproject.cosign/signature": "YQ=="}))
    att = made.manifest((envelope(statement(about)), DSSE, {}))
    made.tags[f"{tag_of(about)}.sig"] = sig["digest"]
    made.tags[f"{tag_of(about)}.att"] = att["digest"]
    problems, facts = made.found()
    assert problems == []
    assert "10 application/vnd.oci.image.manifest.v1+json" in facts[0]
    assert "1 cosign's .sig, 1 cosign's .att" in facts[0]


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (statement(OTHER), INTOTO, f"is of another digest, {OTHER}"),
        (statement(OTHER, {}), INTOTO, "says nothing of https://slsa.dev/provenance/v1"),
        (signature(OTHER), INTOTO, f"is of another digest, {OTHER}"),
        (signature(OTHER, predicate=[]), INTOTO, "says nothing of https://sigstore.dev/"),
        (b"{", INTOTO, "cannot be read"),
        (b"[" * 5000, INTOTO, "nested too deep"),
        (envelope(statement(OTHER)), DSSE, f"is of another digest, {OTHER}"),
        (envelope(statement(OTHER), []), DSSE, "has no signature in its envelope"),
        (envelope(statement(OTHER), 1), DSSE, "cannot be read as application/vnd.dsse"),
        (envelope(statement(OTHER), None), DSSE, "has no signature in its envelope"),
        ({**bundle(), "verificationMaterial": {}}, BUNDLE, "nothing to verify it with"),
        (bundle(messageSignature={}), f"{OLD};version=0.2", "is a bundle without a signature"),
        (envelope(statement(OTHER), [{"sig": ""}]), DSSE, "has no signature in its envelope"),
        ({**envelope(1), "payload": "a!"}, DSSE, "no base64"),
        (bundle(dsseEnvelope=envelope(statement(OTHER))), BUNDLE, "is of another digest"),
        (bundle(), BUNDLE, "is a bundle without a signature"),
        (payload(OTHER), SIGNED, "has no signature beside it"),
        (jws(OTHER), "application/jose+json", f"is of another digest, {OTHER}"),
    ],
)
def test_documents_that_do_not_hold_are_named(content: Any, kind: str, says: str) -> None:
    made = Registry()
    one = made.attach(content, kind)
    (problem,), _ = made.found()
    assert problem.startswith(f"{one['digest']} (")
    assert f"attached to {made.about}, its sha256:" in problem
    assert says in problem


def test_what_is_large_is_left_out_and_said() -> None:
    made = Registry()
    made.attach(envelope(statement(OTHER, {"x": "y" * 4_000_000})), DSSE)
    problems, facts = made.found()
    assert problems == []
    assert facts[1] == "1 documents of more than 4,194,304 bytes were not read"


def test_an_index_may_be_attached_and_types_may_have_parameters() -> None:
    made = Registry()
    inner = made.manifest((b"text", "text/plain", {}))
    content = {"schemaVersion": 2, "manifests": [inner], "subject": made.subject}
    made.listed.append(made.store.document(content, f"{OCI}index.v1+json"))
    old = made.attach(bundle(messageSignature={"signature": "YQ=="}), f"{OLD};version=0.2")
    old["artifactType"] = f"{OLD};version=0.2"
    problems, facts = made.found()
    assert problems == []
    assert f"1 {OLD};version=0.2" in facts[0]


def test_of_much_that_is_attached_some_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Registry()
    for number in range(4):
        made.attach(b"%d" % number + b"x" * 299, "text/plain")
    monkeypatch.setattr("buildx_tasks.auditing.attached._MOST_OF_IMAGE", 1000)
    problems, facts = made.found()
    assert problems == []
    assert facts[1] == "1 documents were not read, after 1,000 bytes of others"


def filled(start: bytes, piece: bytes, end: bytes, most: int = (4 << 20) - 200) -> bytes:
    return start + piece * ((most - len(start) - len(end)) // len(piece)) + end


INNER = filled(b'{"_type":"https://in-toto.io/Statement/v1","subject":[', b"{},", b"{}]}", 3 << 20)
MATERIALS = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"materials":['


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (filled(b'{"payload":"","signatures":[', b'{"sig":"a"},', b'{"sig":"a"}]}'), DSSE),
        (filled(b'{"verificationMaterial":{"x":[', b"{},", b"1]}}"), BUNDLE),
        (
            filled(b'{"_type":"https://in-toto.io/Statement/v1","subject":[', b"{},", b"{}]}"),
            INTOTO,
        ),
        (filled(MATERIALS, b"{},", b"{}]}}"), INTOTO),
        (filled(b'{"x":[', b'"",[],', b"1]}"), INTOTO),
        (envelope(INNER), DSSE),
    ],
)
def test_hostile_documents_take_little_memory(content: Any, kind: str) -> None:
    made = Registry()
    made.attach(content, kind)
    tracemalloc.start()
    try:
        made.found()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


def test_lists_that_do_not_hold_are_named() -> None:
    made = Registry()
    gone = made.attach(b"gone", "a/b")
    made.attach(b"stray", "a/b", {**made.subject, "digest": OTHER})
    short = made.attach(b"short", "a/b")
    bare = made.attach(b"bare", "a/b")
    made.listed[2] = {**short, "size": 3}
    del made.store[gone["digest"]]
    del made.store[made.get(bare["digest"]).content.layers[0].digest]
    sig = made.manifest((payload(OTHER), SIGNED, {"dev.cosignproject.cosign/signature": "YQ=="}))
    made.tags[f"{tag_of(made.about)}.sig"] = sig["digest"]
    problems, _ = made.found()
    ends = ["is not there", f"is about {OTHER}", "the list says 3", "is not there", OTHER]
    assert [text.endswith(end) for text, end in zip(problems, ends)] == [True] * 5
    assert problems[4].startswith(f"{tag_of(made.about)}.sig: its sha256:")


def test_a_statement_without_subject_is_attached_to_nothing() -> None:
    made = Registry()
    content = manifest_of(made.get(made.about).data)
    made.listed.append({**made.subject, "size": len(content.data)})
    (problem,), _ = made.found()
    assert problem.endswith("is about nothing")
