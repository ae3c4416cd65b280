"""A large image, audited in its registry, against docker pull and docker run of the same checks.

It needs an engine with alpine:3.22 and docker-registry, as ``./bootstrap`` makes them ready, and about
four times the image's size on the disc, for as long as it runs. Sizes are those of the files.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.registry.manifests import manifest_of
from buildx_tasks.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.registry.repository import Repository

ROOT = Path(__file__).parent.parent
LAYERS = 4
FILE = 1 << 20  # bytes of most files
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# What is asked of the image's files where it runs: the first bytes of each, and who is setuid.
CHECKS = (
    "find / -xdev -type f -exec head -q -c 20 {} + | od -An -tx1 | wc -l; "
    "find / -xdev -type f -perm /6000"
)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Serve a registry of the benchmark's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [
        "version: 0.1",
        "log: { level: error }",
        f"storage: {{ filesystem: {{ rootdirectory: {folder}/data }} }}",
        f"http: {{ addr: '127.0.0.1:{port}' }}",
    ]
    (folder / "registry.yml").write_text("\n".join(lines))
    quiet = subprocess.DEVNULL
    argv = ["docker-registry", "serve", str(folder / "registry.yml")]
    process = subprocess.Popen(argv, stdout=quiet, stderr=quiet)
    try:
        time.sleep(1)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


def write_layer(path: Path, number: int, size: int) -> str:
    """Write a layer with files of ``size`` bytes in all; return its digest unpacked."""
    chance = random.Random(number)  # noqa: S311 - for data
    seen = hashlib.sha256()

    class Both:
        """Writes what is packed, and hashes what is not."""

        def write(self, data: bytes) -> int:
            seen.update(data)
            return packed.write(data)

    sink: Any = Both()
    with (
        gzip.open(path, "wb", compresslevel=1) as packed,
        tarfile.open(fileobj=sink, mode="w|") as archive,
    ):
        for count in range(size // FILE):
            half = chance.randbytes(FILE // 2)
            data = half + bytes(FILE - len(half))
            info = tarfile.TarInfo(f"data/{number}/{count // 100}/{count}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return f"sha256:{seen.hexdigest()}"


def publish(repository: Repository, folder: Path, size: int) -> int:
    """Put an image into a repository as ``v1``; return its compressed bytes."""
    manifest, config = alpine(repository, folder)
    for number in range(LAYERS):
        path = folder / "layer"
        config["rootfs"]["diff_ids"].append(write_layer(path, number, size // LAYERS))
        with path.open("rb") as stream:
            packed = hashlib.sha256()
            for piece in iter(lambda: stream.read(FILE), b""):
                packed.update(piece)
            digest = f"sha256:{packed.hexdigest()}"
        length = path.stat().st_size
        repository.upload(digest, length, partial(pieces, path), lambda _: None)
        manifest["layers"].append({"mediaType": LAYER, "digest": digest, "size": length})
        path.unlink()
    config.pop("history", None)
    data = json.dumps(config).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    repository.upload(digest, len(data), lambda: [data], lambda _: None)
    manifest["config"] = {"mediaType": CONFIG, "digest": digest, "size": len(data)}
    repository.put("v1", manifest_of(json.dumps(manifest).encode()))
    return sum(int(one["size"]) for one in manifest["layers"])


def alpine(repository: Repository, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Push the engine's base image; return manifest and config of linux/amd64, to go on with."""
    name = f"{repository}:base"
    run(["docker", "tag", "alpine:3.22", name], folder)
    run(["docker", "push", "--quiet", name], folder)
    run(["docker", "image", "rm", name], folder)
    source = RepositorySource(repository)
    listed = repository.get("base").content.manifests
    first = next(one for one in listed if one.platform and one.platform.architecture == "amd64")
    read = source.manifest(first.digest)
    (config,) = read.described[:1]
    return json.loads(read.data), source.config(config).whole


def pieces(path: Path) -> Iterator[bytes]:
    """Give a file piece by piece."""
    with path.open("rb") as stream:
        yield from iter(lambda: stream.read(1 << 20), b"")


def run(argv: list[str], folder: Path) -> tuple[float, int]:
    """Run a command that must succeed; return its seconds and the most memory it took, in bytes."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def main() -> None:
    """Measure, and print one line for each round and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2000, help="MB of files")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shutil.copy(ROOT / "tasks.py", folder)
        with registry(folder) as address, closing(Workspace.empty()) as workspace:
            repository = workspace.registries.of(f"{address}/benchmark")
            compressed = publish(repository, folder, asked.size * 1_000_000)
            image = f"{address}/benchmark:v1"
            print(f"{asked.size} MB of files, {compressed / 1e6:.0f} MB compressed", flush=True)
            ratios = []
            for _ in range(asked.rounds):
                seconds, most = run(
                    [sys.executable, "-m", "invoke", "verify", "--ref", image], folder
                )
                pulled, _ = run(["docker", "pull", "--quiet", image], folder)
                checks = ["docker", "run", "--rm", "--network=none", image, "sh", "-c", CHECKS]
                ran, _ = run(checks, folder)
                run(["docker", "image", "rm", "--force", image], folder)
                ratios.append(seconds / (pulled + ran))
                print(
                    f"audited {seconds:.1f} s in {most / 1e6:.0f} MB; pulled {pulled:.1f} s, run "
                    f"{ran:.1f} s; ratio {ratios[-1]:.2f}",
                    flush=True,
                )
            print(f"median ratio {statistics.median(ratios):.2f} ({asked.rounds})")


if __name__ == "__main__":
    main()
