"""What may be removed of a repository: never what something kept can reach, in any tree."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from buildx_tasks.joining.reach import Node, removable

NAMES = [f"sha256:{number}" for number in range(12)]


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[str, Node], set[str], list[str]]:
    """Indexes, manifests, attestations and referrers of any shape, some of them kept, some stale."""
    nodes = {}
    for number, name in enumerate(NAMES):
        # Digests make circles of lists impossible; what is about another may be about anything.
        below = draw(st.lists(st.sampled_from(NAMES[number + 1 :] or ["sha256:gone"]), max_size=4))
        subject = draw(st.sampled_from(["", "", *NAMES]))
        nodes[name] = Node(tuple(dict.fromkeys(below)), subject if subject != name else "")
    kept = draw(st.sets(st.sampled_from(NAMES), max_size=4))
    stale = draw(st.lists(st.sampled_from(NAMES), max_size=6, unique=True))
    return nodes, kept, stale


def reachable(nodes: dict[str, Node], kept: set[str]) -> set[str]:
    """The same, said as a fixed point."""
    found = set(kept)
    while True:
        more = {below for name in found for below in nodes.get(name, Node()).below}
        more |= {nodes[name].subject for name in found if name in nodes} - {""}
        more |= {name for name, node in nodes.items() if node.subject in found}
        if more <= found:
            return found
        found |= more


@settings(max_examples=500)
@given(trees())
def test_nothing_is_removed_that_something_kept_can_reach(
    tree: tuple[dict[str, Node], set[str], list[str]],
) -> None:
    nodes, kept, stale = tree
    found = removable(nodes, kept, stale)
    assert not set(found) & reachable(nodes, kept)
    below = set(stale)
    for _ in NAMES:  # what is about something that goes, goes with it
        below |= {one for name in below for one in nodes.get(name, Node()).below}
        below |= {name for name, node in nodes.items() if node.subject in below}
    assert set(found) == below - reachable(nodes, kept)  # all that may go does
    assert len(found) == len(set(found))
    for number, name in enumerate(found):  # who lists something goes first
        assert not set(nodes.get(name, Node()).below) & set(found[:number])


def test_statements_go_with_what_they_are_about_and_before_it() -> None:
    """A tag beside a manifest lists its statements: an index that is about it too."""
    nodes = {
        "part": Node(("app",)),
        "app": Node(),
        "beside": Node(("verdict",), "app"),
        "verdict": Node((), "app"),
        "signature": Node((), "verdict"),
    }
    found = removable(nodes, [], ["part"])
    assert sorted(found) == sorted(nodes)
    assert found.index("beside") < found.index("verdict")
    assert found.index("beside") < found.index("app")
    assert removable({**nodes, "v1": Node(("app",))}, ["v1"], ["part"]) == ["part"]


def test_a_circle_ends() -> None:
    nodes = {"a": Node(("b",)), "b": Node(("a",))}
    assert sorted(removable(nodes, [], ["a"])) == ["a", "b"]
    assert removable(nodes, ["b"], ["a"]) == []
