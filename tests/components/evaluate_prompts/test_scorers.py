"""Every scorer in whole evaluations, against a real endpoint where one is asked."""

import json
import random
import re

import polars as pl
import pytest

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.scorers import examples
from components.evaluate_prompts.stage import run
from components.evaluate_prompts.verify import differences
from memozy.ledger import open_ledger
from memozy.records import ARMS, OVERSAMPLED, PULLS, InputError, nearest_level, read, write, write_jsonl
from tests.endpoint import PAID, judged, serving


def evaluate(folder, config, templates, oversampled=None):
    rows = [{"prompt_id": p, "template": t, "parent_prompt_id": None, "origin": "test"} for p, t in templates.items()]
    write(pl.DataFrame(rows, schema=ARMS.dtypes), folder / "arms", ARMS)
    write_jsonl([], folder / "used")
    (folder / "work").mkdir(exist_ok=True)
    with open_ledger(f"sqlite:///{folder / 'ledger.sqlite'}", "evaluate_prompts") as ledger:
        run(config, arms=folder / "arms", reward=folder / "none", oversampled=oversampled, used_contexts=folder / "used",
            pulls=folder / "pulls", decision=folder / "decision", decision_report=folder / "report.html",
            to_rate=folder / "to_rate", work=folder / "work")  # fmt: skip
        spent = ledger.total().spent_usd
    pulls, said = read(folder / "pulls", PULLS), json.loads((folder / "decision").read_text(encoding="utf-8"))
    assert differences(pulls, said) == []
    return pulls, said, spent


DIARY = "{place}에 {people}와 갔다. 기분은 {mood}, 사진은 {photo}."


def test_the_judge_scores_and_what_it_says_unreadably_is_counted(tmp_path, data, reward):
    def answer(prompt):
        if "<diary>" not in prompt:
            return ("좋은 " if "잘" in prompt else "") + "일기 " + prompt
        text = judged(prompt)
        if "등대" in text and "좋은" not in text:
            return "글쎄요"
        return json.dumps({"reason": "까닭", "rating": 1 if text.startswith("좋은") else -0.5})

    config = Config(contexts=str(data / "evaluation_contexts.jsonl"), n_contexts=30, llm=PAID, scorer="judge", judge=PAID,
                    rule="classic", pulls_per_look=40, pulls_at_once=10)  # fmt: skip
    with serving(answer) as endpoint:
        pulls, said, spent = evaluate(tmp_path, config, {"A": DIARY, "b": "잘 써 줘. " + DIARY}, reward.parent / "oversampled")
        assert spent == pytest.approx(endpoint.usd, abs=1e-12) == pytest.approx(said["ledger"]["settled_usd"])
    assert said["prompt_id"] == "b" and said["confidence"] is None and len(pulls) == 40
    unread = {a["prompt_id"]: a["n_unread"] for a in said["arms"]}
    texts = pulls.filter(pl.col("prompt_id") == "A")["text"]
    assert unread == {"A": sum("등대" in t for t in texts), "b": 0} and unread["A"] == pulls["score"].null_count() > 0
    assert pulls["cost_usd"].sum() == pytest.approx(said["cost_usd"]) == pytest.approx(spent)
    shown = [r["prompt"] for r in endpoint.requests if "<diary>" in r["prompt"]]
    assert all(len(re.findall("등급: ", p)) >= 8 for p in shown)  # few-shot examples, two a level


def test_examples_come_from_training_rows_of_different_groups(reward):
    rows = {r["text"]: r for r in read(reward.parent / "oversampled", OVERSAMPLED).to_dicts()}
    shown = examples(reward.parent / "oversampled", 2, 0)
    assert all(rows[e.text]["split"] == "train" for e in shown) and len({e.group_id for e in shown}) == len(shown)
    levels = [nearest_level(e.rating) for e in shown]
    assert max(map(levels.count, levels)) == 2 and len(set(levels)) >= 4
    assert examples(reward.parent / "oversampled", 0, 0) == ()


def questions(n):
    """Half of them can be answered from the context, half can't."""
    for i in range(n):
        known = i % 2
        yield {"question_id": f"t{i:03}-a-{i}", "context": f"{i}번 방에 {'민수가' if known else '누군가'} 있다.", "question": "누가 있나?",
               "choices": ["민수", "영희", "알 수 없음"], "answer": "민수" if known else "알 수 없음"}  # fmt: skip


def test_a_verifier_decides_without_people(tmp_path):
    write_jsonl(questions(120), tmp_path / "questions.jsonl")

    def answer(prompt):  # told how, it abstains where nothing is known; else it guesses
        known = "민수가" in prompt
        return "1" if known else ("3" if "모르면" in prompt else random.Random(prompt).choice("12"))

    config = Config(task="qna", scorer="verifier", contexts=str(tmp_path / "questions.jsonl"), n_contexts=120, llm=PAID,
                    looks=2, pulls_per_look=100, epsilon=0.2)  # fmt: skip
    plain = "{context} {question} {choices} 번호로 답하라."
    with serving(answer):
        pulls, said, _ = evaluate(tmp_path, config, {"A": plain, "b": "모르면 모른다고 하라. " + plain})
    assert said["decision"] == "adopt" and said["prompt_id"] == "b" and said["ratings_used"] == 0
    scores = dict(pulls.group_by("prompt_id").agg(pl.col("score").mean()).iter_rows())
    assert scores["b"] == 1.0 and abs(scores["A"]) < 0.2  # right on half of them, and wrong where it guesses
    with pytest.raises(InputError, match="has no slot {context}"):
        evaluate(tmp_path, config, {"A": DIARY, "b": plain})


def test_reactions_in_the_app_are_taken_once(tmp_path):
    rng = random.Random(0)

    def events(start, stop):
        for i in range(start, stop):
            prompt = rng.choice("Ab")
            yield {"event_id": f"e{i}", "shown_id": f"e{i}", "kind": "shown", "prompt_id": prompt, "propensity": 0.5}
            if rng.random() < (0.7 if prompt == "b" else 0.2):
                yield {"event_id": f"r{i}", "shown_id": f"e{i}", "kind": "like"}

    log = list(events(0, 60))
    write_jsonl(log, tmp_path / "events.jsonl")
    config = Config(scorer="feedback", feedback=str(tmp_path / "events.jsonl"), looks=3, epsilon=0.05)
    pulls, said, spent = evaluate(tmp_path, config, {"A": DIARY, "b": "잘. " + DIARY})
    assert len(pulls) == 60 and len(said["looks"]) == 1 and spent == 0 and said["leader"] == "b"
    write_jsonl([*log, *events(60, 400)], tmp_path / "events.jsonl")
    (tmp_path / "pulls").rename(tmp_path / "previous")
    config = config.model_copy(update={"previous": str(tmp_path / "previous")})
    pulls, said, _ = evaluate(tmp_path, config, {"A": DIARY, "b": "잘. " + DIARY})
    assert len(pulls) == 400 and pulls["context_id"].n_unique() == 400 and len(said["looks"]) == 2
    assert said["decision"] == "adopt" and said["prompt_id"] == "b" and "400 reactions in the app" in said["sentence"]
