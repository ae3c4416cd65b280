"""``size``: how big a platform's image is: to be pulled, unpacked, and since it was pushed last."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import images, ledger, sizes
from buildx_tasks.checks import Found
from buildx_tasks.errors import EngineError
from buildx_tasks.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks import expectations
    from buildx_tasks.checks import Subject
    from buildx_tasks.images import Layer

_BIGGEST = 3  # layers that a problem names
_WIDTH = 60  # characters of an instruction that it shows
_CLASSIC = (
    "not known: the classic image store compresses layers only when they are pushed; "
    "use the containerd image store, or expect unpacked"
)
# What the builders put around an instruction, as in `RUN |1 A=b /bin/sh -c make # buildkit`.
_WRAPPED = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\)\s*)?")


class Last(NamedTuple):
    """The compressed bytes of the last push; ``unknown`` says why they are not known (then 0)."""

    size: int
    unknown: str = ""


def check(subject: Subject, spec: expectations.Size) -> Found:
    """Compare the sizes that ``spec`` names.

    ``compressed`` is the sum of the layers in the platform's manifest. ``unpacked`` is what the
    engine counts for its files: whole blocks of the disc in the containerd store, where a container
    is created (and not started) if the platform is not unpacked yet. ``growth`` compares with the
    ledger's last push of the target; where it has none, with what the registry holds under the
    target's first tag.

    Raises:
        EngineError: the image is gone from the engine.
        docker.errors.APIError: the engine refuses.

    """
    layers = images.content(subject.session.client, subject.image, subject.platform).layers
    compressed = None if layers is None else sum(layer.size for layer in layers)
    unpacked = _unpacked(subject, needed=spec.unpacked is not None)
    last = _last(subject, asked=spec.growth is not None)
    problems = list(compare(spec, compressed, unpacked, last, biggest(layers or ())))
    return Found(tuple(problems), tuple(_facts(spec, compressed, unpacked, last)))


def compare(
    spec: expectations.Size, compressed: int | None, unpacked: int, last: Last, layers: str
) -> Iterator[str]:
    """Yield what is too big; ``layers`` says which are the biggest ones.

    ``compressed`` is None where it is not known.
    """
    if compressed is None:
        for name in ("compressed", "growth"):
            if getattr(spec, name) is not None:
                yield f"{name}: {_CLASSIC}"
    elif spec.compressed is not None and compressed > (most := sizes.parse(spec.compressed)):
        yield f"compressed: {_beside(compressed, most)} allowed{layers}"
    if spec.unpacked is not None and unpacked > (most := sizes.parse(spec.unpacked)):
        yield f"unpacked: {_beside(unpacked, most)} allowed{layers}"
    if compressed is None or spec.growth is None or last.unknown:
        return
    if compressed > last.size * (1 + spec.growth / 100):
        yield (
            f"growth: {_percent(compressed, last)} since the last push ({sizes.text(last.size)}, now "
            f"{sizes.text(compressed)} compressed), at most {spec.growth:g} % allowed{layers}"
        )


def biggest(layers: Sequence[Layer]) -> str:
    """Return ``; biggest layers: 8.1 MB COPY . /app, …``: where there is something to save."""
    listed = sorted(layers, key=lambda layer: -layer.size)[:_BIGGEST]
    texts = [f"{sizes.text(layer.size)} {instruction(layer.made_by)}".strip() for layer in listed]
    return f"; biggest layers: {', '.join(texts)}" if texts else ""


def instruction(made_by: str) -> str:
    """Return a history entry's ``created_by`` as it was written, shortened to one short line."""
    text = made_by.partition(" # buildkit")[0]
    wrapped = _WRAPPED.match(text)
    if wrapped:
        text = ("" if wrapped[1] else "RUN ") + text[wrapped.end() :]
    text = shown(" ".join(text.split()))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _beside(actual: int, most: int) -> str:
    texts = [sizes.text(size) for size in (actual, most)]
    if texts[0] == texts[1]:  # as rounded
        texts = [f"{size:,} B" for size in (actual, most)]
    return f"{texts[0]}, at most {texts[1]}"


def _percent(compressed: int, last: Last) -> str:
    # An image without layers has no size at all.
    return f"{(compressed - last.size) / last.size * 100:+.1f} %" if last.size else "from nothing"


def _facts(
    spec: expectations.Size, compressed: int | None, unpacked: int, last: Last
) -> Iterator[str]:
    parts = []
    if compressed is not None:
        parts.append(f"{sizes.text(compressed)} compressed")
    if unpacked:
        parts.append(f"{sizes.text(unpacked)} unpacked")
    if compressed is not None and not last.unknown:
        parts.append(f"{_percent(compressed, last)} since the last push")
    if parts:
        yield ", ".join(parts)
    if compressed is not None and spec.growth is not None and last.unknown:
        yield f"{last.unknown}: growth is not known"


def _unpacked(subject: Subject, *, needed: bool) -> int:
    """Return the engine's number; 0 where the platform is not unpacked, and need not be."""
    client, image, platform = subject.session.client, subject.image, subject.platform
    size = images.unpacked(client, image, platform)
    if size or not needed:
        return size
    # Creating a container unpacks the image; never started, so that any command will do.
    with subject.session.created(subject, ["-"]):
        return images.unpacked(client, image, platform)


def _last(subject: Subject, *, asked: bool) -> Last:
    """Return the size at the last push; a registry is asked only where growth matters."""
    platform = subject.platform
    pushed = [
        entry
        for entry in ledger.read(subject.root)
        if entry["event"] == "pushed" and entry["target"] == subject.target.name
    ]
    recorded = pushed[-1].get("sizes", {}) if pushed else {}
    if str(platform) in recorded:
        return Last(int(recorded[str(platform)]))
    if not asked or not subject.target.spec.tags:
        return Last(0, "nothing pushed yet")
    return _published(subject)


def _published(subject: Subject) -> Last:
    from invoke import Context

    c, tag, platform = Context(), subject.target.spec.tags[0], subject.platform
    try:
        held = images.published(c, tag)
        if held.config and subject.target.declared == (
            platform,
        ):  # no index: it is that platform's
            held = held._replace(manifests={platform: held.digest})
        manifests = {p: digest for p, digest in held.manifests.items() if p == platform}
        found = images.compressed(held._replace(manifests=manifests), images.in_registry(c, tag))
    except EngineError as error:
        # Nothing pushed yet is no failure, and neither is a registry that is not there yet.
        missing = str(error).rstrip().endswith("not found")
        return Last(0, "nothing pushed yet" if missing else shown(str(error)))
    return Last(found[platform]) if platform in found else Last(0, "nothing pushed yet")
