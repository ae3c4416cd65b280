"""A stand-in for the image ``moby/buildkit``, which cannot be pulled everywhere.

The engine contains BuildKit. The stand-in is an image of this machine's ``dockerd`` on top of
``alpine:3.22``, with a ``buildkitd`` that starts it and a ``buildctl`` that connects to its BuildKit,
so that buildx's ``docker-container`` driver works with it as with the real one. What the driver asks
of an image: buildx's ``driver/docker-container/driver.go``.

Where it is not the real one: the configuration file and the flags are kept, but have no effect
(``/run/buildkit/flags`` has one flag a line); there are no CA certificates and no git. With the
driver option ``network=host`` it has a bridge on this machine until it is stopped, not killed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from .conftest import cannot_run, docker

# Nothing listens on port 1: the driver's attempt to pull fails at once, and can get nothing.
_REPOSITORY = "localhost:1/buildx-tasks-test/buildkit"
_PROGRAMS = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker")

_BUILDKITD = r"""#!/bin/sh
set -eu
if [ "${1:-}" = --version ]; then
  # Four words; the driver takes the third.
  echo 'buildkitd github.com/moby/moby v0.0.0+unknown stand-in'
  exit
fi
run=/run/buildkit
mkdir -p $run
printf '%s\n' "$@" >$run/flags
# Left by a stop: another process may have its number now.
rm -f $run/pid

cgroup=/sys/fs/cgroup
if [ -e $cgroup/cgroup.controllers ]; then
  # Version 2: a group that has processes of its own cannot pass controllers on.
  mkdir -p $cgroup/init
  while read -r pid; do echo "$pid" >$cgroup/init/cgroup.procs || :; done <$cgroup/cgroup.procs
  for name in $(cat $cgroup/cgroup.controllers); do
    echo "+$name" >$cgroup/cgroup.subtree_control || :
  done
fi

# A bridge of its own: with the driver option network=host, docker0 is the first engine's.
bridge=bk$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
ip link add "$bridge" type bridge
echo "$bridge" >$run/bridge
dockerd --config-file /etc/buildkit-engine.json --data-root /var/lib/buildkit/engine \
  --exec-root $run/exec --pidfile $run/pid --host unix://$run/sock --log-level warn \
  --bridge "$bridge" --iptables=false --ip6tables=false --userland-proxy=false &
engine=$!
trap 'kill $engine' TERM INT
code=0
# A signal ends the first wait.
while kill -0 $engine 2>/dev/null; do wait $engine || code=$?; done
ip link delete "$bridge"
exit $code
"""

_BUILDCTL = r"""#!/bin/sh
set -eu
export DOCKER_HOST=unix:///run/buildkit/sock
case $* in
  'debug workers') exec timeout 5 docker version --format '{{.Server.Version}}' ;;
  dial-stdio) ;;
  *)
    echo "the stand-in has no buildctl $*" >&2
    exit 1
    ;;
esac
# The engine drops what reaches it before its answer to the upgrade: the fifo says that it came.
upgraded=$(mktemp -u)
mkfifo "$upgraded"
{
  printf 'POST /grpc HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'
  read -r _ <"$upgraded"
  rm "$upgraded"
  exec cat
} | docker system dial-stdio | {
  # The answer ends with an empty line; read takes byte by byte, what follows is BuildKit's.
  while IFS= read -r line && [ "$line" != "$(printf '\r')" ]; do :; done
  echo >"$upgraded"
  exec cat
}
"""

_DOCKERFILE = """\
FROM alpine:3.22
COPY root /
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /var/lib/buildkit
ENTRYPOINT ["buildkitd"]
"""


@functools.cache
def ensure_image() -> str:
    """Return the reference of the stand-in; build it where the engine has none like it.

    Building takes about 6 s. The tag tells the programs and scripts it is made of.
    """
    programs = [_program(name) for name in _PROGRAMS]
    sizes_and_times = [f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in programs]
    made_of = [_BUILDKITD, _BUILDCTL, _DOCKERFILE, *sizes_and_times]
    reference = f"{_REPOSITORY}:{hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]}"
    if not docker("image", "ls", "--quiet", reference):
        with tempfile.TemporaryDirectory(prefix="buildkit-image-") as folder:
            _fill(Path(folder), programs)
            # Compressing it would take longer than all the rest.
            output = f"type=image,name={reference},compression=uncompressed"
            argv = ["buildx", "build", "--builder", "default", "--provenance", "false"]
            docker(*argv, "--output", output, folder)
    return reference


def remove_builder(name: str) -> None:
    """Remove a builder with all that the driver made for its nodes, whatever state it is in."""
    docker("buildx", "rm", "--force", name, check=False)
    named = f"name=buildx_buildkit_{name}"
    if left := docker("ps", "--all", "--quiet", "--filter", named).split():
        docker("stop", *left)
        docker("rm", "--force", "--volumes", *left)
    if left := docker("volume", "ls", "--quiet", "--filter", named).split():
        docker("volume", "rm", "--force", *left)


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
    if found is None:
        cannot_run(f"the stand-in for moby/buildkit needs {name} on this machine")
    return Path(found).resolve()


def _fill(folder: Path, programs: list[Path]) -> None:
    bin_folder = folder / "root" / "usr" / "bin"
    bin_folder.mkdir(parents=True)
    for name, path in zip(_PROGRAMS, programs):
        shutil.copy(path, bin_folder / name)
    for path in {library for program in programs for library in _libraries(program)}:
        target = folder / "root" / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name, text in (("buildkitd", _BUILDKITD), ("buildctl", _BUILDCTL)):
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    settings = folder / "root" / "etc" / "buildkit-engine.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    (folder / "Dockerfile").write_text(_DOCKERFILE)


def _libraries(program: Path) -> set[Path]:
    """Return the shared libraries that ``ldd`` names, the loader among them; none for a static one."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return {Path(word) for word in listed.split() if word.startswith("/")}
