"""What a file comes to: targets, groups and builder, worked out and frozen."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks.errors import ConfigError
from buildx_tasks.language.auditing import Audit
from buildx_tasks.language.caching import Caches
from buildx_tasks.language.locking import Lock
from buildx_tasks.language.shipping import Ci
from buildx_tasks.language.skipping import Skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.language.artifacts import Artifact
    from buildx_tasks.language.config import Builder, Emulators, Group
    from buildx_tasks.language.expectations import Verify
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.tables import Places
    from buildx_tasks.platforms import Platform

DEFAULT = "default"  # bake's name for what is built when nothing is selected
NO_TARGET = "no [target.NAME] is declared; add one with platforms and tags"
LINK = "target:"  # how the context begins that is another target's result


class Target(NamedTuple):
    """One target, worked out.

    ``attributes`` are bake's, in the form of ``bake --print``; ``overrides`` holds, for each platform
    that has some, all attributes of that platform's build; ``files`` maps each platform to the files
    offered to it: name → path from the project's folder; ``lint_ignore`` holds codes not reported,
    ``immutable`` globs of tags that never move, ``sign`` cosign's key or True, ``drop`` the platforms
    that a tag may lose; ``is_based`` asks for labels that name its base; ``mirrors`` are further
    repositories, ``optional`` the platforms that an image may lack, each with the reason; ``verdicts``
    says whether they are attached, None for where the registry lists what is attached; ``attach`` are
    paths of files that are attached, with placeholders, by names of a person's own.
    """

    attributes: Attributes
    verify: Verify | None = None
    files: dict[Platform, dict[str, str]] = {}  # noqa: RUF012 - never written to
    overrides: dict[Platform, Attributes] = {}  # noqa: RUF012 - never written to
    lint_ignore: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    sign: bool | str = False
    drop: tuple[Platform, ...] = ()
    is_based: bool = False
    mirrors: tuple[str, ...] = ()
    optional: dict[Platform, str] = {}  # noqa: RUF012 - never written to
    verdicts: bool | None = None
    attach: dict[str, str] = {}  # noqa: RUF012 - never written to

    @property
    def tags(self) -> list[str]:
        """Image references; the first one names the image."""
        return list(self.attributes.get("tags", ()))

    @property
    def platforms(self) -> list[str]:
        """Platforms as they were written; empty for this machine's own."""
        return list(self.attributes.get("platforms", ()))

    @property
    def output(self) -> list[dict[str, str]]:
        """Exports; empty for the image store."""
        return list(self.attributes.get("output", ()))

    @property
    def description(self) -> str | None:
        """One line for people."""
        return self.attributes.get("description")

    @property
    def builds(self) -> tuple[Attributes, ...]:
        """The attributes of every build that the target needs."""
        return (self.attributes, *self.overrides.values())


class Config(NamedTuple):
    """What a file comes to; a matrix is a group of its targets."""

    target: dict[str, Target]
    group: dict[str, Group]
    builder: Builder | None
    emulators: Emulators
    places: Places | None = None
    lock: Lock = Lock()
    skip: Skip = Skip()
    ci: Ci = Ci()
    cache: Caches = Caches()
    artifact: Mapping[str, Artifact] = MappingProxyType({})
    audit: Audit = Audit()

    def artifact_error(self, name: str, message: str, *steps: Any) -> ConfigError:
        """Return the error about an artifact's value, with its place where the files are known."""
        if self.places and name in self.artifact:
            return self.places.fail(("artifact", name, *steps), message)
        return ConfigError(message)

    def error(self, name: str, message: str, *steps: Any) -> ConfigError:
        """Return the error about a target's value, with its place where the files are known."""
        if self.places and name in self.places.tables.targets:
            return self.places.error(name, message, *steps)
        return ConfigError(message)

    def error_in(
        self, name: str, message: str, key: str, wanted: Callable[[Any], bool]
    ) -> ConfigError:
        """Return the error about the ``wanted`` entry in a list of a target, as :meth:`error` does."""
        if self.places and name in self.places.tables.targets:
            return self.places.error_in(name, message, key, wanted)
        return ConfigError(message)


def links(target: Target) -> dict[str, str]:
    """Return the targets that a target builds on: key in its table → name after ``target:``."""
    if not (target.files or target.overrides or "contexts" in target.attributes):
        return {}
    found = {
        f"contexts.{key}": value[len(LINK) :]
        for attributes in target.builds
        for key, value in attributes.get("contexts", {}).items()
        if value.startswith(LINK)
    }
    for platform, files in target.files.items():
        for path in files.values():
            if path.startswith(LINK):
                found[f"files.{platform}"] = path[len(LINK) :].partition("/")[0]
    return found


def default(targets: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Return what is meant where nothing is selected: ``default``, or all that is not ``_hidden``."""
    if DEFAULT in {*targets, *groups}:
        return [DEFAULT]
    return [name for name in targets if not name.startswith("_")]


def members(groups: Mapping[str, Group], names: Iterable[str]) -> list[str]:
    """Return the targets that the names (of targets and groups) stand for, each once."""
    found: dict[str, None] = {}
    for name in names:
        if name in groups:
            found.update(dict.fromkeys(members(groups, groups[name].targets)))
        else:
            found[name] = None
    return list(found)


def cycle(graph: dict[str, list[str]], start: str) -> str:
    """Return the way from ``start`` back to ``start`` as ``a → b → a``, or ``""``."""
    trail: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while trail:
        way = trail.pop()
        for following in graph.get(way[-1], []):
            if following == start:
                return " → ".join((*way, start))
            if following not in seen:
                seen.add(following)
                trail.append((*way, following))
    return ""


def files_helper(name: str) -> str:
    """Return the name of the helper that holds a target's files."""
    return f"{name}--files"


def platform_helper(name: str, platform: Platform) -> str:
    """Return the name of the helper that is a target's build for one platform."""
    return f"{name}--{dashed(platform)}"


def dashed(platform: Platform) -> str:
    """Return a platform as a part of names: ``linux-arm-v7``."""
    return str(platform).replace("/", "-").replace(".", "-")


def helper_names(target: Target, name: str, declared: Iterable[Platform]) -> list[str]:
    """Return all names that a target's helpers can have."""
    names = [files_helper(name)] if target.files else []
    if target.overrides:
        names += [platform_helper(name, platform) for platform in declared]
    return names
