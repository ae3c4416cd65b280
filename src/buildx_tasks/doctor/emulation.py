"""Platforms in; whether their programs run, under which emulator, and what that breaks, out."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.builders import choice
from buildx_tasks.doctor.findings import Finding
from buildx_tasks.engine import trial
from buildx_tasks.machine import emulator, emulator_faults, executables, probe
from buildx_tasks.machine.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.machine.commands import Commands
    from buildx_tasks.platforms import Platform


class _Tried(NamedTuple):
    finding: Finding
    emulator: Emulator | None = None


def in_engine(engine: Engine, needed: Sequence[Platform]) -> Iterator[Finding]:
    """Run the smallest program of each platform in a container, as run and verify would."""
    yield from _tried(needed, partial(_in_engine, engine))


def in_builder(
    commands: Commands, builder: Builder, needed: Sequence[Platform]
) -> Iterator[Finding]:
    """Run the smallest program of each platform in a build, on whichever node buildx picks for it."""
    yield from _tried(needed, partial(_in_builder, commands, builder))


def faults(found: Iterable[Emulator]) -> Iterator[Finding]:
    """Yield what some emulators are known to break, with the fix; it may never concern a project."""
    for fault, members in emulator_faults.known(found).items():
        versions = ", ".join(dict.fromkeys(one.version for one in members))
        subject = f"QEMU {versions}" if len(members) > 1 else members[0].title
        yield Finding(
            subject, ok=True, found=f"known: {fault.what} ({fault.source})", fix=fault.fix
        )


def _tried(needed: Sequence[Platform], examine: Callable[[Platform], _Tried]) -> Iterator[Finding]:
    named = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for tried in pool.map(examine, needed):
            yield tried.finding
            named += [tried.emulator] if tried.emulator else []
    yield from faults(named)


def _in_engine(engine: Engine, platform: Platform) -> _Tried:
    subject = f"platform {platform}"
    native = engine.platform
    if platform.os == "windows":
        found = "not run here: built, looked into and pushed"
        return _Tried(Finding(subject, ok=True, found=found))
    if executables.binary(platform) is None:
        found = f"cannot run on {native}"
        return _Tried(
            Finding(subject, ok=False, found=found, fix="declare a platform that it runs")
        )
    is_native = platforms.runs_natively(platform, native)
    how = "native" if is_native else "emulated"
    if reason := trial.runs_in_container(engine, platform):
        return _Tried(Finding(subject, ok=False, found=f"{how}: {reason}", fix="run invoke setup"))
    if is_native:
        return _Tried(Finding(subject, ok=True, found="native: a program ran"))
    used = _emulator(engine, platform)
    found = f"emulated: a program ran; {used}" if used else "emulated: a program ran"
    return _Tried(Finding(subject, ok=True, found=found), used)


def _emulator(engine: Engine, platform: Platform) -> Emulator | None:
    if engine.is_local:
        return emulator.of(platform)
    where = f"of {engine.info.get('OperatingSystem') or 'its machine'}"
    found = emulator.of_words(trial.said_of_version(engine, platform))
    if found is None:
        # Docker Desktop has Rosetta, too, which says nothing.
        return Emulator("an emulator that says no version", origin=where)
    return found._replace(origin=found.origin or where)


def _in_builder(commands: Commands, builder: Builder, platform: Platform) -> _Tried:
    subject = f"platform {platform} in {builder.name}"
    program = executables.binary(platform)
    if program is None:
        found = "not tried: there is no program for it"
        return _Tried(Finding(subject, ok=True, found=found))
    with tempfile.TemporaryDirectory(prefix="buildx-tasks-") as folder:
        asking = " ".join(f"{name}={value}" for name, value in probe.ASKING.items())
        steps = [
            "FROM scratch",
            "COPY probe /",
            'RUN ["/probe"]',
            f"ENV {asking}",
            'RUN ["/probe"]',
        ]
        Path(folder, "Dockerfile").write_text("\n".join([*steps, ""]), "utf-8")
        Path(folder, "probe").write_bytes(program)
        Path(folder, "probe").chmod(0o755)
        options = ["--no-cache", "--platform", str(platform), "--output", "type=cacheonly"]
        argv = [*choice.command(builder, "build"), *options, "--progress", "plain", folder]
        result = commands.query_within(argv, 60)
    if result is None:
        found, fix = "the program did not end within 60 s", "see docker buildx history logs"
        return _Tried(Finding(subject, ok=False, found=found, fix=fix))
    if result.ok:
        used = emulator.of_words(result.stderr)
        found = f"a program ran in a build; {used}" if used else "a program ran in a build"
        return _Tried(Finding(subject, ok=True, found=found), used)
    said = [line for line in result.stderr.splitlines() if line.strip()]
    reason = said[-1].replace("ERROR: failed to build: ", "") if said else "the build failed"
    fix = "run invoke setup, or declare a node that runs it"
    return _Tried(Finding(subject, ok=False, found=reason, fix=fix))
