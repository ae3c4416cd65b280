"""What ``[artifact.NAME]`` may say, and what types cannot say of it."""

# No `from __future__ import annotations`: msgspec evaluates these on Python 3.9.
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from buildx_tasks import references
from buildx_tasks.language.measures import Text
from buildx_tasks.language.placeholders import IN_BRACES

if TYPE_CHECKING:
    from buildx_tasks.language.sources import Fail

HELM = "helm"
VERSION, NAME = "version", "name"  # placeholders of a chart's tags


class Artifact(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """``[artifact.NAME]``: what a release has besides images, in a registry: a chart, or files."""

    path: Annotated[
        Text, Meta(description="File or folder, from the project's folder; all that is in it")
    ]
    type: Annotated[
        str,
        Meta(
            pattern=r"^(helm|[A-Za-z0-9][\w.+-]*/[A-Za-z0-9][\w.+-]*)$",
            description="helm: a chart's folder, or the .tgz of one; else the media type of the artifact",
        ),
    ]
    tags: Annotated[
        list[Text],
        Meta(
            min_length=1,
            description="References, as in localhost:5000/charts/app:{version}; of a chart, {version} "
            "and {name} are its own, and a repository alone has the tag {version}",
        ),
    ]
    media_types: Annotated[
        dict[str, Text],
        Meta(description='Media types of files by glob, as in "*.json" = "application/json"'),
    ] = {}
    annotations: Annotated[dict[str, str], Meta(description="Annotations of its manifest")] = {}
    immutable: Annotated[
        list[Text], Meta(description="Globs of tags that never move, as in v[0-9]*.[0-9]*.[0-9]*")
    ] = []

    @property
    def is_chart(self) -> bool:
        """Whether it is a chart of Helm."""
        return self.type == HELM

    @property
    def is_named_by_chart(self) -> bool:
        """Whether its tags have a name or a version that only its chart says."""
        return self.is_chart and any(_is_bare(one) or IN_BRACES.search(one) for one in self.tags)

    def references(self, values: dict[str, str]) -> tuple[references.Reference, ...]:
        """Return its tags; ``values`` are those of a chart's placeholders.

        Raises:
            ValueError: one is no reference.

        """
        found = []
        for text in self.tags:
            whole = f"{text}:{{{VERSION}}}" if self.is_chart and _is_bare(text) else text
            for name, value in values.items():
                whole = whole.replace(f"{{{name}}}", value)
            found.append(references.parse(whole))
        return tuple(dict.fromkeys(found))


def _is_bare(text: str) -> bool:
    return ":" not in text.rpartition("/")[2]


def check(declared: dict[str, Artifact], fail: "Fail") -> None:
    """Refuse tags that are none, and two artifacts under one tag.

    Raises:
        ConfigError: says where.

    """
    owners: dict[str, str] = {}
    for name, one in declared.items():
        if one.is_chart and one.media_types:
            where = ("artifact", name, "media-types")
            raise fail(where, "media-types is of files, and a chart is one; remove it")
        for number, text in enumerate(one.tags):
            place = ("artifact", name, "tags", number)
            known = {VERSION, NAME} if one.is_chart else set()
            for word in IN_BRACES.findall(text):
                if word not in known:
                    hint = "a chart's tags know {version} and {name}"
                    raise fail(place, f"{{{word}}} is no placeholder; {hint}")
            try:
                one.references(dict.fromkeys(known, "1"))
            except ValueError as error:
                raise fail(place, str(error)) from None
            if not one.is_chart and _is_bare(text):
                raise fail(place, f'"{text}" has no tag; write it, as in {text}:v1')
            if owners.setdefault(text, name) != name:
                raise fail(place, f'[artifact.{owners[text]}] has the tag "{text}" too; keep one')
