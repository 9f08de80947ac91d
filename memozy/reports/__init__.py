"""Pages people read: one self-contained HTML file, every text escaped, every plot an inline SVG.

A page is a jinja2 template that extends `page.html.j2`, which holds the style and forbids scripts and
requests. A plot is a matplotlib Figure drawn under `style()` in the colours below; `svg` turns each of
them into a CSS variable, so that the same drawing reads well in light, in dark and on paper. The same
values give the same bytes: neither dates nor random ids are written.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Series colours are Okabe and Ito's, which colour-blind readers can tell apart.
LIGHT = {
    "ink": "#1c2128", "muted": "#5c6672", "line": "#d8dee4", "ground": "#f6f7f9", "card": "#fffffe",
    "blue": "#0072b2", "orange": "#d55e00", "green": "#009e73", "pink": "#cc79a7",
}  # fmt: skip
DARK = {
    "ink": "#e6e9ed", "muted": "#9aa5b1", "line": "#363d46", "ground": "#101317", "card": "#1a1e24",
    "blue": "#56b4e9", "orange": "#e69f00", "green": "#2fbf94", "pink": "#dd9bc2",
}  # fmt: skip
MISSING = "–"

_FONT = "DejaVu Sans"  # what matplotlib measures with; the browser draws with its own
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "memozy", "text.parse_math": False, "axes.unicode_minus": True,
    "font.family": "sans-serif", "font.sans-serif": [_FONT], "font.size": 10.5, "text.color": LIGHT["ink"],
    "axes.titlesize": 10.5, "axes.labelsize": 10.5, "legend.fontsize": 10, "xtick.labelsize": 10, "ytick.labelsize": 10,
    "axes.labelcolor": LIGHT["muted"], "axes.edgecolor": LIGHT["line"], "axes.facecolor": "none",
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.grid.axis": "y", "grid.color": LIGHT["line"], "grid.linewidth": 0.7, "figure.facecolor": "none", "legend.frameon": False,
    "xtick.color": LIGHT["line"], "ytick.color": LIGHT["line"], "lines.linewidth": 1.8, "lines.markersize": 4,
    "xtick.labelcolor": LIGHT["muted"], "ytick.labelcolor": LIGHT["muted"], "hatch.linewidth": 0.8,
}  # fmt: skip


def page(template: Path, **values: object) -> str:
    """The HTML of `template` (a .j2 file, autoescaped) filled with `values`.

    Raises jinja2.UndefinedError for a value the template needs and did not get.
    """
    import jinja2

    loader = jinja2.FileSystemLoader([template.parent, Path(__file__).parent])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "money": money}
    return environment.get_template(template.name).render(light=LIGHT, dark=DARK, missing=MISSING, **values)


@contextmanager
def style() -> Iterator[None]:
    """While open, matplotlib draws as a page's plots look; nothing is changed for anyone afterwards."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def svg(figure: Figure, name: str, label: str) -> Markup:
    """`figure` as an inline SVG that scales with its column.

    name: starts every id inside, so that the plots of one page cannot meet. label: what a reader who
    does not see the plot is told. Text stays text, in the page's own font.
    """
    import warnings
    from xml.etree import ElementTree

    written = io.StringIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has it
        figure.savefig(written, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    used = set(re.findall(r"(?:href=\"|url\()#([\w.-]+)", written.getvalue()))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.text = element.text if element.tag in ("text", "tspan") else None
        element.tail = None
        element.attrib = {k.rpartition("}")[2]: _themed(v, name) for k, v in element.attrib.items()}
        if "id" in element.attrib:
            identity = element.attrib.pop("id")
            if identity in used:
                element.set("id", f"{name}-{identity}")
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": label, "class": "plot"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _themed(value: str, name: str) -> str:
    """An SVG attribute with the page's colours and font for matplotlib's, and ids that start with `name`."""
    for colour, hexadecimal in LIGHT.items():
        value = value.replace(hexadecimal, f"var(--{colour})")
    value = value.replace(f"'{_FONT}', sans-serif", "var(--font)")
    value = re.sub(r"url\(#", f"url(#{name}-", value)
    return re.sub(r"^#", f"#{name}-", value)


def number(value: float | None, digits: int = 2) -> str:
    """1234.5 → "1,234.50"; whole numbers without decimals; None, NaN and infinities as a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # + 0.0: never "-0.00"


def percent(share: float | None) -> str:
    """0.95 → "95 %"; a share that is no whole percent keeps one decimal."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{round(100 * share, 1):g} %"


def money(dollars: float | None) -> str:
    """US dollars: cents from a dollar on, four decimals below, where single calls cost less than a cent."""
    if dollars is None or not math.isfinite(dollars):
        return MISSING
    return f"${dollars:,.4f}" if 0 < abs(dollars) < 1 else f"${dollars:,.2f}"


def without_secrets(address: str) -> str:
    """An address a page may show: user name and password left out."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else address
