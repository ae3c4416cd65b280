"""Side-by-side times of our tasks against hand-written commands, all in one run.

Each pair runs in turn, A B A B …; what is quoted is the median of the ratios A/B pair by pair, so
that a machine whose speed drifts does not decide. It needs the engine and base images that
``./bootstrap`` makes ready, and works on a copy of the sample.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).parent.parent
INVOKE = [sys.executable, "-m", "invoke"]
TARGETS = ["hello-cross", "hello-prebuilt"]

# What a person would write for the same two targets, without our tool.
BAKE: dict[str, dict[str, dict[str, Any]]] = {
    "group": {"default": {"targets": TARGETS}},
    "target": {
        "hello-cross": {
            "context": "go-sample",
            "dockerfile": "Dockerfile.cross",
            "platforms": ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"],
            "tags": ["localhost:5000/benchmark/hello-cross:hand"],
        },
        "hello-binaries": {"context": "go-sample", "dockerfile": "Dockerfile.binaries"},
        "hello-prebuilt": {
            "context": "go-sample",
            "dockerfile": "Dockerfile.prebuilt",
            "contexts": {"binaries": "target:hello-binaries"},
            "platforms": ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"],
            "tags": ["localhost:5000/benchmark/hello-prebuilt:hand"],
        },
    },
}


def timed(argv: list[str], folder: Path, *, check: bool = True) -> float:
    """Return the wall time of a command in seconds; stop if it fails, unless told not to."""
    # As on a person's machine, where Python keeps what it has compiled.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    result = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if check and result.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{result.stdout}{result.stderr}")
    return time.perf_counter() - started


def compare(title: str, a: Callable[[], float], b: Callable[[], float], rounds: int) -> None:
    """Print one line: the medians of both sides and of the ratios."""
    pairs = [(a(), b()) for _ in range(rounds)]
    first = statistics.median(pair[0] for pair in pairs)
    second = statistics.median(pair[1] for pair in pairs)
    ratio = statistics.median(x / y for x, y in pairs)
    print(f"{title:<58} {first:8.2f} s {second:8.2f} s  {ratio:.2f}  ({rounds})", flush=True)


PLATFORMS = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"]


def write_services(folder: Path, count: int) -> None:
    """Write the same ``count`` targets of four platforms as ``buildx.toml`` and as a bake file."""
    shutil.copy(ROOT / "tasks.py", folder)
    names = [f"service-{number}" for number in range(count)]
    targets = {
        name: {
            "context": f"services/{name}",
            "dockerfile": "Dockerfile.cross",
            "platforms": PLATFORMS,
            "tags": [f"localhost:5000/{name}:v1"],
            "args": {"NAME": name},
            "labels": {"team": "x"},
        }
        for name in names
    }
    groups = {"default": {"targets": names}}
    (folder / "hand.json").write_text(json.dumps({"group": groups, "target": targets}))
    lines = [f"[group.default]\ntargets = {json.dumps(names)}\n"]
    for name, target in targets.items():
        lines.append(f"[target.{name}]\n")
        for key, value in target.items():
            table = value if isinstance(value, dict) else {}
            pairs = [f"{k} = {json.dumps(v)}" for k, v in table.items()]
            shown = f"{{ {', '.join(pairs)} }}" if pairs else json.dumps(value)
            lines.append(f"{key} = {shown}\n")
    (folder / "buildx.toml").write_text("".join(lines))


def scale(folder: Path, rounds: int) -> None:
    """Print how loading, expanding and printing grows, beside ``bake --print`` of the same."""
    ours = [*INVOKE, "plan", "--format", "bake"]
    theirs = ["docker", "buildx", "bake", "--file", "hand.json", "--print"]
    for count, with_bake in ((1_000, True), (2_000, False), (5_000, True), (10_000, False)):
        place = folder / str(count)
        place.mkdir()
        write_services(place, count)
        timed(ours, place)
        if with_bake:
            compare(
                f"invoke plan : bake --print, {count:,} targets x 4 platforms",
                lambda place=place: timed(ours, place),  # type: ignore[misc]
                lambda place=place: timed(theirs, place),  # type: ignore[misc]
                max(3, rounds // 2),
            )
        else:
            smaller = folder / str(count // 2)
            compare(
                f"invoke plan, {count:,} : {count // 2:,} targets",
                lambda place=place: timed(ours, place),  # type: ignore[misc]
                lambda smaller=smaller: timed(ours, smaller),  # type: ignore[misc]
                rounds,
            )


EIGHT = [*PLATFORMS, "linux/386", "linux/ppc64le", "linux/s390x", "linux/loong64"]
NOTHING_BUT_HELLO = """
FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder
WORKDIR /src
COPY go.mod *.go ./
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} go build -o hello .
FROM scratch
ARG NUMBER
LABEL number=$NUMBER
COPY --from=builder /src/hello /
CMD ["/hello"]
"""


def verify(folder: Path, rounds: int) -> None:
    """Print what verifying 6 targets x 8 platforms costs, beside ``docker run`` in a loop."""
    shutil.copytree(ROOT / "go-sample", folder / "go-sample")
    shutil.copy(ROOT / "tasks.py", folder)
    names = [f"hello-{number}" for number in range(6)]
    inline = json.dumps(NOTHING_BUT_HELLO.replace("${", "$${"))
    lines = [
        f"""[target.{name}]
context = "go-sample"
dockerfile-inline = {inline}
args = {{ NUMBER = "{name}" }}
platforms = {json.dumps(EIGHT)}
tags = ["benchmark/{name}:v1"]
verify.run.stdout = "Hello, {{platform}}!"
"""
        for name in names
    ]
    (folder / "buildx.toml").write_text("".join(lines))
    cells = " ".join(f"benchmark/{name}:v1={platform}" for name in names for platform in EIGHT)
    loop = (
        f"for cell in {cells}; do platform=${{cell#*=}}; "
        'said=$(docker run --rm --network none --platform "$platform" "${cell%=*}") || exit 1; '
        '[ "$said" = "Hello, $platform!" ] || exit 1; done'
    )
    timed([*INVOKE, "setup"], folder)
    timed([*INVOKE, "build", "--progress", "quiet"], folder)
    ours = [*INVOKE, "verify"]
    for title, argv in (
        ("invoke verify : docker run in a loop, 6 targets x 8 platforms", [*ours, "--force"]),
        ("invoke verify, nothing changed : the same loop", ours),
    ):
        timed(argv, folder)
        compare(
            title,
            lambda argv=argv: timed(argv, folder),  # type: ignore[misc]
            lambda: timed(["sh", "-c", loop], folder),
            max(3, rounds // 2),
        )
    timed([*INVOKE, "clean"], folder)


HELLO = f"""
[target.hello-cross]
context = "go-sample"
dockerfile = "Dockerfile.cross"
platforms = {json.dumps(PLATFORMS)}
tags = ["localhost:5000/benchmark-hello:v1"]
verify.run.stdout = "Hello, {{platform}}!"
"""
BY_HAND = "localhost:5000/benchmark-hello:hand"


def publish(folder: Path, rounds: int) -> None:
    """Print what it costs to publish one image of four platforms again, beside the same by hand."""
    shutil.copytree(ROOT / "go-sample", folder / "go-sample")
    shutil.copy(ROOT / "tasks.py", folder)
    (folder / "buildx.toml").write_text(HELLO)
    target = {**BAKE["target"]["hello-cross"], "tags": [BY_HAND]}
    (folder / "hand.json").write_text(json.dumps({"target": {"default": target}}))
    chain = [*INVOKE, "build", "--progress", "quiet", "verify", "push"]
    bake = ["docker", "buildx", "bake", "--file", "hand.json", "--progress", "quiet"]
    run = ["docker", "run", "--rm", "--platform", PLATFORMS[0], BY_HAND]
    push = ["docker", "push", "--quiet", BY_HAND]
    by_hand = [bake, run, push]
    timed([*INVOKE, "setup"], folder)
    timed(chain, folder)
    for argv in by_hand:
        timed(argv, folder)
    compare(
        "invoke push : docker push, one image, there already",
        lambda: timed([*INVOKE, "push"], folder),
        lambda: timed(push, folder),
        3 * rounds,
    )
    compare(
        "invoke build verify push : bake, run, push, nothing changed",
        lambda: timed(chain, folder),
        lambda: sum(timed(argv, folder) for argv in by_hand),
        max(3, rounds // 2),
    )
    timed([*INVOKE, "clean"], folder)
    timed(["docker", "image", "rm", "--force", BY_HAND], folder)


def docker_tags(repository: str) -> list[str]:
    """Return the tags that the engine has of a repository."""
    argv = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def unchanged(folder: Path, rounds: int) -> None:
    """Print what it costs to build nothing of 1,000 targets."""
    shutil.copy(ROOT / "tasks.py", folder)
    (folder / "context").mkdir()
    (folder / "context" / "file").write_text("x")
    dockerfile = "FROM scratch\nARG NAME\nLABEL name=$NAME\nCOPY file /\n"
    lines, hands = [], []
    for batch in range(20):
        targets = {
            f"t{batch * 50 + number}": {
                "context": "context",
                "dockerfile-inline": dockerfile,
                "args": {"NAME": f"t{batch * 50 + number}"},
                "tags": [f"localhost/benchmark-many:t{batch * 50 + number}"],
            }
            for number in range(50)
        }
        for name, target in targets.items():
            lines.append(f"[target.{name}]\nargs = {{ NAME = {json.dumps(name)} }}\n")
            lines += [f"{k} = {json.dumps(v)}\n" for k, v in target.items() if k != "args"]
        groups = {"default": {"targets": list(targets)}}
        # Tags of its own: one that it moves would not be unchanged for us.
        theirs_too = {
            name: {**target, "tags": [f"localhost/benchmark-many:hand-{name}"]}
            for name, target in targets.items()
        }
        whole = {"group": groups, "target": theirs_too}
        (folder / f"hand{batch}.json").write_text(json.dumps(whole).replace("$NAME", "$${NAME}"))
        hands.append(f"docker buildx bake --file hand{batch}.json --progress quiet")
    (folder / "buildx.toml").write_text("[skip]\nregistry = false\n" + "".join(lines))
    ours, theirs = [*INVOKE, "build", "--progress", "quiet"], ["sh", "-ec", "\n".join(hands)]
    timed(ours, folder)
    timed(theirs, folder)
    title = "invoke build : bake in batches of 50, 1,000 targets, nothing changed"
    compare(title, lambda: timed(ours, folder), lambda: timed(theirs, folder), max(1, rounds // 3))
    timed([*INVOKE, "clean"], folder)
    many = docker_tags("localhost/benchmark-many")
    timed(["docker", "image", "rm", "--force", *many], folder)


def files(place: Path, rounds: int) -> None:
    """Print what it costs to build nothing of a context of 100,000 files."""
    for number in range(100_000):
        inner = place / "context" / str(number % 1000)
        inner.mkdir(parents=True, exist_ok=True)
        (inner / str(number)).write_text(f"{number}\n" * 20)
    shutil.copy(ROOT / "tasks.py", place)
    target = {"context": "context", "dockerfile-inline": "FROM scratch\nCOPY . /\n"}
    tags = {"tags": ["localhost/benchmark-files:hand"]}
    (place / "hand.json").write_text(json.dumps({"target": {"default": {**target, **tags}}}))
    pairs = {**target, "tags": ["localhost/benchmark-files:v1"]}.items()
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in pairs)
    (place / "buildx.toml").write_text(f"[skip]\nregistry = false\n[target.files]\n{text}")
    ours = [*INVOKE, "build", "--progress", "quiet"]
    hand = ["docker", "buildx", "bake", "--file", "hand.json", "--progress", "quiet"]
    timed(ours, place)
    timed(hand, place)
    compare(
        "invoke build : bake, a context of 100,000 files, nothing changed",
        lambda: timed(ours, place),
        lambda: timed(hand, place),
        max(3, rounds // 2),
    )
    timed([*INVOKE, "clean"], place)
    timed(["docker", "image", "rm", "--force", "localhost/benchmark-files:hand"], place)


def sample(folder: Path) -> None:
    """Copy the sample, under names of its own: the sample's images and builder stay as they are."""
    shutil.copytree(ROOT / "go-sample", folder / "go-sample")
    shutil.copy(ROOT / "tasks.py", folder)
    text = (ROOT / "buildx.toml").read_text().replace("hello-builder", "benchmark-builder")
    (folder / "buildx.toml").write_text(text.replace("localhost:5000", "localhost:5000/benchmark"))
    (folder / "hand.json").write_text(json.dumps(BAKE))
    timed([*INVOKE, "setup"], folder)


def cold(folder: Path, _: int) -> None:
    """Print what emulation costs a build without any cache."""
    sample(folder)
    build = [*INVOKE, "build", "--progress", "quiet", "--no-cache", "-p", "linux/arm64"]
    compare(
        "hello-emulated : hello-cross, cold, linux/arm64",
        lambda: timed([*build, "-t", "hello-emulated"], folder),
        lambda: timed([*build, "-t", "hello-cross"], folder),
        1,
    )
    timed([*INVOKE, "clean"], folder)


def main() -> None:
    """Run the comparisons, one after the other."""
    parts: dict[str, Callable[[Path, int], None]] = {
        "scale": scale,
        "tasks": tasks,
        "cold": cold,
        "verify": verify,
        "publish": publish,
        "unchanged": unchanged,
        "files": files,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each short comparison")
    options = parser.parse_args()
    if unknown := [one for one in options.parts if one not in parts]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    print(f"{os.cpu_count()} cores; median of A, median of B, median ratio A/B (pairs)")
    for name in options.parts or parts:
        with tempfile.TemporaryDirectory() as temporary:
            parts[name](Path(temporary), options.rounds)


def tasks(folder: Path, rounds: int) -> None:
    """Print what the sample's tasks cost, beside the same by hand."""
    sample(folder)
    empty = folder / "empty"
    empty.mkdir()
    (empty / "tasks.py").write_text("")
    selection = [word for target in TARGETS for word in ("-t", target)]
    hand = ["docker", "buildx", "bake", "--file", "hand.json", "--progress", "quiet"]
    ours = [*INVOKE, "build", "--progress", "quiet", *selection]

    lister = [*INVOKE, "--list"]
    timed(lister, folder)
    # invoke says that there are no tasks, and exits with 1: all that it costs is start-up.
    timed(lister, empty, check=False)
    compare(
        "invoke --list : with an empty tasks file",
        lambda: timed(lister, folder),
        lambda: timed(lister, empty, check=False),
        3 * rounds,
    )
    timed(ours, folder)
    timed(hand, folder)
    compare(
        "invoke build : docker buildx bake, nothing changed",
        lambda: timed(ours, folder),
        lambda: timed(hand, folder),
        rounds,
    )
    source = folder / "go-sample" / "main.go"
    text = source.read_text()

    def changed(argv: list[str]) -> float:
        source.write_text(text.replace("Hello", f"Hello {time.monotonic_ns()}"))
        return timed(argv, folder)

    compare(
        "invoke build : docker buildx bake, one line changed",
        lambda: changed(ours),
        lambda: changed(hand),
        rounds,
    )
    source.write_text(text)
    tags = [tag for target in BAKE["target"].values() for tag in target.get("tags", [])]
    pushes = [["docker", "push", "--quiet", tag] for tag in tags]
    for argv in ([*INVOKE, "build", "verify", "push", *selection], hand, *pushes):
        timed(argv, folder)
    compare(
        "invoke push : docker push, both images there already",
        lambda: timed([*INVOKE, "push", *selection], folder),
        lambda: sum(timed(argv, folder) for argv in pushes),
        3 * rounds,
    )
    timed([*INVOKE, "clean"], folder)
    timed(["docker", "image", "rm", "--force", *tags], folder)


if __name__ == "__main__":
    main()
