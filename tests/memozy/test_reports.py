import re

import jinja2
import pytest
from matplotlib.figure import Figure

from memozy import reports


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (None, 2, "–"),
        (float("nan"), 2, "–"),
        (float("inf"), 2, "–"),
        (0.125, 3, "0.125"),
        (1234.5, 2, "1,234.50"),
        (1234, 2, "1,234"),
        (-0.001, 2, "0.00"),
        (-0.25, 2, "-0.25"),
    ],
)
def test_number(value, digits, shown):
    assert reports.number(value, digits) == shown


def test_percent_and_money():
    assert [reports.percent(x) for x in (0.95, 0.999, None)] == ["95 %", "99.9 %", "–"]
    assert [reports.money(x) for x in (0.0, 0.0123, 12.5, None)] == ["$0.00", "$0.0123", "$12.50", "–"]


def test_an_address_is_shown_without_its_password():
    assert reports.without_secrets("postgresql://me:pw@db:5432/x") == "postgresql://db:5432/x"
    assert reports.without_secrets("sqlite:////tmp/a@b/mlflow.db") == "sqlite:////tmp/a@b/mlflow.db"


def drawing(title: str = "날씨 $x$") -> Figure:
    with reports.style():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.plot([1, 2], [3, 4], color=reports.LIGHT["blue"], marker="o", label="a")
        axes.set_title(title)
        axes.legend()
    return figure


def test_svg_keeps_text_and_takes_the_pages_colours_and_font():
    markup = reports.svg(drawing(), "one", 'a "plot" <b>')
    assert ">날씨 $x$</text>" in markup  # text, as given: no glyph outlines, no mathematics
    assert 'aria-label="a &quot;plot&quot; &lt;b&gt;"' in markup
    assert "var(--blue)" in markup and "var(--font)" in markup
    assert not [colour for colour in reports.LIGHT.values() if colour in markup]
    assert "http" not in markup and "<style" not in markup and "<metadata" not in markup


def test_svg_ids_of_two_plots_never_meet_and_every_reference_has_its_target():
    one, two = (reports.svg(drawing(), name, "a plot") for name in ("one", "two"))
    ids = {name: set(re.findall(r'id="([^"]+)"', m)) for name, m in (("one", one), ("two", two))}
    assert ids["one"] and not ids["one"] & ids["two"]
    assert set(re.findall(r'href="#([^"]+)"', one)) | set(re.findall(r"url\(#([^)]+)\)", one)) == ids["one"]


def test_svg_of_the_same_data_is_the_same_bytes():
    assert reports.svg(drawing(), "one", "a") == reports.svg(drawing(), "one", "a")


def test_style_changes_nothing_outside():
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawing()
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "greeting.html.j2"
    path.write_text('{% extends "page.html.j2" %}{% block body %}<p>{{ name }} {{ x | number(1) }}</p>{% endblock %}')
    return path


def test_page_escapes_what_it_is_given_and_forbids_scripts(template):
    page = reports.page(template, name="<script>alert(1)</script>", x=0.5)
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt; 0.5</p>" in page
    assert "<script" not in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_page_needs_every_value(template):
    with pytest.raises(jinja2.UndefinedError, match="name"):
        reports.page(template, x=1.0)


def test_page_defines_every_colour_in_light_and_in_dark(template):
    page = reports.page(template, name="a", x=1)
    light, dark = page.split("prefers-color-scheme: dark")
    assert reports.LIGHT.keys() == reports.DARK.keys()
    for name in reports.LIGHT:
        assert f"--{name}: {reports.LIGHT[name]};" in light and f"--{name}: {reports.DARK[name]};" in dark
