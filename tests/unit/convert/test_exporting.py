"""Archives that bake files export are elsewhere while bake is asked; the answer is as of old."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildx_tasks.convert.exporting import KEPT, Exports

PLACE = Path("/x")


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ('["type=oci,dest=./a/${V}.tar"]', f'["type=oci,dest=/x/1,{KEPT}=./a/${{V}}.tar"]'),
        ('format("type=oci,dest=%s/b", D)', f'format("type=oci,dest=/x/1,{KEPT}=%s/b", D)'),
        ('["${f("dest=a")},dest=b"]', f'["${{f("dest=/x/1,{KEPT}=a")}},dest=/x/2,{KEPT}=b"]'),
        ('o = [{dest="c"}]', f'o = [{{dest= "/x/1", {KEPT}="c"}}]'),
        ("o = {\n dest = D\n}", f'o = {{\n dest = "/x/1", {KEPT} = D\n}}'),
        ('{"dest": "c"}', f'{{"dest": "/x/1", "{KEPT}": "c"}}'),
        ("{ x = <<E\ndest=a\nE\ny=dest }", f"{{ x = <<E\ndest=/x/1,{KEPT}=a\nE\ny=dest }}"),
        ('# "\n{ dest = D }', f'# "\n{{ dest = "/x/1", {KEPT} = D }}'),
        ('/* " */ ["dest=a"]', f'/* " */ ["dest=/x/1,{KEPT}=a"]'),
        ('"\\"" ["dest=a"]', f'"\\"" ["dest=/x/1,{KEPT}=a"]'),
    ],
)  # fmt: skip
def test_a_place_each(text: str, moved: str) -> None:
    assert Exports(PLACE).declared(text) == moved


@pytest.mark.parametrize(
    "text",
    [
        'dest = "a"\n',
        'variable "dest" {}\n',
        '["type=tar,dest=-"]',
        '{ dest = "-" }',
        "{ # dest=a\n}",
        "{ a = dest == B }",
        '{ a = "',
        "}}}",
        "<<E\n",
        "",
    ],
)
def test_all_else_stays(text: str) -> None:
    assert Exports(PLACE).declared(text) == text


def test_flags_and_values() -> None:
    away = Exports(PLACE).told
    assert away("a.output=type=tar,dest=b") == f"a.output=type=tar,dest=/x/1,{KEPT}=b"
    assert away("type=tar,dest=-") == "type=tar,dest=-"


def test_the_answer_is_as_of_old() -> None:
    exports = Exports(PLACE)
    answer = {
        "output": [{"dest": "/x/12", KEPT: "a b", "type": "tar"}, {"dest": f"/x/3,{KEPT}=a,b"}],
        "args": {"dest": "/x/1", "OTHER": f"type=tar,dest=/x/7,{KEPT}=c", "N": 1},
    }
    told = exports.back(answer)
    assert told["output"] == [{"dest": "a b", "type": "tar"}, {"dest": "a,b"}]
    assert told["args"] == {"dest": "/x/1", "OTHER": "type=tar,dest=c", "N": 1}


def test_a_place_that_is_left_is_seen() -> None:
    exports = Exports(PLACE)
    assert exports.is_in({"output": [{"dest": "/x/1.tar"}]})
    assert not exports.is_in({"output": [{"dest": "x/1.tar"}]})


def test_a_json_file_stays_one() -> None:
    data = {"target": {"a": {"output": ['type=tar,"dest=a"', {"dest": "b"}], "x": "{dest: 1}"}}}
    exports = Exports(PLACE)
    assert exports.back(json.loads(exports.declared(json.dumps(data)))) == data
