"""A bake file and what is known of the world in; a fingerprint for each target and platform, out.

It changes with everything that the result depends on: where something cannot be known, there is no
fingerprint, and :class:`Unknowable` says why.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks.inputs import ignoring
from buildx_tasks.inputs.keys import keyed
from buildx_tasks.inputs.parts import parts_of
from buildx_tasks.inputs.trees import stamp_now, tree_of
from buildx_tasks.language.secrets import effective, place_of
from buildx_tasks.language.targets import LINK, dashed, files_helper, platform_helper
from buildx_tasks.planning.bakefile import unescaped
from buildx_tasks.planning.helpers import PICKED
from buildx_tasks.references import CWD, REMOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.inputs.ignoring import Ignored
    from buildx_tasks.inputs.known import KnownFiles
    from buildx_tasks.inputs.trees import Tree
    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.planning.cells import Selected, TargetPlan
    from buildx_tasks.platforms import Platform

ANNOTATION = "dev.buildx-tasks.fingerprint"

_SCHEME = 1  # another one where the same inputs are to give another fingerprint
_OCI_LAYOUT = "oci-layout://"
# What no result depends on; the platform is said apart.
_UNSEEN = frozenset(("cache-from", "description", "platforms"))
# What only the image has that is built itself, not what is built on it.
_OWN = frozenset(("annotations", "attest", "cache-to", "output", "tags"))


class Unknowable(Exception):  # noqa: N818 - it is no error: the target is built
    """Why a result cannot be told from its inputs."""


class World(NamedTuple):
    """What is known outside of the project's files.

    ``tools`` are the versions of what builds, ``key`` is this machine's for the values of secrets.
    ``outside`` has, for each target and platform, what its images and repositories stand for now, or
    why that is not known. ``by`` is what builds, as a person calls it: nothing depends on it.
    """

    tools: tuple[str, ...]
    key: bytes
    environment: Mapping[str, str]
    outside: Mapping[tuple[str, Platform], tuple[str, ...] | Unknowable]
    by: str = ""


class Fingerprints:
    """The fingerprints of one bake file, whose folder is ``root``."""

    def __init__(
        self,
        root: Path,
        definition: Mapping[str, Any],
        plan: Selected,
        world: World,
        known: KnownFiles,
    ) -> None:
        self._root = root
        self._targets: Mapping[str, Attributes] = definition["target"]
        self._plan = plan
        self._world = world
        self._known = known
        self._trees: dict[tuple[str, str | None], Tree] = {}
        self._read: dict[str, str] = {}  # what else was read, and its hash
        self._done: dict[tuple[str, Platform, bool], str] = {}

    def of(self, target: str, platform: Platform) -> str:
        """Return the fingerprint of one cell: 64 hexadecimal digits.

        Raises:
            Unknowable: it cannot be told; says why.

        """
        try:
            return self._of(target, platform, is_linked=False)
        except OSError as error:
            raise Unknowable(f"{error.filename}: {error.strerror}") from None

    def parts(self, target: str, platform: Platform) -> dict[str, str]:
        """Return what the fingerprint of a cell is of, by what people call it, each as a short hash.

        Raises:
            Unknowable: it cannot be told; says why.

        """
        self.of(target, platform)
        said = self._said(target, platform, is_linked=False)
        digest = said.get("context", {}).get("tree", "")
        trees = (tree for tree in self._trees.values() if tree.digest == digest)
        return parts_of(said, next((tree.parts for tree in trees), {}))

    def are_still_so(self) -> bool:
        """Say whether nothing that was read has changed since."""
        try:
            return all(
                stamp_now(place, _ignored(text)) == tree.stamp
                for (place, text), tree in self._trees.items()
            ) and all(_hashed(path) == was for path, was in self._read.items())
        except OSError:
            return False

    def _of(self, name: str, platform: Platform, *, is_linked: bool) -> str:
        key = (name, platform, is_linked)
        if key not in self._done:
            said = self._said(name, platform, is_linked=is_linked)
            encoded = msgspec.json.encode(said, order="deterministic")
            self._done[key] = hashlib.sha256(encoded).hexdigest()
        return self._done[key]

    def _said(self, name: str, platform: Platform, *, is_linked: bool) -> dict[str, Any]:
        attributes = self._targets[name]
        self._refuse(attributes)
        hidden = _UNSEEN | _OWN if is_linked else _UNSEEN
        owner, role = self._owners.get(name, (None, ""))
        said: dict[str, Any] = {
            "scheme": _SCHEME,
            "tools": self._world.tools,
            "platform": str(platform),
            "attributes": {k: v for k, v in attributes.items() if k not in hidden},
        }
        if owner and role == "files":
            said["attributes"] = {}  # how the files of all platforms are named is no part of one
            said["files"] = self._files(owner, platform)
            return said
        said["contexts"] = {
            key: self._context(unescaped(value), platform)
            for key, value in attributes.get("contexts", {}).items()
            if not self._is_of_another(key, value, platform)
        }
        if PICKED in unescaped(attributes.get("dockerfile-inline", "")) and role == "target":
            own = f"helper-{dashed(platform)}"
            said["attributes"].pop("contexts")
            said["attributes"].pop("dockerfile-inline")
            said["contexts"] = {k: v for k, v in said["contexts"].items() if k == own}
            return said
        said["context"] = self._main_context(attributes)
        said["secrets"] = self._secrets(attributes)
        if owner:
            said["outside"] = self._outside(owner, platform)
        return said

    def _outside(self, owner: TargetPlan, platform: Platform) -> list[str]:
        known = self._world.outside
        own = [platform] if (owner.name, platform) in known else owner.platforms or owner.declared
        found: list[str] = []
        for one in own:
            outside = known.get((owner.name, one), ())
            if isinstance(outside, Unknowable):
                raise outside
            found += outside
        return found

    @cached_property
    def _owners(self) -> dict[str, tuple[TargetPlan, str]]:
        """The plan's target of each bake target, and what this is to it."""
        found: dict[str, tuple[TargetPlan, str]] = {}
        for target in (*self._plan.targets, *self._plan.linked):
            found[target.name] = (target, "target")
            found[files_helper(target.name)] = (target, "files")
            for platform in target.platforms or target.declared:
                found[platform_helper(target.name, platform)] = (target, "platform")
        return found

    def _is_of_another(self, key: str, value: str, platform: Platform) -> bool:
        if not key.startswith("helper-") or not value.startswith(LINK):
            return False
        _owner, role = self._owners.get(value[len(LINK) :], (None, ""))
        return role == "platform" and key != f"helper-{dashed(platform)}"

    def _refuse(self, attributes: Attributes) -> None:
        if attributes.get("ssh"):
            raise Unknowable("what it gets through ssh is not known")
        if attributes.get("no-cache") or attributes.get("no-cache-filter"):
            raise Unknowable("no-cache says to build it anew")

    def _files(self, owner: TargetPlan, platform: Platform) -> dict[str, str]:
        found = {}
        for name, path in owner.spec.files.get(platform, {}).items():
            if path.startswith(LINK):
                linked, _, inside = path[len(LINK) :].partition("/")
                found[name] = f"{self._of(linked, platform, is_linked=True)}/{inside}"
            else:
                found[name] = self._tree(path, None)
        return found

    def _context(self, value: str, platform: Platform) -> str:
        if value.startswith(LINK):
            return self._of(value[len(LINK) :], platform, is_linked=True)
        if value.startswith(_OCI_LAYOUT):
            folder = value[len(_OCI_LAYOUT) :].partition("@")[0]
            return self._text(posixpath.join(folder.rpartition(":")[0] or folder, "index.json"))
        if REMOTE.match(value):
            return value
        return self._tree(value, None)

    def _main_context(self, attributes: Attributes) -> dict[str, str]:
        context = unescaped(attributes.get("context", "."))
        name = unescaped(attributes.get("dockerfile", "Dockerfile"))
        inline = attributes.get("dockerfile-inline")
        if REMOTE.match(name) or "-" in (name, context):
            raise Unknowable(f"its Dockerfile is not here: {name}")
        if REMOTE.match(context):
            return {"dockerfile": inline or name}
        ignore = self._ignore_file(posixpath.join(context, ".dockerignore"))
        if inline is None:
            path = name if name.startswith(CWD) else posixpath.join(context, name)
            if not self._place(path).exists():
                path = posixpath.join(posixpath.dirname(path), posixpath.basename(path).lower())
            own = self._ignore_file(f"{path}.dockerignore")
            ignore = ignore if own is None else own
            inline = self._text(path)
        return {"dockerfile": inline, "ignore": ignore or "", "tree": self._tree(context, ignore)}

    def _secrets(self, attributes: Attributes) -> dict[str, str]:
        found = {}
        for name, entry in effective(attributes, "secret").items():
            value = self._secret(name, entry)
            if not self._world.key:
                raise Unknowable("this machine has no key for the values of secrets")
            found[name] = keyed(self._world.key, value)
        return found

    def _secret(self, name: str, entry: Mapping[str, Any]) -> bytes:
        kind, origin = place_of(name, entry, self._world.environment)
        if kind == "env":
            value = self._world.environment.get(origin)
            if value is None:
                raise Unknowable(f"the variable {origin} of a secret is not set")
            return os.fsencode(value)
        place = self._place(unescaped(origin))
        self._read[str(place)] = _hashed(str(place))
        return place.read_bytes()

    def _ignore_file(self, path: str) -> str | None:
        place = self._place(path)
        return place.read_bytes().decode("utf-8", "replace") if place.is_file() else None

    def _text(self, path: str) -> str:
        place = str(self._place(path))
        found = _hashed(place)
        self._read[place] = found
        return found

    def _tree(self, path: str, ignore: str | None) -> str:
        place = str(self._place(path))
        key = (place, ignore)
        if key not in self._trees:
            self._trees[key] = tree_of(place, _ignored(ignore), self._known)
        return self._trees[key].digest

    def _place(self, path: str) -> Path:
        return self._root / path.removeprefix(CWD)


def _ignored(text: str | None) -> Ignored | None:
    return None if text is None else ignoring.parse(text)


def _hashed(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
