"""Good files that between them say everything a file can say."""

from __future__ import annotations

from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "buildx.toml"

EVERYTHING = """
[defaults]
labels = { team = "x" }
pull = "${PULL}"

[variable.PULL]
default = false
description = "Look for newer base images"

[variable.V]
default = "1.2"
type = "string"
validation = { pattern = "[0-9.]+", message = "write a version" }

[variable.N]
default = 3
[[variable.N.validation]]
min = 1
max = 9
[[variable.N.validation]]
choices = [1, 3, 5]

[variable.LIST]
default = ["linux/amd64", "linux/arm64"]

[variable.NONE]

[group.default]
targets = ["a", "all"]
description = "What is built"

[group.all]
targets = ["m", "c"]

[target._base]
annotations = ["a=b", "index:c=d"]
args = { A = "1", N = 2, T = true, GONE = "${NONE}" }
attest = ["type=sbom", { type = "provenance", mode = "max" }]
cache-from = ["user/app:cache", { type = "gha" }]
cache-to = ["type=inline"]
secret = ["id=x,env=X", { id = "y", src = "f" }]
ssh = ["default", { id = "k", paths = ["p"] }]

[target.a]
inherits = ["_base"]
args = { A = { unset = true } }
call = "build"
context = "src"
contexts = { base = "target:c", img = "docker-image://alpine" }
description = "text"
dockerfile = "Dockerfile.x"
entitlements = ["network.host"]
extra-hosts = { h = "1.2.3.4" }
network = "host"
no-cache = true
no-cache-filter = ["build"]
output = ["type=docker", { type = "local", dest = "d" }]
platforms = ["${LIST}"]
shm-size = "1g"
tags = ["localhost:5000/a:${V}"]
target = "t"
ulimits = ["nofile=1:2"]

[target.a.files]
"linux/amd64" = "dist/a.amd64"
"linux/arm64" = { a = "dist/a.arm64", "etc/b" = "conf/b" }

[target.a.platform."linux/arm64"]
dockerfile-inline = "FROM scratch\\nARG $${TARGETARCH}"
args = { A = "arm" }
labels = { l = "arm" }

[target.a.verify]
run = { args = ["x"], stdout = "{platform}", exit-code = 1, timeout = 1.5 }
binaries = { paths = ["/bin/*"], allow = ["/lib/firmware/**"], static = true, float-abi = "hard" }
size = { compressed = "20MB", unpacked = 50000000, growth = 2.5 }
index = { sbom = false, provenance = true }
reproducible = true
only = ["linux/amd64", "arm64"]
skip = { "linux/arm64" = "no board" }

[target.a.verify.config]
entrypoint = ["/a"]
cmd = []
user = "1:1"
nonroot = true
env = { A = "b" }
ports = [8080, "53/udp"]
labels = { "a.b" = "c" }
annotations = { d = "e" }
working-dir = "/"
healthcheck = ["CMD", "/a"]
stop-signal = "SIGINT"

[target.a.verify.files]
"/a" = { type = "file", mode = "0755", owner = "0:0", size = "1MB" }
"/d" = { sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
"/b*" = { exists = false }
"/c" = { link = "a", contains = ["x"], matches = "y+" }

[[target.a.verify.check]]
name = "serves"
xfail = { "linux/amd64" = "issue 1" }

[target.a.verify.check.service]
port = 8080
http = { path = "/health", status = 200, body = { json = { up = true }, json-at = { "/n/0" = 1 } } }
ready-within = 5
stop-signal = "SIGINT"
stop-within = 2
exit-code = 3
network = "default"

[[target.a.verify.check]]
name = "reads"

[target.a.verify.check.run]
entrypoint = ["sh"]
env = { A = "{tag}" }
stdin = "x"
user = "1:1"
workdir = "/tmp"
memory = "64MiB"
cpus = 0.5
mounts = [{ source = "conf", target = "/conf", readonly = false }]
stderr = { equals = "", contains = ["a"], matches = "a" }

[target.m]
matrix = { v = ["1", "2"], i = [{ n = "x", w = 1 }, { n = "y", w = 2 }], exclude = [{ v = "1" }] }
name = "m-${v}-${i.n}"
tags = ["m:${v}-${i.n}", "m:${i.w}-${v}"]
policy = [{ filename = "p", strict = true }, "reset=true"]
resources = { memory = "1g", cpu-quota = 1000 }

[target.m.metadata]
images = ["localhost:5000/m-${v}-${i.n}"]
tags = ["sha", "latest"]
fallback = "dev"

[target.c]

[builder]
name = "b"
driver = "remote"
endpoint = "tcp://localhost:1234"
driver-opts = { default-load = "true" }

[emulators]
from = "never"
"""

GOOD = [
    SAMPLE.read_text(encoding="utf-8"),
    EVERYTHING,
    "[target.a]\n",
    '[target.a]\nmatrix = { v = ["1"], include = [{ v = "2" }] }\nargs.V = "${v}"\n',
    '[target.a]\nargs = { A = "${X:-none}", B = "${BAKE_LOCAL_PLATFORM}" }\nvariable = 1\n'.replace(
        "variable = 1\n", "[variable.X]\n"
    ),
]
