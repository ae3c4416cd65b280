"""What ``buildx.toml`` may say of publishing, and of machines that build parts: ``push``, ``ci``."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Literal, Optional, Union

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1)]
Texts = list[Text]


class Push(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What ``invoke push`` and ``invoke promote`` keep to."""

    immutable: Annotated[
        Union[bool, Texts],
        Meta(
            description="Tags that never move to another digest, as globs of the part after the colon "
            'as in ["v*"]; true: all'
        ),
    ] = False
    drop: Annotated[
        Texts,
        Meta(
            description="Platforms that a tag may lose, as in linux/arm/v6: any other that its image "
            "has and the new one lacks is refused"
        ),
    ] = []
    mirrors: Annotated[
        Texts,
        Meta(
            description="Further repositories that get the same tags afterwards, as in ghcr.io/org/app; "
            "one that fails is told, and fails no push"
        ),
    ] = []
    attach: Annotated[
        dict[Text, Text],
        Meta(
            description="Files that go out beside the image, by names of your own, as in { sbom = "
            '"sbom-{os}-{arch}.json" }: to each platform where the path has {platform} (with dashes), '
            "{os}, {arch} or {variant}, to the index otherwise; {target} is known too"
        ),
    ] = {}
    verdicts: Annotated[
        Optional[bool],
        Meta(
            description="Attach each platform's verdict to its manifest: true also where a registry "
            "lists no referrers, by a tag sha256-… beside it; default: where it lists them"
        ),
    ] = None
    sign: Annotated[
        Union[bool, Text],
        Meta(
            description="Sign with cosign, by digest, before the tags move: true is keyless; or the "
            "key, a file or an address of a KMS"
        ),
    ] = False


class Cache(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[ci.cache]``: where the jobs of a run keep what they built, each platform of a target apart."""

    type: Annotated[
        Literal["registry", "gha"],
        Meta(description="Where caches are: a registry, or the cache of GitHub Actions"),
    ]
    repository: Annotated[
        Optional[Text],
        Meta(
            description="Repository of caches in a registry, as in ghcr.io/org/cache; default: where "
            "parts wait"
        ),
    ] = None
    mode: Annotated[
        Literal["max", "min"],
        Meta(description="max keeps the layers of all steps, min only those of the image"),
    ] = "max"


class Ci(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[ci]``: where parts of images are built, and where they wait to be joined."""

    runners: Annotated[
        dict[str, Text],
        Meta(
            description='Runner of each platform, as in { "linux/arm64" = "ubuntu-24.04-arm" }; default: '
            "the CI's own that runs it natively, where there is one"
        ),
    ] = {}
    staging: Annotated[
        Optional[Text],
        Meta(
            description="Repository in which parts wait, as in localhost:5000/staging; default: that of "
            "the target's first tag"
        ),
    ] = None
    cache: Annotated[
        Optional[Cache],
        Meta(description="Cache of the jobs of a run, for targets that declare none of their own"),
    ] = None
    install: Annotated[
        Optional[Text],
        Meta(
            description="Shell command that gives a runner invoke and these tasks, in what plan and init "
            "write for a CI; default: with pipx"
        ),
    ] = None
