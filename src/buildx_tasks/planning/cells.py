"""What a plan is made of: targets as selected, and cells, written ``hello@linux/arm64``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import EngineError, UsageError

if TYPE_CHECKING:
    from buildx_tasks.language.targets import Config, Target
    from buildx_tasks.platforms import Platform


_LONGEST_TAG = 128
_MARK = 12  # characters that tell shortened tags apart
_CERTAIN = _LONGEST_TAG - _MARK - 1


class Cell(NamedTuple):
    """One target on one platform."""

    target: str
    platform: Platform

    def __str__(self) -> str:
        return f"{self.target}@{self.platform}"


class TargetPlan(NamedTuple):
    """One target as selected; ``platforms`` is the selected part of ``declared``."""

    name: str
    spec: Target
    platforms: tuple[Platform, ...]
    declared: tuple[Platform, ...]

    @property
    def is_part(self) -> bool:
        """Whether only some of several declared platforms are selected."""
        return 0 < len(self.platforms) < len(self.declared)

    @property
    def tags(self) -> list[str]:
        """The tags that a build of this selection gives: a part never replaces the whole image."""
        if not self.is_part or not self.spec.tags:
            return self.spec.tags
        first = self.spec.tags[0]
        name = first if ":" in first.rpartition("/")[2] else f"{first}:latest"
        repository, _, tag = name.rpartition(":")
        return [f"{repository}:{shortened(f'{tag}-{self.part}')}"]

    @property
    def part(self) -> str:
        """What tells a part from the whole in tags, as in ``part-linux-arm64``."""
        return "-".join(("part", *(part for one in self.platforms for part in one if part)))

    @property
    def is_image(self) -> bool:
        """Whether the build leaves an image in the engine's store (and not just files)."""
        if self.spec.attributes.get("call", "build") != "build":
            return False
        return not self.spec.output or any(map(_lands_in_store, self.spec.output))

    @property
    def is_reproducible(self) -> bool:
        """Whether some check expects that building it again gives the same."""
        verify = self.spec.verify
        return bool(verify and any(table.reproducible for table in (verify, *verify.check)))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The target's selected cells."""
        return tuple(Cell(self.name, platform) for platform in self.platforms)


class Selected(NamedTuple):
    """The selected targets, and those they are built on (``linked``).

    ``selection`` holds the names of targets and groups that were meant.
    """

    config: Config
    selection: tuple[str, ...]
    targets: tuple[TargetPlan, ...]
    linked: tuple[TargetPlan, ...]

    @property
    def images(self) -> tuple[TargetPlan, ...]:
        """The selected targets that leave an image."""
        return tuple(target for target in self.targets if target.is_image)


def _lands_in_store(output: dict[str, str]) -> bool:
    return output["type"] == "image" or (output["type"] == "docker" and "dest" not in output)


def shortened(tag: str) -> str:
    """Return a tag that is as long as one may be; one that is cut is still not another's."""
    if len(tag) <= _LONGEST_TAG:
        return tag
    mark = hashlib.sha256(tag.encode()).hexdigest()[:_MARK]
    return f"{tag[:_CERTAIN]}-{mark}"


def certain(beginning: str) -> str:
    """Return how each tag begins that a longer text comes to, shortened or not."""
    return beginning[:_CERTAIN]


def reference_of(target: TargetPlan) -> str:
    """Return the tag under which the target's image is found.

    Raises:
        UsageError: the target has no tag, or makes no image.

    """
    if not target.is_image:
        raise UsageError(
            f'target "{target.name}" exports files and leaves no image: nothing to run or push'
        )
    if not target.spec.tags:
        raise UsageError(
            f'target "{target.name}" has no tags, so its image cannot be found; '
            f'add tags = ["{target.name}:dev"]'
        )
    return target.spec.tags[0]


def not_built(target: TargetPlan) -> EngineError:
    """Return the error about a target without its image."""
    return EngineError(f"{reference_of(target)} is not built; run invoke build -t {target.name}")
