"""A release, its verdicts and a person's files in; what is attached to its manifests, attached, out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import PushError
from buildx_tasks.images import evidence as images_evidence
from buildx_tasks.images import statements
from buildx_tasks.images.artifacts import Artifact, descriptor_of
from buildx_tasks.registry import referrers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.statements import Verdict
    from buildx_tasks.platforms import Platform
    from buildx_tasks.records.ledger import Ledger
    from buildx_tasks.registry.manifests import Descriptor
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.verification.units import Unit

MOST = 64 << 20  # bytes of what is attached at once
NOTED = "attached"  # in the ledger's entry of a push: the artifacts that it saw to


class Attachment(NamedTuple):
    """What goes out beside a manifest; ``where_listed``: only where the registry itself lists it."""

    artifact: Artifact
    where_listed: bool = False

    @property
    def digest(self) -> str:
        """The artifact's own digest."""
        return self.artifact.manifest.digest

    @property
    def note(self) -> str:
        """What the ledger says of it: what goes out only where listed may be asked for later."""
        return f"{self.digest} where listed" if self.where_listed else self.digest


def subjects(whole: Graph) -> dict[str, Descriptor]:
    """Return what can be attached to, by digest: the root, and all that it names."""
    root = descriptor_of(whole.root)
    return {one.digest: one for one in (root, *whole.root.content.manifests)}


def verdict_of(unit: Unit, *, native: bool) -> Verdict:
    """Return the verdict of a cell that passed; what was skipped is none of its checks."""
    looked = [check for check in unit.checks if not check.skip]
    return statements.Verdict(
        unit.id,
        tuple(check.name for check in looked if not check.xfail),
        tuple(check.name for check in looked if check.xfail),
        expected=unit.hash,
        native=native,
    )


def of_verdicts(
    whole: Graph,
    manifests: Mapping[Platform, str],
    verdicts: Mapping[Platform, Verdict],
    wanted: bool | None,
) -> tuple[Attachment, ...]:
    """Return the verdicts as what is attached to each platform's manifest.

    ``wanted`` is as ``verdicts`` in the file: None for only where the registry lists what is attached.

    Raises:
        PushError: a verdict is of a platform that the image does not have.

    """
    if wanted is False:
        return ()
    known = subjects(whole)
    found = []
    for platform, verdict in verdicts.items():
        subject = known.get(manifests.get(platform, ""))
        if subject is None:
            raise PushError(
                f"the verdict of {verdict.cell} is of no manifest of {whole.root.digest}; verify what "
                "is to be published"
            )
        found.append(Attachment(statements.written(verdict, subject), wanted is None))
    return tuple(found)


def carried(
    repository: Repository, digests: Iterable[str], *, everywhere: bool
) -> tuple[Attachment, ...]:
    """Return what is attached to manifests of a repository and goes on with them: verdicts, files.

    Verdicts that are listed here go where they are listed too, or ``everywhere``; what does not count
    stays behind.

    Raises:
        RegistryError: the registry does not come back, or what it lists is no list.

    """
    found = []
    for digest in dict.fromkeys(digests):
        by_registry = referrers.by_registry(repository, digest) is not None
        for one in images_evidence.attached(repository, digest):
            if not (one.verdict or one.key) or one.problem:
                continue
            manifest = repository.get(one.digest)
            subject, blobs = manifest.content.subject, manifest.described
            if subject and subject.digest == digest and sum(b.size for b in blobs) <= MOST:
                data = {blob.digest: _read(repository, blob) for blob in blobs}
                listed = one.verdict is not None and by_registry and not everywhere
                found.append(Attachment(Artifact(manifest, data), listed))
    return tuple(found)


def _read(repository: Repository, blob: Descriptor) -> bytes:
    what = f"{repository}: {blob.digest}"
    data: bytes = repository.insist(what, lambda: b"".join(repository.read(blob.digest, blob.size)))
    return data


def attach(
    repository: Repository,
    attachments: Sequence[Attachment],
    sign: Callable[[str], object],
) -> None:
    """Attach what is not attached yet; ``sign`` is told of the reference of each that is new.

    Raises:
        RegistryError: the registry refuses, or does not come back.
        PushError: one was not signed.

    """
    for subject, every in _by_subject(attachments):
        entries, wanted = referrers.by_registry(repository, subject), every
        if entries is None:
            wanted = [one for one in every if not one.where_listed]
            entries = referrers.listed(repository, subject).entries if wanted else ()
        there = {entry.digest for entry in entries}
        for one in wanted:
            if one.digest in there:
                continue
            for digest, data in one.artifact.blobs.items():
                if not repository.has(digest):
                    repository.upload(digest, len(data), partial(iter, [data]), lambda _: None)
            referrers.attach(repository, one.artifact.manifest)
            sign(repository.named(one.digest))


def _by_subject(attachments: Sequence[Attachment]) -> Iterator[tuple[str, list[Attachment]]]:
    found: dict[str, list[Attachment]] = {}
    for one in attachments:
        subject = one.artifact.manifest.content.subject
        found.setdefault(subject.digest if subject else "", []).append(one)
    yield from found.items()


def is_known(ledger: Ledger, place: str, digest: str, attachments: Sequence[Attachment]) -> bool:
    """Say whether an earlier push of the image to the place saw to all of these."""
    if not attachments:
        return True
    return any(
        entry.get("digest") == digest
        and str(entry.get("tag", "")).rpartition(":")[0] == place
        and isinstance(noted := entry.get(NOTED), list)
        and all(one.digest in noted or one.note in noted for one in attachments)
        for entry in ledger.read()
    )
