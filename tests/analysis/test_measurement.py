"""A measurement prints, draws itself and is plain data."""

import json
import math
import xml.etree.ElementTree as xml

import pytest

from skipwise.analysis import Measurement, Theory

THEORY = Theory(
    name="doubling",
    column="height",
    formula="2^l",
    condition="no norm <b>",
    values=(1.0, 2.0, 4.0),
    low=(0.5, 1.0, 2.0),
    high=(2.0, 4.0, 8.0),
    source="own",
    holds=True,
)
MADE = Measurement(
    name="Height & depth",
    formula="h",
    source="own",
    rows=("a", "b", "c"),
    columns={"height": (1.0, 2.5, math.nan), "width": (0.0001, 20000.0, 3.0)},
    figures={"total": 3.5},
    theories=(THEORY,),
    notes=("c: UNKNOWN, too far",),
    logarithmic=True,
)


def test_it_prints_as_a_table_with_its_theory_and_its_notes():
    lines = str(MADE).splitlines()
    assert lines[1].split() == ["block", "height", "width", "theory:", "doubling"]
    assert lines[4].split() == ["c", "?", "3", "4"]
    assert lines[5:] == [
        "total: 3.5",
        "theory, doubling: 2^l; holds here: no norm <b>",
        "c: UNKNOWN, too far",
    ]


def test_it_draws_itself_as_valid_svg_with_everything_escaped():
    page = MADE._repr_html_()
    figure = xml.fromstring(page.replace("&amp;", "and"))
    namespace = "{http://www.w3.org/2000/svg}"
    assert [len(line.attrib["points"].split()) for line in figure.iter(f"{namespace}polyline")] == [
        2,
        3,
    ]
    assert len(list(figure.iter(f"{namespace}polygon"))) == 1
    assert "no norm &lt;b&gt;" in page


def test_it_is_plain_data():
    plain = json.loads(json.dumps(MADE.as_plain(), allow_nan=False))
    assert plain["columns"]["height"] == [1.0, 2.5, None]
    assert plain["theories"][0]["high"] == [2.0, 4.0, 8.0]


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    assert MADE["width"][1] == 20000.0
    with pytest.raises(KeyError, match="no column 'depth'; it has height, width"):
        MADE["depth"]
