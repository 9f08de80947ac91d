"""A run's artifacts as files: plausible numbers from a fixed seed, Korean texts, nothing left out."""

import json
import random
from pathlib import Path

import polars as pl
import pytest

from memozy import records

SLOTS = "장소: {place}, 함께한 사람: {people}, 기분: {mood}, 사진: {photo}"
PROMPTS = {
    "prompt-a": ("incumbent", None, f"사진을 보고 세 문장으로 일기를 써 줘.\n{SLOTS}"),
    "sft-3f9a": ("sft", "prompt-a", f"다음 정보로 일기를 써 주세요. 감탄사를 많이 넣어 줘.\n{SLOTS}"),
    "bon-81c2": ("best_of_n", "prompt-a", f"일기를 작성해 주세요. 사진 속 구체적인 물건을 담아 줘. 제목은 쓰지 마세요.\n{SLOTS}"),
    "ppo-d07e": ("ppo", "prompt-a", f"나만 보는 일기체로 다섯 문장 정도로 길게 써 줘. 소리나 냄새 같은 감각을 넣어 줘. 마지막에 느낀 점을 담아 줘.\n{SLOTS}"),
}  # fmt: skip
TRUE = {"prompt-a": 0.31, "sft-3f9a": 0.12, "bon-81c2": 0.48, "ppo-d07e": 0.66}
GOOD = "동생과 함께 간 시장 골목에 어묵 국물 김이 하얗게 피어올랐다. 종이컵을 쥔 손이 금세 따뜻해졌다. 별것 아닌 저녁이었는데 오래 기억날 것 같다."
FAIR = "친구와 학교 운동장을 걸었다. 농구공 튀는 소리가 들렸고 바람이 시원했다."
POOR = "오늘 바다에 갔다. 좋았다."


def evidence() -> dict:
    """The artifacts by name: frames, dicts and lists of dicts, as a test may change them before writing."""
    rng = random.Random(7)
    levels = list(records.RATING_LEVELS)
    rated = [
        {
            "diary_id": f"d{i:03}", "group_id": f"g{i // 4}", "context_id": f"g{i // 4}", "text": rng.choice((GOOD, FAIR, POOR)) + f" ({i})",
            "rating": rng.choices(levels, (3, 6, 14, 30, 25))[0], "n_raters": 1,
            "split": "test" if i // 4 % 5 == 0 else "train",
        }
        for i in range(320)
    ]  # fmt: skip
    for row in rated:
        rare = {-1.0: 8, -0.5: 4, 0.0: 2}.get(row["rating"], 1)
        row["copies"] = rare if row["split"] == "train" else 1
    predictions = [
        {k: row[k] for k in ("diary_id", "split", "rating")}
        | {"predicted": max(-1, min(1, 0.25 + 0.5 * (row["rating"] - 0.25) + rng.gauss(0, 0.22)))}
        for row in rated
    ]
    curves = [
        {
            "step": i, "objective/score": 0.05 + 0.5 * (1 - 0.85**i) + rng.gauss(0, 0.03),
            "objective/reward": 0.02 + 0.42 * (1 - 0.85**i) + rng.gauss(0, 0.03),
            "objective/kl": 5.2 * (1 - 0.88**i) + rng.random() * 0.2, "objective/kl_coef": 0.05 * 1.04**i,
            "ppo/policy/clipfrac": 0.05 + 0.12 * rng.random(), "objective/entropy": 38 - 0.9 * i + rng.gauss(0, 0.8),
        }
        for i in range(20)
    ]  # fmt: skip
    samples = [
        {"when": "training", "step": step, "response": prompt[2], "score": 0.1 + step * 0.02, "kl": step * 0.25}
        for step in range(0, 20, 2)
        for prompt in list(PROMPTS.values())[1:3]
    ]
    pulls = [
        {
            "round": look, "prompt_id": arm, "context_id": f"c{look}-{i:02}", "scorer": "7c1e",
            "text": (GOOD if TRUE[arm] > 0.4 else FAIR if TRUE[arm] > 0.2 else POOR) + f" [{look}.{i}]",
            "score": max(-1.0, min(1.0, TRUE[arm] * 0.8 + rng.gauss(0, 0.3))), "cost_usd": 0.00021,
        }
        for look in (1, 2, 3)
        for arm in PROMPTS
        for i in range(40)
    ]  # fmt: skip
    for row in list(pulls):
        arm, look = row["prompt_id"], row["round"]
        if int(row["context_id"][-2:]) < (20 if look == 1 or arm in ("bon-81c2", "ppo-d07e") else 8):
            weights = (2, 4, 10, 20 + 10 * TRUE[arm], 40 * TRUE[arm])
            given = {
                "human_rating": rng.choices(levels, weights)[0],
                "rating_source": records.SIMULATED,
                "rater_id": "mina",
            }
            pulls.append({key: row[key] for key in ("round", "prompt_id", "context_id")} | given | {"cost_usd": 0.0})
    keys = ("prompt_id", "estimate", "low", "high", "score_mean", "n_pulls", "n_ratings")
    estimated = [
        ("prompt-a", 0.29, 0.17, 0.41, 0.24, 120, 36),
        ("sft-3f9a", 0.10, -0.04, 0.24, 0.11, 120, 36),
        ("bon-81c2", 0.49, 0.40, 0.58, 0.38, 120, 60),
        ("ppo-d07e", 0.68, 0.59, 0.77, 0.52, 120, 60),
    ]
    arms = [dict(zip(keys, row, strict=True)) for row in estimated]
    decision = {
        "decision": "adopt", "prompt_id": "ppo-d07e", "incumbent": "prompt-a", "confidence": 0.95, "epsilon": 0.1,
        "sentence": "Adopt ppo-d07e: with 95 % confidence no other prompt is better by more than 0.10 rating points.",
        "ratings_used": 192, "ratings_needed": None, "simulated": True, "cost_usd": 0.1008, "arms": arms,
        "looks": [
            {"look": 1, "ratings": 80, "z": 1.42, "boundary": 4.05, "leader": "bon-81c2"},
            {"look": 2, "ratings": 136, "z": 2.31, "boundary": 2.86, "leader": "ppo-d07e"},
            {"look": 3, "ratings": 192, "z": 3.02, "boundary": 2.34, "leader": "ppo-d07e"},
        ],
        "rho": 0.54, "hashes": {"pulls": "5b0c" * 16, "arms": "91ee" * 16},
    }  # fmt: skip
    truth = {
        "arms": [{"prompt_id": k, "true_mean": v, "se": 0.008, "n": 2000} for k, v in TRUE.items()],
        "best": "ppo-d07e", "gap": 0.0, "agrees": True,
        "policy": {"sft_mean": 0.11, "sft_se": 0.021, "ppo_mean": 0.47, "ppo_se": 0.018, "difference": 0.36,
                   "se": 0.028, "sigmas": 12.9, "n_prompts": 48},
    }  # fmt: skip
    metrics = {"mse": 0.204, "mae": 0.351, "r2": 0.31, "spearman": 0.53, "constant_mse": 0.297, "constant_mae": 0.442}
    card = {
        "model_hash": "c0ffee" * 10, "champion": "ensemble", "data": {},
        "candidates": [{"name": "ridge", "mse": 0.231, "mae": 0.39, "spearman": 0.44},
                       {"name": "ensemble", "mse": 0.204, "mae": 0.35, "spearman": 0.53}],
        "metrics": {"train_cv": metrics | {"n": 256}, "test": metrics | {"mse": 0.211, "n": 64}},
    }  # fmt: skip
    return {
        "oversampled": pl.DataFrame(rated), "predictions": pl.DataFrame(predictions), "card": card, "curves": curves,
        "samples": samples, "decision": decision, "truth": truth,
        "pulls": pl.DataFrame(pulls, schema=records.PULLS.dtypes),
        "arms": pl.DataFrame(
            [{"prompt_id": k, "template": t, "parent_prompt_id": p, "origin": o} for k, (o, p, t) in PROMPTS.items()],
            schema=records.ARMS.dtypes,
        ),
        "version": {"version": "1f0e" * 8 + ".dir", "n_ratings": 412, "n_diaries": 320, "simulated": True},
        "registered": {"reward-model-candidate": "3", "prompt-policy-candidate": "3",
                       "skipped": {"diary-prompt-candidate": "the decision keeps the incumbent"},
                       "tracking_uri": "postgresql://memozy:hunter2@db.example:5432/mlflow"},
    }  # fmt: skip


def save(artifacts: dict, folder: Path) -> dict[str, Path]:
    """Write the artifacts the way their stages do; the paths by the names `write_report` reads them under."""
    frames = {"oversampled": records.OVERSAMPLED, "arms": records.ARMS, "pulls": records.PULLS}
    for name, schema in frames.items():
        records.write(artifacts[name], folder / name, schema)
    for name in ("curves", "samples"):
        records.write_jsonl(artifacts[name], folder / name)
    for name in ("decision", "truth", "version", "registered"):
        (folder / name).write_text(json.dumps(artifacts[name], ensure_ascii=False), encoding="utf-8")
    (folder / "reward").mkdir()
    (folder / "reward" / "card.json").write_text(json.dumps(artifacts["card"]), encoding="utf-8")
    artifacts["predictions"].write_parquet(folder / "reward" / "predictions.parquet")
    names = (*frames, "curves", "samples", "decision", "truth", "version", "registered", "reward")
    return {name: folder / name for name in names}


@pytest.fixture
def artifacts() -> dict:
    return evidence()


@pytest.fixture
def save_artifacts():
    return save


@pytest.fixture
def write_page(tmp_path):
    """Runs the stage on artifacts and returns the page's text."""
    from components.write_report.config import Config
    from components.write_report.stage import run

    def write(artifacts: dict, name: str = "run", **config) -> str:
        folder = tmp_path / name
        folder.mkdir()
        report = folder / "report.html"
        run(Config(**config), **save(artifacts, folder), report=report)
        return report.read_text(encoding="utf-8")

    return write
