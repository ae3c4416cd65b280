"""An image as it was built and as it is published in; by platform how they differ, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.images.image import Image
    from buildx_tasks.platforms import Platform

NOT_BUILT = "not built"
NOT_PUBLISHED = "not published yet"


class Difference(NamedTuple):
    """One platform of a target's image, as it is here and as it is published.

    Sizes are compressed bytes, None where they are not known. ``reference`` is what it is compared with,
    ``""`` where there is nothing; then ``remark`` says why, and ``is_fault`` that nobody could tell.
    """

    target: str
    platform: Platform
    digest: str = ""
    size: int | None = None
    published_digest: str = ""
    published_size: int | None = None
    reference: str = ""
    remark: str = ""
    is_fault: bool = False

    @property
    def id(self) -> str:
        """The cell, as in ``hello@linux/arm64``."""
        return f"{self.target}@{self.platform}"

    @property
    def is_same(self) -> bool:
        """Whether it is published as it is."""
        return bool(self.digest) and self.digest == self.published_digest

    @property
    def growth(self) -> int | None:
        """How many bytes more it has than what is published; None where that is not known."""
        if self.size is None or self.published_size is None:
            return None
        return self.size - self.published_size


class Sized(NamedTuple):
    """An image, and the compressed bytes of its platforms, as far as they are known."""

    image: Image
    sizes: Mapping[Platform, int]


def compared(target: str, here: Sized, there: Sized) -> Iterator[Difference]:
    """Yield how each platform differs, those that only one has too; a part's are its own alone."""
    now, before = here.image.manifests, there.image.manifests
    for platform in sorted({*now, *(() if here.image.is_part else before)}):
        remark = "" if platform in before else NOT_PUBLISHED
        yield Difference(
            target,
            platform,
            now.get(platform, ""),
            here.sizes.get(platform),
            before.get(platform, ""),
            there.sizes.get(platform),
            there.image.reference,
            remark if platform in now else NOT_BUILT,
        )


def alone(target: str, here: Sized, why: str, *, is_fault: bool = False) -> Iterator[Difference]:
    """Yield the platforms of an image that there is nothing to compare with, and why."""
    for platform, digest in sorted(here.image.manifests.items()):
        size = here.sizes.get(platform)
        yield Difference(target, platform, digest, size, remark=why, is_fault=is_fault)


def growth_text(one: Difference) -> str:
    """Return how much bigger it is, as in ``+1.2 MB (+3.4 %)``; ``""`` where that is not known."""
    if one.growth is None:
        return ""
    if not one.growth:
        return "0 B"
    sign = "+" if one.growth > 0 else ""
    share = f" ({one.growth / one.published_size * 100:+.1f} %)" if one.published_size else ""
    return f"{sign}{sizes.text(one.growth)}{share}"
