"""What ``[target.NAME.verify]`` may say, as typed, frozen structures: one for each kind of check.

In all strings ``{platform}``, ``{os}``, ``{arch}``, ``{variant}``, ``{target}`` and ``{tag}`` (the
target's first tag) are filled in for each cell.
"""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import Annotated, Any, Literal, Optional, Union

from msgspec import Meta, Struct

from buildx_tasks.language.measures import (
    Bytes,
    ExitCode,
    Memory,
    Path,
    Port,
    Seconds,
    Text,
    Texts,
    hours,
)


class Output(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What a stream must hold; all that is said must be so."""

    equals: Annotated[
        Optional[str], Meta(description="The whole text; newlines at its end do not count")
    ] = None
    contains: Annotated[Texts, Meta(description="Texts that are in it")] = []
    matches: Annotated[
        Optional[Text],
        Meta(description="Python regular expression found in it; ^ and $ match at lines"),
    ] = None
    json: Annotated[Any, Meta(description="The whole is JSON, and equal to this")] = None
    json_at: Annotated[
        dict[str, Any],
        Meta(
            description="The whole is JSON, and has these values at these JSON pointers (RFC 6901), "
            'as in "/service/version" = "1.2"'
        ),
    ] = {}


class Mount(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A file or folder of the project that the container sees."""

    source: Annotated[Text, Meta(description="Path from the project's folder, inside it")]
    target: Annotated[Path, Meta(description="Path in the container")]
    readonly: Annotated[bool, Meta(description="The container cannot write to it")] = True


class Container(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How a container of the image is started."""

    entrypoint: Annotated[
        Optional[Texts], Meta(description="Program and its first arguments; default: the image's")
    ] = None
    args: Annotated[
        Texts,
        Meta(
            description="Arguments put after the image, as in docker run; default: its CMD, "
            "which an entrypoint drops"
        ),
    ] = []
    env: Annotated[dict[str, str], Meta(description="Environment variables")] = {}
    user: Annotated[Optional[Text], Meta(description="User, as in 1000:1000 or nobody")] = None
    workdir: Annotated[Optional[Path], Meta(description="Folder that it starts in")] = None
    mounts: Annotated[list[Mount], Meta(description="Files and folders of the project")] = []
    network: Annotated[
        Literal["none", "default", "host"],
        Meta(description="none has no way out; default is the engine's own network"),
    ] = "none"
    memory: Annotated[
        Optional[Memory], Meta(description="Most memory, as in 256MB; no swap beyond it")
    ] = None
    cpus: Annotated[
        Optional[Annotated[float, Meta(ge=0.01)]], Meta(description="Most CPUs, as in 0.5")
    ] = None


class Run(Container, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``run``: a container is run to its end. Without network unless said."""

    stdin: Annotated[Optional[str], Meta(description="What it reads on standard input")] = None
    timeout: Annotated[
        Seconds, Meta(description="Seconds after which a running container has failed")
    ] = 60.0
    exit_code: Annotated[ExitCode, Meta(description="Expected exit code")] = 0
    stdout: Annotated[
        Union[str, Output, None],
        Meta(description="Standard output: a text is the whole of it, a table says more"),
    ] = None
    stderr: Annotated[Union[str, Output, None], Meta(description="Standard error, likewise")] = None


class Http(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """An HTTP request that a service must answer."""

    path: Annotated[Path, Meta(description="Path of the GET request")] = "/"
    status: Annotated[int, Meta(ge=100, le=599, description="Expected status")] = 200
    body: Annotated[
        Union[str, Output, None], Meta(description="Expected body, said as a run's stdout is")
    ] = None


class Service(Container, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """``service``: a container is started, must answer, is told to stop, and must end cleanly.

    Without a network to the outside unless said.
    """

    port: Annotated[Port, Meta(description="TCP port in the container that must answer")]
    http: Annotated[
        Optional[Http], Meta(description="The port must answer this request; default: a connection")
    ] = None
    ready_within: Annotated[Seconds, Meta(description="Seconds until it must have answered")] = 30.0
    stop_signal: Annotated[
        Optional[Text], Meta(description="As in SIGINT; default: the image's own, else SIGTERM")
    ] = None
    stop_within: Annotated[Seconds, Meta(description="Seconds until it must have ended")] = 10.0
    exit_code: Annotated[ExitCode, Meta(description="Expected exit code")] = 0


class Goss(Container, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """``goss`` as a table: how the container is started that a file of goss looks into."""

    file: Annotated[Text, Meta(description="Path of the file, from the project's folder")]
    wait: Annotated[
        Optional[Text],
        Meta(
            description="File of goss that has to pass first; default: goss_wait.yaml beside the file, "
            "where there is one"
        ),
    ] = None
    wait_within: Annotated[Seconds, Meta(description="Seconds until that must have passed")] = 30.0
    ready_within: Annotated[
        Seconds,
        Meta(description="Seconds until all must be as expected; what is not is tried again"),
    ] = 10.0
    network: Annotated[
        Literal["none", "default", "host"],
        Meta(description="default is the engine's own network, as dgoss has it"),
    ] = "default"


class Binaries(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``binaries``: the ELF files are the platform's: machine, class, byte order, float ABI.

    The interpreter of each is in the image. Nothing is run.
    """

    paths: Annotated[
        Texts, Meta(description="Globs, as in /usr/bin/*; ** crosses folders; default: all files")
    ] = []
    allow: Annotated[Texts, Meta(description="Globs of files that are foreign on purpose")] = []
    static: Annotated[
        bool, Meta(description="They need neither interpreter nor shared libraries")
    ] = False
    float_abi: Annotated[
        Optional[Literal["hard", "soft"]],
        Meta(description="Of 32-bit arm; default: hard, soft for linux/arm/v5"),
    ] = None


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``config``: what the image says of itself."""

    entrypoint: Annotated[Optional[Texts], Meta(description="Exactly this")] = None
    cmd: Annotated[Optional[Texts], Meta(description="Exactly this")] = None
    user: Annotated[Optional[str], Meta(description='Exactly this; "" is none')] = None
    nonroot: Annotated[
        bool, Meta(description="The user is not root: neither 0, root, nor none at all")
    ] = False
    env: Annotated[dict[str, str], Meta(description="These are set to these values")] = {}
    ports: Annotated[
        Optional[list[Union[Port, Annotated[str, Meta(pattern="^[0-9]+/(tcp|udp|sctp)$")]]]],
        Meta(description="Exactly these are exposed, as in 8080 or 53/udp"),
    ] = None
    labels: Annotated[dict[str, str], Meta(description="These labels are there")] = {}
    annotations: Annotated[
        dict[str, str],
        Meta(description="These annotations are on the platform's manifest or descriptor"),
    ] = {}
    working_dir: Annotated[Optional[str], Meta(description="Exactly this")] = None
    healthcheck: Annotated[
        Union[bool, Texts, None],
        Meta(description='true, false, or its test, as in ["CMD", "/app", "--check"]'),
    ] = None
    stop_signal: Annotated[Optional[str], Meta(description="Exactly this")] = None


class File(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One path of ``files``, or a glob.

    ``type`` and ``link`` are about the path itself, the others about where it leads.
    """

    exists: Annotated[bool, Meta(description="false: nothing is there")] = True
    type: Annotated[
        Optional[Literal["file", "directory", "symlink"]], Meta(description="What is there")
    ] = None
    mode: Annotated[
        Optional[Annotated[str, Meta(pattern="^[0-7]{3,4}$")]],
        Meta(description='Permissions in octal, as in "0755"'),
    ] = None
    owner: Annotated[
        Optional[Text],
        Meta(description="User, or user:group; names are looked up in the image's /etc/passwd"),
    ] = None
    link: Annotated[Optional[Text], Meta(description="What the symbolic link says")] = None
    size: Annotated[Optional[Bytes], Meta(description="Most bytes, as in 10MB")] = None
    sha256: Annotated[
        Optional[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]],
        Meta(description="Hash of its content"),
    ] = None
    contains: Annotated[Texts, Meta(description="Texts that are in it")] = []
    matches: Annotated[
        Optional[Text],
        Meta(
            description="Python regular expression found in it; ^ and $ match at lines; "
            "a file of 16 MB at most"
        ),
    ] = None


class Size(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``size``: how big the platform's image may be."""

    compressed: Annotated[
        Optional[Bytes], Meta(description="Most bytes of its layers in a registry, as in 20MB")
    ] = None
    unpacked: Annotated[Optional[Bytes], Meta(description="Most bytes of its files")] = None
    growth: Annotated[
        Optional[Annotated[float, Meta(ge=0)]],
        Meta(description="Most percent that it may be larger than what was pushed last"),
    ] = None


class Index(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``index``: the image has exactly the declared platforms, its attestations, its annotations."""

    sbom: Annotated[
        Optional[bool], Meta(description="Each has an SBOM; default: where attest asks for it")
    ] = None
    provenance: Annotated[
        Optional[bool], Meta(description="Each has provenance; default: where attest asks for it")
    ] = None
    annotations: Annotated[
        dict[str, str], Meta(description="These annotations are on the index itself")
    ] = {}


class Kinds(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The checks of one table, and the platforms they are for."""

    run: Annotated[Optional[Run], Meta(description="Run it to its end")] = None
    service: Annotated[Optional[Service], Meta(description="Start it, ask it, stop it")] = None
    binaries: Annotated[
        Optional[Binaries], Meta(description="Its ELF files are the platform's; {} for all")
    ] = None
    config: Annotated[Optional[Config], Meta(description="What it says of itself")] = None
    files: Annotated[
        Optional[dict[Path, File]],
        Meta(description='Its files by path or glob, as in files."/app/hello" = { mode = "0755" }'),
    ] = None
    size: Annotated[Optional[Size], Meta(description="How big it may be")] = None
    index: Annotated[
        Optional[Index], Meta(description="Exactly the declared platforms; {} says that")
    ] = None
    reproducible: Annotated[
        bool, Meta(description="Built again without cache, each platform has the same manifest")
    ] = False
    only: Annotated[Texts, Meta(description="Platforms it is for; default: all")] = []
    skip: Annotated[
        dict[str, Text], Meta(description="Platforms it is not for, with the reason")
    ] = {}
    xfail: Annotated[
        dict[str, Text],
        Meta(description="Platforms where it fails as is known, with the reason; passing fails"),
    ] = {}

    def of(self, kind: str) -> Any:
        """Return what is said of a kind of check: its structure, None where nothing is."""
        return getattr(self, kind, None)


class Tool(Struct, frozen=True):
    """``command``, with what else its table says of it."""

    command: Texts
    report: str
    fresh: Optional[str]
    timeout: float
    memory: Union[int, str, None]

    @property
    def hours(self) -> int:
        """How long its verdict holds, 0 for as long as nothing changes."""
        return hours(self.fresh)


class NamedCheck(Kinds, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """``[[target.NAME.verify.check]]``: one check with a name of its own."""

    name: Annotated[Text, Meta(description="What reports call it")]
    command: Annotated[
        Optional[Annotated[Texts, Meta(min_length=1)]],
        Meta(
            description="Program of this machine and its arguments, which must end with exit code 0. "
            "{oci} is the platform's image as an OCI layout, {rootfs} a folder with its files, {ref} "
            "repository@digest of its manifest, {report} a file that the report is read from"
        ),
    ] = None
    report: Annotated[
        Literal["sarif", "junit", "json", "none"],
        Meta(
            description="What the command writes to {report}, or prints where it does not name it"
        ),
    ] = "none"
    fresh: Annotated[
        Optional[Annotated[str, Meta(pattern="^[1-9][0-9]*[hdw]$")]],
        Meta(
            description="How long the command's verdict holds, as in 24h (h, d or w); default: for good"
        ),
    ] = None
    timeout: Annotated[Seconds, Meta(description="Seconds after which the command has failed")] = (
        300.0
    )
    memory: Annotated[
        Optional[Memory],
        Meta(description="Most memory of each of the command's processes, as in 2GB"),
    ] = None

    structure_test: Annotated[
        Optional[Text],
        Meta(
            description="Path of a file of container-structure-test, from the project's folder; each of "
            "its tests is a check. {arch} and other words in braces are filled in for each platform"
        ),
    ] = None
    goss: Annotated[
        Union[Text, Goss, None],
        Meta(
            description="Path of a file of goss, likewise; a table says how the container is started"
        ),
    ] = None

    def of(self, kind: str) -> Any:
        """As of any table; what is said of a command stands beside it here."""
        if kind == "structure-test":
            return self.structure_test
        if kind == "goss":
            return Goss(file=self.goss) if isinstance(self.goss, str) else self.goss
        if kind != "command" or not self.command:
            return Kinds.of(self, kind)
        return Tool(self.command, self.report, self.fresh, self.timeout, self.memory)


class Verify(Kinds, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[target.NAME.verify]``: what the image must be and do on each platform."""

    check: Annotated[
        list[NamedCheck], Meta(description="More checks, each with a name of its own")
    ] = []


# In the order in which they are reported; index is about the whole image, the others about a cell.
KINDS = (
    "run",
    "service",
    "binaries",
    "config",
    "files",
    "size",
    "command",
    "structure-test",
    "goss",
    "reproducible",
    "index",
)
OF_THE_WHOLE = frozenset({"index"})
OF_FILES = frozenset(
    {"structure-test", "goss"}
)  # files of other programs, with several checks each


def name_of(prefix: str, kind: str, kinds: int) -> str:
    """Return what the result of a check is called, one of so many ``kinds`` in a table.

    ``prefix`` is the table's own name, ``""`` for the target's ``verify`` itself.
    """
    if not prefix:
        return kind
    return prefix if kinds == 1 else f"{prefix}: {kind}"
