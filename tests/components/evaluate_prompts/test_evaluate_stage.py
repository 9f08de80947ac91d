"""The stage on the embedded writer: simulated, by people in rounds, and killed in the middle."""

import csv
import json
import shutil
from types import SimpleNamespace

import polars as pl
import pytest

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.evaluation import Evaluation
from components.evaluate_prompts.stage import run
from components.evaluate_prompts.verify import differences
from memozy import generation
from memozy.ledger import open_ledger
from memozy.llm import LLMConfig
from memozy.records import ARMS, OVERSAMPLED, PULLS, InputError, context_digest, read, read_contexts, write, write_jsonl
from microworld.instructions import template


@pytest.fixture
def place(data, reward, tmp_path):
    return prepared(tmp_path, data, reward)


@pytest.fixture(scope="module")
def asked(data, reward, tmp_path_factory):
    """An evaluation whose sheets nobody has filled in yet: pulls, decision, folder. Not to be changed."""
    return evaluate(prepared(tmp_path_factory.mktemp("asked"), data, reward), "round1", ratings=None)


def prepared(folder, data, reward):
    """Arms (a poor incumbent, a rich challenger, one between), settings, and where artifacts go."""
    import random

    rng = random.Random(1)
    asked = {"A": ("polite", "short"), "rich": ("closing", "companion", "detail", "medium", "no_heading", "plain", "sensory"),
             "plain": ("medium", "plain")}  # fmt: skip
    arms = pl.DataFrame([
        {"prompt_id": p, "template": template(keys, rng), "parent_prompt_id": None, "origin": "test"} for p, keys in asked.items()
    ], schema=ARMS.dtypes)  # fmt: skip
    write(arms, folder / "arms", ARMS)
    config = Config(
        contexts=str(data / "evaluation_contexts.jsonl"), n_contexts=60, llm=LLMConfig(model=str(data / "models/writer")),
        ratings="simulated", looks=2, pulls_per_look=90, ratings_per_look=60, pulls_at_once=30,
    )  # fmt: skip
    return folder, config, reward


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
            row["rating"] = levels[arm_of[row["text"].removeprefix("\xa0")]]
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
    assert "Adopt rich: with 95" in (out / "report.html").read_text(encoding="utf-8")


def test_killed_at_a_pull_it_ends_with_the_same_decision(place, monkeypatch):
    whole, decision, _ = evaluate(place, "whole")

    class Killed(Exception):
        pass

    write, written = generation.generate, []

    def killing(*args, **kwargs):
        written.append(len(args[1]))
        if len(written) == 3:
            raise Killed
        return write(*args, **kwargs)

    monkeypatch.setattr(generation, "generate", killing)
    with pytest.raises(Killed):
        evaluate(place, "killed")
    again, same, _ = evaluate(place, "killed")
    assert again.equals(whole) and same == decision
    assert sum(written) == whole["text"].count() + written[2]  # only the batch that was cut off is written again


def test_people_rate_between_runs(place, asked):
    pulls, decision, first = asked
    out = shutil.copytree(first, place[0] / "round1")
    assert decision["decision"] == "undecided" and decision["prompt_id"] == "A" and decision["looks"] == []
    assert "nobody has rated yet" in decision["sentence"]
    sheets = out / "to_rate"
    assert sorted(p.name for p in sheets.iterdir()) == ["rater-1.csv", "rater-2.csv"]
    assert all("rich" not in p.read_text(encoding="utf-8-sig") for p in sheets.iterdir())
    done = filled(sheets, {"rich": "1", "plain": "0", "A": "-1"}, pulls)
    pulls, decision, out = evaluate(place, "round2", ratings=done, previous=str(out))
    assert 55 <= decision["ratings_used"] <= 63 and not decision["simulated"] and len(decision["looks"]) == 1
    assert decision["leader"] == "rich" and decision["agreement"]["alpha"] == 1
    assert decision["answered"] == {"asked": decision["ratings_used"], "given": decision["ratings_used"]}
    with pytest.raises(InputError, match="is decided, or all 2 planned looks are made"):
        evaluate(place, "round3", ratings=done, previous=str(out))
    on_sheets = "".join(p.read_text(encoding="utf-8-sig") for p in sheets.iterdir())
    item = next(
        name for r in pulls.filter(pl.col("text").is_not_null()).to_dicts()
        if (name := Evaluation.item(SimpleNamespace(config=place[1]), r)) not in on_sheets
    )  # fmt: skip
    (sheets / "more.csv").write_text(f"diary_id,rater_id,rating\n{item},kim,1\n", encoding="utf-8")
    with pytest.raises(InputError, match="more.csv, row 1.*was not asked for"):  # people don't choose what they rate
        evaluate(place, "round2", ratings=done, previous=str(first))


def test_people_rate_every_diary_where_nothing_scores(place):
    pulls, decision, out = evaluate(place, "round1", scorer="human", ratings=None)
    assert len(pulls) == 55 and pulls["score"].null_count() == 55  # 60 ratings, 10 % of them second ones
    assert decision["scorer"] == "human" and decision["arms"][0]["judge"] is None
    done = filled(out / "to_rate", {"rich": "1", "plain": "0", "A": "-1"}, pulls)
    pulls, decision, _ = evaluate(place, "round2", scorer="human", ratings=done, previous=str(out))
    assert decision["leader"] == "rich" and decision["judge_weight"] == 0
    assert decision["decision"] == "adopt" or (pulls["text"].count() > 55)


def test_the_classic_way_adopts_by_score_alone_and_says_so(place):
    pulls, decision, out = evaluate(place, rule="classic", ratings=None, pulls_at_once=10, pulls_per_look=60)
    assert len(pulls) == 60 and decision["confidence"] is None and decision["ratings_used"] == 0
    means = {a["prompt_id"]: a["score_mean"] for a in decision["arms"]}
    assert decision["decision"] == "adopt" and decision["prompt_id"] == max(means, key=means.get)
    assert "No confidence is stated" in decision["sentence"] and not list((out / "to_rate").iterdir())


def test_contexts_that_served_to_write_the_prompts_are_refused(place):
    contexts = read_contexts(place[1].contexts, 60).to_dicts()
    used = [{"context_id": "another id", "digest": context_digest(contexts[6])}]
    with pytest.raises(InputError, match=f"row 7, field 'context_id', value '{contexts[6]['context_id']}': is known from training"):
        evaluate(place, used=used)


@pytest.mark.parametrize("changes, said", [
    ({"looks": 3}, "field 'looks', value 2: is another evaluation's"),
    ({"epsilon": 0.2}, "field 'epsilon', value 0.1: is another evaluation's"),
    ({"llm": LLMConfig(model="data/models/policy")}, "field 'llm'"),
])  # fmt: skip
def test_the_plan_is_fixed_before_the_first_pull(place, asked, changes, said):
    with pytest.raises(InputError, match=said):
        evaluate(place, "round2", previous=str(asked[2]), **changes)


def test_pulls_of_another_evaluation_are_refused(place, asked):
    folder = place[0]
    write(read(folder / "arms", ARMS).filter(pl.col("prompt_id") != "rich"), folder / "arms", ARMS)
    with pytest.raises(InputError, match="field 'arms'.*is another evaluation's"):
        evaluate(place, "round2", previous=str(asked[2]))


def test_an_evaluation_ends_where_no_context_is_left(place):
    pulls, decision, _ = evaluate(place, n_contexts=12, looks=4, epsilon=0.0, pulls_per_look=36)
    assert pulls["text"].count() == 36 and decision["decision"] in ("undecided", "adopt", "keep")
    pulls, decision, _ = evaluate(place, "humans", n_contexts=10, looks=4, epsilon=0.0, scorer="human", confidence=0.999)
    assert pulls["text"].count() == 30 and len(decision["looks"]) < 4


def test_two_contexts_of_one_photo_and_contexts_of_training_are_refused(place, data, reward):
    contexts = read_contexts(place[1].contexts, 60).to_dicts()
    mine = place[0] / "contexts.jsonl"
    write_jsonl([c | {"image_id": f"p{i // 2}"} for i, c in enumerate(contexts)], mine)
    with pytest.raises(InputError, match="row 2, field 'image_id', value 'p0': shows a photo that another context shows"):
        evaluate(place, contexts=str(mine))
    trained = read(reward.parent / "oversampled", OVERSAMPLED)["context_id"][3]
    write_jsonl([*contexts[:59], contexts[59] | {"context_id": trained}], mine)
    with pytest.raises(InputError, match="row 60, field 'context_id'.*is known from training"):
        evaluate(place, contexts=str(mine))


@pytest.mark.parametrize("changes, said", [
    ({"rule": "classic", "ratings": None, "pulls_per_look": 200}, "are more than 3 prompts on 60 contexts"),
    ({"rule": "classic"}, "nobody rates"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said_before_anything_is_paid(place, changes, said):
    with pytest.raises(ValueError, match=said):
        Config.model_validate(place[1].model_dump() | changes)
        evaluate(place, **changes)
    assert not (place[0] / "out" / "pulls").exists()
