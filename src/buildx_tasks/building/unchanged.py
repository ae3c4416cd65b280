"""A plan in; which of its targets need not be built, for what they would give is there, out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from buildx_tasks import references
from buildx_tasks.builders import choice
from buildx_tasks.building import location, outside
from buildx_tasks.building.classic_store import part_of
from buildx_tasks.building.results import PUBLISHED, Built, record
from buildx_tasks.building.standing import Standing
from buildx_tasks.dockerfiles.reads import IMAGE
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.images import store
from buildx_tasks.images.published import published
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.inputs.fingerprints import ANNOTATION, Fingerprints, Unknowable
from buildx_tasks.inputs.known import KnownFiles
from buildx_tasks.inputs.trees import tree_of
from buildx_tasks.language.targets import LINK, files_helper, platform_helper
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.workspace import Workspace

KNOWN_FILES = "files.json"

_MOST_INPUTS = 5_000  # parts of fingerprints that a record holds, some 40 bytes each
_AT_ONCE = 8
_SECONDS = 3.0  # for a registry to say what a fresh clone could take from it
_PUSHED = "its output goes elsewhere while it is built"


class Looked:
    """What is known of a plan before it is built.

    ``fingerprints`` has one for each platform of a target; of one that cannot have them, nothing.
    """

    def __init__(
        self,
        workspace: Workspace,
        plan: Plan,
        standing: Standing,
        definition: Mapping[str, Any],
    ) -> None:
        self._workspace = workspace
        self._known = KnownFiles(workspace.ledger.folder / KNOWN_FILES)
        self._read: Fingerprints | None = None
        self.by = ""  # which BuildKit
        self.fingerprints: dict[str, dict[Platform, str]] = {}
        self.tools: tuple[str, ...] = ()  # what builds, as the fingerprints know it
        self._kept: dict[str, Built] = {}  # images of the engine's store that are not built again
        if workspace.commands.is_dry:  # nobody was asked what bases stand for
            return
        try:
            world = outside.world(workspace, standing, self._known)
        except Unknowable:
            return
        self.by = world.by
        self.tools = world.tools
        self._read = Fingerprints(workspace.root, definition, plan, world, self._known)
        for target in plan.targets:
            with suppress(Unknowable):
                self.fingerprints[target.name] = self._of(target, self._read)
        self.keep()

    def _of(self, target: TargetPlan, read: Fingerprints) -> dict[Platform, str]:
        if why := cannot_be_skipped(target):
            raise Unknowable(why)
        return {platform: read.of(target.name, platform) for platform in target.platforms}

    def inputs(self, targets: Iterable[TargetPlan]) -> dict[str, dict[str, str]]:
        """Return what each target depends on, by what people call it, each as a short hash.

        Those of its first platform; of targets without a fingerprint, and beyond what a record is to
        hold, nothing.
        """
        found: dict[str, dict[str, str]] = {}
        left = _MOST_INPUTS
        for target in targets:
            with suppress(Unknowable):
                if self._read and left > 0 and self.fingerprints.get(target.name):
                    found[target.name] = self._read.parts(target.name, target.platforms[0])
                    left -= len(found[target.name])
        return found

    def keep(self) -> None:
        """Remember the hashes of files for the next run."""
        self._known.keep()

    @property
    def is_still_so(self) -> bool:
        """Whether nothing that the fingerprints are of has changed since."""
        return self._read is not None and self._read.are_still_so()

    def annotations(self, target: TargetPlan) -> list[str]:
        """Return the annotations that say the fingerprints of a target's manifests."""
        found = self.fingerprints.get(target.name, {})
        if not self._workspace.config.skip.registry or not target.is_image:
            return []
        if not target.spec.platforms:
            return [f"manifest:{ANNOTATION}={one}" for one in found.values()]
        return [f"manifest[{platform}]:{ANNOTATION}={one}" for platform, one in found.items()]

    def unchanged(self, plan: Plan) -> list[Built]:
        """Return the targets that are there as they would be built; the ledger knows of each then."""
        entries = [e for e in self._workspace.ledger.read() if e["event"] == "built"]
        by_target: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            by_target.setdefault(entry["target"], []).append(entry)
        asked = [target for target in plan.targets if target.name in self.fingerprints]

        def there(target: TargetPlan) -> Built | None:
            its = by_target.get(target.name)
            return self._here(target, its) if its else self._published(target)

        if len(asked) > 1:  # the engine takes its time for each image of several platforms
            with ThreadPoolExecutor(min(_AT_ONCE, len(asked))) as pool:
                found = [one for one in pool.map(there, asked) if one]
        else:
            found = [one for one in map(there, asked) if one]
        for one in found:
            its = by_target.get(one.target, [])
            self._remember(its, self._alike(one.platforms, its))
        self._kept = {one.target: one for one in found if one.digest and not one.staged}
        new = [one for one in found if one.since == PUBLISHED]
        if new:
            record(self._workspace.ledger, plan, new, facts_of(self, plan.targets))
        return found

    def based(self, definition: dict[str, Any], plan: Plan) -> dict[str, Any]:
        """Return a bake file whose targets are built on unchanged images, not on their steps again.

        The engine's own builder finds an image of its store by its digest.
        """
        targets = dict(definition["target"])
        for target in (*plan.targets, *plan.linked):
            names = [target.name, files_helper(target.name)]
            names += [platform_helper(target.name, p) for p in target.platforms]
            for name in names if not target.is_reproducible else ():
                contexts = targets.get(name, {}).get("contexts", {})
                found = {key: self._image_of(value, target) for key, value in contexts.items()}
                if any(found.values()):
                    changed = {key: found[key] or value for key, value in contexts.items()}
                    targets[name] = {**targets[name], "contexts": changed}
        return {**definition, "target": targets}

    def _image_of(self, context: str, target: TargetPlan) -> str:
        """Return the image in place of a link to what is unchanged; ``""`` where the link stays."""
        kept = self._kept.get(context[len(LINK) :]) if context.startswith(LINK) else None
        if kept is None or not set(target.platforms) <= set(kept.platforms):
            return ""
        spec = self._workspace.config.target[kept.target]
        return f"{IMAGE}{spec.tags[0]}@{kept.digest}" if not kept.part else ""

    def _here(self, target: TargetPlan, entries: Sequence[dict[str, Any]]) -> Built | None:
        """Return the target as it was built here, and is still there."""
        alike = self._alike(target.platforms, entries)
        mine = {str(p): one for p, one in self.fingerprints[target.name].items()}
        if not alike or alike.get("fingerprints") != mine or not self._is_there(target, alike):
            return None
        entry, since = alike, str(alike.get("since", alike["at"]))
        return Built(
            target.name,
            target.platforms,
            str(entry.get("digest", "")),
            None,
            str(entry.get("staged", "")),
            {parse(p): str(one) for p, one in entry.get("parts", {}).items()},
            target.tags[0] if entry.get("part") and target.tags else "",
            since,
        )

    def _alike(
        self, platforms: Sequence[Platform], entries: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the newest entry of a build of these platforms; nothing where there is none."""
        names = {str(platform) for platform in platforms}
        alike = (e for e in reversed(entries) if set(e.get("platforms") or ()) == names)
        return next(alike, {})

    def _remember(self, entries: Sequence[dict[str, Any]], alike: dict[str, Any]) -> None:
        """Note what is unchanged once more, where verify and push would take a later build's image."""
        if alike and alike is not entries[-1]:
            kept = {key: value for key, value in alike.items() if key not in ("event", "at")}
            self._workspace.ledger.record("built", [{"since": alike["at"], **kept}])

    def _is_there(self, target: TargetPlan, entry: Mapping[str, Any]) -> bool:
        exported = {dest: self.exported(dest) for dest in destinations(target)}
        if entry.get("exported", {}) != exported or not all(exported.values()):
            return False
        if not target.is_image:
            return bool(exported)
        if list(entry.get("tags", ())) != target.tags or not target.tags:
            return False
        try:
            return self._is_held(target, entry)
        except BuildxTasksError:
            return False

    def _is_held(self, target: TargetPlan, entry: Mapping[str, Any]) -> bool:
        if entry.get("staged"):
            return self._has(str(entry["staged"]))
        engine = self._workspace.engine
        if entry.get("parts"):
            tags = {part_of(target, parse(name)): one for name, one in entry["parts"].items()}
            parts = {tag: store.stored(engine, tag) for tag in tags}
            return all(one and one.digest == tags[tag] for tag, one in parts.items())
        held = [store.stored(engine, tag) for tag in target.tags]
        digest = entry.get("digest")
        return bool(digest) and all(
            one is not None
            and one.digest == digest
            and all(platform in one.manifests for platform in target.platforms)
            for one in held
        )

    def exported(self, dest: str) -> str:
        """Return the hash of what is at the place of an export; ``""`` where nothing is."""
        with suppress(OSError):
            return tree_of(str(self._workspace.root / dest), None, self._known).digest
        return ""

    def _has(self, reference: str) -> bool:
        repository = self._workspace.registries.of(reference).within(_SECONDS, once=True)
        return bool(repository.head(reference.partition("@")[2]).digest)

    def _published(self, target: TargetPlan) -> Built | None:
        """Return the target as the registry of its own first tag holds it: in a fresh clone."""
        if not self._workspace.config.skip.registry or not _is_ours(target):
            return None
        tag = target.tags[0]
        with suppress(BuildxTasksError, ValueError):
            name = references.parse(tag)
            repository = self._workspace.registries.repository(name).within(_SECONDS, once=True)
            image = published(repository, tag)
            source = RepositorySource(repository)
            mine = self.fingerprints[target.name]
            # One platform without attestations has no index.
            there = image.manifests or dict.fromkeys(mine, image.digest)
            said = {p: source.manifest(d).content.marks.get(ANNOTATION) for p, d in there.items()}
            if said != mine:
                return None
            return Built(
                target.name,
                target.platforms,
                image.digest,
                None,
                location.by_digest(str(name), image.digest),
                since=PUBLISHED,
            )
        return None


def cannot_be_skipped(target: TargetPlan) -> str:
    """Return why a target is built each time, as far as its declaration says; ``""``: it need not be."""
    for attributes in target.spec.builds:
        if attributes.get("ssh"):
            return "what it gets through ssh is not known"
        if attributes.get("no-cache") or attributes.get("no-cache-filter"):
            return "no-cache says to build it anew"
        if attributes.get("call", "build") != "build":
            return "nothing is built"
    for output in target.spec.output:
        kind = output["type"]
        if (
            kind in ("registry", "cacheonly")
            or output.get("push") == "true"
            or output.get("dest") == "-"
        ):
            return _PUSHED
        if kind not in ("image", "docker", "local", "tar", "oci"):
            return f"what output type={kind} leaves is not known"
    return ""


def always_built(workspace: Workspace, plan: Plan) -> dict[str, str]:
    """Return why targets are built each time, as far as files say; the others are left out."""
    standing = Standing(workspace, plan, choice.meant(workspace), asks=False)
    found = outside.unfixed(standing)
    found.update({t.name: why for t in plan.targets if (why := cannot_be_skipped(t))})
    return {target.name: found[target.name] for target in plan.targets if target.name in found}


def destinations(target: TargetPlan) -> list[str]:
    """Return the places of this machine that a target is exported to."""
    return [output["dest"] for output in target.spec.output if "dest" in output]


def _is_ours(target: TargetPlan) -> bool:
    """Say whether a registry may be asked for it: whole, and under a name of the person's own."""
    if not target.is_image or not target.tags or target.is_part or target.spec.output:
        return False
    try:
        name = references.parse(target.tags[0])
    except ValueError:
        return False
    return not (name.registry == references.DOCKER_HUB and name.repository.startswith("library/"))


def facts_of(looked: Looked, targets: Iterable[TargetPlan]) -> dict[str, dict[str, Any]]:
    """Return what the ledger notes of each target besides its build, where nothing changed meanwhile."""
    if not looked.is_still_so:
        return {}
    looked.keep()
    found: dict[str, dict[str, Any]] = {}
    for target in targets:
        its = looked.fingerprints.get(target.name)
        if its:
            prints = {str(platform): one for platform, one in its.items()}
            found[target.name] = {"fingerprints": prints, "by": looked.by}
            if places := destinations(target):
                found[target.name]["exported"] = {d: looked.exported(d) for d in places}
    return found
