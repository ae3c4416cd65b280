"""Tables → targets: each with ``[defaults]``, the targets it inherits from, and what git says, merged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import msgspec

from buildx_tasks import platforms
from buildx_tasks.dockerfiles.codes import KNOWN_CODES
from buildx_tasks.errors import listed, nearest
from buildx_tasks.language import metadata
from buildx_tasks.language.expectations import Verify
from buildx_tasks.language.git import GitError, GitRefusedError
from buildx_tasks.language.merging import entitled, merge, normalise
from buildx_tasks.language.own import Own, Reader, joined
from buildx_tasks.language.tables import Table, Tables, dotted
from buildx_tasks.language.targets import Target
from buildx_tasks.language.verify_table import same_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.language.git import Git
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.overriding import Overriding
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Fail
    from buildx_tasks.platforms import Platform

# What belongs to the image, and not to the build of one of its platforms.
_OF_THE_IMAGE = frozenset("attest cache-to call description output platforms tags".split())


class Inheritance:
    """Works out targets, each ancestor once."""

    def __init__(
        self,
        tables: Tables,
        git: Git,
        fail: Fail,
        emptied: Callable[[KeyPath], list[str]],
        overriding: Overriding,
    ) -> None:
        self._overriding = overriding
        self._tables = tables
        self._git = git
        self._fail = fail
        self._reader = Reader(fail, emptied)
        self._resolved: dict[str, Own] = {}
        self._defaults = self._reader.own(Table(("defaults",), tables.defaults))

    def target(self, name: str) -> Target:
        """Return one target, worked out.

        Raises:
            ConfigError: a value is impossible, a parent unknown, a chain circular.

        """
        whole = self._resolve(name)
        if self._tables.defaults:
            whole = joined(self._defaults, whole)
        attributes = whole.attributes
        if "metadata" in whole.tables:
            attributes = self._with_metadata(name, attributes, whole.tables["metadata"])
        attributes, own = self._overriding.applied(name, attributes, whole.platform)
        if own is not whole.platform:
            whole = whole._replace(platform=own)
        if not (whole.platform or whole.tables):
            return Target(normalise(attributes))
        declared = {platforms.parse(text): text for text in attributes.get("platforms", ())}
        self._check_platforms(name, attributes, whole)
        lint, push = whole.tables.get("lint", {}), whole.tables.get("push", {})
        ignored = tuple(lint.get("ignore", ()))
        self._check_codes(name, ignored)
        verify = whole.tables.get("verify")
        for steps, message in same_names(verify or {}):  # of several tables together
            raise self._fail(self._tables.place(name, "verify", *steps), message)
        return Target(
            normalise(attributes),
            msgspec.convert(verify, Verify) if verify is not None else None,
            whole.tables.get("files", {}),
            {
                platform: normalise(_one_build(merge(attributes, _one_source(override))))
                for platform, override in whole.platform.items()
            },
            ignored,
            _patterns(push.get("immutable", False)),
            push.get("sign", False),
            self._dropped(name, push.get("drop", ()), declared),
            whole.tables.get("metadata", {}).get("base", False),
            tuple(push.get("mirrors", ())),
            whole.tables.get("optional", {}),
            push.get("verdicts"),
            push.get("attach", {}),
        )

    def _resolve(self, name: str, trail: tuple[str, ...] = ()) -> Own:
        """Return a target's tables merged with those it inherits, without [defaults]."""
        if name in self._resolved:
            return self._resolved[name]
        table = self._tables.targets[name]
        own = self._reader.own(table)
        if "network" in own.attributes:
            own = own._replace(attributes=entitled(own.attributes))
        if not table.parents:
            self._resolved[name] = own
            return own
        merged = Own({}, {}, {})
        for number, parent in enumerate(table.parents):
            where = (*table.path, "inherits", number)
            if parent not in self._tables.targets:
                hint = nearest(parent, self._tables.targets) or "; declare it"
                raise self._fail(
                    where, f'[target.{name}] inherits from unknown target "{parent}"{hint}'
                )
            if parent in (*trail, name):
                chain = [*trail, name]
                way = " → ".join([*chain[chain.index(parent) :], parent])
                raise self._fail(
                    where, f"targets inherit from each other: {way}; remove one of these"
                )
            merged = joined(merged, self._resolve(parent, (*trail, name)))
        whole = joined(merged, own)
        self._resolved[name] = whole._replace(attributes=entitled(whole.attributes))
        return self._resolved[name]

    def _check_platforms(self, name: str, attributes: Attributes, whole: Own) -> None:
        """Refuse overrides for platforms that are not the target's, and platforms that lack files."""
        where = self._tables.targets[name].path
        declared = {platforms.parse(text): text for text in attributes.get("platforms", ())}
        for platform in (*whole.platform, *whole.tables.get("optional", {})):
            if platform not in declared:
                raise self._fail(
                    (*where, "platform", str(platform)),
                    f"[target.{name}] has overrides for {platform}, which is none of its platforms"
                    f"{nearest(str(platform), declared.values())}",
                )
        files: dict[Platform, Any] = whole.tables.get("files", {})
        lacking = [text for platform, text in declared.items() if platform not in files]
        if files and (lacking or not declared):
            raise self._fail(
                (*where, "files"),
                f"[target.{name}.files] has no file for {', '.join(lacking)}; add one"
                if lacking
                else f"[target.{name}] has files but no platforms; declare them",
            )
        if files and "files" in attributes.get("contexts", {}):
            raise self._fail(
                (*where, "contexts", "files"),
                f'[target.{name}] has files and a context called "files"; rename the context',
            )

    def _dropped(
        self, name: str, texts: Iterable[str], declared: Mapping[Platform, str]
    ) -> tuple[Platform, ...]:
        """Return the platforms that tags may lose; one that is still declared is not lost."""
        dropped = tuple(map(platforms.parse, texts))
        for number, platform in enumerate(dropped):
            if platform in declared:
                raise self._fail(
                    self._tables.place(name, "push", "drop", number),
                    f"[target.{name}] declares {platform} and drops it; take it out of platforms, or "
                    "out of drop",
                )
        return dropped

    def _check_codes(self, name: str, ignored: Iterable[str]) -> None:
        for number, code in enumerate(ignored):
            if code not in KNOWN_CODES:
                hint = nearest(code, KNOWN_CODES) or f"; known: {listed(KNOWN_CODES)}"
                raise self._fail(
                    self._tables.place(name, "lint", "ignore", number),
                    f'invoke lint has no code "{code}"{hint}',
                )

    def _with_metadata(self, name: str, attributes: Attributes, data: dict[str, Any]) -> Attributes:
        """Return the attributes with the tags and labels that follow from git."""
        where = (*self._tables.targets[name].path, "metadata")
        kinds = data.get("tags", metadata.KINDS)
        try:
            found = metadata.facts(self._git, kinds)
        except GitRefusedError as error:
            raise self._fail(where, f"no tags can be had from git: {error}") from None
        tags = metadata.tags(found, kinds) if found else []
        if not tags and "fallback" in data:
            tags = [data["fallback"]]
        if not tags:
            why = (
                "there is no git commit here" if not found else "git gives none of the wanted tags"
            )
            raise self._fail(
                where, f'{why}; add fallback = "dev" to [{dotted(where)}], or another kind of tag'
            )
        derived = [f"{image}:{tag}" for image in data["images"] for tag in tags]
        for number, image in enumerate(data["images"]):
            self._reader.check_tag(f"{image}:{tags[0]}", (*where, "images", number))
        base: Attributes = {}
        if found and data.get("labels", True):
            try:
                base["labels"] = metadata.labels(self._git, tags[0])
            except (GitError, GitRefusedError) as error:
                raise self._fail(where, f"{error}; set labels = false") from None
        return {
            **merge(base, attributes),
            "tags": [*attributes.get("tags", []), *derived],
        }


def _one_source(override: Attributes) -> Attributes:
    """Let an override's Dockerfile replace the target's, whichever way each is given."""
    if "dockerfile" in override:
        return {**override, "dockerfile-inline": None}
    return override


def _one_build(attributes: Attributes) -> Attributes:
    """Return what a build of one platform takes of a target."""
    return {key: value for key, value in attributes.items() if key not in _OF_THE_IMAGE}


def _patterns(immutable: bool | list[str]) -> tuple[str, ...]:
    """Return the globs of tags that never move."""
    return tuple(immutable) if isinstance(immutable, list) else ("*",) * immutable
