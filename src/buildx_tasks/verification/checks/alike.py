"""Two builds of one platform's image, compared: which files differ and how, and what else does."""

from __future__ import annotations

import datetime as dt
import json
import tarfile
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.images import tars
from buildx_tasks.images.archives import REMOVED
from buildx_tasks.images.layers import instruction, layers_of
from buildx_tasks.registry.manifests import Config
from buildx_tasks.text import printable
from buildx_tasks.verification.checks import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from buildx_tasks.images.archives import Archive, File
    from buildx_tasks.images.layers import Layer
    from buildx_tasks.registry.manifests import Content, Manifest
    from buildx_tasks.verification.checks.leftovers import Cause

    Where = Callable[[str], str]

TIME = "modification time"
_CONTENT = "other content"

_MOST_FILES = 10
_MOST_LOOKED = 20  # files whose content is looked into
_MOST_TEXT = 80  # characters of a value


def _nowhere(made_by: str) -> str:  # noqa: ARG001 - as one that knows
    return ""


class Differences(NamedTuple):
    """What is not the same, one line each; ``only_times``: nothing but when files were changed.

    ``forms`` are the media types that differ, which no file's content depends on.
    """

    problems: tuple[str, ...]
    only_times: bool = False
    forms: tuple[str, ...] = ()


class Made(NamedTuple):
    """A file, and the instruction that made it, ``""`` where that is not known."""

    file: File
    by: str = ""


def differences(
    before: Archive, first: str, now: Archive, second: str, where: Where = _nowhere
) -> Differences:
    """Compare the images of two manifests; only layers that differ are read.

    ``where`` says which line made a layer, by its entry of the history. There are none where only the
    manifests' form is another one (media types, the mark that times were rewritten): that is the
    exporter's.
    """
    manifests = before.manifest(first).content, now.manifest(second).content
    configs = [
        archive.config(manifest.config) if manifest.config else Config()
        for archive, manifest in zip((before, now), manifests)
    ]
    layers = [_layers(manifest, config, where) for manifest, config in zip(manifests, configs)]
    wholes = [config.whole for config in configs]
    marks = [manifest.marks for manifest in manifests]
    said = [*of_configs(*wholes), *of_tables("annotation", *marks)]
    changed: tuple[list[Layer], list[Layer]] = ([], [])
    for one, other in zip_longest(*layers):
        if one and other and one.content == other.content:
            if one.digest != other.digest:
                said.append(f"the layer of {one.made_by}: other compression, the same files")
            continue
        for side, layer in zip(changed, (one, other)):
            side.extend([layer] if layer else [])
    files: list[tuple[str, list[str], str]] = []
    causes: list[str] = []
    try:
        files = of_files(_files(before, changed[0]), _files(now, changed[1]))
        causes = list(_causes(files, (before, changed[0]), (now, changed[1])))
        if any(changed) and not files:
            said += _same_files(*changed)
    except tarfile.ReadError as error:
        said += [
            f"the layer of {layer.made_by}: other files; it cannot be read ({printable(str(error))})"
            for layer in changed[1] or changed[0]
        ]
    only_times = bool(files) and not said and all(map(_is_time, files))
    forms = tuple(
        _forms(*(archive.manifest(one) for archive, one in ((before, first), (now, second))))
    )
    return Differences((*_lines(files), *said, *causes), only_times, forms)


def _forms(before: Manifest, now: Manifest) -> Iterator[str]:
    """Give the media types that differ: of manifest, config and layers."""
    for what, types in _types(before).items():
        if (others := _types(now)[what]) != types:
            yield f"media type of {what}: {_cut(others)}, before {_cut(types)}"


def _types(manifest: Manifest) -> dict[str, str]:
    content = manifest.content
    layers = dict.fromkeys(layer.media_type or "none" for layer in content.layers)
    return {
        "the manifest": manifest.media_type,
        "the config": (content.config and content.config.media_type) or "none",
        "layers": ", ".join(layers),
    }


def _causes(
    files: Sequence[tuple[str, list[str], str]],
    before: tuple[Archive, Sequence[Layer]],
    now: tuple[Archive, Sequence[Layer]],
) -> Iterator[str]:
    """Give what is known to differ each time, with what to write, once for each line that made it."""
    changed = [path for path, words, _ in files if any(_CONTENT in word for word in words)]
    wanted = frozenset(changed[:_MOST_LOOKED])
    held = [_contents(*side, wanted) for side in (before, now)]
    found: dict[tuple[Cause, str], list[str]] = {}
    for path, words, made_by in files:
        if all(TIME in word for word in words):
            continue
        if cause := leftovers.cause(path, held[0].get(path), held[1].get(path)):
            found.setdefault((cause, made_by), []).append(path)
    for (cause, made_by), paths in found.items():
        by = f" made by {made_by}" if made_by else ""
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield f"{printable(paths[0])}{more}{by}: {cause.what}; {cause.write}"


def _contents(
    archive: Archive, layers: Sequence[Layer], wanted: frozenset[str]
) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for layer in layers if wanted else ():
        found.update(archive.contents(layer.digest, layer.size, wanted, leftovers.MOST_BYTES))
    return found


def _same_files(before: Sequence[Layer], now: Sequence[Layer]) -> Iterator[str]:
    """Say how layers differ that come to the same files."""
    if len(before) == len(now):
        for layer in now:
            yield f"the layer of {layer.made_by}: the same files, in another order"
        return
    numbers = [len(layers) or "none" for layers in (now, before)]
    names = ", ".join(layer.made_by for layer in now or before)
    yield f"other layers, which come to the same files: {numbers[0]}, before {numbers[1]} ({names})"


def of_files(
    before: Mapping[str, Made], now: Mapping[str, Made]
) -> list[tuple[str, list[str], str]]:
    """Return the paths that differ, each with the differences in words and what made it.

    Those of which only the times differ come last.
    """
    found = []
    for path in sorted({*before, *now}):
        one, other = before.get(path), now.get(path)
        if one and other:
            if words := list(_of_file(one.file, other.file)):
                found.append((path, words, other.by))
        elif other:
            found.append((path, ["only there when built again"], other.by))
        elif one:
            found.append((path, ["not there when built again"], one.by))
    return sorted(found, key=_is_time)


def _of_file(before: File, now: File) -> Iterator[str]:
    if before.kind != now.kind:
        yield f"other type ({now.kind}, before {before.kind})"
        return
    if before.size != now.size:
        yield f"{_CONTENT} ({now.size} bytes, before {before.size})"
    elif before.content != now.content:
        if now.kind == "file":
            yield f"{_CONTENT} (SHA-256 {now.content[:12]}…, before {before.content[:12]}…)"
        else:
            yield f"leads to {now.content}, before to {before.content}"
    if before.mode != now.mode:
        yield f"other mode ({now.mode:04o}, before {before.mode:04o})"
    if before.owner != now.owner:
        yield f"other owner ({now.owner}, before {before.owner})"
    if before.attributes != now.attributes:
        yield "other extended attributes"
    if before.mtime != now.mtime:
        yield f"other {TIME} ({_time(now.mtime)}, before {_time(before.mtime)})"


def _is_time(found: tuple[str, list[str], str]) -> bool:
    return len(found[1]) == 1 and TIME in found[1][0]


def _lines(files: Sequence[tuple[str, list[str], str]]) -> Iterator[str]:
    for path, words, made_by in files[:_MOST_FILES]:
        by = f"; made by {made_by}" if made_by else ""
        yield f"{printable(path)}: {printable(', '.join(words))}{by}"
    if len(files) > _MOST_FILES:
        yield f"… and {len(files) - _MOST_FILES} more files"


def of_configs(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Give the differences of two OCI image configs; those of layers are left to the files.

    Source: https://github.com/opencontainers/image-spec/blob/main/config.md
    """
    parts = [
        {key: value for key, value in one.items() if key not in ("rootfs", "history", "config")}
        for one in (before, now)
    ]
    yield from of_tables("config", *parts)
    yield from of_tables("config", before.get("config") or {}, now.get("config") or {})
    histories: list[list[dict[str, Any]]] = [one.get("history") or [] for one in (before, now)]
    changed = [(a, b) for a, b in zip_longest(*histories, fillvalue={}) if a != b]
    for one, other in changed[:1]:
        what = instruction(other.get("created_by") or one.get("created_by") or "")
        keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        values = [_text({key: step.get(key) for key in keys}) for step in (other, one)]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        yield f"history of {what}: {values[0]}, before {values[1]}{more}"


def of_tables(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Give the keys whose values differ; of lists and tables only what is not in the other one."""
    for key in sorted({*before, *now}):
        one, other = before.get(key), now.get(key)
        if one != other:
            yield f"{what} {printable(key)}: {_text(_own(other, one))}, before {_text(_own(one, other))}"


def _own(value: Any, other: Any) -> Any:
    if isinstance(value, list) and isinstance(other, list):
        return [item for item in value if item not in other] or value
    if isinstance(value, dict) and isinstance(other, dict):
        return {key: item for key, item in value.items() if item != other.get(key)}
    return value


def _text(value: Any) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(text)


def _cut(text: str) -> str:
    return printable(text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…")


def _layers(manifest: Content, config: Config, where: Where) -> list[Layer]:
    """Return an image's layers, each made by the instruction as a person knows it, or by a number."""
    return [
        layer._replace(made_by=_named(layer.made_by, where) or f"number {number}")
        for number, layer in enumerate(layers_of(manifest, config), start=1)
    ]


def _named(made_by: str, where: Where) -> str:
    line = where(made_by) if made_by else ""
    return f"{instruction(made_by)}{f' ({line})' if line else ''}"


def _files(archive: Archive, layers: Sequence[Layer]) -> dict[str, Made]:
    """Return what these layers come to: the last one decides.

    Raises:
        tarfile.ReadError: a layer cannot be read, or there are more paths than memory is for.

    """
    found: dict[str, tuple[int, Made]] = {}
    removed: dict[str, int] = {}
    held = 0
    for number, layer in enumerate(layers):
        for path, file in archive.files(layer.digest, layer.size):
            if path not in found:
                held += 2 * tars.held(path, file.content, *chain(*file.attributes))
                if held > tars.MOST_HELD:
                    raise tarfile.ReadError(f"more than {len(found)} paths, which are not compared")
            if file.kind == REMOVED:
                removed[path] = number
            found[path] = number, Made(file, layer.made_by)
    # What was removed above a path goes for all layers below: a pass over all, not one for each.
    return {
        path: made
        for path, (number, made) in found.items()
        if not removed or all(removed.get(one, -1) < number for one in _above(path))
    }


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
