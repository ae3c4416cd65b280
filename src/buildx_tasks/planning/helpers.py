"""Helper targets: what bake cannot say in one target, said in several of its own.

A target with overrides for single platforms gets one helper for each platform, and becomes an inline
Dockerfile whose stages are those helpers; one with files gets a helper that holds, for each platform,
only that platform's files. Helpers have no tags, cannot be selected, and are named
``TARGET--linux-arm64`` and ``TARGET--files``.
Asked for since 2020: https://github.com/docker/buildx/issues/272, …/792
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from buildx_tasks.language.secrets import effective, source
from buildx_tasks.language.targets import LINK, dashed, files_helper, platform_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.targets import Target
    from buildx_tasks.platforms import Platform

# What belongs to the image as a whole; all else describes the build of one platform.
_WHOLE = frozenset(
    "annotations attest cache-to call description no-cache output platforms pull tags".split()
)
PICKED = "ARG TARGETOS TARGETARCH TARGETVARIANT\nFROM ${TARGETOS}-${TARGETARCH}${TARGETVARIANT}\n"


def with_helpers(
    target: Target, name: str, selected: Mapping[Platform, str]
) -> dict[str, Attributes]:
    """Return the bake targets that a target comes to, by name; the first one is the target itself.

    ``selected`` maps the platforms to build to the way they are written; empty: the builder's own.
    """
    whole = dict(target.attributes)
    if selected:
        whole["platforms"] = list(selected.values())
    found = {name: whole}
    if target.files:
        found[files_helper(name)] = _of_files(target, selected)
        _add_context(whole, "files", LINK + files_helper(name))
    overridden = {p: o for p, o in target.overrides.items() if p in selected}
    if not overridden:
        return found
    shared = {key: value for key, value in whole.items() if key not in _WHOLE}
    for key in ("no-cache", "pull"):
        shared.update({key: whole[key]} if key in whole else {})
    image = {key: value for key, value in whole.items() if key in _WHOLE}
    image["contexts"] = {}
    lines = []
    kinds = {_sources(overridden.get(platform, shared)) for platform in selected}
    for platform, written in selected.items():
        helper = platform_helper(name, platform)
        own = {k: v for k, v in overridden.get(platform, shared).items() if k != "annotations"}
        if target.files:
            _add_context(own, "files", LINK + files_helper(name))
        if len(kinds) > 1:
            # A step that compiles for all platforms is one to BuildKit, which knows it by its hosts
            # and not by its secrets: with secrets of their own they must not share it.
            host = f"secrets-of-{dashed(platform)}.invalid"
            own["extra-hosts"] = {**own.get("extra-hosts", {}), host: "127.0.0.1"}
        found[helper] = {**own, "platforms": [written], "output": [{"type": "cacheonly"}]}
        # A context's name must be in lower case, a target's need not.
        image["contexts"][f"helper-{dashed(platform)}"] = LINK + helper
        lines.append(f"FROM helper-{dashed(platform)} AS {_stage(platform)}\n")
        for annotation in _own_annotations(target, platform):
            image["annotations"] = [*image.get("annotations", []), annotation]
    if "cache-from" in whole:
        image["cache-from"] = whole["cache-from"]
    image["dockerfile-inline"] = "".join(lines) + PICKED
    found[name] = image
    return found


def _sources(attributes: Attributes) -> frozenset[tuple[str, tuple[str, ...]]]:
    """Return the secrets of a build with where each is from, to be compared."""
    found = effective(attributes, "secret")
    return frozenset((key, source(entry)) for key, entry in found.items())


def described(target: Target, name: str, selected: Mapping[Platform, str]) -> dict[str, str]:
    """Return what each helper of a target is for, in words."""
    words = {}
    for helper in with_helpers(target, name, selected):
        if helper == files_helper(name):
            words[helper] = f"files of {name}"
        elif helper != name:
            words[helper] = f"{name} for {helper[len(name) + len('--') :]}"
    return words


def _add_context(attributes: Attributes, name: str, value: str) -> None:
    attributes["contexts"] = {**attributes.get("contexts", {}), name: value}


def _own_annotations(target: Target, platform: Platform) -> list[str]:
    """Return the annotations that only one platform has, bound to its manifest."""
    common = target.attributes.get("annotations", [])
    return [
        f"manifest[{platform}]:{text.rpartition('manifest:')[2]}"
        for text in target.overrides.get(platform, {}).get("annotations", [])
        if text not in common
    ]


def _of_files(target: Target, selected: Mapping[Platform, str]) -> Attributes:
    """Return the target that holds each platform's files, and sends only those that are built."""
    contexts: dict[str, str] = {}
    lines = []
    for platform in selected:
        lines.append(f"FROM scratch AS {_stage(platform)}\n")
        for name, path in target.files[platform].items():
            # The folder is a context of its own: .dockerignore of the project does not hide it.
            folder, base = _split(path)
            key = next((k for k, v in contexts.items() if v == folder), f"folder{len(contexts)}")
            contexts[key] = folder
            lines.append(f"COPY --from={key} {json.dumps([base, '/' + name])}\n")
    return {
        "contexts": contexts,
        "dockerfile-inline": "".join(lines) + PICKED,
        "platforms": list(selected.values()),
        "output": [{"type": "cacheonly"}],
    }


def _split(path: str) -> tuple[str, str]:
    """Return the context that holds a file, a folder or ``target:NAME``, and the path in it."""
    if path.startswith(LINK):
        folder, _, base = path.partition("/")
    else:
        folder, _, base = path.rpartition("/")
    return folder or ".", base or "."


def _stage(platform: Platform) -> str:
    return f"{platform.os}-{platform.architecture}{platform.variant}"
