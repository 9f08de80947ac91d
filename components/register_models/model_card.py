"""The model card: what a reviewer reads of a reward model in two minutes, written from train_reward's `card.json`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from memozy.records import InputError
from memozy.reports import number, percent
from memozy.tracking import flat

UNKNOWN = "not measured"


def check(card: Mapping[str, Any], file: object) -> None:
    """Raise InputError where the card lacks what no candidate may lack: who it is, its test error and the constant's."""
    test = card.get("metrics", {}).get("test", {})
    essential = {name: card.get(name) for name in ("model_hash", "champion")}
    essential |= {f"metrics.test.{name}": test.get(name) for name in ("mse", "constant_mse", "n")}
    for field, value in essential.items():
        if value is None:
            raise InputError("is missing", file=file, field=field, remedy="Run train_reward again with this version")


def render(card: Mapping[str, Any], version: Mapping[str, Any], needs: Sequence[str], shown: int, name: str) -> str:
    """The card as Markdown. version: validate_data's; name: as registered.

    needs: what scoring needs beside the files; shown: how many diaries of users an LLM judge is shown as examples.
    Every value that is filled in is escaped, and what the card does not hold is said to be not measured.
    """
    import jinja2

    def written(value: object) -> str:
        return UNKNOWN if value is None or isinstance(value, jinja2.Undefined) else plain(value)

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), finalize=written,
                                     undefined=jinja2.ChainableUndefined, trim_blocks=True, lstrip_blocks=True,
                                     keep_trailing_newline=True)  # fmt: skip
    environment.filters |= {"figure": figure, "flat": flat,
                            "share": lambda value: percent(value) if isinstance(value, float) else UNKNOWN}  # fmt: skip
    template = environment.get_template("model_card.md.j2")
    return template.render(card=card, version=version, needs=needs, shown=shown, name=name)


def figure(values: Mapping[str, Any], name: str, interval: Sequence[float] | None = None, digits: int = 3) -> str:
    """One of `values` with its interval: "0.201 (0.150 to 0.250)".

    The value is a number, or [number, low, high]; `interval` is [low, high], else the one that `values` holds.
    """
    if not values or values.get(name) is None:
        return UNKNOWN
    value, *around = values[name] if isinstance(values[name], list) else [values[name]]
    around = around or interval or (values.get("intervals") or {}).get(name)
    low_high = " to ".join(number(bound, digits) for bound in around or ())
    return number(value, digits) + (f" ({low_high})" if low_high else "")


def plain(value: object) -> str:
    """A value as text that stays text in Markdown and HTML: on one line, every mark escaped."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", " ", str(value)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", line)
