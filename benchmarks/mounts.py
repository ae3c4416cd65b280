"""A one-line change on a machine that never built it: with cache mounts that are kept, and without.

Each pair has two engines of their own, as empty as a CI's new machine but for the base images. What is
quoted is the whole of ``invoke build``, with what it brings before and keeps afterwards. It needs root,
and the base images that ``./bootstrap`` makes ready.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engine.conftest import give_image, second_engine

ROOT = Path(__file__).parents[1]
BASES = ("golang:1.24-alpine", "alpine:3.22")
MOST = 0.35
TOML = """
[cache]
mounts = ["{name}-{{arch}}"]
to = "localhost:5000/benchmark/mounts"
when = "always"

[target.app]
dockerfile-inline = '''
FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder
WORKDIR /src
COPY go.mod *.go ./
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,id={name}-$TARGETARCH,target=/root/.cache/go-build \\
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o app .
FROM scratch
COPY --from=builder /src/app /
'''
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/benchmark/{name}:v1"]
"""
# What a small service reads: some 200 packages of the standard library.
PACKAGES = (
    "archive/zip database/sql encoding/json html/template log/slog net/http net/rpc os/exec".split()
)


def write(folder: Path, name: str, word: str, *, kept: bool) -> None:
    """Write the project; ``word`` is the line that changes."""
    folder.mkdir()
    shutil.copy(ROOT / "tasks.py", folder)
    text = TOML.format(name=name)
    (folder / "buildx.toml").write_text(text if kept else text[text.index("[target") :])
    (folder / "go.mod").write_text("module app\n\ngo 1.24\n")
    imports = "\n".join(f'\t_ "{package}"' for package in PACKAGES)
    main = f'package main\n\nimport (\n\t"fmt"\n{imports}\n)\n\n'
    (folder / "main.go").write_text(f'{main}func main() {{\n\tfmt.Println("{word}")\n}}\n')


def built(folder: Path, place: Path) -> float:
    """Build on an engine of its own; return the seconds, and say what was said of the mounts."""
    with second_engine(place / "dockerd.log", containerd=True) as engine:
        for base in BASES:
            give_image(engine, base)
        argv = [sys.executable, "-m", "invoke", "build", "--progress", "quiet"]
        env = {**os.environ, "DOCKER_HOST": engine.host}
        began = time.perf_counter()
        done = subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    said = [line for line in done.stderr.splitlines() if line.startswith("cache mount")]
    print("\n".join(f"  {line}" for line in said), flush=True)
    return seconds


def main() -> None:
    """Print each pair, and the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="pairs")
    rounds = parser.parse_args().rounds
    name = f"mounts-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(place / "first", name, "first", kept=True)
        print(f"first build, which fills the mounts: {built(place / 'first', place):.1f} s")
        ratios = []
        for number in range(rounds):
            write(place / f"kept{number}", name, f"kept {number}", kept=True)
            write(place / f"cold{number}", name, f"cold {number}", kept=False)
            with_mounts = built(place / f"kept{number}", place)
            without = built(place / f"cold{number}", place)
            ratios.append(with_mounts / without)
            print(f"with {with_mounts:.1f} s, without {without:.1f} s: {ratios[-1]:.2f}")
        median = statistics.median(ratios)
        print(f"a one-line change, with cache mounts : without: {median:.2f} (at most {MOST})")
        sys.exit(median > MOST)


if __name__ == "__main__":
    main()
