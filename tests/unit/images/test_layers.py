from __future__ import annotations

import pytest
from support.stores import digest

from buildx_tasks.images.layers import Layer, instruction, layers_of
from buildx_tasks.registry.manifests import Config, Content, Descriptor, Step


@pytest.mark.parametrize(
    ("made_by", "shown"),
    [
        ("", ""),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("RUN /bin/sh -c make all # buildkit", "RUN make all"),
        ("RUN |2 A=1 B=x y /bin/sh -c make   \t all # buildkit", "RUN make all"),
        ("RUN |2 A=1\nx B=2 /bin/sh -c a &&\n  b # buildkit", "RUN a && b"),
        ("RUN /bin/busybox --install # buildkit", "RUN /bin/busybox --install"),
        ("/bin/sh -c #(nop) ADD file:1 in / ", "ADD file:1 in /"),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("|1 A=1 /bin/sh -c make", "RUN make"),
        ("RUN " + "x" * 100, "RUN " + "x" * 75 + "…"),
        ("ADD \x1b[2J", "ADD \\x1b[2J"),
    ],
)
def test_instructions_are_shown_as_they_were_written(made_by: str, shown: str) -> None:
    assert instruction(made_by) == shown


def test_layers_have_what_history_and_config_say_of_them() -> None:
    a, b, x, y = map(digest, "abxy")
    manifest = Content(layers=[Descriptor(a, 1), Descriptor(b, 2)])
    history = (Step("COPY a /"), Step("ENV A=b", empty_layer=True), Step())
    config = Config(history=history, diff_ids=(x, y))
    assert layers_of(manifest, config) == (Layer(a, 1, "COPY a /", x), Layer(b, 2, "", y))
    # Either may be left out.
    assert layers_of(manifest, Config()) == (Layer(a, 1, "", a), Layer(b, 2, "", b))
    config = config._replace(history=history[1:])
    assert [layer.made_by for layer in layers_of(manifest, config)] == ["", ""]
