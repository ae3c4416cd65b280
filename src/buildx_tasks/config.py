"""What ``buildx.toml`` may say, as typed, frozen structures.

Target and group attributes carry bake's names and bake's meaning, so who knows a bake file knows
this one. What bake lacks stands beside it: ``[builder]``, ``[emulators]`` and
``[target.NAME.verify]``.
Source of bake's attributes: https://docs.docker.com/build/bake/reference/
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Literal, Optional

from msgspec import Meta, Struct, field

Text = Annotated[str, Meta(min_length=1)]
Texts = list[Text]
TextMap = dict[str, str]


class Verify(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[target.NAME.verify]``: what each platform of the image must do when it runs.

    ``{platform}``, ``{os}``, ``{arch}``, ``{variant}`` and ``{target}`` in ``stdout`` and ``args``
    are filled in for each cell. Containers run without network.
    """

    args: Annotated[Texts, Meta(description="Arguments put after the image, as in docker run")] = []
    stdout: Annotated[
        Optional[str],
        Meta(description="Standard output, whole; newlines at its end do not count"),
    ] = None
    exit_code: Annotated[int, Meta(ge=0, le=255, description="Expected exit code")] = 0
    timeout: Annotated[
        float, Meta(gt=0, description="Seconds after which a running container has failed")
    ] = 60.0


class Target(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[target.NAME]``: one image (or one set of exported files), bake's target."""

    annotations: Annotated[Texts, Meta(description="OCI annotations, KEY=VALUE")] = []
    args: Annotated[TextMap, Meta(description="Build arguments")] = {}
    attest: Annotated[Texts, Meta(description="Attestations, as in type=sbom")] = []
    cache_from: Annotated[Texts, Meta(description="Cache sources, as in type=registry,ref=…")] = []
    cache_to: Annotated[Texts, Meta(description="Cache exports, as in type=inline")] = []
    context: Annotated[Optional[Text], Meta(description="Build context; default: .")] = None
    contexts: Annotated[
        TextMap, Meta(description="Named contexts: path, git, http, docker-image://, target:NAME")
    ] = {}
    description: Annotated[Optional[str], Meta(description="One line for people")] = None
    dockerfile: Annotated[Optional[Text], Meta(description="Dockerfile, from the context")] = None
    dockerfile_inline: Annotated[Optional[Text], Meta(description="The Dockerfile's text")] = None
    entitlements: Annotated[Texts, Meta(description="As in network.host")] = []
    extra_hosts: Annotated[TextMap, Meta(description="Host names and their addresses")] = {}
    labels: Annotated[TextMap, Meta(description="Image labels")] = {}
    network: Annotated[Optional[Text], Meta(description="default, none or host")] = None
    no_cache: Annotated[Optional[bool], Meta(description="Build without cache")] = None
    no_cache_filter: Annotated[Texts, Meta(description="Stages to build without cache")] = []
    output: Annotated[
        Texts, Meta(description="Exports, as in type=local,dest=dist; default: the image store")
    ] = []
    platforms: Annotated[
        Optional[Annotated[Texts, Meta(min_length=1)]],
        Meta(description="Platforms, as in linux/arm64; default: this machine's own"),
    ] = None
    pull: Annotated[Optional[bool], Meta(description="Always look for newer base images")] = None
    secret: Annotated[Texts, Meta(description="Build secrets, as in id=token,env=TOKEN")] = []
    shm_size: Annotated[Optional[Text], Meta(description="Size of /dev/shm, as in 128m")] = None
    ssh: Annotated[Texts, Meta(description="SSH agents or keys, as in default")] = []
    tags: Annotated[Texts, Meta(description="Image references, as in localhost:5000/app:v1")] = []
    target: Annotated[Optional[Text], Meta(description="Stage of the Dockerfile to build")] = None
    ulimits: Annotated[Texts, Meta(description="As in nofile=1024:1024")] = []
    verify: Annotated[
        Optional[Verify], Meta(description="What the image must do on each platform")
    ] = None


class Group(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[group.NAME]``: targets and other groups under one name, bake's group."""

    targets: Annotated[Texts, Meta(min_length=1, description="Names of targets and groups")]
    description: Annotated[Optional[str], Meta(description="One line for people")] = None


class Builder(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[builder]``: the builder that all builds use, created by ``setup`` under this name.

    Source of the drivers: https://docs.docker.com/build/builders/drivers/
    """

    name: Annotated[
        str,
        Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", description="Name in docker buildx ls"),
    ]
    driver: Annotated[
        Literal["docker", "docker-container", "kubernetes", "remote"],
        Meta(description="docker is the engine's own BuildKit; the others bring one"),
    ] = "docker"
    endpoint: Annotated[
        Optional[Text],
        Meta(description="remote: tcp:// or unix:// of BuildKit; else a docker context"),
    ] = None
    driver_opts: Annotated[TextMap, Meta(description="Options of the driver")] = {}


class Emulators(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[emulators]``: where the QEMU emulators for foreign platforms come from."""

    source: Annotated[
        Literal["host", "image", "never"],
        Meta(description="host: its packages; image: run once, privileged; never: native only"),
    ] = field(default="host", name="from")
    image: Annotated[Text, Meta(description="Image that registers emulators")] = (
        "docker.io/tonistiigi/binfmt:latest"
    )


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A whole ``buildx.toml``."""

    target: Annotated[dict[str, Target], Meta(description="Targets by name")]
    group: Annotated[dict[str, Group], Meta(description="Groups by name")] = {}
    builder: Annotated[Optional[Builder], Meta(description="Default: buildx's current one")] = None
    emulators: Annotated[Emulators, Meta(description="Emulators for foreign platforms")] = (
        Emulators()
    )
