"""What ``buildx.toml`` may say, as typed, frozen structures.

Target and group attributes carry bake's names and bake's meaning, so who knows a bake file knows
this one; what bake lacks stands beside it. The JSON Schema and ``docs/reference.md`` are generated
from these types. What a file comes to, once variables, matrices and inheritance are worked out, is a
:class:`~buildx_tasks.language.targets.Config`.
Source of bake's attributes: https://docs.docker.com/build/bake/reference/
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Literal, Optional, Union

from msgspec import Meta, Struct, field

from buildx_tasks.language.artifacts import Artifact
from buildx_tasks.language.auditing import Audit
from buildx_tasks.language.buildkitd import Buildkitd
from buildx_tasks.language.caching import Caches
from buildx_tasks.language.expectations import Verify
from buildx_tasks.language.locking import Lock
from buildx_tasks.language.shipping import Ci, Push
from buildx_tasks.language.skipping import Skip
from buildx_tasks.language.values import Env, FromFile
from buildx_tasks.machine import emulator_faults

NAME = "^[a-zA-Z0-9_-]+$"  # bake's own rule for targets and groups
NODE_NAME = r"^[a-zA-Z][a-zA-Z0-9_.-]*$"  # buildx's own rule
VARIABLE_NAME = "^[a-zA-Z_][a-zA-Z0-9_]*$"  # what an environment variable can be called
REFERENCE = r"^\$\{[^{}]+\}$"  # one variable and nothing else

Name = Annotated[str, Meta(pattern=NAME)]
Text = Annotated[str, Meta(min_length=1)]
Texts = list[Text]
TextMap = dict[str, str]
Scalar = Union[str, int, bool]
Flag = Union[bool, Annotated[str, Meta(pattern=REFERENCE)]]
Typed = Annotated[dict[str, Scalar], Meta(extra_json_schema={"required": ["type"]})]


class Unset(Struct, frozen=True, forbid_unknown_fields=True):
    """``{ unset = true }``: the key is left out, even where it would be inherited."""

    unset: Annotated[bool, Meta(description="true", extra_json_schema={"const": True})]


ScalarMap = dict[str, Union[Scalar, Unset]]


class Secret(Struct, frozen=True, forbid_unknown_fields=True):
    """A build secret: where its value comes from, never the value."""

    id: Annotated[Optional[Text], Meta(description="Name in RUN --mount=type=secret,id=…")] = None
    src: Annotated[Optional[Text], Meta(description="File that holds the value")] = None
    env: Annotated[Optional[Text], Meta(description="Environment variable with the value")] = None
    type: Annotated[
        Optional[Literal["file", "env"]], Meta(description="What src names; default: file")
    ] = None
    optional: Annotated[
        bool, Meta(description="Build without it where variable or file is not there; not bake's")
    ] = False


class Ssh(Struct, frozen=True, forbid_unknown_fields=True):
    """An SSH agent socket or keys for the build."""

    id: Annotated[Text, Meta(description="Name in RUN --mount=type=ssh,id=…")]
    paths: Annotated[Texts, Meta(description="Socket or keys; default: SSH_AUTH_SOCK")] = []


class Policy(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A build policy (buildx 0.31)."""

    filename: Annotated[Optional[Text], Meta(description="File with the policy")] = None
    reset: Annotated[Optional[bool], Meta(description="Forget the policies before it")] = None
    disabled: Annotated[Optional[bool], Meta(description="Evaluate no policy")] = None
    strict: Annotated[Optional[bool], Meta(description="Refuse builders without policies")] = None
    log_level: Annotated[Optional[Text], Meta(description="As in debug")] = None


class Resources(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Limits of each build step (buildx 0.35)."""

    memory: Annotated[Optional[Text], Meta(description="As in 512m")] = None
    memory_swap: Annotated[Optional[Text], Meta(description="Memory and swap, as in 1g")] = None
    cpu_shares: Annotated[Optional[int], Meta(description="Relative weight")] = None
    cpu_period: Annotated[Optional[int], Meta(description="CFS period in microseconds")] = None
    cpu_quota: Annotated[Optional[int], Meta(description="CFS quota in microseconds")] = None
    cpuset_cpus: Annotated[Optional[Text], Meta(description="As in 0-3")] = None
    cpuset_mems: Annotated[Optional[Text], Meta(description="As in 0,1")] = None


class Lint(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What ``invoke lint`` leaves out for a target."""

    ignore: Annotated[
        Texts, Meta(description="Codes not reported, as in EmulatedRun; also BuildKit's own")
    ] = []


TagKind = Literal["semver", "semver-minor", "semver-major", "branch", "sha", "latest"]


class Metadata(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Tags and OCI labels that follow from git.

    ``semver`` is the exact tag ``v1.2.3`` as ``1.2.3``, ``semver-minor`` ``1.2``, ``semver-major``
    ``1`` (not for 0.x), ``branch`` its name, ``sha`` ``sha-`` and the short commit. A pre-release
    gives neither minor, major nor ``latest``; a changed working tree gives only ``branch`` and
    ``sha``, with ``-dirty`` at its end.
    """

    images: Annotated[
        Annotated[Texts, Meta(min_length=1)],
        Meta(description="Image names without tag, as in localhost:5000/app"),
    ]
    tags: Annotated[
        Optional[list[TagKind]], Meta(description="Kinds of tags; default: all of them")
    ] = None
    labels: Annotated[
        bool, Meta(description="Add org.opencontainers.image.revision, created, version, source")
    ] = True
    base: Annotated[
        bool,
        Meta(
            description="Add org.opencontainers.image.base.name and base.digest: the image that the "
            "last stage starts from"
        ),
    ] = False
    fallback: Annotated[
        Optional[Text], Meta(description="Tag where git gives none, as in a source archive")
    ] = None


class Overrides(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What describes a build: what one platform can have of its own."""

    annotations: Annotated[Texts, Meta(description="OCI annotations, KEY=VALUE")] = []
    args: Annotated[
        ScalarMap,
        Meta(description="Build arguments; a variable without value leaves one out"),
    ] = {}
    cache_from: Annotated[
        list[Union[str, Typed]], Meta(description="Cache sources, as in type=registry,ref=…")
    ] = []
    context: Annotated[Optional[Text], Meta(description="Path or git URL; default: .")] = None
    contexts: Annotated[
        TextMap,
        Meta(
            description="Named contexts: path, git, http, docker-image://, oci-layout://, "
            'target:NAME; "" takes an inherited one back'
        ),
    ] = {}
    dockerfile: Annotated[Optional[Text], Meta(description="Dockerfile, from the context")] = None
    dockerfile_inline: Annotated[Optional[Text], Meta(description="The Dockerfile's text")] = None
    entitlements: Annotated[Texts, Meta(description="As in network.host")] = []
    extra_hosts: Annotated[ScalarMap, Meta(description="Host names and their addresses")] = {}
    labels: Annotated[ScalarMap, Meta(description="Image labels")] = {}
    network: Annotated[Optional[Text], Meta(description="default, none or host")] = None
    no_cache: Annotated[Optional[Flag], Meta(description="Build without cache")] = None
    no_cache_filter: Annotated[Texts, Meta(description="Stages to build without cache")] = []
    policy: Annotated[
        list[Union[str, Policy]], Meta(description="Build policies; needs buildx 0.31")
    ] = []
    pull: Annotated[Optional[Flag], Meta(description="Always look for newer base images")] = None
    resources: Annotated[
        Optional[Resources], Meta(description="Limits of build steps; needs buildx 0.35")
    ] = None
    secret: Annotated[
        list[Union[str, Secret]], Meta(description="Build secrets, as in id=token,env=TOKEN")
    ] = []
    shm_size: Annotated[Optional[Text], Meta(description="Size of /dev/shm, as in 128m")] = None
    ssh: Annotated[
        list[Union[str, Ssh]], Meta(description="SSH agents or keys, as in default")
    ] = []
    target: Annotated[Optional[Text], Meta(description="Stage of the Dockerfile to build")] = None
    ulimits: Annotated[Texts, Meta(description="As in nofile=1024:1024")] = []


class OfPlatform(Overrides, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[target.NAME.platform."linux/arm64"]``: what one platform has of its own."""

    optional: Annotated[
        Optional[Text],
        Meta(description="Why join --allow-missing may publish the image without this platform"),
    ] = None


class Defaults(Overrides, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[defaults]``: what all targets inherit first."""

    attest: Annotated[list[Union[str, Typed]], Meta(description="As in type=sbom")] = []
    cache_to: Annotated[
        list[Union[str, Typed]], Meta(description="Cache exports, as in type=inline")
    ] = []
    call: Annotated[
        Optional[Text], Meta(description="build, check, outline or targets; default: build")
    ] = None
    description: Annotated[Optional[str], Meta(description="One line for people")] = None
    lint: Annotated[Optional[Lint], Meta(description="What invoke lint leaves out")] = None
    metadata: Annotated[Optional[Metadata], Meta(description="Tags and labels from git")] = None
    output: Annotated[
        list[Union[str, Typed]],
        Meta(description="Exports, as in type=local,dest=dist; default: the image store"),
    ] = []
    platforms: Annotated[
        Optional[Annotated[Texts, Meta(min_length=1)]],
        Meta(description="Platforms, as in linux/arm64; default: this machine's own"),
    ] = None
    push: Annotated[Optional[Push], Meta(description="What invoke push keeps to")] = None
    tags: Annotated[Texts, Meta(description="Image references, as in localhost:5000/app:v1")] = []
    verify: Annotated[
        Optional[Verify], Meta(description="What the image must do on each platform")
    ] = None


Axis = Annotated[list[Union[Scalar, dict[str, Scalar]]], Meta(min_length=1)]
FilesOf = Union[Text, Annotated[TextMap, Meta(min_length=1)]]


class Target(Defaults, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[target.NAME]``: one image (or one set of exported files), bake's target."""

    files: Annotated[
        dict[str, FilesOf],
        Meta(
            description="Files by platform for COPY --from=files: a path (named without its "
            "platform's suffix; target:NAME/path is in another target's result), or a table of names "
            "and paths"
        ),
    ] = {}
    inherits: Annotated[Texts, Meta(description="Targets whose attributes are taken first")] = []
    matrix: Annotated[
        Optional[dict[str, Axis]],
        Meta(
            description="Axes, each a list; one target for each combination. include and exclude "
            "are lists of tables that add and remove combinations"
        ),
    ] = None
    name: Annotated[
        Optional[Text],
        Meta(description="Name of each target of the matrix, as in app-${version}"),
    ] = None
    platform: Annotated[
        dict[str, OfPlatform],
        Meta(description='Overrides for one platform: [target.NAME.platform."linux/arm64"]'),
    ] = {}


class Group(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[group.NAME]``: targets and other groups under one name, bake's group."""

    targets: Annotated[Texts, Meta(min_length=1, description="Names of targets and groups")]
    description: Annotated[Optional[str], Meta(description="One line for people")] = None


class Validation(Struct, frozen=True, forbid_unknown_fields=True):
    """What a variable's value must be."""

    pattern: Annotated[
        Optional[Text], Meta(description="Regular expression that the whole value matches")
    ] = None
    choices: Annotated[
        Optional[Annotated[list[Scalar], Meta(min_length=1)]],
        Meta(description="The only values that are allowed"),
    ] = None
    min: Annotated[Optional[Union[int, float]], Meta(description="Smallest number")] = None
    max: Annotated[Optional[Union[int, float]], Meta(description="Largest number")] = None
    message: Annotated[Optional[Text], Meta(description="What is said of any other value")] = None


class Variable(Struct, frozen=True, forbid_unknown_fields=True):
    """``[variable.NAME]``: set by ``--set NAME=value``, the environment, or its default."""

    default: Annotated[
        Union[str, int, float, bool, list[str], FromFile, None],
        Meta(description="Value where none is given; none: it has to be given where it is used"),
    ] = None
    type: Annotated[
        Optional[Literal["string", "number", "bool", "list"]],
        Meta(description="Default: the default's own; a list is given as a,b,c"),
    ] = None
    description: Annotated[Optional[str], Meta(description="One line for people")] = None
    validation: Annotated[
        Union[Validation, list[Validation], None],
        Meta(description="What the value must be: one table or several"),
    ] = None


class Node(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[[builder.node]]``: one machine of the builder; what it leaves out, ``[builder]`` says."""

    name: Annotated[
        Optional[Annotated[str, Meta(pattern=NODE_NAME)]],
        Meta(description="Name in docker buildx ls; default: the builder's with 0, 1, …"),
    ] = None
    endpoint: Annotated[
        Optional[Text],
        Meta(
            description="remote: tcp://, unix://, ssh:// … of BuildKit; docker-container: a docker "
            "context, unix://, tcp://, ssh:// of an engine"
        ),
    ] = None
    platforms: Annotated[
        Texts, Meta(description="Platforms that are built here, because it runs them natively")
    ] = []
    driver_opts: Annotated[
        TextMap, Meta(description="Options of the driver; remote: cacert, cert and key for TLS")
    ] = {}
    buildkitd_flags: Annotated[Texts, Meta(description="Flags of the daemon, as in --debug")] = []
    buildkitd: Annotated[
        Optional[Buildkitd], Meta(description="Instead of the builder's [builder.buildkitd]")
    ] = None


class Builder(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[builder]``: the builder that all builds use, made by ``setup`` as it is declared here.

    Source of the drivers: https://docs.docker.com/build/builders/drivers/
    """

    name: Annotated[
        str,
        Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", description="Name in docker buildx ls"),
    ]
    driver: Annotated[
        Literal["docker", "docker-container", "kubernetes", "remote", "cloud"],
        Meta(description="docker is the engine's own BuildKit; the others bring one"),
    ] = "docker"
    endpoint: Annotated[
        Optional[Text],
        Meta(
            description="docker: the docker context to use; cloud: ORG/BUILDER; else as a node's, "
            "where there is one node"
        ),
    ] = None
    platforms: Annotated[Texts, Meta(description="As a node's, where there is one node")] = []
    driver_opts: Annotated[
        TextMap, Meta(description="Options of the driver, for every node; see docs/builders.md")
    ] = {}
    buildkitd_flags: Annotated[Texts, Meta(description="Flags of every node's daemon")] = []
    buildkitd: Annotated[
        Optional[Buildkitd], Meta(description="Configuration of every node's daemon")
    ] = None
    node: Annotated[
        list[Node], Meta(description="Several machines: [[builder.node]] for each")
    ] = []


class Emulators(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[emulators]``: where the QEMU emulators for foreign platforms come from."""

    source: Annotated[
        Literal["host", "image", "never"],
        Meta(description="host: its packages; image: run once, privileged; never: native only"),
    ] = field(default="host", name="from")
    image: Annotated[Text, Meta(description="Image that registers emulators")] = (
        f"{emulator_faults.IMAGE}@{emulator_faults.DIGEST}"
    )


class BuildxToml(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A whole ``buildx.toml``, or ``[tool.buildx-tasks]`` in ``pyproject.toml``."""

    target: Annotated[
        dict[Name, Target],
        Meta(
            description="Targets by name; one at least, where neither artifacts nor audits are all"
        ),
    ] = {}
    group: Annotated[dict[Name, Group], Meta(description="Groups by name")] = {}
    defaults: Annotated[Optional[Defaults], Meta(description="What all targets inherit")] = None
    variable: Annotated[
        dict[Annotated[str, Meta(pattern=VARIABLE_NAME)], Variable],
        Meta(description="Variables by name, for ${NAME} in any string"),
    ] = {}
    env: Annotated[Optional[Env], Meta(description="Files with values of variables")] = None
    builder: Annotated[
        Optional[Builder],
        Meta(description="Default: the engine's own, or one made where that cannot do it"),
    ] = None
    emulators: Annotated[Emulators, Meta(description="Emulators for foreign platforms")] = (
        Emulators()
    )
    artifact: Annotated[
        dict[Name, Artifact], Meta(description="Charts and other artifacts of a release, by name")
    ] = {}
    lock: Annotated[Lock, Meta(description="What invoke lock keeps to")] = Lock()
    audit: Annotated[Audit, Meta(description="What is looked at in registries")] = Audit()
    skip: Annotated[Skip, Meta(description="What is not built again")] = Skip()
    cache: Annotated[Caches, Meta(description="Cache mounts that outlive a CI's machine")] = (
        Caches()
    )
    ci: Annotated[Ci, Meta(description="Runners that build parts, and where these wait")] = Ci()
