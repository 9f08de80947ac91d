"""Train the reward model: compare candidates on the training rows, fit the champion, test it once."""

import json
from dataclasses import asdict

import polars as pl

from components.train_reward.config import Config
from memozy import records
from memozy.records import InputError
from memozy.stages import In, Out, Result


def run(config: Config, *, oversampled: In, reward: Out) -> Result:
    """Read rated diaries; write a folder: `model.skops`, `card.json`, `predictions.parquet`.

    predictions.parquet holds, for training rows, what the champion said out of fold (first repeat) and,
    for test rows, what the final model says; `train_cv` and `test` in the card are measured on it.
    Raises InputError where there are too few groups to fold, or no test rows.
    """
    from components.train_reward import comparison
    from components.train_reward.candidates import CANDIDATES, fit
    from memozy.reward import RewardModel, clean

    frame = records.read(oversampled, records.OVERSAMPLED)
    train, test = frame.filter(split="train"), frame.filter(split="test")
    n_groups = train["group_id"].n_unique()
    if n_groups < config.folds:
        raise InputError(f"has {n_groups} groups to train on", file=oversampled, field="group_id",
                         remedy=f"{config.folds} folds need as many: rate more, or lower 'folds'")  # fmt: skip
    if test.is_empty():
        raise InputError("has no test rows", file=oversampled, field="split", remedy="Hold out some groups as 'test'")

    rows = comparison.Rows(
        [clean(t) for t in train["text"]], *(train[c].to_numpy() for c in ("rating", "copies", "group_id"))
    )
    said = comparison.out_of_fold(rows, config.folds, config.repeats, config.seed)
    champion = comparison.choose(said, rows.ratings, rows.groups)
    cv = comparison.measure(said[champion][0], rows.ratings, said["constant"][0])
    members = CANDIDATES[champion]
    final = fit(rows.texts, rows.ratings, rows.copies, members, config.seed, residual_sd=cv["mse"] ** 0.5)
    model_hash = final.save(reward)

    scores, _ = RewardModel.load(reward).score(test["text"].to_list())
    ratings = test["rating"].to_numpy()
    held_out = comparison.measure(scores, ratings, 0 * ratings + final.mean)
    predicted = pl.concat(
        part.select("diary_id", "split", "rating").with_columns(predicted=pl.Series(values, dtype=pl.Float64))
        for part, values in ((train, said[champion][0]), (test, scores))
    )
    predicted.write_parquet(reward / "predictions.parquet")
    card = {
        "model_hash": model_hash,
        "champion": champion,
        "members": list(members),
        "rule": comparison.RULE,
        "candidates": comparison.table(said, rows.ratings),
        "metrics": {"train_cv": cv, "test": held_out},
        "data": {"train_groups": n_groups, "test_groups": test["group_id"].n_unique(),
                 "copies": int(rows.copies.sum()), "folds": config.folds, "repeats": config.repeats},
        "gate": asdict(final.gate),
        "residual_sd": final.residual_sd,
    }  # fmt: skip
    text = json.dumps(card, ensure_ascii=False, indent=1, allow_nan=False)
    (reward / "card.json").write_text(text + "\n", encoding="utf-8")
    metrics = {f"{part}_{name}": card["metrics"][of][name]
               for part, of in (("cv", "train_cv"), ("test", "test")) for name in comparison.MEASURES}  # fmt: skip
    constants = {"constant_cv_mse": cv["constant_mse"], "constant_test_mse": held_out["constant_mse"]}
    return Result(metrics={**metrics, **constants, "n_train": len(train), "n_test": len(test)})
