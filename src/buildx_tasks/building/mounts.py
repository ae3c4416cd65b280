"""Cache mounts of a build in; brought from a registry before it, kept there after it: none fails it.

BuildKit exports no cache mounts. A small build of our own has the mount, and what is in it goes into an
image's layer, or comes out of one; https://github.com/reproducible-containers/buildkit-cache-dance
does it from outside.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import references
from buildx_tasks.builders import choice
from buildx_tasks.building import bake_call
from buildx_tasks.building.bake_call import BakeCall
from buildx_tasks.dockerfiles.cache_mounts import CacheMount, cache_mounts
from buildx_tasks.dockerfiles.view import view_of
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.language.placeholders import OF_A_PLATFORM, filled, of_platform
from buildx_tasks.language.secrets import LEAST_SOUGHT, place_of
from buildx_tasks.language.targets import dashed
from buildx_tasks.planning.cells import shortened
from buildx_tasks.records import ledger
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.building.standing import Standing
    from buildx_tasks.language.caching import Caches
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.targets import Target
    from buildx_tasks.platforms import Platform
    from buildx_tasks.references import Reference
    from buildx_tasks.workspace import Workspace

_CALL = BakeCall(
    f"{ledger.FOLDER}/mounts.json", f"{ledger.FOLDER}/mounts-metadata.json", "plain", hidden=True
)
MARK = "mount-"  # how the tag of each begins
_CONTEXT = f"{ledger.FOLDER}/mounts"  # an empty folder
_PLACE = "/buildx-tasks"  # in the helper's container
ARCHIVE = "mount.tar"
_IMAGE = "docker-image://"
_STORED = "linux/amd64"  # what the image says that holds it; nothing of it is run
_SECONDS = 30.0  # for the registry's word on whether there is one
_FOUND = "buildx-tasks found a secret"
_FOUND_LINE = re.compile(rf"^#\d+ [\d.]+ {_FOUND}$", re.MULTILINE)
_NOTHING = 44  # exit code of the helper: the mount is empty
_SHOWN = 300  # characters of what buildx says
# A pattern that is empty would be in every file.
_SEARCH = f"""
set -e
for secret in {_PLACE}/secrets/*; do
  [ -f "$secret" ] || continue
  grep -aE '.{{{LEAST_SOUGHT},}}' "$secret" > {_PLACE}/words/all || continue
  code=0; grep -rqaF -f {_PLACE}/words/all {_PLACE}/mount || code=$?
  if [ $code = 0 ]; then echo "{_FOUND}" >&2; exit 3; fi
  [ $code = 1 ]
done
"""
# What is kept already is worth more than nothing.
_KEEP = f"""{_SEARCH}
[ -n "$(ls -A {_PLACE}/mount)" ] || exit {_NOTHING}
tar -C {_PLACE}/mount -cf /{ARCHIVE} .
"""
_BRING = f"tar -C {_PLACE}/mount -xf {_PLACE}/kept/{ARCHIVE}"
_WARM = re.compile(r' with id "/([^"\n]*)"')


class Kept(NamedTuple):
    """One cache mount that is to be kept: under which tag, by which helper image.

    ``contexts`` are what images stand for in the build that has it.
    """

    mount: CacheMount
    place: Reference
    helper: str
    contexts: tuple[tuple[str, str], ...]


class Mounts:
    """The cache mounts that ``[cache]`` names of a build; ``targets`` are bake's, as they are built."""

    def __init__(
        self, workspace: Workspace, standing: Standing, targets: Mapping[str, Attributes]
    ) -> None:
        self._workspace = workspace
        self._builder = standing.builder
        self._kept: tuple[Kept, ...] = ()
        self._secrets = list(_secrets(targets))
        if not targets or not _is_meant(workspace):
            return
        if self._builder and len(self._builder.node) > 1:
            _say("cache mounts are not kept: the builder has several nodes, each with its own")
            return
        found = {str(one.place): one for one in _found(workspace, standing, targets)}
        self._kept = tuple(found.values())

    def bring(self) -> None:
        """Fill the mounts that the builder does not have from what is kept of them."""
        if not self._kept:
            return
        if self._workspace.commands.is_dry:
            for one in self._kept:
                print(f"# cache mount {one.mount.id}: brought from and kept in {one.place}")
            return
        warm = self._warm()
        waiting = {}
        for one in self._kept:
            if one.mount.id in warm:
                continue
            digest = self._digest(one)
            if digest:
                source = f"{one.place.registry}/{one.place.repository}@{digest}"
                waiting[one] = _bringing(one, source)
        for one, why in self._carried_out(waiting).items():
            _say(_told(one, f"brought from {one.place}", f"not brought from {one.place}", why))

    def keep(self) -> None:
        """Keep what the mounts hold now."""
        if self._workspace.commands.is_dry:
            return
        done = self._carried_out({one: _keeping(one, self._secrets) for one in self._kept})
        for one, why in done.items():
            _say(_told(one, f"kept in {one.place}", "not kept", why))

    def _warm(self) -> set[str]:
        """Return the ids that the builder has a mount of."""
        argv = choice.command(self._builder, "du", "--verbose", "--filter", "type=exec.cachemount")
        return set(_WARM.findall(self._workspace.commands.query(argv).stdout))

    def _digest(self, one: Kept) -> str:
        """Return the digest of what is kept; ``""`` where there is nothing, or nobody says."""
        try:
            repository = self._workspace.registries.repository(one.place).within(
                _SECONDS, once=True
            )
            what = f"cache mount {one.mount.id}"
            return repository.says(one.place.tag, what) or ""
        except BuildxTasksError as error:
            _say(f"{printable(str(error))}; the build does without")
            return ""

    def _carried_out(self, builds: Mapping[Kept, dict[str, Any]]) -> dict[Kept, str]:
        """Carry out the builds, all at once; return why each failed, ``""`` for what did not."""
        if not builds:
            return {}
        why = self._bake(builds)
        if not why:
            return dict.fromkeys(builds, "")
        if len(builds) == 1:
            return dict.fromkeys(builds, why)
        return {one: self._bake({one: build}) for one, build in builds.items()}

    def _bake(self, builds: Mapping[Kept, dict[str, Any]]) -> str:
        targets = {f"mount-{number}": build for number, build in enumerate(builds.values())}
        definition = {"group": {"default": {"targets": sorted(targets)}}, "target": targets}
        try:
            self._workspace.ledger.prepare()
            (self._workspace.root / _CONTEXT).mkdir(exist_ok=True)
            result, _ = bake_call.run(self._workspace, self._builder, definition, _CALL)
        except (BuildxTasksError, OSError) as error:
            return str(error)
        return "" if result.ok else _why(result.stdout + result.stderr)


def _is_meant(workspace: Workspace) -> bool:
    is_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return is_ci or workspace.config.cache.when == "always"


def _found(
    workspace: Workspace, standing: Standing, targets: Mapping[str, Attributes]
) -> Iterator[Kept]:
    """Yield the mounts that are to be kept, each time one is had."""
    waiting, there = set(workspace.config.cache.mounts), set()
    for reading in standing.readings:
        own = next((targets[name] for name in reading.names if name in targets), None)
        if own is None or reading.text is None:
            continue
        try:
            view = view_of(reading.build, reading.text, standing.native)
            had = {p: dict.fromkeys(cache_mounts(view, p)) for p in reading.build.platforms}
        except ValueError:
            continue  # BuildKit says it
        spec = workspace.config.target[reading.build.target]
        for platform, mount in ((p, mount) for p, listed in had.items() for mount in listed):
            there.add(mount.id)
            for pattern in workspace.config.cache.mounts:
                if mount.id == filled(pattern, of_platform(platform)):
                    waiting.discard(pattern)
                    tag = tag_of(pattern, mount.id, platform)
                    yield from _one(workspace.config.cache, mount, spec, tag, own)
    for pattern in sorted(waiting):
        known = ", ".join(sorted(there)) or "none"
        _say(f"cache mount {pattern}: nothing that is built has it; there is: {known}")


def _one(
    cache: Caches, mount: CacheMount, spec: Target, tag: str, own: Attributes
) -> Iterator[Kept]:
    """Yield a mount that can be kept; say why another one cannot."""
    helper = cache.helper or mount.base
    home = cache.to or (spec.tags[0] if spec.tags else "")
    if not helper or not home:
        lacking = "its stage starts from no image; write [cache] helper"
        lacking = lacking if home else "its target has no tag; write [cache] to"
        _say(f"cache mount {mount.id} is not kept: {lacking}")
        return
    contexts = own.get("contexts", {}).items()
    images = tuple((name, one) for name, one in contexts if one.startswith(_IMAGE))
    yield Kept(mount, references.parse(home)._replace(tag=tag), helper, images)


def _secrets(targets: Mapping[str, Attributes]) -> Iterator[dict[str, Any]]:
    """Yield all secrets of a build, under names of our own: two targets may mean others by one id."""
    listed = [secret for one in targets.values() for secret in one.get("secret", ())]
    distinct = [one for number, one in enumerate(listed) if one not in listed[:number]]
    for number, one in enumerate(distinct):
        source = {key: value for key, value in one.items() if key != "id"}
        if not source.keys() & {"env", "src"}:  # as buildx looks for it
            kind, place = place_of(one.get("id", ""), one, os.environ)
            source[kind] = place
        yield {**source, "id": f"secret{number}"}


def tag_of(pattern: str, name: str, platform: Platform) -> str:
    """Return the tag under which a mount is kept: of each platform its own."""
    own = any(f"{{{word}}}" in pattern for word in OF_A_PLATFORM)
    text = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")
    return shortened(MARK + "-".join((text, *([] if own else [dashed(platform)]))))


def _mounted(one: Kept) -> str:
    # Of a mount that is in use, or that BuildKit just measures, others would get a new one.
    words = (f"id={one.mount.id}", f"target={_PLACE}/mount", "sharing=locked", *one.mount.options)
    return f"--mount=type=cache,{','.join(words)}"


def _run(script: str, *mounts: str) -> str:
    return f"RUN {' '.join(mounts)} {json.dumps(['/bin/sh', '-c', script])}"


def _bringing(one: Kept, source: str) -> dict[str, Any]:
    kept = f"--mount=type=bind,from=kept,target={_PLACE}/kept"
    lines = [
        f"FROM --platform={_STORED} {source} AS kept",
        f"FROM --platform=$BUILDPLATFORM {one.helper}",
        "USER 0:0",
        "ARG AT",
        _run(_BRING, _mounted(one), kept),
    ]
    return {**_common(one, lines), "output": [{"type": "cacheonly"}]}


def _keeping(one: Kept, secrets: Sequence[Attributes]) -> dict[str, Any]:
    given = [
        f"--mount=type=secret,id={secret['id']},target={_PLACE}/secrets/{secret['id']}"
        for secret in secrets
    ]
    words = f"--mount=type=tmpfs,target={_PLACE}/words"
    lines = [
        f"FROM --platform=$BUILDPLATFORM {one.helper} AS taken",
        "USER 0:0",
        "ARG AT",
        _run(_KEEP, _mounted(one), words, *given),
        "FROM scratch",
        f"COPY --from=taken /{ARCHIVE} /",
    ]
    pushed = {"type": "image", "name": str(one.place), "push": "true", "store": "false"}
    small = {"compression": "zstd", "oci-mediatypes": "true", "force-compression": "true"}
    return {
        **_common(one, lines),
        "secret": list(secrets),
        "platforms": [_STORED],
        "attest": [{"type": "provenance", "disabled": "true"}],
        "output": [{**pushed, **small}],
    }


def _common(one: Kept, lines: Sequence[str]) -> dict[str, Any]:
    return {
        "context": _CONTEXT,
        "contexts": dict(one.contexts),
        "dockerfile-inline": "\n".join(lines) + "\n",
        "args": {"AT": str(time.time_ns())},  # what was done before says nothing of now
    }


def _told(one: Kept, done: str, not_done: str, why: str) -> str:
    if not why:
        return f"cache mount {one.mount.id}: {done}"
    return f"cache mount {one.mount.id}: {not_done}: {printable(why)}; the build does without"


def _why(said: str) -> str:
    """Return the one line of a failed build that says why."""
    if _FOUND_LINE.search(said):
        return "a secret of the build is in it: see what writes it there"
    if said.rstrip().endswith(f"exit code: {_NOTHING}"):
        return "it is empty"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    # Before it stands the whole script.
    why = (
        errors[-1].rpartition("did not complete successfully: ")[2]
        if errors
        else "buildx is silent"
    )
    return why[-_SHOWN:]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
