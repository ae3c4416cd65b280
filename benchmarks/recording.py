"""What it costs to watch and record a build: ``invoke build``'s bake beside the same bake alone.

Each pair is of one bake file: once through the recorder and a log's lines, once as
``docker buildx bake --progress rawjson`` whose output nobody reads. Steps are built anew each time. With
``--targets 50`` it is 200 cells.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from buildx_tasks.building import recording
from buildx_tasks.building.standing import Standing
from buildx_tasks.building.unchanged import Looked
from buildx_tasks.project import Project
from buildx_tasks.records import builds
from buildx_tasks.reports.building import Builds

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/riscv64", "linux/ppc64le")
MOST_SHARE, MOST_SECONDS = 0.01, 0.05


def write(folder: Path, given: argparse.Namespace) -> None:
    """Write a project whose steps print some lines, and take a while."""
    steps = "\\n".join(
        f"RUN for i in 1 2 3 4 5 6 7 8; do echo line $i of {step}; done; sleep {given.seconds}"
        for step in range(given.steps)
    )
    listed = json.dumps(PLATFORMS[: given.platforms])
    text = "".join(
        f"[target.t{number}]\n"
        f'dockerfile-inline = "FROM --platform=$BUILDPLATFORM alpine:3.22\\nARG TARGETARCH\\n'
        f'RUN echo {number} $TARGETARCH\\n{steps}\\n"\n'
        f'platforms = {listed}\noutput = ["type=cacheonly"]\n'
        for number in range(given.targets)
    )
    (folder / "buildx.toml").write_text(text)


def argv(folder: Path) -> list[str]:
    """Return the command as a person would type it."""
    files = ["--file", str(folder / "bake.json"), "--metadata-file", str(folder / "metadata.json")]
    return ["docker", "buildx", "bake", *files, "--progress", "auto", "--no-cache"]


def ours(project: Project, folder: Path) -> float:
    """Return the seconds of a bake that is watched and recorded."""
    plan = project.select().plan
    standing = Standing(project, plan, None, asks=False)
    looked = Looked(project, plan, standing, plan.bake_file)
    means = recording.Means(standing, standing.native, "auto", Builds(), looked)
    began = time.perf_counter()
    with recording.recorded(project, plan, means) as record:
        result = record.bake(plan.bake_file, plan.targets).run(argv(folder), tty=True)
    if not result.ok:
        raise SystemExit(result.stderr)
    return time.perf_counter() - began


def alone(folder: Path) -> float:
    """Return the seconds of bake alone."""
    words = ["rawjson" if word == "auto" else word for word in argv(folder)]
    began = time.perf_counter()
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Measure pairs; return 1 where watching costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--targets", type=int, default=2)
    parser.add_argument("--platforms", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, given)
        with Project.load(folder) as project, contextlib.redirect_stderr(io.StringIO()):
            (folder / "bake.json").write_text(json.dumps(project.select().bake_file))
            os.chdir(folder)
            alone(folder)
            ours(project, folder)
            pairs, own = [], []
            for number in range(given.rounds):
                # Whoever comes second finds more of it in memory.
                other = alone(folder) if number % 2 else 0.0
                before = resource.getrusage(resource.RUSAGE_SELF)
                mine = ours(project, folder)
                after = resource.getrusage(resource.RUSAGE_SELF)
                own.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                pairs.append((mine, other or alone(folder)))
            build = builds.read(folder, builds.recent(folder)[0])
            size = max(path.stat().st_size for path in (folder / ".buildx" / "builds").iterdir())
            os.chdir("/")
    mine, plain = (statistics.median(side) for side in zip(*pairs))
    more = statistics.median(one - other for one, other in pairs)
    most = max(MOST_SECONDS, MOST_SHARE * plain)
    print(
        f"{len(build.cells)} cells, {len(build.steps)} steps, {given.rounds} pairs, record {size} bytes"
    )
    print(f"watched and recorded {mine:.3f} s, bake alone {plain:.3f} s (medians)")
    print("the quickest of each: {:.3f} s, {:.3f} s".format(*map(min, zip(*pairs))))
    print(f"median difference {more * 1000:+.0f} ms (at most {most * 1000:.0f} ms)")
    print(
        f"processor time of watching and recording {statistics.median(own) * 1000:.0f} ms a build"
    )
    return int(more > most)


if __name__ == "__main__":
    sys.exit(main())
