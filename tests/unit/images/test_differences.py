"""What was built beside what is published, platform by platform."""

from __future__ import annotations

import pytest

from buildx_tasks.images import differences
from buildx_tasks.images.differences import Difference, Sized, alone, compared, growth_text
from buildx_tasks.images.image import Image
from buildx_tasks.platforms import parse

AMD64, ARM64, RISCV = map(parse, ("linux/amd64", "linux/arm64", "linux/riscv64"))


def sized(reference: str, *, is_part: bool = False, **platforms: tuple[str, int]) -> Sized:
    found = {parse(f"linux/{name}"): value for name, value in platforms.items()}
    manifests = {platform: digest for platform, (digest, _) in found.items()}
    image = Image(reference, "sha256:index", manifests, is_part=is_part)
    return Sized(image, {platform: size for platform, (_, size) in found.items()})


def test_each_platform_of_either_has_a_row() -> None:
    here = sized("app:v2", amd64=("sha256:1", 1000), arm64=("sha256:2", 2400))
    there = sized("app:v1", arm64=("sha256:3", 2000), riscv64=("sha256:4", 5))
    new, grown, gone = compared("app", here, there)
    assert (new.id, new.remark, new.growth) == (
        "app@linux/amd64",
        differences.NOT_PUBLISHED,
        None,
    )
    assert (grown.growth, grown.is_same, grown.remark) == (400, False, "")
    assert (gone.platform, gone.digest, gone.remark) == (RISCV, "", differences.NOT_BUILT)
    assert {one.reference for one in (new, grown, gone)} == {"app:v1"}


def test_a_part_is_compared_with_its_own_platforms() -> None:
    here = sized("app:v2", is_part=True, arm64=("sha256:2", 2000))
    there = sized("app:v1", amd64=("sha256:1", 1), arm64=("sha256:2", 2000))
    (only,) = compared("app", here, there)
    assert only.is_same
    assert growth_text(only) == "0 B"


def test_what_has_nothing_beside_it_says_why() -> None:
    (one,) = alone("app", sized("app:v1", arm64=("sha256:2", 7)), "no answer", is_fault=True)
    assert one == Difference("app", ARM64, "sha256:2", 7, remark="no answer", is_fault=True)


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (2_400_000, 2_000_000, "+400.0 kB (+20.0 %)"),
        (900, 1000, "-100 B (-10.0 %)"),
        (5, 0, "+5 B"),
        (5, 5, "0 B"),
        (None, 5, ""),
        (5, None, ""),
    ],
)
def test_growth_in_words(now: int | None, before: int | None, text: str) -> None:
    one = Difference("app", AMD64, "sha256:1", now, "sha256:2", before)
    assert growth_text(one) == text
