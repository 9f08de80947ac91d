"""Stage `evaluate_prompts`: a bandit compares the prompts and adopts one with a stated confidence, or says it cannot."""

import json
from pathlib import Path

import polars as pl

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.evaluation import Evaluation
from components.evaluate_prompts.page import render
from components.evaluate_prompts.record import record
from components.evaluate_prompts.replay import replay
from components.evaluate_prompts.sheet import write_sheets
from memozy.ledger import current
from memozy.records import PULLS, SIMULATED, write
from memozy.stages import In, Out, Result, Work, config_files, digest


def run(
    config: Config, *, arms: In, reward: In, oversampled: In, used_contexts: In, pulls: Out, decision: Out,
    decision_report: Out, to_rate: Out, work: Work,
) -> Result:  # fmt: skip
    """Pull arms, have diaries rated, look, and decide.

    Writes the `pulls` (all an evaluation's state), the adoption record `decision` (JSON) and its page, and
    `to_rate`, a folder with one blinded sheet a rater (none where nothing is left to ask). Simulated raters
    answer at once, until the last look, and a verifier does; people answer between runs: one run is then one
    round. Raises InputError for ratings that do not fit what was asked.
    """
    evaluation = Evaluation(config, arms, reward, oversampled, used_contexts, work)
    if config.previous:
        evaluation.take_back(config.previous, config.ratings)
    items = advance(evaluation)

    rows, ledger = evaluation.rows, current()
    files = {name: digest(Path(value)) for name, value in config_files(config).items() if Path(value).exists()}
    told = record(rows, evaluation.settings, evaluation.table, {
        "task": config.task, "sampler": config.sampler, "seed": config.seed, "answered": evaluation.answered,
        "cost_usd": float(sum(r["cost_usd"] for r in rows)),
        "ledger": vars(ledger.total()) | {"rows": ledger.by_stage_and_model()},
        "hashes": files | evaluation.hashes,
    })  # fmt: skip
    table = pl.DataFrame(rows, schema=PULLS.dtypes)
    write(table, pulls, PULLS)
    decision.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    decision_report.write_text(render(told, table, evaluation.table), encoding="utf-8")
    write_sheets(items, to_rate)
    adopted = next(a for a in told["arms"] if a["prompt_id"] == told["prompt_id"])
    return Result({
        "adopted": float(told["decision"] == "adopt"), "ratings_used": told["ratings_used"], "n_looks": len(told["looks"]),
        "n_pulls": len(evaluation.pulls),
        **({"estimate": adopted["estimate"]} if adopted["estimate"] is not None else {}),
    })  # fmt: skip


def advance(evaluation: Evaluation) -> list[dict]:
    """Go on until the decision, the last look, or the point where people must answer: then the items to be rated."""
    config = evaluation.config
    if config.rule == "classic":
        evaluation.pull(1, [])
        return []
    if config.scorer == "feedback":
        evaluation.take_feedback()  # what users will say next comes with the next run
        return []
    standing = replay(evaluation.rows, evaluation.settings)
    while not standing.finished(config.looks):
        round_, before = len(standing.looks) + 1, len(evaluation.rows)
        evaluation.pull(round_, standing.looks)
        if config.needs_people:
            asked = evaluation.choose(standing.looks)
            if config.ratings != SIMULATED:
                return evaluation.sheet(asked)
            evaluation.rate_simulated(asked, round_)
        if len(evaluation.rows) == before:
            print("… evaluate_prompts: no context is left that would tell more", flush=True)
            break
        standing = replay(evaluation.rows, evaluation.settings)
    return []
