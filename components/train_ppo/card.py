"""The card beside a trained policy: what it is, what it learned from, how it went and what to beware of."""

from collections.abc import Mapping
from pathlib import Path

from components.train_ppo import findings
from memozy.reports import number
from memozy.tracking import flat


def render(told: Mapping) -> str:
    """Markdown. told: what the stage gathers: config, base, rows, verdict, kept, compared, gold, unwatched."""
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined,
                                     trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)  # fmt: skip
    environment.filters |= {"number": number, "flat": flat}
    template = environment.get_template("card.md.j2")
    return template.render(told, measures=findings.measures(told["rows"], told["kept"]),
                           changes=findings.changes(told["compared"]), weaknesses=findings.weaknesses(told))  # fmt: skip
