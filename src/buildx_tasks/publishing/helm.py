"""A chart of Helm in; its package, the same for the same files, and what its registry form says, out.

Source: https://helm.sh/docs/topics/registries/, https://helm.sh/docs/topics/charts/
"""

from __future__ import annotations

import fnmatch
import io
import re
import struct
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.images import tars
from buildx_tasks.images.artifacts import HELM
from buildx_tasks.language.semver import VERSION
from buildx_tasks.machine import yaml_files
from buildx_tasks.publishing import parts
from buildx_tasks.text import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.publishing.parts import Part

CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"

_CHART = "Chart.yaml"
_IGNORE = ".helmignore"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_MOST_BYTES = 100_000_000  # of a chart: Helm itself takes 20 MB
_MOST_FILES = 10_000
# In the order that Helm writes them in; it leaves out what is empty, and what it does not know.
_FIELDS = (
    "name home sources version description keywords maintainers icon apiVersion condition tags "
    "appVersion deprecated annotations kubeVersion dependencies type"
).split()
_ANNOTATION = "org.opencontainers.image."


class Chart(NamedTuple):
    """A packed chart; ``tag`` is its version as a tag, which cannot have a plus sign."""

    name: str
    version: str
    config: Part
    layers: tuple[Part, ...]
    annotations: dict[str, str]

    @property
    def tag(self) -> str:
        """The tag that Helm gives to its version."""
        return self.version.replace("+", "_")


def packed(root: Path, path: str) -> Chart:
    """Return the chart at a path of the project: a folder, or the package of one.

    Raises:
        ConfigError: its Chart.yaml says what cannot be; with its line.
        ValueError: it is no chart, or cannot be read; says why.
        OSError: a file of it cannot be read.

    """
    place = root / path
    if place.is_dir():
        if not (place / _CHART).is_file():
            raise ValueError(f"it has no {_CHART}, so it is no chart of Helm; correct the path")
        said = yaml_files.read(root, str(PurePosixPath(path) / _CHART))
        data = None
        provenance = b""
    else:
        data = place.read_bytes()
        text, inside = _from_package(data)
        said = yaml_files.parsed(text, f"{path}: {inside}")
        beside = place.with_name(f"{place.name}.prov")
        provenance = beside.read_bytes() if beside.is_file() else b""
    metadata = _metadata(said)
    name, version = metadata["name"], metadata["version"]
    if data is None:
        _require_dependencies(place, said)
        data = _package(root, place, name)
    layers = [parts.of_bytes(CONTENT, data)]
    if provenance:
        layers.append(parts.of_bytes(PROVENANCE, provenance))
    config = parts.of_bytes(HELM, json_line(metadata).encode())
    return Chart(name, version, config, tuple(layers), _annotations(metadata))


def _metadata(said: yaml_files.Value) -> dict[str, Any]:
    """Return what Chart.yaml says, as Helm keeps it in a registry."""
    if not isinstance(said.of, dict):
        raise said.fault("a chart says its name and version here; write them")
    for key in ("apiVersion", "name", "version"):
        if not said.of.get(key) or not said.of[key].written:
            raise said.fault(f'it has no "{key}"; add it')
    version = said.of["version"]
    if said.of["apiVersion"].written not in ("v1", "v2"):
        raise said.of["apiVersion"].fault("apiVersion is v1 or v2; write v2")
    if not _NAME.fullmatch(said.of["name"].written):
        raise said.of["name"].fault(
            "a chart's name has letters, digits, dots and dashes; correct it"
        )
    if not VERSION.fullmatch(version.written):
        raise version.fault(f'"{version.written}" is no version; write one as in 1.2.0')
    sources = said.of.get("sources")
    if sources and not isinstance(sources.of, list):
        raise sources.fault("sources is a list of addresses; write it as one")
    plain = said.plain()
    texts = ("name", "version", "apiVersion", "appVersion", "kubeVersion", "description")
    plain.update({key: said.of[key].written for key in texts if said.of.get(key)})
    return {key: plain[key] for key in _FIELDS if plain.get(key)}


def _require_dependencies(place: Path, said: yaml_files.Value) -> None:
    """Raise where a dependency is not in the chart: who installs it would lack it."""
    listed = said.of.get("dependencies")
    for one in listed.items("dependencies") if listed else ():
        name = one.of.get("name") if isinstance(one.of, dict) else None
        if name is None or not _NAME.fullmatch(name.written):
            raise one.fault(
                "a dependency has a name, of letters, digits, dots and dashes; write it"
            )
        folder = place / "charts"
        if not (folder / name.written).is_dir() and not list(folder.glob(f"{name.written}-*.tgz")):
            raise name.fault(
                f"{name.written} is not in the chart's charts/; run helm dependency build"
            )


def _annotations(metadata: dict[str, Any]) -> dict[str, str]:
    """Return the annotations that Helm writes, but the time."""
    found = {
        "title": metadata["name"],
        "version": metadata["version"],
        "description": metadata.get("description"),
        "url": metadata.get("home"),
        "source": next(iter(metadata.get("sources") or ()), None),
    }
    return {f"{_ANNOTATION}{key}": str(value) for key, value in found.items() if value}


def _from_package(data: bytes) -> tuple[str, str]:
    """Return the text of a package's Chart.yaml, and its path in it."""
    try:
        unpacked: Any = tars.Unpacked(iter([data]), len(data))
        with tars.streamed(unpacked) as archive:
            for info in tars.members(archive):
                path = PurePosixPath(info.name)
                if len(path.parts) == 2 and path.name == _CHART and info.isreg():
                    file = archive.extractfile(info)
                    return (file.read(1_000_000) if file else b"").decode("utf-8"), str(path)
    except (*tars.FAULTS, UnicodeDecodeError) as error:
        raise ValueError(f"it is no package of a chart: {error}; write its folder") from None
    raise ValueError(f"it holds no {_CHART}, so it is no chart of Helm; correct the path")


def _package(root: Path, place: Path, name: str) -> bytes:
    """Return the package of a folder: no times, no owners, one order, and so the same bytes each time."""
    out = io.BytesIO()
    held = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, (relative, path) in enumerate(_files(root, place)):
            data = path.read_bytes()
            held += len(data)
            if held > _MOST_BYTES or number >= _MOST_FILES:
                raise ValueError(
                    f"it has more than {_MOST_FILES} files or {_MOST_BYTES} bytes; "
                    f"leave out what no chart needs with {_IGNORE}"
                )
            info = tarfile.TarInfo(f"{name}/{relative}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return _gzipped(out.getvalue())


def _gzipped(data: bytes) -> bytes:
    """Return data as gzip, not made smaller: how small it gets depends on the library of the machine.

    Source: https://www.rfc-editor.org/rfc/rfc1951#page-11
    """
    out = bytearray(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
    blocks = [data[at : at + 0xFFFF] for at in range(0, len(data), 0xFFFF)] or [b""]
    for number, block in enumerate(blocks, 1):
        out += struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF) + block
    return bytes(out + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))


def _files(root: Path, place: Path) -> Iterator[tuple[str, Path]]:
    """Give the files of a chart in one order, each with its path in it, links followed."""
    ignored = _Ignored((place / _IGNORE).read_text("utf-8") if (place / _IGNORE).exists() else "")
    found: dict[str, Path] = {}

    def look(folder: Path, above: str, depth: int) -> None:
        if depth > 40:
            raise ValueError(f"{above} leads into itself; remove the link")
        for path in folder.iterdir():
            relative = f"{above}{path.name}"
            if ignored(relative, is_folder=path.is_dir()):
                continue
            if not path.resolve().is_relative_to(root.resolve()):
                raise ValueError(
                    f"{relative} leads out of the project's folder; copy what it needs"
                )
            if path.is_dir():
                look(path, f"{relative}/", depth + 1)
            else:
                found[relative] = path

    look(place, "", 0)
    first = found.pop(_CHART, None)
    if first is None:
        raise ValueError(
            f"{_IGNORE} leaves out {_CHART}: a rule with ! leaves out all else; correct it"
        )
    yield _CHART, first
    yield from sorted(found.items())


class _Ignored:
    """What ``.helmignore`` leaves out.

    Source: https://helm.sh/docs/chart_template_guide/helm_ignore_file/
    """

    def __init__(self, text: str) -> None:
        # Helm's own rule, besides those of a person.
        lines = ["templates/.?*", *map(str.strip, text.splitlines())]
        self._rules = [line for line in lines if line and not line.startswith("#")]
        for rule in self._rules:
            if "**" in rule:
                raise ValueError(f'{_IGNORE}: Helm knows no "**", as in "{rule}"; correct it')

    def __call__(self, path: str, *, is_folder: bool) -> bool:
        for rule in self._rules:
            pattern = rule.removeprefix("!")
            only_folders = pattern.endswith("/")
            pattern = pattern.rstrip("/")
            hit = not (only_folders and not is_folder) and _fits(pattern, path)
            # As Helm has it: what a rule with ! does not fit is left out.
            if rule.startswith("!") and not only_folders:
                hit = not hit
            if hit:
                return True
        return False


def _fits(pattern: str, path: str) -> bool:
    if pattern.startswith("/"):
        return _matches(pattern[1:], path)
    if "/" in pattern:
        return _matches(pattern, path)
    return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)


def _matches(pattern: str, path: str) -> bool:
    wanted, there = pattern.split("/"), path.split("/")
    return len(wanted) == len(there) and all(map(fnmatch.fnmatchcase, there, wanted))
