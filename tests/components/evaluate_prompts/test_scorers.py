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
        if len(text) % 2 and "좋은" not in text:
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
    assert unread == {"A": sum(len(t) % 2 for t in texts), "b": 0} and unread["A"] == pulls["score"].null_count() > 0
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


def log(start, stop, rng, prompts="Ab"):
    """Showings of one an hour, liked more often by prompt b."""
    for i in range(start, stop):
        prompt, at = rng.choice(prompts), f"2026-01-{1 + i // 24:02}T{i % 24:02}:00:00+00:00" if i < 700 else None
        yield {"event_id": f"e{i}", "shown_id": f"e{i}", "kind": "shown", "prompt_id": prompt, "propensity": 0.5, "at": at}
        if rng.random() < (0.7 if prompt == "b" else 0.2):
            yield {"event_id": f"r{i}", "shown_id": f"e{i}", "kind": "like", "at": at}


def test_reactions_in_the_app_are_taken_once_and_not_too_early(tmp_path):
    rng, arms = random.Random(0), {"A": DIARY, "b": "잘. " + DIARY}
    events = list(log(0, 84, rng))
    write_jsonl(events, tmp_path / "events.jsonl")
    config = Config(scorer="feedback", feedback=str(tmp_path / "events.jsonl"), looks=2, epsilon=0.05, pulls_per_look=60)
    pulls, said, spent = evaluate(tmp_path, config, arms)
    assert len(pulls) == 60 and len(said["looks"]) == 1 and spent == 0 and said["leader"] == "b"  # the last day is too young
    previous = tmp_path / "previous"
    previous.mkdir()
    for name in ("pulls", "decision"):
        (tmp_path / name).rename(previous / name)
    config = config.model_copy(update={"previous": str(previous)})
    pulls, said, _ = evaluate(tmp_path, config, arms)
    assert len(pulls) == 60 and len(said["looks"]) == 1  # 24 more showings make no look
    events += log(84, 424, rng)
    write_jsonl(events, tmp_path / "events.jsonl")
    pulls, said, _ = evaluate(tmp_path, config, arms)
    assert len(pulls) == 400 and pulls["context_id"].n_unique() == 400 and len(said["looks"]) == 2
    assert said["decision"] == "adopt" and said["prompt_id"] == "b" and "400 reactions in the app" in said["sentence"]


def test_a_log_that_cannot_decide_is_refused(tmp_path):
    arms, path = {"A": DIARY, "b": "잘. " + DIARY, "c": "더. " + DIARY}, tmp_path / "events.jsonl"
    config = Config(scorer="feedback", feedback=str(path), pulls_per_look=20)
    write_jsonl(log(0, 100, random.Random(0)), path)
    with pytest.raises(InputError, match="field 'prompt_id', value 'c': shows it 0 times: it can't be compared"):
        evaluate(tmp_path, config, arms)
    write_jsonl([e | {"at": None} for e in log(0, 100, random.Random(0))], path)
    with pytest.raises(InputError, match="events.jsonl, field 'at': is empty"):
        evaluate(tmp_path, config, arms)
