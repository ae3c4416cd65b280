"""The one bake call, and what it made."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import engine, ledger
from buildx_tasks.builder import require_same_engine
from buildx_tasks.commands import is_dry, json_text, locked, query, run, write_file
from buildx_tasks.errors import BuildError
from buildx_tasks.plan import bake_definition, output_fields

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.config import Builder
    from buildx_tasks.plan import Plan
    from buildx_tasks.platforms import Platform

BAKE_FILE = f"{ledger.FOLDER}/bake.json"
METADATA_FILE = f"{ledger.FOLDER}/metadata.json"

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:|git@")


class Built(NamedTuple):
    """One target after a build.

    ``digest`` is the image index's (the manifest's where there is one platform and no attestation),
    ``""`` for exported files; ``seconds`` is how long buildx worked on the target.
    """

    target: str
    platforms: tuple[Platform, ...]
    digest: str
    seconds: float | None


def build(
    c: Context, plan: Plan, root: Path, *, progress: str, no_cache: bool, pull: bool
) -> list[Built]:
    """Build everything selected with one ``docker buildx bake``; nothing is returned under --dry.

    Raises:
        BuildError: bake failed, and has said why.
        EngineError: it failed because of the engine, buildx, the builder or the image store.

    """
    builder = plan.config.builder
    if builder:
        require_same_engine(c, builder)
    if is_dry(c):
        _run_bake(c, plan, root, progress=progress, no_cache=no_cache, pull=pull)
        return []
    # The bake and metadata files are this build's alone until it is done.
    with locked(root / ledger.FOLDER / "build.lock", "another build of this project"):
        return _run_bake(c, plan, root, progress=progress, no_cache=no_cache, pull=pull)


def _run_bake(
    c: Context, plan: Plan, root: Path, *, progress: str, no_cache: bool, pull: bool
) -> list[Built]:
    builder = plan.config.builder
    definition = json_text(bake_definition(plan))
    metadata = root / METADATA_FILE
    if is_dry(c):
        # The bake file as a here-document, so that what is printed can be pasted as it is.
        if root != Path.cwd():
            print(f"cd {shlex.quote(str(root))}")
        print(f"mkdir -p {ledger.FOLDER} && cat > {BAKE_FILE} <<'EOF'\n{definition}EOF")
    else:
        write_file(root / BAKE_FILE, definition)
        metadata.unlink(missing_ok=True)
    argv = _bake_command(plan, root, progress=progress, no_cache=no_cache, pull=pull)
    result = run(c, argv, folder=root, tty=progress in ("auto", "tty"))
    if is_dry(c):
        return []
    if not result.ok:
        widest = max((target.platforms for target in plan.targets), key=len)
        engine.explain_failure(c, widest, builder.name if builder else None)
        raise BuildError("the build failed; buildx says why above")
    built = _read_results(c, plan, json.loads(metadata.read_text(encoding="utf-8")))
    ledger.record(root, "built", [_entry(plan, item) for item in built])
    return built


def _bake_command(
    plan: Plan, root: Path, *, progress: str, no_cache: bool, pull: bool
) -> list[str]:
    argv = [*_buildx(plan.config.builder, "bake"), "--file", BAKE_FILE]
    argv += ["--metadata-file", METADATA_FILE, "--progress", progress]
    argv += ["--no-cache"] if no_cache else []
    argv += ["--pull"] if pull else []
    for permission in _permissions(plan, root):
        argv += ["--allow", permission]
    return argv


def _buildx(builder: Builder | None, *command: str) -> list[str]:
    if builder is None:
        return ["docker", "buildx", *command]
    # buildx takes the builder of a docker context only under that context.
    context = ["--context", builder.name] if builder.driver == "docker" else []
    return ["docker", *context, "buildx", "--builder", builder.name, *command]


def _permissions(plan: Plan, root: Path) -> list[str]:
    """Return what bake asks leave for: who declared it in ``buildx.toml`` has given it.

    Source: https://docs.docker.com/reference/cli/docker/buildx/bake/#allow
    """
    found: dict[str, None] = {}
    for target in (*plan.targets, *plan.linked):
        spec = target.spec
        found.update(dict.fromkeys(spec.entitlements))
        for place in (spec.context or ".", *spec.contexts.values()):
            outside = None if _REMOTE.match(place) else _outside(root, place)
            if outside:
                found[f"fs.read={outside}"] = None
        for output in spec.output:
            outside = _outside(root, output_fields(output).get("dest", "."))
            # bake asks about the nearest folder that is there already.
            while outside and not outside.exists():
                outside = outside.parent
            if outside:
                found[f"fs.write={outside}"] = None
    return list(found)


def _outside(root: Path, place: str) -> Path | None:
    resolved = (root / place).resolve()
    return None if resolved.is_relative_to(root.resolve()) else resolved


def _read_results(c: Context, plan: Plan, metadata: dict[str, Any]) -> list[Built]:
    seconds = _seconds_by_build(c, plan.config.builder)
    return [
        Built(
            target.name,
            target.platforms,
            facts.get("containerimage.digest", "") if target.is_image else "",
            seconds.get(facts.get("buildx.build.ref", "")),
        )
        for target in plan.targets
        for facts in [metadata.get(target.name, {})]
    ]


def _seconds_by_build(c: Context, builder: Builder | None) -> dict[str, float]:
    """Return how long each recorded build took, by its reference; nothing where buildx is older.

    bake's metadata file has no times for images of several platforms, the build records have.
    """
    result = query(c, [*_buildx(builder, "history", "ls"), "--format", "json"])
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
    }
