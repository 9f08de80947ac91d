"""The stage on the embedded writer: simulated, by people in rounds, and killed in the middle."""

import csv
import json

import polars as pl
import pytest

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.stage import run
from components.evaluate_prompts.verify import differences
from memozy import modeling
from memozy.ledger import open_ledger
from memozy.llm import LLMConfig
from memozy.records import ARMS, PULLS, InputError, context_digest, read, read_contexts, write, write_jsonl
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


def evaluate(place, name="out", used=(), **changes):
    """One run of the stage, whose ledger lies in its folder: the same name goes on from there."""
    folder, config, reward = place
    out = folder / name
    (out / "kept").mkdir(parents=True, exist_ok=True)
    write_jsonl(used, folder / "used")
    with open_ledger(f"sqlite:///{out / 'ledger.sqlite'}", "evaluate_prompts"):
        run(config.model_copy(update=changes), arms=folder / "arms", reward=reward, oversampled=reward.parent / "oversampled",
            used_contexts=folder / "used", pulls=out / "pulls", decision=out / "decision",
            decision_report=out / "report.html", to_rate=out / "to_rate", work=out / "kept")  # fmt: skip
    pulls, said = read(out / "pulls", PULLS), json.loads((out / "decision").read_text(encoding="utf-8"))
    assert differences(pulls, said) == []  # whatever the mode, the record is borne out by its pulls
    return pulls, said, out


def filled(sheets, levels, pulls):
    """The sheets, each item rated by the level of the arm that wrote it."""
    arm_of = dict(pulls.filter(pl.col("text").is_not_null()).select("text", "prompt_id").iter_rows())
    for path in sorted(sheets.iterdir()):
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row["rating"] = levels[arm_of[row["text"].removeprefix("'")]]
        with open(path, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    return str(sheets)


def test_simulated_raters_find_the_rich_prompt(place):
    pulls, decision, out = evaluate(place)
    assert decision["decision"] == "adopt" and decision["prompt_id"] == "rich"
    assert decision["simulated"] and "simulated ratings" in decision["sentence"]
    rated = pulls.filter(pl.col("rater_id").is_not_null())
    assert decision["ratings_used"] == len(rated) == rated["human_rating"].count()
    assert set(rated["rating_source"]) == {"simulated"} and rated["text"].null_count() == len(rated)
    counts = {a["prompt_id"]: a["n_pulls"] for a in decision["arms"]}
    assert sum(counts.values()) == len(pulls) - len(rated) and counts["rich"] == max(counts.values())
    assert len(decision["raters"]) == 5 and decision["agreement"]["n_items"] >= 5
    assert rated.group_by("context_id").agg(pl.col("rater_id").n_unique())["rater_id"].max() == 2
    assert decision["sentence"] in (out / "report.html").read_text(encoding="utf-8")


def test_killed_at_a_pull_it_ends_with_the_same_decision(place, monkeypatch):
    whole, decision, _ = evaluate(place, "whole")

    class Killed(Exception):
        pass

    write, written = modeling.generate, []

    def killing(*args, **kwargs):
        written.append(len(args[1]))
        if len(written) == 3:
            raise Killed
        return write(*args, **kwargs)

    monkeypatch.setattr(modeling, "generate", killing)
    with pytest.raises(Killed):
        evaluate(place, "killed")
    again, same, _ = evaluate(place, "killed")
    assert again.equals(whole) and same == decision
    assert sum(written) == whole["text"].count() + written[2]  # only the batch that was cut off is written again


def test_people_rate_between_runs(place):
    pulls, decision, out = evaluate(place, "round1", ratings=None)
    assert decision["decision"] == "undecided" and decision["prompt_id"] == "A" and decision["looks"] == []
    assert "nobody has rated yet" in decision["sentence"]
    sheets = out / "to_rate"
    assert sorted(p.name for p in sheets.iterdir()) == ["rater-1.csv", "rater-2.csv"]
    assert all("rich" not in p.read_text(encoding="utf-8-sig") for p in sheets.iterdir())
    done = filled(sheets, {"rich": "1", "plain": "0", "A": "-1"}, pulls)
    pulls, decision, out = evaluate(place, "round2", ratings=done, previous=str(out / "pulls"))
    assert 55 <= decision["ratings_used"] <= 63 and not decision["simulated"] and len(decision["looks"]) == 1
    assert decision["leader"] == "rich" and decision["agreement"]["alpha"] == 1
    with pytest.raises(InputError, match="was rated in an earlier round"):
        evaluate(place, "round3", ratings=done, previous=str(out / "pulls"))


def test_people_rate_every_diary_where_nothing_scores(place):
    pulls, decision, out = evaluate(place, "round1", scorer="human", ratings=None)
    assert len(pulls) == 52 and pulls["score"].null_count() == 52  # 60 ratings, 15 % of them second ones
    assert decision["scorer"] == "human" and decision["arms"][0]["judge"] is None
    done = filled(out / "to_rate", {"rich": "1", "plain": "0", "A": "-1"}, pulls)
    pulls, decision, _ = evaluate(place, "round2", scorer="human", ratings=done, previous=str(out / "pulls"))
    assert decision["leader"] == "rich" and decision["judge_weight"] == 0
    assert decision["decision"] == "adopt" or (pulls["text"].count() > 52)


def test_the_classic_way_adopts_by_score_alone_and_says_so(place):
    pulls, decision, out = evaluate(place, rule="classic", ratings=None, pulls_at_once=1, pulls_per_look=60)
    assert len(pulls) == 60 and decision["confidence"] is None and decision["ratings_used"] == 0
    means = {a["prompt_id"]: a["score_mean"] for a in decision["arms"]}
    assert decision["decision"] == "adopt" and decision["prompt_id"] == max(means, key=means.get)
    assert "No confidence is stated" in decision["sentence"] and not list((out / "to_rate").iterdir())


def test_contexts_that_served_to_write_the_prompts_are_refused(place):
    contexts = read_contexts(place[1].contexts, 60).to_dicts()
    used = [{"context_id": "another id", "digest": context_digest(contexts[6])}]
    with pytest.raises(InputError, match=f"row 7, field 'context_id', value '{contexts[6]['context_id']}': served to write"):
        evaluate(place, used=used)


def test_pulls_of_another_evaluation_are_refused(place):
    _, _, out = evaluate(place, "round1", ratings=None)
    folder = place[0]
    write(read(folder / "arms", ARMS).filter(pl.col("prompt_id") != "rich"), folder / "arms", ARMS)
    with pytest.raises(InputError, match="prompt_id', value 'rich': holds pulls of a prompt that is not compared here"):
        evaluate(place, "round2", previous=str(out / "pulls"))
