"""12 Dockerfiles that compile under emulation, as ``invoke lint --fix`` mends them.

``python benchmarks/fix.py`` builds each fixed one for four platforms and verifies it (``binaries``, and
that it runs), then compares what linux/arm64 takes before and after, once a line of the source changed.
Bases that cannot be pulled are stand-ins, which ``python benchmarks/toolchains.py`` makes of packages;
``--only NAME`` runs one, ``--no-times`` compares nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")
# What stands for a base, under the name that the Dockerfiles have: see toolchains.py.
STAND_INS = {
    "debian:trixie-slim": "bench/debian:trixie-slim",
    "golang:1.24": "bench/golang:1.24",
    "rust:1-slim-trixie": "bench/rust:1-slim-trixie",
}

GO = {
    "go.mod": "module hello\n\ngo 1.24\n",
    "main.go": (
        'package main\n\nimport (\n\t"fmt"\n\t"runtime"\n)\n\n'
        'func main() { fmt.Println("hello from", runtime.GOARCH) }\n'
    ),
}
CGO = {
    "go.mod": GO["go.mod"],
    "main.go": (
        'package main\n\n// static int seven(void) { return 7; }\nimport "C"\n\nimport "fmt"\n\n'
        'func main() { fmt.Println("hello from", C.seven()) }\n'
    ),
}
RUST = {
    "Cargo.toml": '[package]\nname = "hello"\nversion = "0.1.0"\nedition = "2021"\n',
    "build.rs": 'fn main() { println!("cargo:rustc-env=MADE=yes"); }\n',
    "src/main.rs": "".join(
        f"#[derive(Debug, Clone, PartialEq, PartialOrd, Default)]\nstruct S{n} {{ a: u64, b: String, c: Vec<u8> }}\n"
        for n in range(60)
    )
    + 'fn main() { println!("hello from {} {:?}", std::env::consts::ARCH, ('
    + ", ".join(f"S{n}::default().clone() == S{n}::default()" for n in range(12))
    + ")); }\n",
}
C = {
    "main.c": (
        "#include <stdio.h>\n#include <sys/utsname.h>\n"
        + "".join(
            f"static double f{n}(double x) {{ for (int i = 0; i < 9; i++) x = x * x - {n}; return x; }}\n"
            for n in range(900)
        )
        + "int main(void) { struct utsname u; uname(&u); double s = 0;\n"
        + "".join(f"s += f{n}(s);\n" for n in range(900))
        + 'printf("hello from %s %d\\n", u.machine, s > 0); return 0; }\n'
    ),
    "Makefile": (
        "CFLAGS = -O2\nhello: main.o\n\tcc -o $@ $^ -lm\nmain.o: main.c\n\tgcc $(CFLAGS) -c $<\n"
        "install: hello\n\tmkdir -p $(DESTDIR)/usr/local/bin && cp hello $(DESTDIR)/usr/local/bin/\n"
    ),
    "main.cpp": (
        "#include <iostream>\n#include <map>\n#include <regex>\n#include <string>\n"
        'int main() { std::map<std::string, int> m{{"a", 1}}; std::regex r("a+");\n'
        'std::cout << "hello from " << m.size() << std::regex_match("aa", r) << std::endl; }\n'
    ),
    "CMakeLists.txt": (
        "cmake_minimum_required(VERSION 3.16)\nproject(hello CXX)\nadd_executable(hello main.cpp)\n"
        "install(TARGETS hello)\n"
    ),
}
_APT = "RUN apt-get update && apt-get install -y --no-install-recommends"


class Case(NamedTuple):
    """A Dockerfile and its sources."""

    files: dict[str, str]
    dockerfile: str


CASES = {
    "go": Case(
        GO,
        "FROM golang:1.24-alpine AS builder\nWORKDIR /src\nCOPY . .\nRUN go build -o hello .\n"
        'FROM alpine:3.22\nCOPY --from=builder /src/hello /hello\nCMD ["/hello"]\n',
    ),
    "go-scratch": Case(
        GO,
        "ARG GO=1.24\nFROM golang:${GO}-alpine AS build\nENV CGO_ENABLED=0\nWORKDIR /go/src/hello\n"
        "COPY go.mod ./\nRUN go mod download\nCOPY . .\n"
        'RUN go vet ./... && \\\n    go build \\\n      -trimpath -ldflags "-s -w" -o /hello .\n'
        'FROM scratch\nCOPY --from=build /etc/passwd /etc/passwd\nCOPY --from=build /hello /hello\nCMD ["/hello"]\n',
    ),
    "go-one-architecture": Case(
        GO,
        "FROM golang:1.24-alpine AS build\nENV CGO_ENABLED=0 GOOS=linux GOARCH=amd64\nWORKDIR /src\n"
        'COPY . .\nRUN go build -o /out/hello .\nFROM alpine:3.22\nCOPY --from=build /out/ /\nCMD ["/hello"]\n',
    ),
    "go-stages": Case(
        GO,
        "FROM golang:1.24-alpine AS base\nWORKDIR /src\nCOPY go.mod ./\nRUN go mod download\n"
        "FROM base AS build\nCOPY . .\nRUN CGO_ENABLED=0 GOOS=linux go build -o /hello .\n"
        'FROM alpine:3.22\nCOPY --from=build /hello /hello\nCMD ["/hello"]\n',
    ),
    "go-pinned-and-untold": Case(
        GO,
        "FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS build\nWORKDIR /src\nCOPY . .\n"
        'RUN CGO_ENABLED=0 go build -o /hello .\nFROM alpine:3.22\nCOPY --from=build /hello /hello\nCMD ["/hello"]\n',
    ),
    "cgo": Case(
        CGO,
        "FROM golang:1.24 AS build\nWORKDIR /src\nCOPY . .\nRUN go build -o /out/hello .\n"
        'FROM debian:trixie-slim\nCOPY --from=build /out/hello /hello\nCMD ["/hello"]\n',
    ),
    "rust": Case(
        RUST,
        "FROM rust:1-slim-trixie AS build\nWORKDIR /src\nCOPY . .\nRUN cargo build --release\n"
        'FROM debian:trixie-slim\nCOPY --from=build /src/target/release/hello /hello\nCMD ["/hello"]\n',
    ),
    "rust-cached": Case(
        RUST,
        "FROM rust:1-slim-trixie AS build\nWORKDIR /src\nCOPY . .\n"
        "RUN --mount=type=cache,target=/src/target cargo build --release && \\\n    cp target/release/hello /hello\n"
        'FROM debian:trixie-slim\nCOPY --from=build /hello /hello\nCMD ["/hello"]\n',
    ),
    "c": Case(
        C,
        f"FROM debian:trixie-slim AS build\n{_APT} gcc libc6-dev\nWORKDIR /src\nCOPY . .\n"
        'RUN gcc -O2 -o hello main.c -lm\nFROM debian:trixie-slim\nCOPY --from=build /src/hello /hello\nCMD ["/hello"]\n',
    ),
    "make": Case(
        C,
        f"FROM debian:trixie-slim AS build\n{_APT} gcc libc6-dev make\nWORKDIR /src\nCOPY . .\n"
        "RUN make -j$(nproc) && make install\n"
        'FROM debian:trixie-slim\nCOPY --from=build /usr/local/bin/hello /hello\nCMD ["/hello"]\n',
    ),
    "cmake": Case(
        C,
        f"FROM debian:trixie-slim AS build\n{_APT} g++ cmake make\nWORKDIR /src\nCOPY . .\n"
        "RUN cmake -S . -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build && cmake --install build\n"
        'FROM debian:trixie-slim\nCOPY --from=build /usr/local/bin/hello /hello\nCMD ["/hello"]\n',
    ),
    "c++": Case(
        C,
        f"FROM debian:trixie-slim AS build\n{_APT} g++\nCOPY main.cpp /src/\n"
        'RUN g++ -O2 -o /hello /src/main.cpp\nFROM debian:trixie-slim\nCOPY --from=build /hello /hello\nCMD ["/hello"]\n',
    ),
}


def toml(name: str, contexts: dict[str, str], platforms: tuple[str, ...]) -> str:
    """Return the project's file: stand-ins take the place of bases under their own names."""
    named = ", ".join(f'"{base}" = "docker-image://{image}"' for base, image in contexts.items())
    listed = ", ".join(f'"{one}"' for one in platforms)
    return (
        f'[target.app]\nplatforms = [{listed}]\ntags = ["bench/{name}:fixed"]\ncontexts = {{ {named} }}\n'
        '[target.app.verify]\nbinaries = { paths = ["/hello"] }\nindex = {}\n'
        'run = { stdout = { matches = "^hello from" } }\n[skip]\nregistry = false\n'
    )


def invoke(folder: Path, *args: str) -> str:
    """Run invoke in a folder; return what it printed."""
    argv = [sys.executable, "-m", "invoke", *args]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(args)}\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done.stdout


def built(folder: Path, contexts: dict[str, str]) -> float:
    """Build Dockerfile.timed for linux/arm64, and return the seconds."""
    argv = ["docker", "buildx", "build", "--builder", "default", "--platform", "linux/arm64"]
    argv += ["--progress", "plain", "--file", "Dockerfile.timed", "--output", "type=cacheonly"]
    argv += [f"--build-context={base}=docker-image://{image}" for base, image in contexts.items()]
    start = time.monotonic()
    done = subprocess.run([*argv, "."], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-6000:])
    return time.monotonic() - start


def seconds(folder: Path, case: Case, dockerfile: str, contexts: dict[str, str]) -> float:
    """Return what linux/arm64 takes after a line of the source changed: the second build of two."""
    (folder / "Dockerfile.timed").write_text(dockerfile)
    first = built(folder, contexts)
    print(f"  first build {first:.1f} s", file=sys.stderr, flush=True)
    for name, text in case.files.items():
        if name.endswith((".go", ".c", ".cpp", "main.rs")):
            (folder / name).write_text(f"{text}// {time.time()}\n")
    return built(folder, contexts)


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument(
        "--no-times", action="store_true", help="build and verify, but compare nothing"
    )
    wanted = parser.parse_args()
    ratios = []
    os.environ["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"
    for name in wanted.only or CASES:
        case = CASES[name]
        contexts = {base: image for base, image in STAND_INS.items() if base in case.dockerfile}
        with tempfile.TemporaryDirectory() as path:
            folder = Path(path)
            for file, text in {**case.files, "Dockerfile": case.dockerfile}.items():
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).write_text(text)
            (folder / ".dockerignore").write_text(".buildx\nDockerfile*\n")
            (folder / "tasks.py").write_text("from buildx_tasks import namespace\n")
            (folder / "buildx.toml").write_text(toml(name.replace("+", "p"), contexts, PLATFORMS))
            said = invoke(folder, "lint", "--fix", "--yes")
            if "left alone" in said or "wrote Dockerfile" not in said:
                sys.exit(f"{name}: {said}")
            fixed = (folder / "Dockerfile").read_text()
            said = invoke(folder, "build", "--progress", "quiet", "verify")
            verdict = said.strip().splitlines()[-1]
            invoke(folder, "clean")
            line = f"{name:22} 4 platforms built, {verdict}"
            if not wanted.no_times:
                after = seconds(folder, case, fixed, contexts)
                before = seconds(folder, case, case.dockerfile, contexts)
                ratios.append(before / after)
                line += f"; linux/arm64 {before:6.1f} s : {after:5.1f} s = {before / after:4.1f}"
            print(line, flush=True)
    if ratios:
        print(f"median {statistics.median(ratios):.1f}, least {min(ratios):.1f}")


if __name__ == "__main__":
    main()
