"""The embedded models and sample data are what they are said to be."""

import csv
import random

import pytest

from memozy import records
from memozy.modeling import LanguageModel
from memozy.records import ARMS, CONTEXTS, DIARIES, SIMULATED, check_template, read_jsonl
from microworld.contexts import sample_contexts
from microworld.instructions import GROUPS, INSTRUCTIONS, held_out, sample_instructions, template
from microworld.qna_instructions import GOOD, QNA_INSTRUCTIONS, qna_template
from microworld.questions import sample_questions
from microworld.writer import write_diary
from pipelines import tiny_diary, tiny_qna


def test_the_corpus_holds_no_held_out_combination(monkeypatch):
    drawn = []
    monkeypatch.setattr(tiny_diary, "template", lambda keys, rng: drawn.append(keys) or template(keys, rng))
    triples = tiny_diary.corpus(400, seed=3)
    assert len(triples) == len(drawn) == 400
    assert not any(held_out(keys) for keys in drawn)
    assert all("{" not in prompt for _, prompt, _ in triples)


def test_the_shipped_writer_obeys_what_it_has_never_seen_together(data):
    writer = LanguageModel.load(data / "models/writer")
    rows = tiny_diary.obedience(writer, sample_contexts(16, seed=8), combinations=2, samples=16, seed=4)
    assert len(rows) == 2 * len(INSTRUCTIONS)
    assert sum(row["obeyed"] for row in rows) / len(rows) >= tiny_diary.LEAST_OBEDIENCE


def test_obedience_sees_a_model_that_ignores_its_prompt(data, monkeypatch):
    """The measurement itself: a writer that writes the same whatever it is asked does not pass."""
    rng = random.Random(0)
    contexts = sample_contexts(16, seed=8)
    careless = [write_diary(sample_instructions(rng, 0.4, 0.1), c, rng) for c in contexts * 200]
    texts = iter(careless)
    writer = LanguageModel.load(data / "models/writer")
    monkeypatch.setattr(LanguageModel, "text", lambda self, tokens: next(texts))
    rows = tiny_diary.obedience(writer, contexts, combinations=3, samples=16, seed=4)
    assert sum(row["obeyed"] for row in rows) / len(rows) < 0.75


def test_the_shipped_writer_names_its_place(data):
    named = tiny_diary.copying(LanguageModel.load(data / "models/writer"), sample_contexts(64, seed=9), seed=5)
    assert named["place"] >= tiny_diary.LEAST_COPYING


@pytest.fixture(scope="session")
def assistant(data):
    if not (data / "models/assistant").is_dir():
        pytest.skip("data/models/assistant is not here: `make pull` fetches it")
    return LanguageModel.load(data / "models/assistant")


def test_the_shipped_assistant_answers_as_it_is_told_about_stories_it_has_never_met(assistant):
    rows = tiny_qna.qna_obedience(assistant, combinations=2, samples=24, seed=4)
    assert len(rows) == 2 * len(QNA_INSTRUCTIONS)
    assert sum(row["obeyed"] for row in rows) / len(rows) >= tiny_diary.LEAST_OBEDIENCE


def test_the_shipped_assistant_is_right_where_it_is_asked_well_and_careless_where_not(assistant):
    rng, questions = random.Random(5), tiny_qna.read_rows(sample_questions(96, 9, held=True))
    good, none = ([qna_template(keys, rng) for _ in range(4)] for keys in (GOOD, ()))
    asked = tiny_qna.measures(assistant, [*good, *none], questions)
    least = tiny_qna.LEAST_RIGHT - 0.05  # on fewer questions and prompts than the gate has seen
    for measure in ("right", "abstained_untold"):
        assert asked[measure][:4].mean() >= least > 0.8 > asked[measure][4:].mean()


def test_obedience_sees_an_assistant_that_ignores_its_prompt(assistant, monkeypatch):
    """The measurement itself: one that is asked the same whatever the prompt says does not pass."""
    monkeypatch.setattr(tiny_qna, "qna_template", lambda keys, rng: qna_template((), rng))
    rows = tiny_qna.qna_obedience(assistant, combinations=2, samples=24, seed=4)
    assert sum(row["obeyed"] for row in rows) / len(rows) < 0.8


def test_sample_data_is_consistent_and_says_that_it_is_simulated(data):
    train, evaluation = (read_jsonl(data / f, CONTEXTS) for f in ("contexts.jsonl", "evaluation_contexts.jsonl"))
    slots = ("place", "people", "mood", "photo")
    assert not set(train.select(slots).iter_rows()) & set(evaluation.select(slots).iter_rows())
    prompts = read_jsonl(data / "prompts.jsonl", ARMS)
    assert prompts["origin"].to_list() == ["incumbent"] + ["history"] * (len(prompts) - 1)
    for text in (
        prompts["template"].to_list()
        + read_jsonl(data / "instructions.jsonl", records.INSTRUCTIONS)["output"].to_list()
    ):
        check_template(text)
    diaries = set(read_jsonl(data / "diaries.jsonl", DIARIES)["diary_id"])
    with open(data / "ratings.csv", encoding="utf-8", newline="") as file:
        ratings = list(csv.DictReader(file))
    assert {r["source"] for r in ratings} == {SIMULATED} and {r["diary_id"] for r in ratings} == diaries


def test_embedded_weights_are_small(data):
    assert max(p.stat().st_size for p in data.glob("models/*/model.safetensors")) <= 5_000_000


def test_an_incumbent_that_is_the_best_would_leave_nothing_to_find():
    from pipelines.sample_data import INCUMBENT

    asked_for_good = {k for k, i in INSTRUCTIONS.items() if k in INCUMBENT}
    assert len(asked_for_good) < len(GROUPS) - 1
