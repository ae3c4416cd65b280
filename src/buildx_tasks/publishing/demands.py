"""References of published images and what is demanded of them in; what each lacks, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import EngineError, MissingError, UsageError, VerifyError, nearest
from buildx_tasks.images import evidence, statements
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.publishing.release import platforms_in
from buildx_tasks.publishing.tags import exact
from buildx_tasks.registry.manifests import MalformedError
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from buildx_tasks.images.evidence import Evidence
    from buildx_tasks.platforms import Platform
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.workspace import Workspace

VERDICT = "verdict"
DEMANDS = (VERDICT,)


def asked(refs: Sequence[str], required: Sequence[str]) -> list[tuple[Reference, str]]:
    """Return what ``--ref`` and ``--require`` mean: references, each with a digest or ``""``.

    Raises:
        UsageError: one of both is missing, or is none.

    """
    if not refs:
        raise UsageError("--require is about published images: name them with --ref")
    if not required:
        raise UsageError("--ref needs what is required of the image; write --require verdict")
    for one in required:
        if one not in DEMANDS:
            hint = nearest(one, DEMANDS) or f"; known: {', '.join(DEMANDS)}"
            raise UsageError(f'--require: unknown demand "{one}"{hint}')
    return [exact(text, "--ref") for text in refs]


class Answer(NamedTuple):
    """What one platform of a published image has of what is demanded; ``lacks`` is ``""`` for all.

    ``says`` is what was found, ``refused`` what does not count and why, each a line for people.
    """

    reference: str
    platform: Platform
    digest: str
    says: str = ""
    lacks: str = ""
    refused: tuple[str, ...] = ()


def verdicts(workspace: Workspace, images: Iterable[tuple[Reference, str]]) -> Iterator[Answer]:
    """Yield for each platform of each image whether it has a verdict that it passed, and none else.

    ``images`` are references, each with a digest or ``""`` for its tag.

    Raises:
        MissingError: there is no such image.
        EngineError: what is there is no image.
        RegistryError: a registry refuses, or does not answer.

    """
    for reference, pinned in images:
        repository = workspace.registries.repository(reference)
        name = f"{repository}@{pinned}" if pinned else str(reference)
        root = repository.get(pinned or reference.tag)
        platforms = _platforms(repository, name, root)
        for platform, digest in platforms.items():
            found = evidence.attached(repository, digest)
            yield _judged(Answer(name, platform, digest), found)


def _platforms(repository: Repository, name: str, root: Manifest) -> dict[Platform, str]:
    if root.is_index:
        found = platforms_in(root)
    else:
        config = root.content.config
        try:
            words = RepositorySource(repository).config(config).platform if config else None
        except (MissingError, MalformedError) as error:
            raise EngineError(f"{name} is no image: {error}") from None
        found = {platform_of(words): root.digest}
    if not found:
        raise EngineError(f"{name} is no image: it has no platform; check the name")
    return found


def _judged(one: Answer, found: Iterable[Evidence]) -> Answer:
    refused = tuple(f"{each.digest}: {each.problem}" for each in found if each.problem)
    known = [(each.digest, each.verdict) for each in found if each.verdict]
    failed = [digest for digest, verdict in known if verdict.result == "FAILED" or verdict.failed]
    if failed:
        return one._replace(lacks=f"a verdict says that it failed: {failed[0]}", refused=refused)
    if not known:
        why = "none that counts is attached" if refused else "none is attached"
        return one._replace(lacks=f"no verdict that it passed: {why}", refused=refused)
    digest, verdict = known[-1]
    return one._replace(says=f"{statements.told(verdict)} ({digest})", refused=refused)


def lines(one: Answer) -> Iterator[str]:
    """Yield what a person reads of one platform."""
    yield f"{one.reference} {one.platform} {one.digest}: {one.says or one.lacks}"
    for text in one.refused:
        yield f"  refused {text}"


def conclude(answers: Sequence[Answer]) -> None:
    """Fail where something is lacking.

    Raises:
        VerifyError: with each platform that lacks it, and the fix.

    """
    lacking = [f"{one.reference} {one.platform}" for one in answers if one.lacks]
    if lacking:
        raise VerifyError(
            f"without a verdict that they passed: {printable(', '.join(lacking))}; verify and push "
            "them, with [target.NAME.push] verdicts = true where the registry lists no referrers"
        )
