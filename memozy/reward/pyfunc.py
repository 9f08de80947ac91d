"""The reward model as MLflow loads it: `mlflow.pyfunc.load_model(uri).predict(frame)`.

A logged model names this module as its loader and holds nothing but the reward folder, so nothing is unpickled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memozy.records import InputError

if TYPE_CHECKING:
    import pandas as pd

    from memozy.reward import RewardModel

INPUT = "text"
# column -> MLflow's name of its type: the fields of Prediction, as a client who knows nothing of members would call them
OUTPUT = {"score": "double", "uncertainty": "double", "median": "double", "low": "double", "high": "double",
          "gated": "boolean", "unfamiliar": "boolean"}  # fmt: skip


class Scorer:
    """A reward model with the method that MLflow calls."""

    def __init__(self, model: RewardModel) -> None:
        self.model = model

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The columns of OUTPUT, one row for each of `frame`, whose column `text` holds the texts.

        score, median, low and high are in [-1, 1], uncertainty is >= 0. params are MLflow's: this model takes none.
        Raises InputError for a value that is no text.
        """
        import pandas as pd

        texts = frame[INPUT].tolist()
        for row, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise InputError("is not a text", row=row, field=INPUT, value=text, remedy="Give a string in every row")
        said = self.model.predict(texts)
        columns = (said.score, said.spread, said.median, said.low, said.high, said.shut, said.unfamiliar)
        return pd.DataFrame(dict(zip(OUTPUT, columns, strict=True)), index=frame.index)


def _load_pyfunc(path: str) -> Scorer:
    """What MLflow calls, by this name, with the folder that holds the model's data."""
    from memozy.reward import RewardModel

    return Scorer(RewardModel.load(path))
