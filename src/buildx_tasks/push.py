"""Publish the stored images unchanged, and read back what the registry then holds."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import engine, images, ledger, staging
from buildx_tasks.commands import is_dry, run
from buildx_tasks.errors import EngineError, PushError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from invoke import Context

    from buildx_tasks.images import Image
    from buildx_tasks.plan import TargetPlan
    from buildx_tasks.platforms import Platform


_MOST_SECONDS = 30  # for what a registry says of one platform


class Pushed(NamedTuple):
    """One tag that the registry was read back from; ``image`` is what it holds there."""

    target: str
    tag: str
    image: Image


def push(
    c: Context, targets: Sequence[TargetPlan], root: Path, done: Callable[[Pushed], None]
) -> list[Pushed]:
    """Push all tags of the targets, then compare each with what the engine holds.

    Every image is looked at before the first tag moves; ``done`` is called for each tag.

    Raises:
        EngineError: an image is not built, or lacks a declared platform.
        PushError: a push failed, or the registry holds something else.

    """
    tags = [(target, tag) for target in targets for tag in _tags(target)]
    waiting = {target.name: staging.reference(root, target) for target in targets}
    if is_dry(c):
        for target, tag in tags:
            run(c, _command(tag, waiting[target.name], watched=True), folder=root)
        return []
    local = _local_images([pair for pair in tags if not waiting[pair[0].name]])
    for target, tag in tags:
        if waiting[target.name]:
            local[tag] = _whole(target, images.published(c, waiting[target.name]))
    pushed: list[Pushed] = []
    sizes: dict[str, dict[Platform, int]] = {}  # by digest
    for target, tag in tags:
        # A terminal shows docker's progress; a log gets what the registry answered, and no more.
        watched = sys.stdout.isatty() and sys.stdin.isatty()
        argv = _command(tag, waiting[target.name], watched=watched)
        result = run(c, argv, folder=root, tty=watched, hide=not watched)
        if not result.ok:
            reason = "docker says why above" if watched else result.stderr.strip()
            raise PushError(
                f"{tag} could not be pushed: {reason}; "
                f"pushed before it: {', '.join(item.tag for item in pushed) or 'nothing'}"
            )
        pushed.append(_read_back(c, target, tag, local[tag]))
        digest = pushed[-1].image.digest
        if digest not in sizes:
            stored = digest == local[tag].digest and not waiting[target.name]
            sizes[digest] = _sizes(c, pushed[-1], stored=stored)
        ledger.record(root, "pushed", [_entry(pushed[-1], sizes[digest])])
        done(pushed[-1])
    return pushed


def _command(tag: str, waiting: str, *, watched: bool) -> list[str]:
    """Return the command that gives the tag to what was built: pushed, or copied in the registry."""
    if waiting:
        # Without the option, an image of one platform would get an index, and another digest.
        copy = ["docker", "buildx", "imagetools", "create", "--prefer-index=false"]
        return [*copy, "--tag", tag, waiting]
    return ["docker", "push", *([] if watched else ["--quiet"]), tag]


def _whole(target: TargetPlan, image: Image) -> Image:
    missing = [str(p) for p in target.declared if p not in image.manifests]
    if missing:
        raise EngineError(
            f"{image.reference} lacks {', '.join(missing)} (built with -p?), and would replace a "
            f"whole image by a part; run invoke build -t {target.name}"
        )
    return image


def _tags(target: TargetPlan) -> list[str]:
    images.reference_of(target)
    return target.spec.tags


def _local_images(tags: Sequence[tuple[TargetPlan, str]]) -> dict[str, Image]:
    client = engine.connect()
    if any(len(target.declared) > 1 for target, _ in tags):
        engine.require_containerd_store(client.info(), "push several platforms under one tag")
    found = {}
    for target, tag in tags:
        image = images.stored(client, tag)
        if image is None:
            raise EngineError(f"{tag} is not built; run invoke build -t {target.name}")
        found[tag] = _whole(target, image)
    return found


def _read_back(c: Context, target: TargetPlan, tag: str, local: Image) -> Pushed:
    try:
        remote = images.published(c, tag)
    except EngineError as error:
        raise PushError(f"{tag} was pushed, but {error}") from None
    # The classic store knows an image by its config's digest.
    if local.digest not in (remote.digest, remote.config):
        raise PushError(
            f"{tag}: the registry holds {remote.digest}, pushed was {local.digest}; "
            "somebody else pushed this tag meanwhile, or the registry rewrites images; push again"
        )
    if not remote.manifests:
        remote = remote._replace(manifests=dict.fromkeys(local.manifests, remote.digest))
    return Pushed(target.name, tag, remote)


def _sizes(c: Context, item: Pushed, *, stored: bool) -> dict[Platform, int]:
    """Return what later images are compared with (see checks.size), of the platforms that can be read.

    The push has happened: one that cannot be read is no fault of it.
    """
    from requests.exceptions import RequestException

    if stored:
        # A registry is asked by one command for each platform; this takes milliseconds.
        with suppress(EngineError, RequestException):
            return images.compressed(item.image, images.in_store(engine.connect()))
    read = images.in_registry(c, item.tag, _MOST_SECONDS)
    found: dict[Platform, int] = {}
    for platform, digest in item.image.manifests.items():
        with suppress(EngineError):
            found.update(images.compressed(item.image._replace(manifests={platform: digest}), read))
    return found


def _entry(item: Pushed, sizes: dict[Platform, int]) -> dict[str, object]:
    return {
        "target": item.target,
        "tag": item.tag,
        "digest": item.image.digest,
        "sizes": {str(platform): size for platform, size in sizes.items()},
    }
