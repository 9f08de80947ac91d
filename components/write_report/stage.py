"""Stage `write_report`: the decision and its evidence as one page that opens anywhere."""

import json
from pathlib import Path

import polars as pl

from components.write_report import figures, view
from components.write_report.config import Config
from memozy.records import ARMS, HUMAN, OVERSAMPLED, PULLS, InputError, read
from memozy.reports import page
from memozy.stages import In, Out, Result

_REMEDY = "Run the stage that wrote it again"


def run(config: Config, *, oversampled: In, reward: In, curves: In, samples: In, arms: In, pulls: In, decision: In,
        truth: In, version: In, registered: In, report: Out) -> Result:  # fmt: skip
    """Read the run's artifacts, write `report`: one self-contained HTML page.

    Raises InputError for an artifact that is missing, is not JSON, or lacks what the page needs.
    """
    evidence = view.Evidence(
        oversampled=read(oversampled, OVERSAMPLED).filter(HUMAN),
        predictions=_predictions(reward / "predictions.parquet"),
        card=_json(reward / "card.json", "model_hash", "metrics", "candidates", "champion"),
        curves=_jsonl(curves, "step"),
        samples=[row for row in _jsonl(samples, "when", "step", "response") if row["when"] == "training"],
        arms=read(arms, ARMS),
        pulls=read(pulls, PULLS),
        decision=_json(decision, "decision", "prompt_id", "incumbent", "confidence", "epsilon", "sentence", "arms",
                       "ratings_used", "ratings_needed", "simulated", "cost_usd"),
        truth=_json(truth),
        version=_json(version, "version", "n_ratings", "n_diaries", "simulated"),
        registered=_json(registered),
    )  # fmt: skip
    values = view.build(evidence, config.diaries_per_arm, config.updates_sampled)
    drawn = figures.draw(evidence, values)
    report.write_text(page(Path(__file__).with_name("report.html.j2"), figures=drawn, **values), encoding="utf-8")
    return Result({"n_plots": len(drawn)})


def _predictions(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="The reward model's folder holds its predictions")
    return pl.read_parquet(path, columns=["diary_id", "split", "rating", "predicted"])


def _json(path: Path, *needed: str) -> dict:
    if not path.is_file():
        raise InputError("no such file", file=path, remedy="Give the stage's JSON artifact")
    return _object(path.read_text(encoding="utf-8"), needed, path, None)


def _jsonl(path: Path, *needed: str) -> list[dict]:
    lines = enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
    return [_object(line, needed, path, row) for row, line in lines if line.strip()]


def _object(text: str, needed: tuple[str, ...], path: Path, row: int | None) -> dict:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON ({error.msg})", file=path, row=row, remedy=_REMEDY) from None
    missing = [name for name in needed if name not in value] if isinstance(value, dict) else list(needed)
    if missing or not isinstance(value, dict):
        raise InputError("is missing", file=path, row=row, field=", ".join(missing) or None,
                         remedy=_REMEDY)  # fmt: skip
    return value
