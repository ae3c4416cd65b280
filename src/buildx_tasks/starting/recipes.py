"""The Dockerfiles that ``init`` writes, one for each language, with ``{}`` for what differs."""

from __future__ import annotations

# CGO_ENABLED=0 makes one static program; each platform is compiled natively, by the cross compiler in Go.
GO = """# Compiles natively for each platform: nothing is emulated.
FROM --platform=$BUILDPLATFORM golang:{version}-alpine AS builder
WORKDIR /src
COPY . .
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN --mount=type=cache,target=/root/.cache/go-build \\
    --mount=type=cache,target=/go/pkg/mod \\
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${{TARGETVARIANT#v}} \\
    go build -trimpath -o /{name} {package}

FROM alpine:3.22
COPY --from=builder /{name} /usr/local/bin/{name}
USER 65534:65534
ENTRYPOINT ["{name}"]
"""

RUST = """# Compiles natively for each platform, linked by Debian's cross compiler: nothing is emulated.
FROM --platform=$BUILDPLATFORM rust:1-slim-trixie AS builder
{cross}RUN . /cross/names && rustup target add $triple
WORKDIR /src
COPY . .
# What one platform compiles must not meet another's: the folder has an id for each.
RUN --mount=type=cache,target=/usr/local/cargo/registry \\
    --mount=type=cache,target=/src/target,id=target-$TARGETPLATFORM \\
    . /cross/names && export TARGET_CC=$gnu-gcc TARGET_CXX=$gnu-g++ && \\
    cargo build --release{locked} --target $triple --config "target.$triple.linker='$gnu-gcc'" && \\
    cp target/$triple/release/{name} /{name}

FROM debian:trixie-slim
COPY --from=builder /{name} /usr/local/bin/{name}
USER 65534:65534
ENTRYPOINT ["{name}"]
"""

CMAKE = """RUN . /cross/names && \\
    cmake -S . -B /build -DCMAKE_BUILD_TYPE=Release \\
      -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=${{gnu%%-*}} \\
      -DCMAKE_C_COMPILER=$gnu-gcc -DCMAKE_CXX_COMPILER=$gnu-g++ && \\
    cmake --build /build --parallel --target {name} && \\
    mkdir -p /out/usr/local/bin && \\
    cp $(find /build -type f -name {name} | head -n 1) /out/usr/local/bin/"""
MAKE = """RUN . /cross/names && \\
    make CC=$gnu-gcc CXX=$gnu-g++ AR=$gnu-ar && \\
    make CC=$gnu-gcc CXX=$gnu-g++ AR=$gnu-ar DESTDIR=/out install"""
# Build and image are of one release: what is linked there is found here.
C = """# Compiles natively for each platform, with Debian's cross compilers: nothing is emulated.
FROM --platform=$BUILDPLATFORM debian:trixie-slim AS builder
{cross}WORKDIR /src
COPY . .
# A library of Debian, for the platform: dpkg --add-architecture $debian, apt-get update, and
# apt-get install libfoo-dev:$debian.
{made}

FROM debian:trixie-slim
COPY --from=builder /out/ /
USER 65534:65534
ENTRYPOINT ["{name}"]
"""

NODE = """# Installs and builds natively; the image has the modules of its platform. Nothing is emulated.
FROM --platform=$BUILDPLATFORM node:{version}-slim AS builder
WORKDIR /app
COPY package*.json npm-shrinkwrap.jso[n] ./
RUN --mount=type=cache,target=/root/.npm {install}
COPY . .
{build}ARG TARGETPLATFORM TARGETARCH
# Modules that compile themselves where they are installed are left as they come: take those that
# bring a program for each platform.
RUN --mount=type=cache,target=/root/.npm \\
    case "$TARGETARCH" in \\
      amd64) cpu=x64 ;; \\
      ppc64le) cpu=ppc64 ;; \\
      arm | arm64 | riscv64 | s390x) cpu=$TARGETARCH ;; \\
      *) echo "Node.js has no name for $TARGETPLATFORM" >&2; exit 1 ;; \\
    esac && \\
    rm -rf node_modules && {install} --omit=dev --ignore-scripts --os=linux --cpu=$cpu --libc=glibc

FROM node:{version}-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=builder /app ./
USER node
CMD {command}
"""

WHEEL = """# With compiled parts it is a wheel for the build machine, refused below for any other.
RUN --mount=type=cache,target=/root/.cache/pip pip wheel --no-deps --wheel-dir /wheels .
"""
PYTHON = """# Takes the wheels of each platform, without running it: nothing is emulated.
FROM --platform=$BUILDPLATFORM python:{version}-slim AS builder
WORKDIR /src
COPY . .
{wheel}ARG TARGETPLATFORM TARGETARCH TARGETVARIANT
RUN --mount=type=cache,target=/root/.cache/pip \\
    case "$TARGETARCH$TARGETVARIANT" in \\
      amd64*) machine=x86_64 ;; \\
      arm64*) machine=aarch64 ;; \\
      armv7) machine=armv7l ;; \\
      ppc64le | riscv64 | s390x) machine=$TARGETARCH ;; \\
      *) echo "wheels have no name for $TARGETPLATFORM" >&2; exit 1 ;; \\
    esac && \\
    for glibc in 2_39 2_36 2_35 2_34 2_31 2_28 2_27 2_24 2_17; do \\
      set -- "$@" --platform manylinux_${{glibc}}_$machine; \\
    done && \\
    pip install --target /deps --only-binary=:all: --python-version {version} --implementation cp \\
      --platform manylinux2014_$machine --platform linux_$machine "$@" {what}

FROM python:{version}-slim
COPY --from=builder /deps /deps
ENV PYTHONPATH=/deps PATH=/deps/bin:$PATH
{sources}USER 65534:65534
CMD {command}
"""
