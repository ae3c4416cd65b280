"""Tags and OCI labels that follow from git, in the way of the CI metadata actions.

Source of the labels: https://github.com/opencontainers/image-spec/blob/main/annotations.md
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.language import semver
from buildx_tasks.language.git import GitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.language.git import Git

KINDS = ("semver", "semver-minor", "semver-major", "branch", "sha", "latest")

_OF_VERSIONS = frozenset({"semver", "semver-minor", "semver-major", "latest"})
_PREFIX = "org.opencontainers.image."


class Facts(NamedTuple):
    """What git says, as far as tags and labels need it."""

    tags: tuple[str, ...] = ()
    branch: str = ""
    short_commit: str = ""
    dirty: bool = False


def facts(git: Git, kinds: Iterable[str] = KINDS) -> Facts | None:
    """Return the facts that these kinds of tags need; None where there is no commit.

    Raises:
        GitRefusedError: there is a repository, and git does not say them.

    """
    try:
        tags = git.tags() if _OF_VERSIONS.intersection(kinds) else ()
        return Facts(tags, git.get("branch"), git.get("short-commit"), git.get("dirty") == "true")
    except GitError:
        return None


def tags(found: Facts, kinds: Iterable[str]) -> list[str]:
    """Return the tags of the wanted kinds, in the order of :data:`KINDS`, each once."""
    by_kind: dict[str, str] = {}
    mark = "-dirty" if found.dirty else ""
    if found.branch:
        # What a tag cannot hold becomes a dash, as in feature/x → feature-x.
        name = re.sub(r"[^\w.-]+", "-", found.branch, flags=re.ASCII).strip("-.")
        by_kind["branch"] = (name + mark)[:128]
    by_kind["sha"] = f"sha-{found.short_commit}{mark}"
    versions = [match for tag in found.tags if (match := semver.VERSION.fullmatch(tag))]
    if versions and not found.dirty:
        version = versions[0]
        core = f"{version['major']}.{version['minor']}.{version['patch']}"
        by_kind["semver"] = f"{core}-{version['pre']}" if version["pre"] else core
        if not version["pre"]:
            by_kind["semver-minor"] = f"{version['major']}.{version['minor']}"
            if version["major"] != "0":
                by_kind["semver-major"] = version["major"]
            by_kind["latest"] = "latest"
    wanted = set(kinds)
    return list(dict.fromkeys(by_kind[kind] for kind in KINDS if kind in wanted & by_kind.keys()))


def labels(git: Git, version: str) -> Mapping[str, str]:
    """Return the OCI labels; ``created`` is the commit's time, so that a rebuild has the same."""
    found = {
        "created": git.get("commit-date"),
        "revision": git.get("commit"),
        "source": git.get("source"),
        "version": version,
    }
    return {_PREFIX + key: value for key, value in found.items() if value}
