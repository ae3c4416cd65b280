"""Images as they could be in a registry, made of bytes: good ones, and each with one fault."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from backports import zstd

from buildx_tasks.auditing.places import Place
from buildx_tasks.errors import MissingError
from buildx_tasks.machine import executables
from buildx_tasks.platforms import parse

from .elves import EXECUTABLE, SHARED, arm_attributes, elf
from .pes import pe
from .stores import Blobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
INTOTO = "application/vnd.in-toto+json"
LOADERS = {
    "linux/amd64": "/lib64/ld-linux-x86-64.so.2",
    "linux/arm64": "/lib/ld-linux-aarch64.so.1",
    "linux/arm/v7": "/lib/ld-linux-armhf.so.3",
}


class Member(NamedTuple):
    """What is at a path of a layer: a file, a link (``symlink`` or ``link``), a folder."""

    data: bytes = b""
    mode: int = 0o755
    link: str = ""
    symlink: str = ""
    folder: bool = False


Files = "Mapping[str, bytes | Member]"


class Store(Blobs):
    """Blobs, of which some may be missing; they can be put into a real registry."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[str, str] = {}  # media types of manifests
        self.reads: list[str] = []

    def _read(self, digest: str) -> bytes:
        if digest not in self:
            raise MissingError(f"{digest}: not found")
        self.reads.append(digest)
        return self[digest]

    def put(self, data: bytes, kind: str = "") -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self[digest] = data
        if "manifest" in kind or "index" in kind:
            self.kinds[digest] = kind
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def document(self, content: Any, kind: str) -> dict[str, Any]:
        return self.put(json.dumps({"mediaType": kind, **content}).encode(), kind)

    def place(self, root: str, name: str = "localhost:5000/app:v1") -> Place:
        return Place(name, root, self, lambda _, look: look(), lambda: self.manifest(root))


class Sample(NamedTuple):
    """An image: what it is called, its store, and the digest of its index.

    ``says`` is what a finding has to hold, ``platform`` which result it is in (``""``: the index).
    """

    name: str
    store: Store
    root: str
    platform: str = ""
    says: tuple[str, ...] = ()


def tar(files: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, given in files.items():
            one = given if isinstance(given, Member) else Member(given)
            info = tarfile.TarInfo(path)
            info.mode = one.mode
            if one.folder:
                info.type = tarfile.DIRTYPE
            elif one.symlink:
                info.type, info.linkname = tarfile.SYMTYPE, one.symlink
            elif one.link:
                info.type, info.linkname = tarfile.LNKTYPE, one.link
            else:
                info.size = len(one.data)
            archive.addfile(info, io.BytesIO(one.data))
    return stream.getvalue()


def packed(data: bytes, packing: str) -> bytes:
    if packing == "zstd":
        return zstd.compress(data)
    return gzip.compress(data, mtime=0) if packing == "gzip" else data


class Layer(NamedTuple):
    """A layer as it is in a registry, and the digest of it unpacked."""

    descriptor: dict[str, Any]
    diff_id: str


class Maker:
    """Makes one image; ``docker`` uses docker's media types."""

    def __init__(self, *, docker: bool = False) -> None:
        self.store = Store()
        self._docker = docker

    def layer(self, files: Any, packing: str = "gzip", raw: bytes = b"") -> Layer:
        data = tar(files)
        end = f"+{packing}" if packing else ""
        kind = f"{OCI}layer.v1.tar{end}"
        if self._docker:
            kind = f"{DOCKER}image.rootfs.diff.tar{f'.{packing}' if packing else ''}"
        diff_id = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return Layer(self.store.put(raw or packed(data, packing), kind), diff_id)

    def platform(self, text: str, layers: Sequence[Layer], **more: Any) -> dict[str, Any]:
        """A platform's descriptor; ``said`` is what its config says, where it is another platform."""
        said = words(more.pop("said", text))
        config = {
            **said,
            **more.pop("more", {}),
            "created": more.pop("created", "2026-01-31T12:00:00Z"),
            "config": more.pop("start", {"Entrypoint": ["/app"]}),
            "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
            "history": [
                {"created_by": f"COPY {number} / # buildkit"} for number in range(len(layers))
            ],
        }
        kind = (
            f"{DOCKER}distribution.manifest.v2+json" if self._docker else f"{OCI}manifest.v1+json"
        )
        made = self.store.put(
            json.dumps(config).encode(),
            f"{DOCKER}container.image.v1+json" if self._docker else f"{OCI}config.v1+json",
        )
        manifest = {
            "schemaVersion": 2,
            "config": made,
            "layers": [one.descriptor for one in layers],
        }
        return {**self.store.document(manifest, kind), "platform": words(text)}

    def index(self, *listed: Mapping[str, Any]) -> str:
        kind = (
            f"{DOCKER}distribution.manifest.list.v2+json" if self._docker else f"{OCI}index.v1+json"
        )
        found = self.store.document({"schemaVersion": 2, "manifests": list(listed)}, kind)
        return str(found["digest"])

    def attestation(self, about: str, of: str = "", predicate: Any = None) -> dict[str, Any]:
        """What attests a manifest, with a statement ``of`` a digest."""
        kind = "https://slsa.dev/provenance/v1"
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": kind,
            "subject": [{"name": "pkg:docker/app@v1", "digest": {"sha256": (of or about)[7:]}}],
            "predicate": {"buildDefinition": {}} if predicate is None else predicate,
        }
        layer = self.store.put(json.dumps(statement).encode(), INTOTO)
        layer["annotations"] = {"in-toto.io/predicate-type": kind}
        config = self.store.put(b"{}", f"{OCI}config.v1+json")
        manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
        return {
            **self.store.document(manifest, f"{OCI}manifest.v1+json"),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": about,
            },
        }

    def sample(self, name: str, root: str, platform: str = "", *says: str) -> Sample:
        return Sample(name, self.store, root, platform, says)


def words(text: str) -> dict[str, str]:
    names = ("os", "architecture", "variant")
    return {key: value for key, value in zip(names, parse(text)) if value}


def program(platform: str, *, dynamic: bool = False) -> bytes:
    parsed = parse(platform)
    if dynamic:
        more: dict[str, Any] = {"flags": 0x05000400} if parsed.architecture == "arm" else {}
        loader = LOADERS[platform]
        return elf(
            parsed.architecture, kind=EXECUTABLE, interpreter=loader, needed=("libc.so.6",), **more
        )
    found = executables.binary(parsed)
    assert found
    return found


def rootfs(platform: str) -> dict[str, Any]:
    """A small userland: a dynamic program, its loader and library, a few files, usual setuid ones."""
    architecture = parse(platform).architecture
    more: dict[str, Any] = {"flags": 0x05000400} if architecture == "arm" else {}
    library = elf(architecture, kind=SHARED, **more)
    return {
        "app": program(platform, dynamic=True),
        LOADERS[platform].lstrip("/"): library,
        "usr/lib/libc.so.6": library,
        "usr/bin/su": Member(program(platform, dynamic=True), mode=0o4755),
        "etc/passwd": Member(b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n", mode=0o644),
    }


BOTH = ("linux/amd64", "linux/arm64")


def _with(change: Callable[[Maker], dict[str, Any]], name: str, *says: str) -> Sample:
    """An image of two platforms whose linux/arm64 is as ``change`` makes it."""
    maker = Maker()
    good = maker.platform(BOTH[0], [maker.layer(rootfs(BOTH[0]))])
    return maker.sample(name, maker.index(good, change(maker)), BOTH[1], *says)


def _arm64(maker: Maker, *changed: Any, **more: Any) -> dict[str, Any]:
    """The descriptor of linux/arm64 with further layers."""
    base = maker.layer(rootfs(BOTH[1]))
    return maker.platform(BOTH[1], [base, *map(maker.layer, changed)], **more)


def faulty() -> list[Sample]:
    """Twelve images with one fault each."""
    amd64, arm64 = BOTH
    found = [
        _with(
            lambda m: m.platform(arm64, [m.layer(rootfs(amd64))]),
            "foreign-userland",
            "/app is for linux/amd64",
        ),
        _with(lambda m: _arm64(m, said=amd64), "foreign-config", "its config says linux/amd64"),
        _pinned(),
        _deleted(),
        _attested(),
        _with(
            lambda m: m.platform(
                arm64, [m.layer({"app": program(arm64, dynamic=True), "etc/x": b"x"})]
            ),
            "no-interpreter",
            "/app needs the interpreter /lib/ld-linux-aarch64.so.1, which is not in the image",
        ),
        _soft(),
        _with(
            lambda m: _arm64(m, {"usr/bin/tool": program(arm64, dynamic=True)[:150]}),
            "half",
            "/usr/bin/tool is damaged",
        ),
        _with(
            lambda m: _arm64(m, {"lib/.wh.ld-linux-aarch64.so.1": b""}),
            "whiteout",
            "/app needs the interpreter /lib/ld-linux-aarch64.so.1",
        ),
        _with(
            lambda m: _arm64(
                m,
                {"usr/lib/tool": program(amd64)},
                {"usr/bin/tool": Member(link="usr/lib/tool"), "usr/lib/.wh.tool": b""},
            ),
            "hard-link",
            "/usr/bin/tool is for linux/amd64",
        ),
        _no_gzip(),
        _with(
            lambda m: _arm64(m, {"srv/server.exe": pe()}),
            "windows",
            "/srv/server.exe is a program of Windows for amd64",
        ),
    ]
    assert len(found) == 12
    return found


def _pinned() -> Sample:
    maker = Maker()
    one = maker.platform(BOTH[0], [maker.layer(rootfs(BOTH[0]))])
    other = {**one, "platform": words(BOTH[1])}
    says = (
        "its config says linux/amd64",
        "/app is for linux/amd64",
        "a FROM --platform= in the last",
    )
    return maker.sample("pinned", maker.index(one, other), BOTH[1], *says)


def whole_of(sample: Sample) -> Sample:
    """The same with what was taken out of it, for registries take no index before what it lists."""
    return _deleted(whole=True) if sample.name == "deleted" else sample


def _deleted(*, whole: bool = False) -> Sample:
    sample = _with(_arm64, "deleted", "its manifest sha256:", "is not there")
    if whole:
        return sample
    listed = json.loads(sample.store[sample.root])["manifests"]
    del sample.store[listed[1]["digest"]]
    return sample


def _attested() -> Sample:
    maker = Maker()
    one = maker.platform(BOTH[0], [maker.layer(rootfs(BOTH[0]))])
    other = _arm64(maker)
    right = maker.attestation(one["digest"])
    wrong = maker.attestation(other["digest"], of=one["digest"], predicate={"more": 1})
    says = "of linux/arm64: its statement is of another digest", one["digest"]
    return maker.sample("attestation", maker.index(one, other, right, wrong), "", *says)


def _soft() -> Sample:
    maker = Maker()
    platform = "linux/arm/v7"
    soft = elf("arm", flags=0x05000200, sections=(arm_attributes((6, 10), (28, 0)),))
    files = {**rootfs(platform), "usr/lib/libsoft.so": soft}
    good = maker.platform(BOTH[0], [maker.layer(rootfs(BOTH[0]))])
    listed = maker.index(good, maker.platform(platform, [maker.layer(files)]))
    return maker.sample(
        "soft-float", listed, platform, "/usr/lib/libsoft.so has the soft-float ABI"
    )


def _no_gzip() -> Sample:
    def change(maker: Maker) -> dict[str, Any]:
        base = maker.layer(rootfs(BOTH[1]))
        files = {"etc/more": b"more"}
        return maker.platform(BOTH[1], [base, maker.layer(files, raw=tar(files))])

    return _with(change, "no-gzip", "layer sha256:", "COPY 1 /", "not compressed at all")


def good() -> list[Sample]:
    """Ten images that are as they should be, each in a way of its own."""
    plain = Maker()
    listed = [plain.platform(p, [plain.layer(rootfs(p))]) for p in LOADERS]
    attesting = [plain.attestation(one["digest"]) for one in listed]
    found = [plain.sample("attested", plain.index(*listed, *attesting))]
    for name, packing, docker in (
        ("zstd", "zstd", False),
        ("plain", "", False),
        ("docker", "gzip", True),
    ):
        maker = Maker(docker=docker)
        both = [maker.platform(p, [maker.layer(rootfs(p), packing)]) for p in BOTH]
        found.append(maker.sample(name, maker.index(*both)))
    single = Maker()
    root = single.platform(BOTH[1], [single.layer(rootfs(BOTH[1]))])
    found.append(single.sample("single", root["digest"]))
    for name, files in _userlands().items():
        maker = Maker()
        shared = maker.layer({"etc/shared": b"shared" * 1000})
        both = [maker.platform(p, [*map(maker.layer, files(p)), shared]) for p in BOTH]
        found.append(maker.sample(name, maker.index(*both)))
    assert len(found) == 10
    return found


def _userlands() -> dict[str, Callable[[str], list[dict[str, Any]]]]:
    def busybox(platform: str) -> list[dict[str, Any]]:
        names = {f"bin/{one}": Member(link="bin/busybox") for one in ("sh", "ls", "ping")}
        return [{"bin/busybox": program(platform), "app": Member(link="bin/busybox"), **names}]

    def merged_usr(platform: str) -> list[dict[str, Any]]:
        links = {one: Member(symlink=f"usr/{one}") for one in ("bin", "lib", "lib64")}
        files = {
            f"usr/{path}" if path.startswith("lib") else path: one
            for path, one in rootfs(platform).items()
        }
        return [
            {**links, **files},
            {"usr/bin/more": program(platform), "lib/late.so": elf(parse(platform).architecture)},
        ]

    def data(platform: str) -> list[dict[str, Any]]:
        other = BOTH[platform == BOTH[0]]
        return [
            {
                **rootfs(platform),
                "usr/local/go/src/debug/elf/testdata/other": program(other),
                "usr/lib/python3/site-packages/pip/_vendor/distlib/w64-arm.exe": pe(0xAA64),
                "usr/local/go/src/runtime/race/race_linux.syso": elf(
                    parse(other).architecture, kind=1
                ),
                "usr/share/dotnet/System.dll": pe(0x14C, managed=True),
            }
        ]

    def replaced(platform: str) -> list[dict[str, Any]]:
        other = BOTH[platform == BOTH[0]]
        return [
            {"app": program(other), "opt/tool": program(other), "opt/d/other": program(other)},
            {"app": program(platform), "opt/.wh.tool": b"", "opt/d/.wh..wh..opq": b""},
        ]

    def scratch(_: str) -> list[dict[str, Any]]:
        return [{"data/file": b"nothing that runs"}]

    return {
        "busybox": busybox,
        "merged-usr": merged_usr,
        "data": data,
        "replaced": replaced,
        "scratch": scratch,
    }
