"""Names of images and repositories in; what each stands for now, out: asked once a run, side by side."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Literal, NamedTuple, TypeVar

from buildx_tasks import references
from buildx_tasks.builders import choice
from buildx_tasks.building import below
from buildx_tasks.building.below import Facts
from buildx_tasks.dockerfiles.reads import git_ref
from buildx_tasks.errors import BuildxTasksError, MissingError, RefusalError, RegistryError
from buildx_tasks.images import store
from buildx_tasks.images.attestations import ATTESTATION
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.registry.manifests import INDEX_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.language.config import Builder
    from buildx_tasks.machine.things import Things
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.workspace import Workspace

_SECONDS = 5  # for a registry to answer: whoever builds may be without a network
_AT_ONCE = 16
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

Answer = TypeVar("Answer")
Place = Literal["lock", "store", "registry", "git", "name"]


class Found(NamedTuple):
    """What a name stands for: ``digest`` is that of the index, of the manifest where there is none.

    Of a repository it is the commit. It is ``""`` where it is not known, and ``why`` says why.
    ``place`` is where it was found: ``name`` where the name itself has it. ``is_index`` is None
    where nobody was asked; ``is_absent`` says that the registry answers, and does not give it.
    """

    name: str
    place: Place
    digest: str = ""
    is_index: bool | None = None
    why: str = ""
    is_absent: bool = False


class Resolved:
    """What the names of one run stand for: the build is made from it, and fingerprints are.

    An image is looked for where the builder takes it from: the engine's own builder prefers what its
    store has, unless it is to ``pull``; any other one asks the registry, and so does ``upstream``.
    Nothing here raises: what cannot be known is told as that, in time.
    """

    def __init__(
        self,
        workspace: Workspace,
        builder: Builder | None,
        *,
        pull: bool = False,
        upstream: bool = False,
        things: Things | None = None,
    ) -> None:
        self._workspace = workspace
        self._things = things
        own = choice.is_engines_own(builder)
        self._has_store = own and not pull and not upstream
        self._is_patient = upstream  # a build, and its cache, may need none of them
        self._known: dict[str, Found] = {}
        self._inspected: dict[str, dict[str, Any]] = {}  # what the engine's store says
        self._below: dict[str, Facts | str] = {}
        self._silent: dict[str, str] = {}  # registries that did not answer, and why
        self._remembered = below.remembered(workspace.ledger.folder) if self._has_store else {}

    def look(self, names: Iterable[str]) -> dict[str, Found]:
        """Return what images are now, by name as they were given; all are asked for at once."""
        wanted = list(dict.fromkeys(names))
        new = list(dict.fromkeys(n for one in wanted if (n := _name(one)) not in self._known))
        self._known.update(self._each(new, self._looked))
        return {one: self._known[_name(one)] for one in wanted}

    def found(self, name: str) -> Found:
        """Return what one image is now."""
        return self.look([name])[name]

    def facts(self, names: Iterable[str]) -> dict[str, Facts | str]:
        """Return what there is of images; why it is not known, where it is not."""
        wanted = list(dict.fromkeys(names))
        new = list(dict.fromkeys(n for one in wanted if (n := _name(one)) not in self._below))
        self._below.update(self._each(new, self._asked))
        return {one: self._below[_name(one)] for one in wanted}

    def platforms(self, name: str) -> frozenset[Platform] | str:
        """Return the platforms of an image; why they are not known, where they are not."""
        found = self.facts([name])[name]
        return found if isinstance(found, str) else found.platforms

    def created(self, name: str) -> str:
        """Return when an image in a registry was made, as its config says; ``""``: not known.

        It is that of its first platform.
        """
        bare, _, digest = name.partition("@")
        try:
            repository = self._repository(bare)
            found = repository.get(digest)
            while found.is_index:
                its = [one for one in found.content.manifests if ATTESTATION not in one.marks]
                if not its:
                    return ""
                found = repository.get(its[0].digest)
            config = found.content.config
            return RepositorySource(repository).config(config).created if config else ""
        except (BuildxTasksError, ValueError):
            return ""

    def commit(self, address: str) -> Found:
        """Return the commit that a repository's address means now."""
        if address not in self._known:
            self._known[address] = self._told(address, self._commit)
        return self._known[address]

    def _each(self, names: list[str], ask: Callable[[str], Answer]) -> dict[str, Answer]:
        if self._has_store and names:
            self._reach()
        if len(names) < 2:
            return {name: self._told(name, ask) for name in names}
        with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
            return dict(zip(names, pool.map(lambda name: self._told(name, ask), names)))

    def _told(self, name: str, ask: Callable[[str], Answer]) -> Answer:
        if self._things is None:
            return ask(name)
        known, _, digest = name.partition("@sha256:")
        what = "is read" if digest else "is asked for"
        with self._things.at(known, what):
            return ask(name)

    def _reach(self) -> None:
        """Connect to the engine, before several threads would."""
        if not self._workspace.engine.answers:
            self._has_store = False

    def _looked(self, name: str) -> Found:
        bare, _, digest = name.partition("@")
        try:
            if known := self._known_index(name):
                return Found(name, "store", digest or known, is_index=True)
            facts = self._stored(name)
            descriptor = facts.get("Descriptor") or {} if facts else {}
            if facts and facts.get("Manifests") and descriptor.get("digest"):
                kind = descriptor.get("mediaType", "") in INDEX_TYPES
                return Found(name, "store", digest or descriptor["digest"], kind)
            if facts:
                why = "the engine's classic image store has it, and keeps no digest that a build takes"
                return Found(name, "store", digest, why="" if digest else why)
            if digest:
                return Found(name, "name", digest)
            repository = self._repository(bare)
            head = repository.head(references.parse(bare).tag)
            return Found(name, "registry", head.digest, head.is_index)
        except (BuildxTasksError, ValueError) as error:
            absent = isinstance(error, (MissingError, RefusalError))
            self._note(bare, error, absent=absent)
            return Found(name, "registry", why=str(error), is_absent=absent)

    def _asked(self, name: str) -> Facts | str:
        bare, _, digest = name.partition("@")
        try:
            stored = self._stored(name)
            if stored and stored.get("Manifests"):
                kind = (stored.get("Descriptor") or {}).get("mediaType", "")
                return Facts(kind in INDEX_TYPES, _described(stored["Manifests"]))
            repository = self._repository(bare)
            found = repository.get(
                digest or references.parse(bare).tag,
                what=f"{name} cannot be read from its registry",
            )
            if found.content.config:  # one platform, and no index
                config = RepositorySource(repository).config(found.content.config)
                return Facts(False, frozenset({platform_of(config.platform)}))
            its = (one for one in found.content.manifests if ATTESTATION not in one.marks)
            return Facts(True, frozenset(platform_of(one.platform) for one in its))
        except (BuildxTasksError, ValueError) as error:
            self._note(bare, error, absent=isinstance(error, (MissingError, RefusalError)))
            return str(error)

    def _known_index(self, name: str) -> str:
        """Return the digest of an index that was looked at before; ``""``: it has to be looked at.

        To say what is below an index takes the engine three times as long as to say which one it is.
        """
        if not (self._has_store and self._remembered):
            return ""
        found = store.target(self._workspace.engine, name)
        return found if found in self._remembered and self._remembered[found].is_index else ""

    def _stored(self, name: str) -> dict[str, Any] | None:
        if not self._has_store:
            return None
        if name not in self._inspected:
            self._inspected[name] = store.inspected(self._workspace.engine, name) or {}
        return self._inspected[name] or None

    def _repository(self, bare: str) -> Repository:
        """Return where an image is, to be asked within the time.

        Raises:
            RegistryError: its registry did not answer before.

        """
        name = references.parse(bare)
        if name.registry in self._silent:
            raise RegistryError(self._silent[name.registry])
        return self._workspace.registries.repository(name).within(
            _SECONDS, once=not self._is_patient
        )

    def _note(self, bare: str, error: Exception, *, absent: bool) -> None:
        if isinstance(error, RegistryError) and not absent:
            self._silent.setdefault(references.parse(bare).registry, str(error))

    def _commit(self, address: str) -> Found:
        ref = git_ref(address)
        if _COMMIT.fullmatch(ref):
            return Found(address, "name", ref)
        place = address.partition("#")[0]
        if "?" in place:
            return Found(address, "git", why="an address with ? names its commit itself")
        place = f"https://{place}" if place.startswith("github.com/") else place
        # No program may ask for a password: whoever reads it is not there.
        argv = ["git", "-c", "core.askPass=true", "ls-remote", "--", place]
        argv += [ref, f"{ref}^{{}}"] if ref else ["HEAD"]
        result = self._workspace.commands.query_within(argv, _SECONDS)
        if result is None:
            return Found(address, "git", why=f"{place}: no answer in {_SECONDS} s")
        if not result.ok:
            lines = result.stderr.strip().splitlines() or ["git ls-remote failed"]
            said = next((line for line in lines if line.startswith("fatal:")), lines[-1])
            return Found(address, "git", why=f"{place}: {said}")
        pairs = (line.partition("\t") for line in result.stdout.splitlines())
        found = {name: commit for commit, _, name in pairs}
        for one in (
            f"refs/heads/{ref}",
            f"refs/tags/{ref}^{{}}",
            f"refs/tags/{ref}",
            ref or "HEAD",
        ):
            if _COMMIT.fullmatch(found.get(one, "")):
                return Found(address, "git", found[one])
        return Found(address, "git", why=f"{place} has no {ref or 'HEAD'}", is_absent=True)


def _name(reference: str) -> str:
    """Return one name for all ways of writing a reference; what is none stays."""
    try:
        return references.familiar(reference)
    except ValueError:
        return reference


def _described(manifests: Iterable[dict[str, Any]]) -> frozenset[Platform]:
    return frozenset(
        platform_of(one["Descriptor"].get("platform") or one["ImageData"]["Platform"])
        for one in manifests
        if one["Kind"] == "image"
    )
