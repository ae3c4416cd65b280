"""Debian's cross compilers as steps of a Dockerfile, for the platform that it is built for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.platforms import Platform

# Docker's architecture and variant, GNU's name, Debian's, Rust's.
_MACHINES = (
    ("amd64", "x86_64-linux-gnu", "amd64", "x86_64-unknown-linux-gnu"),
    ("arm64", "aarch64-linux-gnu", "arm64", "aarch64-unknown-linux-gnu"),
    ("armv7", "arm-linux-gnueabihf", "armhf", "armv7-unknown-linux-gnueabihf"),
    ("riscv64", "riscv64-linux-gnu", "riscv64", "riscv64gc-unknown-linux-gnu"),
    ("386", "i686-linux-gnu", "i386", "i686-unknown-linux-gnu"),
    ("ppc64le", "powerpc64le-linux-gnu", "ppc64el", "powerpc64le-unknown-linux-gnu"),
    ("s390x", "s390x-linux-gnu", "s390x", "s390x-unknown-linux-gnu"),
)
# What a build calls, whatever it names its compiler: found first on PATH, it makes the platform's.
_TOOLS = "gcc g++ cpp ar as ld nm ranlib strip objcopy objdump"


def lacking(platforms: Iterable[Platform]) -> list[str]:
    """Return the platforms that Debian has no cross compiler for."""
    known = {name for name, *_ in _MACHINES}
    return [
        str(one)
        for one in platforms
        if one.os != "linux"
        or f"{one.architecture}{one.variant if one.architecture == 'arm' else ''}" not in known
    ]


def steps(packages: str = "") -> str:
    """Return what installs the compiler; /cross/names has the names of its machine, for ``.``."""
    cases = "\n".join(
        f"      {name + ('*' if name in ('amd64', 'arm64') else '')}) "
        f"echo gnu={gnu} debian={debian} triple={triple} ;; \\"
        for name, gnu, debian, triple in _MACHINES
    )
    return f"""ARG TARGETPLATFORM TARGETARCH TARGETVARIANT
RUN mkdir -p /cross/bin && case "$TARGETARCH$TARGETVARIANT" in \\
{cases}
      *) echo "no cross compiler is named for $TARGETPLATFORM" >&2; exit 1 ;; \\
    esac > /cross/names
RUN . /cross/names && gcc=$(echo $gnu | tr _ -) && \\
    tools="gcc-$gcc g++-$gcc libc6-dev-$debian-cross" && \\
    if [ "$debian" = "$(dpkg --print-architecture)" ]; then tools="gcc g++ libc6-dev"; fi && \\
    apt-get update && apt-get install -y --no-install-recommends $tools{packages} && \\
    rm -rf /var/lib/apt/lists/*
"""


# In front of PATH for all that follows.
IN_FRONT = f"""RUN . /cross/names && for tool in {_TOOLS}; do \\
      ln -s "$(command -v $gnu-$tool)" /cross/bin/$tool; \\
    done && ln -s gcc /cross/bin/cc && ln -s g++ /cross/bin/c++
ENV PATH=/cross/bin:$PATH
"""

# cargo's own configuration: what it runs while it builds is made for the build machine, as ever.
CARGO = """RUN . /cross/names && rustup target add $triple && { \\
      printf '[build]\\ntarget = "%s"\\n' $triple; \\
      printf '[target.%s]\\nlinker = "%s-gcc"\\n' $triple $gnu; \\
      printf '[env]\\nTARGET_CC = "%s-gcc"\\nTARGET_CXX = "%s-g++"\\n' $gnu $gnu; \\
    } >> "$CARGO_HOME/config.toml"
"""
