"""A manifest in a registry in; what is attached to it, with the verdicts that hold for it, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import RegistryError
from buildx_tasks.images import statements
from buildx_tasks.images.artifacts import KEY, TITLE
from buildx_tasks.images.attestations import PREDICATE
from buildx_tasks.registry import referrers

if TYPE_CHECKING:
    from buildx_tasks.images.statements import Read
    from buildx_tasks.registry.manifests import Descriptor
    from buildx_tasks.registry.repository import Repository

_MOST_READ = 50  # verdicts of one manifest


class Evidence(NamedTuple):
    """One thing that is attached to a manifest: ``kind`` is its media type, ``title`` its file's name.

    ``key`` is what a person calls the file, ``""`` where it was attached by another tool.

    ``verdict`` is what a test-result statement says, ``problem`` why one does not count.
    """

    digest: str
    kind: str
    title: str = ""
    key: str = ""
    verdict: Read | None = None
    problem: str = ""

    @property
    def is_verdict(self) -> bool:
        """Whether it is one, or should be."""
        return self.verdict is not None or bool(self.problem)


def attached(repository: Repository, digest: str) -> tuple[Evidence, ...]:
    """Return what is attached to a manifest, each once; verdicts are read, and must be of it.

    Raises:
        RegistryError: the registry does not come back, or what it lists is no list.

    """
    entries = {one.digest: one for one in referrers.listed(repository, digest).entries}
    found, read = [], 0
    for entry in entries.values():
        kind = entry.artifact_type or entry.media_type or ""
        one = Evidence(entry.digest, kind, entry.marks.get(TITLE, ""), entry.marks.get(KEY, ""))
        if kind == statements.TYPE and entry.marks.get(PREDICATE) in (None, statements.TEST_RESULT):
            read += 1
            if read > _MOST_READ:
                one = one._replace(problem=f"not read: there are more than {_MOST_READ}")
            else:
                one = _read(repository, entry, digest, one)
        found.append(one)
    return tuple(found)


def _read(repository: Repository, entry: Descriptor, digest: str, one: Evidence) -> Evidence:
    try:
        content = repository.get(entry.digest).content
        about = content.subject.digest if content.subject else "nothing"
        if about != digest:
            return one._replace(problem=f"it is about {about}")
        layers = [layer for layer in content.layers if layer.media_type == statements.TYPE]
        if len(layers) != 1 or layers[0].size > statements.MOST:
            return one._replace(problem="it has no statement that can be read")
        layer = layers[0]
        what = repository.named(entry.digest)
        data = repository.insist(what, lambda: b"".join(repository.read(layer.digest, layer.size)))
        verdict = statements.read(data, what)
    except RegistryError as error:
        return one._replace(problem=str(error))
    if verdict and digest not in verdict.subjects:
        others = ", ".join(verdict.subjects[:1]) or "nothing"
        return one._replace(problem=f"it is a verdict of another digest, {others}")
    return one._replace(verdict=verdict)
