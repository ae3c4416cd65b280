"""Layers put together: what is replaced, removed, linked, and reached through links."""

from __future__ import annotations

import pytest

from buildx_tasks.images.merged import Listed, merged
from buildx_tasks.images.paths import Entry


def listed(text: str) -> Listed:
    """``/a`` is a file, ``/a=arm`` ELF, ``/a/`` a folder, ``/a>b`` a link, ``/a#/b`` a hard one."""
    if ">" in text:
        path, link = text.split(">")
        return Listed(Entry(path, "symlink", link=link))
    if "#" in text:
        path, link = text.split("#")
        return Listed(Entry(path, "file", link=link))
    path, _, architecture = text.partition("=")
    kind = "directory" if path.endswith("/") else "file"
    return Listed(Entry(path.rstrip("/"), kind), architecture)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "there"),
    [
        (["/a=arm", "/b=arm"], "/a=arm /b=arm"),
        (["/a=arm", "/a=amd64"], "/a=amd64"),
        (["/a=arm", "/a"], "/a"),
        (["/a=arm /b", "/.wh.a"], "/b"),
        (["/d/a=arm /d/e/b=arm /f", "/.wh.d"], "/f"),
        (["/d/a=arm /d/b", "/d/.wh..wh..opq /d/c"], "/d/ /d/c"),
        (["/a=arm", "/.wh..wh..opq /b"], "/b"),
        (["/d/a=arm", "/d/.wh..wh..opq /d/a=amd64"], "/d/ /d/a=amd64"),  # not its own
        (["/d/a=arm", "/d=amd64"], "/d=amd64"),
        (["/d=arm", "/d/ /d/a"], "/d/ /d/a"),
        (["/d/a=arm", "/d/"], "/d/ /d/a=arm"),
        (
            ["/usr/lib/ /lib>usr/lib /usr/lib/x=arm", "/lib/x"],
            "/usr/ /usr/lib/ /lib>usr/lib /usr/lib/x",
        ),
        (["/usr/lib/x=arm /lib>/usr/lib", "/lib/.wh.x"], "/lib>/usr/lib"),
        (["/a/b>../c /c/x=arm", "/a/b/y=arm"], "/a/ /a/b>../c /c/ /c/x=arm /c/y=arm"),
        (["/a>a", "/a/b"], "/a>a /a/b"),  # a circle is left as it is
        (["/a=arm /b#/a"], "/a=arm /b=arm"),
        (["/a=arm", "/b#/a"], "/a=arm /b=arm"),
        (["/b#/none"], "/b>/none"),
        # What a hard link leads to stays, whatever comes to its other name.
        (["/a=arm", "/b#/a", "/a=amd64"], "/a=amd64 /b=arm"),
        (["/a=arm", "/b#/a /a=amd64"], "/a=amd64 /b=arm"),
        (["/a=arm /b#/a", "/.wh.a", "/a"], "/a /b=arm"),
        (["/a=arm /b#/a", "/.wh.a", "/c#/b", "/b=amd64"], "/b=amd64 /c=arm"),
        (["/a=arm /b#/a", "/a=amd64 /c#/a", "/a=386"], "/a=386 /b=arm /c=amd64"),
        (["/a=arm /b#/a", "/a=amd64", "/b#/a"], "/a=amd64 /b=amd64"),
        (["/z=arm /y#/z", "/x=amd64 /y#/x", "/.wh.z"], "/x=amd64 /y=amd64"),
        (["/y=arm /z#/y", "/x=amd64 /y#/x", "/x=386"], "/x=386 /y=amd64 /z=arm"),
    ],
)
def test_layers_come_to_what_a_container_sees(layers: list[str], there: str) -> None:
    files = merged([[listed(text) for text in layer.split()] for layer in layers])
    shown = []
    for entry in files.tree:
        architecture = files.architectures.get(entry.first, "")
        end = {"directory": "/", "symlink": f">{entry.link}"}.get(entry.kind, "")
        shown.append(f"{entry.path}{end}" + (f"={architecture}" if architecture else ""))
    assert sorted(shown) == sorted(there.split())
    # What a file's content is known by is a file that is there.
    firsts = {entry.first for entry in files.tree if entry.kind == "file"}
    assert all(files.tree.at(first) for first in firsts if first)
