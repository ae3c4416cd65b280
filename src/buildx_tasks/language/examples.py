"""One example for each key of ``buildx.toml``, for the reference page: lines by table.

A table that is written as another one (``[defaults]`` as a target) has none of its own.
"""

from __future__ import annotations

_LINES = {
    "[target.NAME]": """
annotations = ["index,manifest:org.opencontainers.image.title=app"]
args = { GO = "1.24", MIRROR = "${MIRROR}" }
attest = ["type=provenance,mode=max", "type=sbom"]
cache-from = ["type=registry,ref=localhost:5000/cache:{target}"]
cache-to = ["type=registry,ref=localhost:5000/cache:{target},mode=max"]
call = "check"
context = "services/api"
contexts = { base = "target:base", assets = "docker-image://localhost:5000/assets:v1" }
description = "The service behind /api"
dockerfile = "Dockerfile.cross"
dockerfile-inline = "FROM alpine:3.22"
entitlements = ["network.host"]
extra-hosts = { "mirror.example" = "192.0.2.1" }
files = { "linux/amd64" = "dist/app.amd64", "linux/arm64" = "dist/app.arm64" }
inherits = ["_common"]
labels = { "org.opencontainers.image.title" = "app" }
lint = { ignore = ["EmulatedRun"] }
matrix = { go = ["1.24", "1.25"], exclude = [{ go = "1.24" }] }
metadata = { images = ["localhost:5000/app"], fallback = "dev" }
name = "tools-${go}"
network = "none"
no-cache = true
no-cache-filter = ["builder"]
output = ["type=local,dest=dist"]
platform = { "linux/arm64" = { args = { TUNE = "neoverse" } } }
platforms = ["linux/amd64", "linux/arm64"]
policy = [{ filename = "policy.rego", strict = true }]
pull = true
push = { immutable = ["v*"] }
resources = { memory = "512m" }
secret = [{ id = "token", env = "TOKEN" }]
shm-size = "128m"
ssh = ["default"]
tags = ["localhost:5000/app:v1"]
target = "runtime"
ulimits = ["nofile=1024:1024"]
verify = { run = { stdout = "app 1.0" }, binaries = {} }
""",
    '[target.NAME.platform."linux/arm64"]': """
optional = "its runner is a board in a drawer"
""",
    "[target.NAME.metadata]": """
base = true
fallback = "dev"
images = ["localhost:5000/app"]
labels = false
tags = ["semver", "sha"]
""",
    "[target.NAME.verify]": """
binaries = { paths = ["/app/*"] }
check = [{ name = "reads its input", run = { stdin = "a", stdout = "a" } }]
config = { nonroot = true }
files = { "/app/server" = { mode = "0755" } }
index = {}
only = ["linux/arm64"]
reproducible = true
run = { args = ["--version"], stdout = "app 1.0 on {platform}" }
service = { port = 8080, http = { path = "/health" } }
size = { compressed = "20MB", growth = 5 }
skip = { "linux/riscv64" = "no emulator there" }
xfail = { "linux/arm/v7" = "issue 12" }
""",
    "[[target.NAME.verify.check]]": """
command = ["trivy", "image", "--input", "{oci}", "--format", "sarif", "--exit-code", "1"]
fresh = "24h"
goss = { file = "goss.yaml", env = { MODE = "test" } }
memory = "2GB"
name = "vulnerabilities"
report = "sarif"
structure-test = "cst.yaml"
timeout = 600
""",
    "goss, as a table": """
file = "goss.yaml"
ready-within = 20
wait = "goss_wait.yaml"
wait-within = 60
""",
    "[target.NAME.verify.run]": """
args = ["--version"]
cpus = 0.5
entrypoint = ["/bin/sh", "-c"]
env = { LANG = "C" }
exit-code = 3
memory = "64MB"
mounts = [{ source = "testdata", target = "/data" }]
network = "default"
stderr = ""
stdin = "a line"
stdout = { matches = "^app [0-9.]+" }
timeout = 120
user = "65534:65534"
workdir = "/tmp"
""",
    "stdout, stderr and body, as a table": """
contains = ["ready"]
equals = "app 1.0"
json = { status = "up" }
json-at = { "/services/0/name" = "api" }
matches = "^app [0-9.]+$"
""",
    "an entry of mounts": """
readonly = false
source = "testdata"
target = "/data"
""",
    "[target.NAME.verify.service]": """
http = { path = "/health", status = 200 }
port = 8080
ready-within = 60
stop-signal = "SIGINT"
stop-within = 5
""",
    "[target.NAME.verify.service.http]": """
body = { json-at = { "/status" = "up" } }
path = "/health"
status = 204
""",
    "[target.NAME.verify.binaries]": """
allow = ["/opt/firmware/**"]
float-abi = "soft"
paths = ["/app/*"]
static = true
""",
    "[target.NAME.verify.config]": """
annotations = { "org.opencontainers.image.title" = "app" }
cmd = ["serve"]
entrypoint = ["/app/server"]
env = { LANG = "C.UTF-8" }
healthcheck = ["CMD", "/app/server", "--check"]
labels = { "org.opencontainers.image.title" = "{target}" }
nonroot = true
ports = [8080, "53/udp"]
stop-signal = "SIGINT"
user = "65534:65534"
working-dir = "/app"
""",
    '[target.NAME.verify.files."/PATH"]': """
contains = ["listen = 8080"]
exists = false
link = "/app/server"
matches = "^listen = \\\\d+$"
mode = "0755"
owner = "root:root"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
size = "10MB"
type = "file"
""",
    "[target.NAME.verify.size]": """
compressed = "20MB"
growth = 5
unpacked = "50MB"
""",
    "[target.NAME.verify.index]": """
annotations = { "org.opencontainers.image.title" = "app" }
provenance = true
sbom = true
""",
    "an entry of secret, as a table": """
env = "TOKEN"
id = "token"
optional = true
src = "~/.netrc"
type = "file"
""",
    "an entry of ssh, as a table": """
id = "default"
paths = ["~/.ssh/id_ed25519"]
""",
    "an entry of policy, as a table": """
disabled = true
filename = "policy.rego"
log-level = "debug"
reset = true
strict = true
""",
    "resources": """
cpu-period = 100000
cpu-quota = 50000
cpu-shares = 512
cpuset-cpus = "0-3"
cpuset-mems = "0,1"
memory = "512m"
memory-swap = "1g"
""",
    "[group.NAME]": """
description = "What a release is made of"
targets = ["api", "web"]
""",
    "[variable.NAME]": """
default = "${git.describe:-dev}"
description = "Where push sends the images"
type = "list"
validation = { choices = ["alpine", "debian"] }
""",
    "[variable.NAME] default, as a table": """
file = "VERSION"
match = '^version = "(.+)"'
""",
    "[env]": """
file = [".env", ".env.local"]
""",
    "[variable.NAME.validation]": """
choices = ["alpine", "debian"]
max = 10
message = "write a tag, as in v1.2.3"
min = 1
pattern = "v[0-9.]+"
""",
    "[target.NAME.lint]": """
ignore = ["EmulatedRun", "StageNameCasing"]
""",
    "[target.NAME.push]": """
attach = { sbom = "sbom-{os}-{arch}.json", vex = "app.openvex.json" }
drop = ["linux/arm/v6"]
immutable = ["v*"]
mirrors = ["ghcr.io/org/app"]
sign = true
verdicts = true
""",
    "[builder]": """
buildkitd = { worker = { oci = { max-parallelism = 4 } } }
buildkitd-flags = ["--debug"]
driver = "docker-container"
driver-opts = { network = "host", memory = "4g" }
endpoint = "tcp://build.example:1234"
name = "app-builder"
node = [{ name = "arm", endpoint = "tcp://build-arm64.example:1234", platforms = ["linux/arm64"] }]
platforms = ["linux/amd64", "linux/arm64"]
""",
    "[[builder.node]]": """
buildkitd = { debug = true }
buildkitd-flags = ["--debug"]
driver-opts = { cacert = "tls/ca.pem", cert = "tls/client.pem", key = "tls/client.key" }
endpoint = "tcp://build-arm64.example:1234"
name = "arm"
platforms = ["linux/arm64"]
""",
    "[builder.buildkitd]": """
cdi = { disabled = true }
debug = true
dns = { nameservers = ["192.0.2.1"] }
frontend = { "dockerfile.v0" = { enabled = true } }
grpc = { address = ["tcp://0.0.0.0:1234"] }
history = { maxEntries = 50 }
insecure-entitlements = ["network.host"]
log = { format = "json" }
otel = { socketPath = "/run/otel.sock" }
provenanceEnvDir = "/etc/buildkit/provenance.d"
registry = { "docker.io" = { mirrors = ["mirror.example:5000"] } }
root = "/var/lib/buildkit"
system = { platformsCacheMaxAge = "1h" }
trace = true
worker = { oci = { max-parallelism = 4 } }
""",
    '[builder.buildkitd.registry."HOST"]': """
ca = ["certs/ca.pem"]
http = true
insecure = true
keypair = [{ key = "certs/client.key", cert = "certs/client.pem" }]
mirrors = ["mirror.example:5000"]
tlsconfigdir = ["certs"]
""",
    "[builder.buildkitd.worker.oci]": """
apparmor-profile = "unconfined"
binary = "crun"
bridgeName = "buildkit0"
bridgeSubnet = "10.10.0.0/16"
cniBinaryPath = "/opt/cni/bin"
cniConfigPath = "/etc/buildkit/cni.json"
cniPoolSize = 16
defaultCgroupParent = "buildkit"
enabled = true
gc = false
gckeepstorage = "20GB"
gcpolicy = [{ all = true, maxUsedSpace = "20GB" }]
labels = { rack = "7" }
max-parallelism = 4
maxUsedSpace = "20GB"
minFreeSpace = "10GB"
networkMode = "host"
noProcessSandbox = true
platforms = ["linux/amd64"]
proxySnapshotterPath = "/run/snapshotter.sock"
reservedSpace = "1GB"
rootless = true
selinux = true
snapshotter = "native"
stargzSnapshotter = { noprefetch = true }
""",
    "[[builder.buildkitd.worker.oci.gcpolicy]]": """
all = true
filters = ["type==exec.cachemount"]
keepBytes = "1GB"
keepDuration = "48h"
maxUsedSpace = "20GB"
minFreeSpace = "10GB"
reservedSpace = "1GB"
""",
    "[builder.buildkitd.dns]": """
nameservers = ["192.0.2.1"]
options = ["edns0"]
searchDomains = ["example"]
""",
    "[emulators]": """
from = "image"
image = "localhost:5000/binfmt:v9"
""",
    "[audit]": """
allow = ["/opt/firmware/**"]
behind = "30d"
images = ["alpine:3.22", "ghcr.io/org/base:v2"]
setuid = ["/usr/local/bin/helper"]
""",
    "[lock]": """
cooldown = "14d"
exclude = ["*:dev"]
""",
    "[skip]": """
registry = false
""",
    "[cache]": """
helper = "alpine:3.22"
mounts = ["go-build-{arch}"]
to = "localhost:5000/cache"
when = "always"
""",
    "[artifact.NAME]": """
annotations = { "org.opencontainers.image.licenses" = "Apache-2.0" }
immutable = ["[0-9]*.[0-9]*.[0-9]*"]
media-types = { "*.json" = "application/json" }
path = "charts/app"
tags = ["localhost:5000/charts/app"]
type = "helm"
""",
    "[ci]": """
runners = { "linux/arm64" = "ubuntu-24.04-arm" }
staging = "localhost:5000/staging"
cache = { type = "gha" }
install = "pip install -r ci/requirements.txt"
""",
    "[ci.cache]": """
type = "registry"
repository = "localhost:5000/cache"
mode = "min"
""",
}
_SAME = {
    "[defaults]": "[target.NAME]",
    '[target.NAME.platform."linux/arm64"]': "[target.NAME]",
    "[[target.NAME.verify.check]]": "[target.NAME.verify]",
    "[target.NAME.verify.service]": "[target.NAME.verify.run]",
    "goss, as a table": "[target.NAME.verify.run]",
}


def example(table: str, key: str) -> str:
    """Return one line of TOML with the key, as it stands in the table; ``""`` where there is none."""
    for line in _LINES.get(table, "").splitlines():
        if line.startswith(f"{key} = "):
            return line
    return example(_SAME[table], key) if table in _SAME else ""
