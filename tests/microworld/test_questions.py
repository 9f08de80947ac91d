import random
from collections import Counter

import pytest

from memozy.environments.hygiene import prompt_fault, secrets_of
from memozy.qna import QNA_SLOTS, group_of, read_questions, verify
from memozy.records import write_jsonl
from microworld.qna_instructions import GOOD, QNA_INSTRUCTIONS, answer, answer_chances, qna_template, random_keys
from microworld.questions import places, sample_questions, subjects

TOLD = {"choices": ["민수", "알 수 없다", "지영"], "answer": "지영"}
UNTOLD = {"choices": ["민수", "알 수 없다", "지영"], "answer": "알 수 없다"}


def test_the_library_reads_the_questions_as_the_world_means_them(tmp_path):
    rows = sample_questions(48, seed=3, held=False)
    write_jsonl(rows, tmp_path / "questions.jsonl")
    read = read_questions(tmp_path / "questions.jsonl", 48)
    assert [(q["answer"], q["abstain"]) for q in read] == [places(row) for row in rows]
    assert sum(q["answer"] == q["abstain"] for q in read) == 24


def test_no_story_that_is_held_back_stands_among_the_others_but_both_its_halves_do():
    known, held = ({group_of(r["question_id"]) for r in sample_questions(2000, 1, held)} for held in (False, True))
    assert len(known) == 480 and len(held) == 240  # of 5 × 12 × 12 stories, those of every third sum of halves
    assert not known & held
    for half in (slice(-4, -2), slice(-2, None)):  # what both did; what one did
        assert {(s[:-5], s[half]) for s in known} == {(s[:-5], s[half]) for s in held}


def test_no_constant_answer_is_right_more_often_than_chance():
    rows = sample_questions(240, seed=5, held=True)
    right = [places(row) for row in rows]
    assert Counter(r for r, _ in right) == {0: 80, 1: 80, 2: 80}
    assert Counter(u for _, u in right) == {0: 80, 1: 80, 2: 80}
    told = [row for row in rows if len(set(places(row))) == 2]
    assert sum(row["context"].startswith(row["answer"]) for row in told) == len(told) / 2 == 60


def test_the_context_names_who_did_it_again_exactly_where_it_tells():
    for row in sample_questions(240, seed=6, held=False):
        right, unknown = places(row)
        names = [c for i, c in enumerate(row["choices"]) if i != unknown]
        assert [row["context"].count(name) for name in names] == [1 + (name == row["answer"]) for name in names]


def test_every_template_is_one_that_the_environment_takes():
    rng, secrets = random.Random(0), secrets_of(subjects())
    for _ in range(300):
        words = qna_template(random_keys(rng, 0.5, 0.3), rng)
        assert prompt_fault(words, "프롬프트를 써 주세요.", QNA_SLOTS, secrets) is None, words


@pytest.mark.parametrize(
    ("keys", "told", "untold"),
    [
        (GOOD, [0.0294, 0.02, 0.9506, 0], [0.015, 0.97, 0.015, 0]),
        ((), [0.228, 0.0375, 0.4845, 0.25], [0.3375, 0.075, 0.3375, 0.25]),
        (("always_first", "only"), [0.98, 0.01, 0.01, 0], [0.98, 0.01, 0.01, 0]),
        (("evidence", "guess", "only"), [0.03, 0, 0.97, 0], [0.5, 0, 0.5, 0]),
        (("cautious", "evidence", "only"), [0.0105, 0.65, 0.3395, 0], [0.01, 0.98, 0.01, 0]),
    ],
)
def test_the_teacher_by_hand(keys, told, untold):
    assert answer_chances(keys, TOLD) == pytest.approx(told)
    assert answer_chances(keys, UNTOLD) == pytest.approx(untold)


@pytest.mark.parametrize("key", sorted(QNA_INSTRUCTIONS))
def test_chances_are_chances_whatever_is_asked(key):
    for row in (TOLD, UNTOLD):
        assert sum(answer_chances((key,), row)) == pytest.approx(1)
        assert min(answer_chances((key,), row)) >= 0


def test_an_answer_is_a_choices_text_or_talk_that_nobody_can_read(tmp_path):
    rows, rng = sample_questions(48, seed=7, held=False), random.Random(0)
    write_jsonl(rows, tmp_path / "questions.jsonl")
    kinds = Counter()
    for row, question in zip(rows, read_questions(tmp_path / "questions.jsonl", 48), strict=True):
        said = answer(("explain",), row, rng)
        verdict = verify(said, question)
        assert (said in row["choices"]) == (verdict.kind != "unreadable"), said
        assert (said == row["answer"]) == (verdict.kind == "correct"), said
        kinds[said in row["choices"]] += 1
    assert kinds[False] > kinds[True] > 0  # 0.9 of all is talk
