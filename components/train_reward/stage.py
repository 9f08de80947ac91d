"""Train the reward model: compare candidates on the training rows, fit the champion, test it once, say what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from components.train_reward.config import Config
from memozy.records import HUMAN, InputError
from memozy.stages import In, Out, Progress, Result, Work, digest

if TYPE_CHECKING:
    from components.train_reward.procedure import Rows


def run(config: Config, *, oversampled: In, reward: Out, gold: Out, reward_report: Out, work: Work) -> Result:
    """Read rated diaries; write the folder `reward` (the model, `card.json`, `predictions.parquet`), `gold` and a page.

    gold: the folder of a second model, of the test rows and another family, which guards a policy's training; its
    `card.json` says whether it is `usable` for that. predictions.parquet holds, for training rows, what the champion said out of fold (first repeat) and, for test
    rows, what the final model says. Killed, it goes on with the folds that were not finished.
    Surrogates are learnt from in training, by the one candidate that shows what they are worth; nothing is measured on
    them. Raises InputError where rows leak between groups or splits, or there are too few groups to fold or to test on.
    """
    from components.train_reward import evidence, explain, leaks, page, procedure
    from memozy.reward import RewardModel

    frame = leaks.read(oversampled)
    surrogates, rated = frame.filter(~HUMAN), frame.filter(HUMAN)
    train, test = rated.filter(split="train"), rated.filter(split="test")
    n_groups = train["group_id"].n_unique()
    least = max(config.folds, 4)  # what two folds of three groups leave to learn from cannot be folded again
    if n_groups < least:
        raise InputError(f"has {n_groups} groups to train on", file=oversampled, field="group_id",
                         remedy=f"{config.folds} folds need {least}: rate more, or lower 'folds'")  # fmt: skip
    if test["group_id"].n_unique() < 2:  # of one photo no interval can be told
        raise InputError(f"has {test['group_id'].n_unique()} groups to test on", file=oversampled, field="split",
                         remedy="Hold out two groups or more as 'test'")  # fmt: skip

    plan = procedure.plan(config, train["copies"].to_numpy(), len(surrogates) > 0)  # a wrong name is said before a judge is paid
    rows, judge, graded, pairs = _rows(train, test, surrogates, config)
    cost = graded["cost_usd"] if graded else 0.0
    progress = Progress("train_reward", config.folds * config.repeats, "folds")
    said = procedure.cross_validate(rows, plan, config, work, progress.advance)
    candidates = {c.name: c for c in plan.candidates}
    losses = {n: ((said.candidates[n].score - rows.ratings) ** 2).mean(axis=0) for n in candidates}
    champion = procedure.choose(losses, rows.groups)
    final = procedure.finish(rows, candidates[champion], plan, said, config, work / "final", judge)
    model_hash = final.save(reward)
    model = RewardModel.load(reward)

    tested = model.predict(test["text"].to_list())
    once = said.first(champion)
    told = evidence.card(model, rows, train, test, tested, said, candidates[champion], plan, config, work)
    told["data"]["digest"] = digest(oversampled)
    guard = _gold(rows, test, config, gold, work / "gold")
    card = evidence.plain({"model_hash": model_hash, **told, "gold": guard, "pairs": pairs, "judge": graded, "cost_usd": cost})
    _write(reward / "card.json", card)
    predictions = pl.concat(
        part.select("diary_id", "group_id", "split", "text", "rating").with_columns(
            predicted=pl.Series(p.score, dtype=pl.Float64), median=p.median, low=p.low, high=p.high)
        for part, p in ((train, once), (test, tested))
    )  # fmt: skip
    predictions.write_parquet(reward / "predictions.parquet")
    worst = explain.worst(rows.features.texts, said.candidates[champion].score.mean(axis=0), rows.ratings,
                          train["diary_id"].to_list())  # fmt: skip
    reward_report.write_text(page.render(card, predictions, worst), encoding="utf-8")
    metrics = {f"{part}_{name}": card["metrics"][of][name]
               for part, of in (("cv", "train_cv"), ("recipe", "recipe_cv"), ("test", "test"))
               for name in ("mse", "mae", "r2", "spearman", "kappa", "rho2_within", "coverage")}  # fmt: skip
    constants = {f"constant_{part}_mse": card["metrics"][of]["constant_mse"] for part, of in (("cv", "train_cv"), ("test", "test"))}
    of_gold = {f"gold_{name}": card["gold"][name][0] for name in ("spearman", "r2")}
    return Result(metrics={**metrics, **constants, **of_gold, "n_train": len(train), "n_test": len(test), "n_surrogates": len(surrogates)})


def _gold(train: Rows, test: pl.DataFrame, config: Config, folder: Path, work: Path) -> dict:
    """Fit the gold model on the test rows and write its folder; what its card says of it."""
    from components.train_reward import evidence, gold
    from components.train_reward.procedure import Rows
    from memozy.reward.features import Features
    from memozy.texts import clean

    ratings, copies, groups = (test[c].to_numpy() for c in ("rating", "copies", "group_id"))
    rows = Rows(Features([clean(t) for t in test["text"]], config.encoder), ratings, copies, groups)
    model = gold.make(rows, config, work)
    model_hash = model.save(folder)
    card = evidence.plain({"model_hash": model_hash, **gold.told(model, rows, train, config)})
    _write(folder / "card.json", card)
    return card


def _write(file: Path, card: dict) -> None:
    file.write_text(json.dumps(card, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _rows(train: pl.DataFrame, test: pl.DataFrame, surrogates: pl.DataFrame, config: Config):
    """The training rows as the procedure takes them, the judge whose grades they carry, and what the card says of judge and pairs."""
    from components.train_reward import examples
    from components.train_reward.procedure import Rows
    from memozy import preferences as judgements
    from memozy.reward.features import Features
    from memozy.reward.judge import RUBRIC, Judge
    from memozy.texts import clean

    texts = [clean(t) for t in train["text"]]
    ratings, copies, groups = (train[c].to_numpy() for c in ("rating", "copies", "group_id"))
    judge, grades, graded = None, None, None
    if "judge" in config.candidates:
        shown = examples.choose(texts, ratings, groups, config.examples_per_level, config.seed)
        judge, other = (Judge(config.llm, RUBRIC, some) for some in shown)
        found = examples.grade_rows(judge, other, texts, groups, Progress("train_reward", len(texts), "grades"))
        grades = found.values
        graded = {"model": config.llm.model, "examples": len(judge.examples),
                  "shortfall": examples.shortfall(judge.examples, config.examples_per_level),
                  "ungraded": len(found.failures), "cost_usd": found.cost_usd, "sight": examples.SIGHT}  # fmt: skip
    preferences, counted = None, None
    if config.pairs is not None:
        given = judgements.read_pairs(config.pairs)
        pairs = judgements.place_pairs(given, train, test)
        counted = {"used": len(pairs), "dropped": len(given) - len(pairs)}
        if len(pairs):
            chosen, rejected = (Features(pairs[side].to_list(), config.encoder) for side in ("chosen", "rejected"))
            preferences = chosen, rejected, pairs["group_id"].to_numpy()
    beside = None
    if len(surrogates):
        beside = (Features([clean(t) for t in surrogates["text"]], config.encoder), surrogates["rating"].to_numpy(),
                  surrogates["group_id"].to_numpy())  # fmt: skip
    rows = Rows(Features(texts, config.encoder, grades), ratings, copies, groups, preferences, beside)
    return rows, judge, graded, counted
