"""``[builder.buildkitd]``: the configuration of BuildKit's daemon, under its own keys.

buildx keeps it with the node, the files of certificates included, and writes it into the node's
container. Source of the keys: https://docs.docker.com/build/buildkit/toml-configuration/
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Any, Optional, Union

from msgspec import Meta, Struct, field, structs

Text = Annotated[str, Meta(min_length=1)]
Size = Union[int, Text]
Duration = Union[int, Text]


class KeyPair(Struct, frozen=True, forbid_unknown_fields=True):
    """A client certificate for a registry."""

    key: Annotated[Text, Meta(description="File of the private key")]
    cert: Annotated[Text, Meta(description="File of the certificate")]


class Registry(Struct, frozen=True, forbid_unknown_fields=True):
    """``[builder.buildkitd.registry."HOST"]``: how one registry is reached."""

    mirrors: Annotated[list[Text], Meta(description="Hosts asked first, as in mirror:5000")] = []
    http: Annotated[Optional[bool], Meta(description="Speak plain http")] = None
    insecure: Annotated[Optional[bool], Meta(description="Accept any certificate")] = None
    ca: Annotated[list[Text], Meta(description="Files of certificate authorities")] = []
    keypair: Annotated[list[KeyPair], Meta(description="Client certificates")] = []
    tlsconfigdir: Annotated[list[Text], Meta(description="Folders with certificates")] = []


class GcPolicy(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One rule of what the cache may keep; sizes in bytes, or as in 10GB and 20%."""

    all: Annotated[Optional[bool], Meta(description="Internal and frontend records too")] = None
    filters: Annotated[list[Text], Meta(description="As in type==exec.cachemount")] = []
    keep_duration: Annotated[Optional[Duration], Meta(description="Seconds, or as in 48h")] = None
    keep_bytes: Annotated[Optional[Size], Meta(description="Older name of reservedSpace")] = None
    reserved_space: Annotated[Optional[Size], Meta(description="Always kept")] = None
    max_used_space: Annotated[Optional[Size], Meta(description="Never more than this")] = None
    min_free_space: Annotated[Optional[Size], Meta(description="Left free on the disk")] = None


class OciWorker(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """``[builder.buildkitd.worker.oci]``: what runs the build steps."""

    max_parallelism: Annotated[
        Optional[Annotated[int, Meta(ge=1)]], Meta(description="Steps run at once")
    ] = field(default=None, name="max-parallelism")
    gc: Annotated[Optional[bool], Meta(description="Collect garbage; default: true")] = None
    gckeepstorage: Annotated[Optional[Size], Meta(description="Older name of reservedSpace")] = (
        field(default=None, name="gckeepstorage")
    )
    reserved_space: Annotated[Optional[Size], Meta(description="Cache always kept")] = None
    max_used_space: Annotated[Optional[Size], Meta(description="Cache at the most")] = None
    min_free_space: Annotated[Optional[Size], Meta(description="Left free on the disk")] = None
    gcpolicy: Annotated[list[GcPolicy], Meta(description="Rules, tried in order")] = []
    platforms: Annotated[list[Text], Meta(description="Instead of those that are found")] = []
    snapshotter: Annotated[Optional[Text], Meta(description="As in overlayfs, native")] = None
    rootless: Annotated[Optional[bool], Meta(description="Run without root")] = None
    labels: Annotated[dict[str, str], Meta(description="Labels of the worker")] = {}
    enabled: Annotated[Optional[bool], Meta(description="Use this worker")] = None
    network_mode: Annotated[Optional[Text], Meta(description="auto, bridge, cni or host")] = None
    cni_config_path: Annotated[Optional[Text], Meta(description="File for network_mode cni")] = None
    cni_binary_path: Annotated[Optional[Text], Meta(description="Folder of CNI plug-ins")] = None
    cni_pool_size: Annotated[Optional[int], Meta(description="Networks made in advance")] = None
    bridge_name: Annotated[Optional[Text], Meta(description="For network mode bridge")] = None
    bridge_subnet: Annotated[Optional[Text], Meta(description="For network mode bridge")] = None
    default_cgroup_parent: Annotated[Optional[Text], Meta(description="Cgroup of the steps")] = None
    no_process_sandbox: Annotated[
        Optional[bool], Meta(description="Share process ids with the host")
    ] = None
    binary: Annotated[Optional[Text], Meta(description="OCI runtime instead of runc")] = None
    apparmor_profile: Annotated[Optional[Text], Meta(description="AppArmor profile")] = field(
        default=None, name="apparmor-profile"
    )
    selinux: Annotated[Optional[bool], Meta(description="Set SELinux labels")] = None
    proxy_snapshotter_path: Annotated[
        Optional[Text], Meta(description="Socket of a snapshotter")
    ] = None
    stargz_snapshotter: Annotated[
        dict[str, Any], Meta(description="Settings of the stargz snapshotter")
    ] = {}


class Workers(Struct, frozen=True, forbid_unknown_fields=True):
    """``[builder.buildkitd.worker]``."""

    oci: Annotated[Optional[OciWorker], Meta(description="The one that buildx's nodes have")] = None
    containerd: Annotated[dict[str, Any], Meta(description="For a node inside containerd")] = {}


class Dns(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """``[builder.buildkitd.dns]``: name resolution of build steps and pulls."""

    nameservers: Annotated[list[Text], Meta(description="Addresses")] = []
    options: Annotated[list[Text], Meta(description="As in edns0")] = []
    search_domains: Annotated[list[Text], Meta(description="Domains")] = []


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """``[builder.buildkitd.log]``."""

    format: Annotated[Text, Meta(description="text or json")]


class System(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """``[builder.buildkitd.system]``."""

    platforms_cache_max_age: Annotated[
        Duration, Meta(description="How long found emulators are believed, as in 10m")
    ]


class History(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """``[builder.buildkitd.history]``: records of builds."""

    max_age: Annotated[Optional[Duration], Meta(description="Seconds, or as in 48h")] = None
    max_entries: Annotated[Optional[int], Meta(description="Records kept")] = None


class Buildkitd(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """``[builder.buildkitd]``: a ``buildkitd.toml``; files are named from the project's folder."""

    registry: Annotated[dict[str, Registry], Meta(description="Registries by host")] = {}
    worker: Annotated[Optional[Workers], Meta(description="Parallelism and garbage collection")] = (
        None
    )
    dns: Annotated[Optional[Dns], Meta(description="Name resolution")] = None
    debug: Annotated[Optional[bool], Meta(description="Log more")] = None
    trace: Annotated[Optional[bool], Meta(description="Log everything")] = None
    insecure_entitlements: Annotated[
        list[Text], Meta(description="As in network.host, security.insecure")
    ] = field(default=[], name="insecure-entitlements")
    history: Annotated[Optional[History], Meta(description="Records of builds")] = None
    log: Annotated[Optional[Log], Meta(description="The log's form")] = None
    system: Annotated[Optional[System], Meta(description="Finding emulators")] = None
    frontend: Annotated[dict[str, dict[str, Any]], Meta(description="Frontends by name")] = {}
    cdi: Annotated[dict[str, Any], Meta(description="Devices")] = {}
    grpc: Annotated[dict[str, Any], Meta(description="Where the daemon listens")] = {}
    otel: Annotated[dict[str, Any], Meta(description="Tracing")] = {}
    root: Annotated[Optional[Text], Meta(description="Folder of the daemon's state")] = None
    provenance_env_dir: Annotated[
        Optional[Text], Meta(description="Folder of what provenance shall hold too")
    ] = None


_UNDECLARED = frozenset({"gc", "provenanceEnvDir", "tracing"})  # of the daemon's file, not in ours


def keys_of_daemon(data: dict[str, Any]) -> list[str]:
    """Return the keys of a file that are those of the daemon's own."""
    theirs = {one.encode_name for one in structs.fields(Buildkitd)} | _UNDECLARED
    return [key for key in data if key in theirs]


def is_daemon_s(data: dict[str, Any]) -> bool:
    """Say whether a file is the daemon's own: many have it under the name ``buildx.toml``."""
    return "target" not in data and bool(keys_of_daemon(data))
