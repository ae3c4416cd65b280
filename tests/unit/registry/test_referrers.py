"""What is about a manifest: lists of the registry's own, tags beside it, and lists that are none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.hostile import Asked, hostile, image, said, sha256

from buildx_tasks.errors import RegistryError
from buildx_tasks.images import evidence, statements
from buildx_tasks.images.artifacts import artifact, descriptor_of
from buildx_tasks.images.attestations import PREDICATE
from buildx_tasks.registry import referrers
from buildx_tasks.registry.manifests import INDEX_TYPES, manifest_of

SUBJECT = manifest_of(image(b"layer")[0])
ABOUT = descriptor_of(SUBJECT)
TAG = f"sha256-{SUBJECT.digest.partition(':')[2]}"
MARKS = {PREDICATE: statements.TEST_RESULT}
VERDICT = statements.written(statements.Verdict("app@linux/arm64", ("run",)), ABOUT)


class Registry:
    """Manifests and blobs in memory; ``lists``: whether it keeps lists of what is about one."""

    def __init__(self, *, lists: bool = False) -> None:
        self.lists = lists
        self.held: dict[str, bytes] = {}
        self.spoilt = 0  # how often another writes the tag right after us

    def answer(self, asked: Asked) -> bytes:
        path, _, _ = asked.path.partition("?")
        name = path.rpartition("/")[2]
        if "/referrers/" in path:
            found = said(200, index(*self.about(name)), Content_Type=INDEX_TYPES[0])
            return found if self.lists else said(404)
        if asked.method == "POST":
            return said(202, Location="/v2/app/blobs/uploads/1")
        if asked.method == "PUT":
            digest = sha256(asked.body)
            self.held[digest] = asked.body
            if "/manifests/" not in path:
                return said(201)
            if ":" not in name and self.spoilt:
                self.spoilt -= 1
                asked = asked._replace(body=index())
                self.held[sha256(asked.body)] = asked.body
            self.held[name] = asked.body
            if self.lists and b'"subject"' in asked.body:
                return said(201, Docker_Content_Digest=digest, OCI_Subject="x")
            return said(201, Docker_Content_Digest=digest)
        if name not in self.held:
            return said(404)
        data = self.held[name]
        body = data if asked.method == "GET" else b""
        return said(200, body, length=len(data) if body else 0, Docker_Content_Digest=sha256(data))

    def about(self, digest: str) -> list[dict[str, Any]]:
        found = []
        for name, data in self.held.items():
            if ":" in name and f'"digest":"{digest}"'.encode() in data and b'"subject"' in data:
                content = json.loads(data)
                more = {key: content[key] for key in ("artifactType", "annotations")}
                kind = content["mediaType"]
                found.append({"mediaType": kind, "digest": name, "size": len(data), **more})
        return found


def index(*entries: dict[str, Any]) -> bytes:
    content = {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": entries}
    return json.dumps(content).encode()


def holding(registry: Registry) -> Registry:
    for blob, data in VERDICT.blobs.items():
        registry.held[blob] = data
    return registry


@pytest.mark.parametrize("lists", [True, False])
def test_what_is_attached_is_listed_once(lists: bool) -> None:
    registry = holding(Registry(lists=lists))
    with hostile(registry.answer) as server:
        repository = server.repository
        for _ in range(2):
            referrers.attach(repository, VERDICT.manifest)
        found = referrers.listed(repository, SUBJECT.digest)
        assert (found.by_registry, len(found.entries)) == (lists, 1)
        assert (TAG in registry.held) is not lists
        (one,) = evidence.attached(repository, SUBJECT.digest)
        assert one.verdict is not None
        assert (one.verdict.result, one.verdict.passed) == ("PASSED", ("run",))
        # Who keeps no lists is asked for them once.
        assert len([p for p in server.paths("GET") if "/referrers/" in p]) == (2 if lists else 1)


def test_an_entry_that_another_writer_lost_is_written_again() -> None:
    registry = holding(Registry())
    registry.spoilt = 2
    with hostile(registry.answer) as server:
        referrers.attach(server.repository, VERDICT.manifest)
        assert len(referrers.listed(server.repository, SUBJECT.digest).entries) == 1
        registry.spoilt = 99
        registry.held[TAG] = index()
        with pytest.raises(RegistryError, match="others write it all the time; run this again"):
            referrers.attach(server.repository, VERDICT.manifest)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "the answer is no list"),
        (b"{}", "the answer is no list"),
        (b"[" * 99, "the answer is no list"),
        (b'{"manifests": [{"digest": "x", "size": 1}]}', "the answer is no list"),
        (b'{"manifests": null}', "the answer is no list"),
        (b" " * (5 << 20), "answers with more than 4194304 bytes"),
    ],
)
def test_what_is_no_list_is_one_error(body: bytes, why: str) -> None:
    answer = said(200, body, Content_Type=INDEX_TYPES[0])
    with hostile(lambda _: answer) as server, pytest.raises(RegistryError) as caught:
        evidence.attached(server.repository, SUBJECT.digest)
    assert why in str(caught.value)
    assert f"what is about {server.address}/app@{SUBJECT.digest}" in str(caught.value)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405])
def test_who_knows_no_such_lists_has_tags_in_their_place(status: int) -> None:
    registry = holding(Registry())

    def answer(asked: Asked) -> bytes:
        page = said(status, b"<html>", Content_Type="text/html")
        return page if "/referrers/" in asked.path else registry.answer(asked)

    with hostile(answer) as server:
        referrers.attach(server.repository, VERDICT.manifest)
        found = referrers.listed(server.repository, SUBJECT.digest)
    assert (found.by_registry, len(found.entries)) == (False, 1)


def test_a_list_in_a_circle_ends_and_leads_to_no_other_place() -> None:
    def answer(_: Asked) -> bytes:
        link = '<http://127.0.0.1:1/v2/other?n=1>; rel="next"'
        return said(200, index(), Link=link, Content_Type=INDEX_TYPES[0])

    with hostile(answer) as server:
        with pytest.raises(RegistryError, match="more than 0 entries"):
            referrers.listed(server.repository, SUBJECT.digest)
        assert {path.partition("?")[0] for path in server.paths("GET")} == {
            f"/v2/app/referrers/{SUBJECT.digest}"
        }


@pytest.mark.parametrize(("size", "pages"), [(10, 6), (1, 51), (100, 1)])
def test_of_a_long_list_as_much_is_asked_for_as_is_wanted(size: int, pages: int) -> None:
    def answer(asked: Asked) -> bytes:
        number = int(asked.path.rpartition("=")[2]) if "=" in asked.path else 0
        entries = [
            {"mediaType": "a/b", "digest": f"sha256:{number:032d}{n:032d}", "size": 1}
            for n in range(size)
        ]
        link = f'</v2/app?n={number + 1}>; rel="next"'
        return said(200, index(*entries), Link=link, Content_Type=INDEX_TYPES[0])

    with hostile(answer) as server:
        found = referrers.listed(server.repository, SUBJECT.digest, most=51)
        assert len(found.entries) == size * pages
        assert len(server.paths("GET")) == pages


def test_a_tag_beside_it_that_is_no_list_is_one_error() -> None:
    registry = holding(Registry())
    registry.held[TAG] = registry.held[SUBJECT.digest] = SUBJECT.data
    with hostile(registry.answer) as server, pytest.raises(RegistryError, match="and is no index"):
        evidence.attached(server.repository, SUBJECT.digest)


def strange(data: bytes, **changes: Any) -> tuple[dict[str, bytes], dict[str, Any]]:
    """What a stranger attaches, and how the list describes it."""
    made = artifact(statements.TYPE, data, ABOUT, MARKS)
    content = {**json.loads(made.manifest.data), **changes}
    manifest = json.dumps(content).encode()
    entry = {"digest": sha256(manifest), "size": len(manifest), "artifactType": statements.TYPE}
    return {**made.blobs, sha256(manifest): manifest}, entry


STATEMENT = {
    "_type": statements.STATEMENT,
    "subject": [{"digest": {"sha256": SUBJECT.digest.partition(":")[2]}}],
    "predicateType": statements.TEST_RESULT,
    "predicate": {"result": "PASSED", "configuration": []},
}


def changed(**more: Any) -> bytes:
    return json.dumps({**STATEMENT, **more}).encode()


OTHER = {"mediaType": "x/y", "digest": f"sha256:{'0' * 64}", "size": 1}
LARGE = {"mediaType": statements.TYPE, "digest": f"sha256:{'0' * 64}", "size": 2 << 20}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (strange(b"{"), "is no in-toto statement that can be read: "),
        (strange(b"\xff\x00"), "is no in-toto statement that can be read: "),
        (strange(b"[" * 100 + b"]" * 100), "it is too large or too deep"),
        (strange(changed(_type="x\x1b[2J")), r'its type is "x\\x1b\[2J"'),
        (strange(changed(subject=[])), "a verdict of another digest, nothing"),
        (strange(changed(subject=[{"digest": {"sha256": "0" * 64}}])), "another digest, sha256:0"),
        (strange(changed(subject=[{"name": "app"}])), "is no in-toto statement"),
        (strange(changed(predicate={"result": "GREAT", "configuration": []})), "is no in-toto"),
        (strange(changed(predicate={"result": "PASSED"})), "is no in-toto statement"),
        (strange(changed(predicate=[])), "is no in-toto statement"),
        (strange(changed(), subject=OTHER), "it is about sha256:0"),
        (strange(changed(), subject=None), "it is about nothing"),
        (strange(changed(), layers=[]), "it has no statement that can be read"),
        (strange(changed(), layers=[LARGE]), "it has no statement that can be read"),
    ],
)
def test_a_strange_statement_does_not_count_and_says_why(
    made: tuple[dict[str, bytes], dict[str, Any]], why: str
) -> None:
    blobs, entry = made
    registry = Registry()
    registry.held = {**blobs, TAG: index(entry), sha256(index(entry)): index(entry)}
    with hostile(registry.answer) as server:
        (one,) = evidence.attached(server.repository, SUBJECT.digest)
    assert one.verdict is None
    assert re.search(why, one.problem), one.problem


def test_statements_of_other_kinds_are_none_of_ours() -> None:
    blobs, entry = strange(changed(predicateType="https://slsa.dev/provenance/v1"))
    registry = Registry()
    registry.held = {**blobs, TAG: index(entry), sha256(index(entry)): index(entry)}
    with hostile(registry.answer) as server:
        (one,) = evidence.attached(server.repository, SUBJECT.digest)
    assert (one.verdict, one.problem, one.kind) == (None, "", statements.TYPE)


def test_of_a_list_without_end_some_are_read() -> None:
    blobs, entry = strange(changed())
    entries = [entry, *({**entry, "digest": f"sha256:{n:064x}"} for n in range(200))]
    registry = Registry()
    registry.held = {**blobs, TAG: index(*entries), sha256(index(*entries)): index(*entries)}
    with hostile(registry.answer) as server:
        found = evidence.attached(server.repository, SUBJECT.digest)
        assert found[0].verdict is not None
        assert found[-1].problem == "not read: there are more than 50"
        assert len(server.asked) < 150


def test_the_same_verdict_of_the_same_manifest_is_the_same_artifact() -> None:
    verdict = statements.Verdict("app@linux/arm64", ("run", "files"), ("sings",), expected="ab")
    one, two = (statements.written(verdict, ABOUT) for _ in range(2))
    assert one == two
    (data,) = (data for data in one.blobs.values() if data != b"{}")
    assert json.loads(data) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "app@linux/arm64", "digest": {"sha256": SUBJECT.digest.partition(":")[2]}}
        ],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "WARNED",
            "configuration": [
                {
                    "name": "[target.app.verify]",
                    "annotations": {"ran": "native"},
                    "digest": {"sha256": "ab"},
                }
            ],
            "passedTests": ["run", "files"],
            "warnedTests": ["sings"],
            "failedTests": [],
        },
    }
    content = json.loads(one.manifest.data)
    assert content["subject"]["digest"] == SUBJECT.digest
    assert content["artifactType"] == "application/vnd.in-toto+json"
    assert content["annotations"] == MARKS
    assert one != statements.written(verdict._replace(native=False), ABOUT)


def test_tags_of_lists_are_known_by_their_form() -> None:
    assert referrers.tag_of(SUBJECT.digest) == TAG
    assert referrers.subject_of(TAG) == SUBJECT.digest
    assert [referrers.subject_of(tag) for tag in ("v1", f"{TAG}.sig", TAG[:-1])] == [""] * 3
