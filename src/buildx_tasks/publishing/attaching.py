"""``[target.NAME.push] attach`` in; a person's own files, read and recognised, to be attached, out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.images import statements
from buildx_tasks.images.artifacts import KEY, TITLE, artifact
from buildx_tasks.images.attestations import PREDICATE
from buildx_tasks.language.placeholders import OF_A_PLATFORM, filled, of_platform
from buildx_tasks.language.targets import dashed
from buildx_tasks.publishing.evidence import MOST, Attachment, subjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.images.graph import Graph
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.workspace import Workspace

# What is not known by what is in it; not mimetypes, which each machine has its own table of.
_BY_NAME = {
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".pem": "application/x-pem-file",
    ".tar": "application/x-tar",
    ".tgz": "application/gzip",
    ".gz": "application/gzip",
    ".txt": "text/plain",
    ".html": "text/html",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}


class Given(NamedTuple):
    """A file to be attached: ``platform`` is whose manifest it is about, None for the index."""

    key: str
    name: str
    data: bytes
    platform: Platform | None


def given(workspace: Workspace, targets: Sequence[TargetPlan]) -> dict[str, tuple[Given, ...]]:
    """Return the files that each target attaches, by its name; all are read here.

    Raises:
        ConfigError: some are not there, are too large, or are outside the project's folder.

    """
    return {target.name: tuple(_of_target(workspace, target)) for target in targets}


def _of_target(workspace: Workspace, target: TargetPlan) -> Iterator[Given]:
    lacking = []
    for key, pattern in target.spec.attach.items():
        for platform, path in _paths(pattern, target):
            try:
                data = _read(workspace.root, path)
            except (OSError, ValueError) as error:
                lacking.append((key, f"{path} ({_words(error)})"))
                continue
            yield Given(key, path.rpartition("/")[2], data, platform)
    if lacking:
        key = lacking[0][0]
        raise workspace.config.error(
            target.name,
            f"what [target.{target.name}.push] attaches cannot be had: "
            f"{', '.join(text for _, text in lacking)}; write the files before the push, or take "
            "them out; nothing was pushed",
            "push",
            "attach",
            key,
        )


def _paths(pattern: str, target: TargetPlan) -> Iterator[tuple[Platform | None, str]]:
    path = filled(pattern, {"target": target.name})
    if not any(f"{{{word}}}" in path for word in OF_A_PLATFORM):
        yield None, path
        return
    for platform in target.declared:
        yield platform, filled(path, {**of_platform(platform), "platform": dashed(platform)})


def _read(root: Path, path: str) -> bytes:
    found = (root / path).resolve()
    if not found.is_relative_to(root.resolve()):
        raise ValueError("outside the project's folder")
    with found.open("rb") as stream:
        data = stream.read(MOST + 1)
    if len(data) > MOST:
        raise ValueError(f"more than {MOST >> 20} MiB")
    return data


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "not there"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def attachments(
    whole: Graph, manifests: Mapping[Platform, str], files: Sequence[Given]
) -> tuple[Attachment, ...]:
    """Return files as what is attached: to each platform's manifest, or to the index."""
    known = subjects(whole)
    found = []
    for one in files:
        digest = whole.root.digest if one.platform is None else manifests.get(one.platform, "")
        if digest in known:  # a platform may be left out on purpose
            kind, more = kind_of(one.data, one.name)
            marks = {TITLE: one.name, KEY: one.key, **more}
            found.append(Attachment(artifact(kind, one.data, known[digest], marks)))
    return tuple(found)


def kind_of(data: bytes, name: str) -> tuple[str, dict[str, str]]:
    """Return the media type of a file, and annotations that tell more: by its content, then its name."""
    start = data[:2048].lstrip()
    if start.startswith(b"{"):
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and (known := _of_json(content)):
            predicate = content.get("predicateType")
            is_statement = known == statements.TYPE and isinstance(predicate, str)
            return known, {PREDICATE: str(predicate)} if is_statement else {}
    if start.startswith(b"<") and b"http://cyclonedx.org/schema/bom" in start:
        return "application/vnd.cyclonedx+xml", {}
    if start.startswith(b"SPDXVersion:"):
        return "text/spdx", {}
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return _BY_NAME.get(suffix, "application/octet-stream"), {}


def _of_json(content: dict[str, Any]) -> str:
    """Return the media type of a known kind of document, ``""`` of any other."""
    context = json.dumps(content.get("@context", ""))
    if str(content.get("spdxVersion", "")).startswith("SPDX-") or "://spdx.org/rdf/3" in context:
        return "application/spdx+json"
    if content.get("bomFormat") == "CycloneDX":
        return "application/vnd.cyclonedx+json"
    if "https://openvex.dev/ns" in context:
        return "application/vnd.openvex+json"
    is_sarif = "sarif" in str(content.get("$schema", "")) or content.get("version") == "2.1.0"
    if is_sarif and isinstance(content.get("runs"), list):
        return "application/sarif+json"
    if content.get("_type") == statements.STATEMENT:
        return statements.TYPE
    return ""


def lines(target: TargetPlan) -> Iterator[str]:
    """Yield what a person could type to attach the same files."""
    for pattern in target.spec.attach.values():
        for platform, path in _paths(pattern, target):
            of = f"the manifest of {platform}" if platform else "REPOSITORY@DIGEST"
            yield f"# attached to {of}, before a tag moves: {path}"
