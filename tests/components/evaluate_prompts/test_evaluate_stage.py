"""The stage on the embedded writer: simulated, by people in rounds, and killed in the middle."""

import csv
import json

import polars as pl
import pytest

from components.evaluate_prompts import evaluation
from components.evaluate_prompts.config import Config
from components.evaluate_prompts.stage import run
from memozy.llm import LLMConfig
from memozy.records import ARMS, PULLS, InputError, read, write
from microworld.instructions import template


@pytest.fixture
def place(data, reward, tmp_path):
    """Arms (a poor incumbent, a rich challenger, one between), settings, and where artifacts go."""
    import random

    rng = random.Random(1)
    asked = {"A": ("polite", "short"), "rich": ("closing", "companion", "detail", "medium", "no_heading", "plain", "sensory"),
             "plain": ("medium", "plain")}  # fmt: skip
    arms = pl.DataFrame([
        {"prompt_id": p, "template": template(keys, rng), "parent_prompt_id": None, "origin": "test"} for p, keys in asked.items()
    ], schema=ARMS.dtypes)  # fmt: skip
    write(arms, tmp_path / "arms", ARMS)
    config = Config(
        contexts=str(data / "evaluation_contexts.jsonl"), n_contexts=60, llm=LLMConfig(model=str(data / "models/writer")),
        ratings="simulated", looks=2, pulls_per_look=90, ratings_per_look=60, pulls_at_once=30,
    )  # fmt: skip
    return tmp_path, config, reward


def evaluate(place, name="out", **changes):
    folder, config, reward = place
    out = folder / name
    (out / "kept").mkdir(parents=True, exist_ok=True)
    run(config.model_copy(update=changes), arms=folder / "arms", reward=reward, pulls=out / "pulls", decision=out / "decision",
        to_rate=out / "to_rate", work=out / "kept")  # fmt: skip
    return read(out / "pulls", PULLS), json.loads((out / "decision").read_text(encoding="utf-8")), out


def test_simulated_raters_find_the_rich_prompt(place):
    pulls, decision, _ = evaluate(place)
    assert decision["decision"] == "adopt" and decision["prompt_id"] == "rich"
    assert decision["simulated"] and "simulated ratings" in decision["sentence"]
    assert decision["ratings_used"] == pulls["human_rating"].count()
    assert set(pulls["rating_source"].drop_nulls()) == {"simulated"}
    counts = {a["prompt_id"]: a["n_pulls"] for a in decision["arms"]}
    assert sum(counts.values()) == len(pulls) and counts["rich"] == max(counts.values())


def test_killed_at_a_pull_it_ends_with_the_same_decision(place, monkeypatch):
    whole, decision, _ = evaluate(place, "whole")

    class Killed(Exception):
        pass

    score, calls = evaluation.RewardModel.score, []

    def killing(self, texts):
        calls.append(len(texts))
        if len(calls) == 3:
            raise Killed
        return score(self, texts)

    monkeypatch.setattr(evaluation.RewardModel, "score", killing)
    with pytest.raises(Killed):
        evaluate(place, "killed")
    journal = place[0] / "killed" / "kept" / "pulls.jsonl"
    assert len(journal.read_text(encoding="utf-8").splitlines()) == 60
    journal.write_text(journal.read_text(encoding="utf-8") + '{"round": 1, "promp', encoding="utf-8")
    calls.clear()
    again, same, _ = evaluate(place, "killed")
    assert again.equals(whole) and same == decision
    assert sum(calls[3:] or calls) < len(whole)  # what was paid for is not asked for again


def test_people_rate_between_runs(place):
    pulls, decision, out = evaluate(place, "round1", ratings=None)
    assert decision["decision"] == "undecided" and decision["prompt_id"] == "A" and decision["ratings_needed"] == 60
    with open(out / "to_rate", encoding="utf-8-sig", newline="") as file:
        items = list(csv.DictReader(file))
    assert len(items) == 60 and "rich" not in json.dumps(items)
    text_of = dict(zip(pulls["text"], pulls["prompt_id"], strict=True))
    for item in items:  # people who like the rich prompt's diaries, without knowing whose they are
        item["rating"], item["rater_id"] = (
            {"rich": "1", "plain": "0", "A": "-1"}[text_of[item["text"].removeprefix("'")]],
            "kim",
        )
    filled = out / "rated.csv"
    with open(filled, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, items[0])
        table.writeheader()
        table.writerows(items)
    pulls, decision, _ = evaluate(place, "round2", ratings=str(filled), previous=str(out / "pulls"))
    assert decision["ratings_used"] == 60 and not decision["simulated"] and len(decision["looks"]) == 1
    assert decision["leader"] == "rich"


def test_ratings_without_their_pulls_are_refused_before_anything_loads():
    with pytest.raises(ValueError, match="give its pulls as 'previous'"):
        Config(ratings="rated.csv")


def test_pulls_of_another_evaluation_are_refused(place):
    _, _, out = evaluate(place, "round1", ratings=None)
    folder = place[0]
    write(read(folder / "arms", ARMS).filter(pl.col("prompt_id") != "rich"), folder / "arms", ARMS)
    with pytest.raises(InputError, match="prompt_id', value 'rich': holds pulls of a prompt that is not compared here"):
        evaluate(place, "round2", previous=str(out / "pulls"))
