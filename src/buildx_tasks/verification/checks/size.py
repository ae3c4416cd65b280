"""``size``: how big a platform's image is: to be pulled, unpacked, and since it was pushed last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple, TypeVar

from buildx_tasks import sizes
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.errors import EngineError, MissingError, RegistryError
from buildx_tasks.images import published, store
from buildx_tasks.images.layers import instruction
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.images.image import Image
    from buildx_tasks.images.layers import Layer
    from buildx_tasks.language import expectations
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.verification.check import Subject

Said = TypeVar("Said")

_MOST_SECONDS = 30  # for an answer of the registry
_BIGGEST = 3  # layers that a problem names
_CLASSIC = (
    "not known: the classic image store compresses layers only when they are pushed; "
    "use the containerd image store, or expect unpacked"
)


class Last(NamedTuple):
    """The compressed bytes of the last push, 0 where there was none, or where it is not known.

    ``fault`` says why it is not known though there may have been one.
    """

    size: int
    unknown: bool = False
    fault: str = ""


_NOTHING = Last(0, unknown=True)


def check(subject: Subject, spec: expectations.Size) -> Found:
    """Compare the sizes that ``spec`` names.

    ``compressed`` is the sum of the layers in the platform's manifest. ``unpacked`` is what the
    engine counts for its files: whole blocks of the disc in the containerd store, where a container
    is created (and not started) if the platform is not unpacked yet. ``growth`` compares with the
    ledger's last push of the target; where it has none, with what the registry holds under one of
    the target's tags, or the version before. A registry without the image is no problem, one that
    does not say is one.

    Raises:
        EngineError: the image is gone from the engine.
        faults.api_errors: the engine refuses.

    """
    layers = store.content(subject.engine, subject.image, subject.platform).layers
    compressed = None if layers is None else sum(layer.size for layer in layers)
    problems, unpacked = [], 0
    try:
        unpacked = _unpacked(subject, needed=spec.unpacked is not None)
    except RefusedError as refused:
        problems.append(f"unpacked: {refused}")
    last = _last(subject, asked=spec.growth is not None)
    problems += compare(spec, compressed, unpacked, last, biggest(layers or ()))
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
    if last.fault:
        yield (
            f"growth: the last push is not known ({last.fault}); see to it that the registry "
            "answers (docker login, where it wants that), and verify again"
        )
    elif compressed > last.size * (1 + spec.growth / 100):
        yield (
            f"growth: {_percent(compressed, last)} since the last push ({sizes.text(last.size)}, now "
            f"{sizes.text(compressed)} compressed), at most {spec.growth:g} % allowed{layers}"
        )


def text_of(compressed: int) -> str:
    """Return the fact about a size, as in ``3.2 MB compressed``."""
    return f"{sizes.text(compressed)} compressed"


def biggest(layers: Sequence[Layer]) -> str:
    """Return ``; biggest layers: 8.1 MB COPY . /app, …``: where there is something to save."""
    listed = sorted(layers, key=lambda layer: -layer.size)[:_BIGGEST]
    texts = [f"{sizes.text(layer.size)} {instruction(layer.made_by)}".strip() for layer in listed]
    return f"; biggest layers: {', '.join(texts)}" if texts else ""


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
        parts.append(text_of(compressed))
    if unpacked:
        parts.append(f"{sizes.text(unpacked)} unpacked")
    if compressed is not None and not (last.unknown or last.fault):
        parts.append(f"{_percent(compressed, last)} since the last push")
    if parts:
        yield ", ".join(parts)
    if compressed is not None and spec.growth is not None and last.unknown:
        yield "nothing pushed yet: growth is not known"


def _unpacked(subject: Subject, *, needed: bool) -> int:
    """Return the engine's number; 0 where the platform is not unpacked, and need not be."""
    engine, image, platform = subject.engine, subject.image, subject.platform
    size = store.unpacked(engine, image, platform)
    if size or not needed:
        return size
    # Creating a container unpacks the image; never started, so that any command will do.
    with subject.created(["-"]):
        return store.unpacked(engine, image, platform)


def _last(subject: Subject, *, asked: bool) -> Last:
    """Return the size at the last push; a registry is asked only where growth matters."""
    platform = subject.platform
    pushed = [
        entry
        for entry in subject.session.workspace.ledger.read()
        if entry["event"] == "pushed" and entry["target"] == subject.target.name
        if entry["digest"] != subject.image.digest
    ]
    recorded = pushed[-1].get("sizes", {}) if pushed else {}
    if str(platform) in recorded:
        return Last(int(recorded[str(platform)]))
    if not asked or not subject.target.spec.tags:
        return _NOTHING
    return _published(subject)


def _published(subject: Subject) -> Last:
    """Return what the registry says: asked once for each target, and once for each platform."""
    tag, platform = subject.target.spec.tags[0], subject.platform
    session = subject.session

    def within(name: str) -> Repository:
        return session.workspace.registries.of(name).within(_MOST_SECONDS)

    held = session.once(
        tag, lambda: _said(lambda: published.newest(within, subject.target.spec.tags))
    )
    if isinstance(held, Last):
        return held
    if held.config and subject.target.declared == (platform,):
        # No index: it is that platform's.
        held = held._replace(manifests={platform: held.digest})
    if platform not in held.manifests:
        return _NOTHING
    only = held._replace(manifests={platform: held.manifests[platform]})
    found = session.once((tag, platform), lambda: _said(lambda: _compressed(within(tag), only)))
    return found if isinstance(found, Last) else Last(found[platform])


def _compressed(repository: Repository, image: Image) -> dict[Platform, int]:
    return published.compressed(RepositorySource(repository), image)


def _said(ask: Callable[[], Said]) -> Said | Last:
    try:
        return ask()
    except MissingError:
        return _NOTHING
    except (EngineError, RegistryError) as error:
        return Last(0, fault=printable(str(error)))
