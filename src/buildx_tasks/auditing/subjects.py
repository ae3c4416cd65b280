"""What a person asks for in; the images that are to be audited, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.auditing.audit import Options, Subject
from buildx_tasks.auditing.defaults import Allowed
from buildx_tasks.auditing.places import place_of
from buildx_tasks.errors import ConfigError, EngineError, MissingError, RegistryError, UsageError
from buildx_tasks.language.artifacts import NAME, VERSION
from buildx_tasks.platforms import parse
from buildx_tasks.publishing import artifacts
from buildx_tasks.publishing.tags import tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.workspace import Workspace


def named(
    workspace: Workspace, texts: Sequence[str], option: str, platforms: Sequence[Platform]
) -> list[Subject]:
    """Return the images that are named by themselves: references, or ``oci:FOLDER``.

    Raises:
        UsageError: one is none.
        EngineError: a folder is no layout.

    """
    places = [place_of(workspace, text, option) for text in dict.fromkeys(texts)]
    return [Subject(one.name, one, tuple(platforms), is_asked=True) for one in places]


def asked(workspace: Workspace, texts: Sequence[str], platforms: Sequence[str]) -> list[Subject]:
    """Return the images that are named, on such platforms; without names those of ``[audit]``.

    Raises:
        UsageError, EngineError: as :func:`named` and :func:`listed`; a platform is none.

    """
    try:
        wanted = [parse(text) for text in platforms]
    except ValueError as error:
        raise UsageError(f"-p: {error}") from None
    return named(workspace, texts, "--ref", wanted) if texts else listed(workspace)


def listed(workspace: Workspace) -> list[Subject]:
    """Return the images of ``[audit] images``.

    Raises:
        UsageError: there are none.

    """
    images = workspace.config.audit.images
    if not images:
        raise UsageError(
            "--audit: nothing is listed; write what the project depends on into buildx.toml, as in "
            '[audit] images = ["alpine:3.22"]'
        )
    return named(workspace, images, "[audit] images", ())


def bases(
    workspace: Workspace, current: Mapping[str, tuple[str, frozenset[Platform]]]
) -> list[Subject]:
    """Return images that builds read as they are now, by name, on the platforms that need them."""
    found = []
    for name, (digest, platforms) in current.items():
        place = place_of(workspace, f"{name.partition('@')[0]}@{digest}", "lock")
        found.append(Subject(name, place, tuple(sorted(platforms))))
    return found


def published(workspace: Workspace, targets: Sequence[TargetPlan]) -> list[Subject]:
    """Return what the tags of targets hold: each image once, for all of them that hold it.

    The image of a target's first tag is called as the target, one that another tag holds by that tag.

    Raises:
        UsageError: a target has no tags.

    """
    return [subject for target in targets for subject in _of_target(workspace, target)]


def of_artifacts(workspace: Workspace, names: Sequence[str]) -> Iterator[Subject]:
    """Yield what the tags of artifacts hold, each by its tag; their files need not be there.

    A chart whose tags are not known without it is a subject that has a fault.
    """
    for name in names:
        try:
            tags = artifacts.tags_of(workspace, name)
        except ConfigError as error:
            declared = workspace.config.artifact[name]
            some = declared.references({VERSION: "1", NAME: "chart"})[0]
            place = place_of(workspace, str(some), "--artifact")._replace(name=declared.tags[0])
            problem = f"its tags are not known without its chart: {error}"
            yield Subject(f"artifact {name}", place, fault=problem)
            continue
        for tag in tags:
            place = place_of(workspace, str(tag), "--artifact")
            again = f"run invoke push --artifact {name}"
            yield _there(Subject(str(tag), place), f"{tag} is not in its registry; {again}")


def _there(subject: Subject, missing: str) -> Subject:
    """Return a subject with what its tag holds, or why it is not known; ``missing`` where nothing is."""
    try:
        return subject._replace(root=subject.place.root())
    except MissingError:
        return subject._replace(fault=missing)
    except (EngineError, RegistryError) as error:
        return subject._replace(fault=str(error))


def _of_target(workspace: Workspace, target: TargetPlan) -> Iterator[Subject]:
    seen: set[str] = set()
    for number, tag in enumerate(tags_of(target, ())):
        place = place_of(workspace, str(tag), "-t")
        name = str(tag) if number else target.name
        problem = f"{tag} is not in its registry; run invoke push -t {target.name}"
        found = _there(Subject(name, place, target.platforms, target), problem)
        if found.root is None:
            yield found._replace(name=str(tag))
        elif found.root.digest not in seen:
            seen.add(found.root.digest)
            yield found


def options(workspace: Workspace, jobs: int) -> Options:
    """Return how the project's audits go about it."""
    said = workspace.config.audit
    allowed = Allowed(tuple(said.allow), tuple(said.setuid))
    return Options(jobs, allowed, workspace.pins or {}, workspace.root, said=said)
