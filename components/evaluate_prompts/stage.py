"""Stage `evaluate_prompts`: a bandit compares the prompts and adopts one with a stated confidence, or says it cannot."""

import json

import polars as pl

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.decide import Decision, decide
from components.evaluate_prompts.estimate import Estimates
from components.evaluate_prompts.evaluation import Evaluation
from components.evaluate_prompts.sheet import write_sheet
from memozy.records import PULLS, SIMULATED, write
from memozy.stages import In, Out, Result, Work


def run(config: Config, *, arms: In, reward: In, pulls: Out, decision: Out, to_rate: Out, work: Work) -> Result:
    """Pull arms by UCB1 on the reward model's scores, have diaries rated, look, and decide.

    Writes the `pulls` (all an evaluation's state), the `decision` (JSON) and the sheet `to_rate` (CSV,
    blinded and shuffled; empty where nothing is left to ask). Simulated raters answer at once, until
    the last look; people answer between runs: one run is then one round. Raises InputError for ratings
    that do not fit what was asked.
    """
    evaluation = Evaluation(config, arms, reward, work / "pulls.jsonl")
    looks: list[Estimates] = []
    decided: Decision | None = None
    sheet: list[dict] = []
    if config.previous:
        evaluation.take_back(config.previous, config.ratings)
        looks = evaluation.looks()
        decided = decide(looks, evaluation.plan) if looks else None
    while not finished(decided, config.looks):
        evaluation.pull(len(looks) + 1)
        asked = evaluation.choose(looks)
        if config.ratings != SIMULATED:
            sheet = evaluation.sheet(asked)
            break
        evaluation.rate_simulated(asked, len(looks) + 1)
        looks = evaluation.looks()
        decided = decide(looks, evaluation.plan)

    record = evaluation.record(decided, looks)
    write(pl.DataFrame(evaluation.rows, schema=PULLS.dtypes), pulls, PULLS)
    decision.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
    write_sheet(sheet, to_rate)
    adopted = next(a for a in record["arms"] if a["prompt_id"] == record["prompt_id"])
    return Result({
        "adopted": float(record["decision"] == "adopt"), "ratings_used": record["ratings_used"], "n_looks": len(looks),
        "n_pulls": len(evaluation.rows), "cost_usd": record["cost_usd"],
        **({"estimate": adopted["estimate"]} if adopted["estimate"] is not None else {}),
    })  # fmt: skip


def finished(decided: Decision | None, looks: int) -> bool:
    return decided is not None and (decided.decision != "undecided" or len(decided.looks) == looks)
