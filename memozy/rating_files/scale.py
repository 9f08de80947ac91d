"""The setting by which files with other marks than our levels are read."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from memozy.records import RATING_LEVELS


def _marks_as_text(scale: object) -> object:
    """YAML reads the mark 1 as a number."""
    return {str(mark): level for mark, level in scale.items()} if isinstance(scale, dict) else scale


def _means_levels(scale: dict[str, float]) -> dict[str, float]:
    for mark, level in scale.items():
        if level not in RATING_LEVELS:
            raise ValueError(
                f"mark '{mark}' means {level:g}, which is not one of {', '.join(f'{x:g}' for x in RATING_LEVELS)}"
            )
    if not scale:
        raise ValueError("a scale explains at least one mark")
    return scale


Scale = Annotated[
    dict[str, float], BeforeValidator(_marks_as_text), AfterValidator(_means_levels)
]  # a mark -> its level
