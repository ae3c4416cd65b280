"""The one bake call, and what it made."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.builders import capability as reach
from buildx_tasks.builders import state as builders
from buildx_tasks.building import staging
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import BuildError, ConfigError, EngineError
from buildx_tasks.language.expansion import LINK
from buildx_tasks.language.git import source_date_epoch
from buildx_tasks.machine.commands import (
    is_dry,
    json_text,
    locked,
    print_files,
    query,
    run,
    write_file,
)
from buildx_tasks.planning.selection import batches, build_definition
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from invoke import Context, Result

    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform

BAKE_FILE = f"{ledger.FOLDER}/bake.json"
METADATA_FILE = f"{ledger.FOLDER}/metadata.json"
NEEDS = {"policy": (0, 31), "resources": (0, 35)}  # attribute → the buildx that brought it

# A name of its own: a person may export into the same folder.
_ARCHIVE = ".image.tar"
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:|git@")


class Built(NamedTuple):
    """One target after a build.

    ``digest`` is the image index's (the manifest's where there is one platform and no attestation),
    ``""`` for exported files; ``seconds`` is how long buildx worked on the target; ``staged`` is the
    reference that holds it in a registry, ``""`` where the engine has it. ``parts`` are the ids of
    its platforms, where a classic store has them one by one; there is no index, and no digest, then.
    """

    target: str
    platforms: tuple[Platform, ...]
    digest: str
    seconds: float | None
    staged: str = ""
    parts: Mapping[Platform, str] = MappingProxyType({})


def build(
    c: Context, plan: Plan, root: Path, *, progress: str, no_cache: bool, pull: bool
) -> list[Built]:
    """Build everything selected with one ``docker buildx bake``; nothing is returned under --dry.

    Very many targets go to bake in batches, for its time grows with their square.

    Raises:
        BuildError: bake failed, and has said why.
        EngineError: it failed because of the engine, buildx, the builder or the image store, or
            there are cells that nothing here can build.

    """
    if plan.config.builder:
        builders.require_same_engine(c, plan.config.builder)
    require_files(plan, root)
    require_new_enough(c, plan)
    parts = batches(plan)
    built: list[Built] = []
    with _alone(c, root), _builder(c, plan, root) as builder:
        for number, part in enumerate(parts, start=1):
            if len(parts) > 1:
                print(
                    f"batch {number} of {len(parts)}: {len(part.targets)} targets",
                    file=sys.stderr,
                    flush=True,
                )
            options = _options(progress, no_cache=no_cache, pull=pull)
            built += _run_bake(c, part, root, builder, options)
    order = {target.name: number for number, target in enumerate(plan.targets)}
    return sorted(built, key=lambda item: order[item.target])


def _builder(c: Context, plan: Plan, root: Path) -> AbstractContextManager[Builder | None]:
    """Return the builder to use; a dry run takes it as it should be."""
    if is_dry(c):
        return nullcontext(builders.meant(plan.config, root))
    return reach.required(c, plan, root)


def _options(progress: str, *, no_cache: bool, pull: bool) -> list[str]:
    options = ["--progress", progress]
    options += ["--no-cache"] if no_cache else []
    return [*options, *(["--pull"] if pull else [])]


def _alone(c: Context, root: Path) -> AbstractContextManager[None]:
    """Keep the bake and metadata files to this build until it is done."""
    if is_dry(c):
        return nullcontext()
    ledger.prepare(root)
    return locked(root / ledger.FOLDER / "build.lock", "another build of this project")


def require_files(plan: Plan, root: Path) -> None:
    """Refuse to build where a file that ``[target.NAME.files]`` names is not there.

    Raises:
        ConfigError: one is missing.

    """
    for target in (*plan.targets, *plan.linked):
        for platform in target.platforms if target.spec.files else ():
            for path in target.spec.files[platform].values():
                if not path.startswith(LINK) and not (root / path).exists():
                    raise ConfigError(
                        f'[target.{target.name}.files] "{platform}": {path} is not there; '
                        "make it first, or correct the path"
                    )


def require_new_enough(c: Context, plan: Plan) -> None:
    """Refuse attributes that the installed buildx does not know; it is asked only where one is used.

    Raises:
        EngineError: buildx is too old for one of them.

    """
    wanted = {
        key: (target.name, version)
        for target in (*plan.targets, *plan.linked)
        for attributes in target.spec.builds
        for key, version in NEEDS.items()
        if key in attributes
    }
    if not wanted:
        return
    found = re.search(r"v?(\d+)\.(\d+)", query(c, ["docker", "buildx", "version"]).stdout)
    have = (int(found[1]), int(found[2])) if found else (0, 0)
    for key, (name, version) in wanted.items():
        if have < version:
            raise EngineError(
                f'[target.{name}] has "{key}", which needs buildx {version[0]}.{version[1]}; this is '
                f"{have[0]}.{have[1]}: install a newer one, or remove it"
            )


def _run_bake(
    c: Context, plan: Plan, root: Path, builder: Builder | None, options: list[str]
) -> list[Built]:
    divisible = not is_dry(c) and staging.divisible(builder, plan)
    # Where it was so the last time, it is asked before; other builds do not pay for the question.
    before = divisible and staging.was_divided(root, plan.targets)
    if before and staging.has_containerd_store() is False:
        return _run_divided(c, plan, root, builder, options)
    staged = {t.name: staging.tag_of(t) for t in plan.targets if staging.needed(builder, t)}
    result, facts = _bake(c, plan, root, builder, options, staged)
    if is_dry(c):
        return []
    if not result.ok:
        reach.explain_loss(c, builder, result.stdout + result.stderr)
        if divisible and not before and staging.has_containerd_store() is False:
            return _run_divided(c, plan, root, builder, options)
        raise _failure(c, plan, builder)
    built = _read_results(c, plan, builder, staged, facts)
    ledger.record(root, "built", [_entry(plan, item) for item in built])
    return built


def _run_divided(
    c: Context, plan: Plan, root: Path, builder: Builder | None, options: list[str]
) -> list[Built]:
    print(
        "the engine's image store is the classic one: built platform by platform",
        file=sys.stderr,
        flush=True,
    )
    whole, parts = staging.divided(plan)
    facts: dict[str, Any] = {}
    for some in batches(whole):
        result, found = _bake(c, some, root, builder, options, {})
        if not result.ok:
            reach.explain_loss(c, builder, result.stdout + result.stderr)
            raise _failure(c, some, builder)
        facts.update(found)
    made = {item.target: item for item in _read_results(c, whole, builder, {}, facts)}
    built = []
    for target in plan.targets:
        if target.name not in parts:
            built.append(made[target.name])
            continue
        ids = {
            platform: facts[name]["containerimage.config.digest"]
            for platform, name in parts[target.name].items()
        }
        times = [made[name].seconds or 0 for name in parts[target.name].values()]
        seconds = max(times) if any(times) else None
        built.append(Built(target.name, target.platforms, "", seconds, parts=ids))
    ledger.record(root, "built", [_entry(plan, item) for item in built])
    return built


def _bake(
    c: Context,
    plan: Plan,
    root: Path,
    builder: Builder | None,
    options: list[str],
    staged: dict[str, str],
) -> tuple[Result, dict[str, Any]]:
    """Write the bake file and run bake; return what it said of each target, too."""
    archives = _archives(c, plan, staged)
    reproducible = any(target.is_reproducible for target in plan.targets)
    epoch = source_date_epoch(root) if reproducible else ""
    definition = build_definition(plan, staged, archives, epoch)
    text = json_text(definition)
    metadata = root / METADATA_FILE
    if is_dry(c):
        print_files({BAKE_FILE: text}, root)
    else:
        write_file(root / BAKE_FILE, text)
        metadata.unlink(missing_ok=True)
    for permission in permissions(definition["target"], root):
        options = [*options, "--allow", permission]
    files = ["--file", BAKE_FILE, "--metadata-file", METADATA_FILE]
    argv = [*builders.command(builder, "bake"), *files, *options]
    with nullcontext() if is_dry(c) else no_archive_left(root / ledger.FOLDER, f"*{_ARCHIVE}"):
        result = run(c, argv, folder=root, tty=options[1] in ("auto", "tty"))
        if result.ok:
            _load(c, root, archives)
    # bake writes no metadata where targets were only checked (call).
    known = not is_dry(c) and result.ok and metadata.exists()
    return result, json.loads(metadata.read_text(encoding="utf-8")) if known else {}


def _failure(c: Context, plan: Plan, builder: Builder | None) -> BuildError:
    """Return the error of a failed bake.

    Raises:
        EngineError: engine, buildx, builder or store explain it.

    """
    widest = max((target.platforms for target in plan.targets), key=len)
    needs_engine = builder is None or builder.driver in builders.ENGINES
    engine.explain_failure(c, widest if needs_engine else None, builder.name if builder else None)
    return BuildError("the build failed; buildx says why above")


def _archives(c: Context, plan: Plan, staged: dict[str, str]) -> dict[str, str]:
    """Return the files through which reproducible images go into the store.

    What exports into the store cannot rewrite the times of files: ``exporter option
    "rewrite-timestamp" conflicts with "unpack"`` (https://github.com/moby/buildkit/issues/4230).
    """
    found = {
        target.name: f"{ledger.FOLDER}/{target.name}{_ARCHIVE}"
        for target in plan.targets
        if target.is_reproducible and target.is_image and not target.spec.output
        if target.name not in staged
    }
    if not found or is_dry(c):
        return found
    # The classic store keeps no manifests, which are what must be the same.
    return found if engine.has_containerd_store(engine.connect().info()) else {}


@contextmanager
def no_archive_left(folder: Path, names: str) -> Iterator[None]:
    """Remove a folder's archives of such names afterwards; before it too: who was killed left some."""
    try:
        _remove_archives(folder, names)
        yield
    finally:
        _remove_archives(folder, names)


def _remove_archives(folder: Path, names: str) -> None:
    for path in folder.glob(names):
        path.unlink(missing_ok=True)


def _load(c: Context, root: Path, archives: dict[str, str]) -> None:
    for name, archive in archives.items():
        argv = ["docker", "load", "--quiet", "--input", archive]
        result = run(c, argv, folder=root, hide=True)
        if not result.ok:
            raise EngineError(
                f"the engine does not take the image of {name}: {result.stderr.strip()}"
            )


def permissions(targets: dict[str, Attributes], root: Path) -> list[str]:
    """Return what bake asks leave for: who declared it in ``buildx.toml`` has given it.

    Source: https://docs.docker.com/reference/cli/docker/buildx/bake/#allow
    """
    found: dict[str, None] = {}
    for attributes in targets.values():
        found.update(dict.fromkeys(attributes.get("entitlements", ())))
        for place in _read_places(attributes):
            outside = None if _REMOTE.match(place) else _outside(root, place)
            if outside:
                found[f"fs.read={outside}"] = None
        for place in _written_places(attributes):
            outside = _outside(root, place)
            # bake asks about the nearest folder that is there already.
            while outside and not outside.exists():
                outside = outside.parent
            if outside:
                found[f"fs.write={outside}"] = None
        if any("paths" not in entry for entry in attributes.get("ssh", ())):
            found["ssh"] = None
    return list(found)


def _read_places(attributes: Attributes) -> Iterator[str]:
    yield attributes["context"]
    yield from attributes.get("contexts", {}).values()
    yield from (e["src"] for e in attributes.get("secret", ()) if "src" in e)
    yield from (path for e in attributes.get("ssh", ()) for path in e.get("paths", ()))
    yield from (e["src"] for e in attributes.get("cache-from", ()) if e["type"] == "local")


def _written_places(attributes: Attributes) -> Iterator[str]:
    yield from (e["dest"] for e in attributes.get("output", ()) if "dest" in e)
    yield from (e["dest"] for e in attributes.get("cache-to", ()) if e["type"] == "local")


def _outside(root: Path, place: str) -> Path | None:
    resolved = (root / place).resolve()
    return None if resolved.is_relative_to(root.resolve()) else resolved


def _read_results(
    c: Context,
    plan: Plan,
    builder: Builder | None,
    staged: dict[str, str],
    metadata: dict[str, Any],
) -> list[Built]:
    seconds = _seconds_by_build(c, builder)
    built = []
    for target in plan.targets:
        facts = metadata.get(target.name, {})
        digest = facts.get("containerimage.digest", "") if target.is_image else ""
        tag = staged.get(target.name)
        built.append(
            Built(
                target.name,
                target.platforms,
                digest,
                seconds.get(facts.get("buildx.build.ref", "")),
                staging.by_digest(tag, digest) if tag else "",
            )
        )
    return built


def _seconds_by_build(c: Context, builder: Builder | None) -> dict[str, float]:
    """Return how long each recorded build took, by its reference; nothing where buildx is older.

    bake's metadata file has no times for images of several platforms, the build records have.
    """
    result = query(c, [*builders.command(builder, "history", "ls"), "--format", "json"])
    records = [json.loads(line) for line in result.stdout.splitlines()] if result.ok else []
    return {
        record["ref"]: (_time(record["completed_at"]) - _time(record["created_at"])).total_seconds()
        for record in records
        if record.get("completed_at")
    }


def _time(text: str) -> dt.datetime:
    # Go prints nanoseconds, Python 3.9 reads exactly six digits.
    whole, _, fraction = text.rstrip("Z").partition(".")
    return dt.datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")


def _entry(plan: Plan, item: Built) -> dict[str, Any]:
    tags = next(target.spec.tags for target in plan.targets if target.name == item.target)
    return {
        "target": item.target,
        "platforms": [str(platform) for platform in item.platforms],
        "digest": item.digest,
        "tags": tags,
        **({"staged": item.staged} if item.staged else {}),
        **({"parts": {str(p): one for p, one in item.parts.items()}} if item.parts else {}),
    }
