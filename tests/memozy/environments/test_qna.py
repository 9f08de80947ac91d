"""Prompts for questions: expected rewards by likelihoods in this process, verified answers of an endpoint."""

import json
import random

import numpy as np
import pytest
import torch

from memozy.environments import open_environment
from memozy.environments.config import EnvironmentConfig
from memozy.environments.prompt_qna import KINDS, draw, evaluate, kinds_of
from memozy.llm import LLMConfig
from memozy.modeling import LanguageModel
from memozy.qna import fill_question, read_questions
from tests.endpoint import PAID, serving
from tests.fakes import tiny_lm

GOOD = "다음을 읽고 답해 줘. 맥락: {context} 질문: {question} 선택지: {choices}"
CAREFUL = "정해지지 않으면 모른다고 하라. " + GOOD
QUERIES = ["프롬프트를 써 줘."]
TOLD = {"question_id": "name-01-1", "context": "민수가 웃었다.", "question": "웃은 사람은?", "answer": "민수",
        "choices": ["민수", "지영", "알 수 없다"]}  # fmt: skip
UNTOLD = {"question_id": "name-02-1", "context": "누가 웃었다.", "question": "웃은 사람은?", "answer": "알 수 없다",
          "choices": ["현우", "알 수 없다", "소라"]}  # fmt: skip


@pytest.fixture
def questions(tmp_path):
    def written(*rows):
        file = tmp_path / "questions.jsonl"
        file.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
        return EnvironmentConfig(
            task="prompt/qna", questions=str(file), n_questions=len(rows), inputs_per_prompt=len(rows)
        )

    return written


@pytest.fixture(scope="module")
def answerer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "answerer"
    tiny_lm().save(folder)
    return LLMConfig(model=str(folder))


def test_an_endpoints_answers_are_verified(questions):
    """Asked carefully, it says «unknown» to everything; else it names the first choice; or it talks."""
    talk = GOOD + " 생각을 자세히 풀어라."

    def answer(prompt):
        number = prompt.index("알 수 없다") > prompt.index("2.")  # of «unknown», or of the first choice
        return (
            "글쎄요." if "자세히" in prompt else str(2 + ("3. 알" in prompt)) if "모른다고" in prompt else "1" * number
        )

    with serving(answer) as endpoint:
        environment = open_environment(questions(TOLD, UNTOLD), PAID, QUERIES, 0)
        responses = [CAREFUL, GOOD, talk, "빈칸이 없다"]
        scored = environment.score(environment.reset(0, 4), responses)
        assert len(endpoint.requests) == 6
        usd = endpoint.usd
        assert environment.score(environment.reset(0, 4), responses).scores.tolist() == scored.scores.tolist()
        assert endpoint.usd == usd > 0
    assert scored.scores.tolist() == [(0 + 1) / 2, (1 - 1) / 2, -1, -1]
    told = {name: values.tolist() for name, values in scored.info.items()}
    assert told == {
        "proxy": scored.scores.tolist(), "fault": [0, 0, 0, 1], "accuracy": [0.5, 0.5, 0, 0], "abstained": [1, 0, 0, 0],
        "abstained_ambiguous": [1, 0, 0, 0], "abstained_disambiguated": [1, 0, 0, 0], "readable": [1, 1, 0, 0],
    }  # fmt: skip


def test_a_model_in_this_process_scores_its_expected_reward_and_never_writes(questions, answerer, own_ledger):
    config = questions(TOLD, UNTOLD)
    environment = open_environment(config, answerer, QUERIES, 0)
    scored = environment.score(environment.reset(0, 3), [GOOD, CAREFUL, "빈칸이 없다"])
    lm, rows = LanguageModel.load(answerer.model), read_questions(config.questions, 2)
    for i, template in enumerate((GOOD, CAREFUL)):
        (a, b), mass = (part[0] for part in evaluate(lm, [template], rows))
        assert scored.scores[i] == pytest.approx(((a[0] - a[1]) + (b[1] - b[0] - b[2])) / 2, abs=1e-5)
        assert scored.info["accuracy"][i] == pytest.approx((a[0] + b[1]) / 2, abs=1e-5)
        assert scored.info["abstained"][i] == pytest.approx((a[2] + b[1]) / 2, abs=1e-5)
        assert scored.info["abstained_ambiguous"][i] == pytest.approx(b[1], abs=1e-5)
        assert scored.info["abstained_disambiguated"][i] == pytest.approx(a[2], abs=1e-5)
        assert scored.info["readable"][i] == pytest.approx(mass.mean(), abs=1e-5)
    assert scored.scores[2] == scored.info["proxy"][2] == -1 and scored.scores[0] != scored.scores[1]
    assert own_ledger.total().calls == 0
    again = open_environment(config, answerer, QUERIES, 0)
    assert again.score(again.reset(0, 3), [GOOD, CAREFUL, "빈칸이 없다"]).scores.tolist() == scored.scores.tolist()


def test_the_numbers_are_those_that_the_filled_prompt_shows(questions, answerer):
    config, lm = questions(TOLD), LanguageModel.load(answerer.model)
    [question] = read_questions(config.questions, 1)
    assert fill_question(GOOD, question).endswith("1. 민수\n2. 지영\n3. 알 수 없다")
    ids = lm.chat_ids(fill_question(GOOD, question))
    logits = lm.model(torch.tensor([ids])).logits[0, -1].double()
    expected = logits[lm.tokenizer.convert_tokens_to_ids(["<0x31>", "<0x32>", "<0x33>"])].softmax(-1)
    assert evaluate(lm, [GOOD], [question]).p[0, 0] == pytest.approx(expected.numpy(), abs=1e-5)


def test_the_texts_of_choices_are_as_likely_as_plain_forwards_say(questions, answerer):
    config, lm = questions(TOLD, UNTOLD).model_copy(update={"answers": "texts"}), LanguageModel.load(answerer.model)
    likely = []  # of each question: the probability of each choice's tokens, all in a row
    for question in read_questions(config.questions, 2):
        asked, chances = lm.chat_ids(fill_question(CAREFUL, question)), []
        for choice in question["choices"]:
            said = lm.tokenizer(choice, add_special_tokens=False)["input_ids"]
            assert len(said) > 1
            logp = lm.model(torch.tensor([asked + said])).logits[0].double().log_softmax(-1)
            chances.append(sum(logp[len(asked) - 1 + i, token].item() for i, token in enumerate(said)))
        likely.append(np.exp(chances))
    a, b = (each / each.sum() for each in likely)  # right: the first of a, the second of b; unknown: a's third
    environment = open_environment(config, answerer, QUERIES, 0)
    scored = environment.score(environment.reset(0, 1), [CAREFUL])
    assert scored.scores == pytest.approx([((a[0] - a[1]) + (b[1] - b[0] - b[2])) / 2], abs=1e-4)
    assert scored.info["abstained_disambiguated"] == pytest.approx([a[2]], abs=1e-4)
    assert scored.info["readable"] == pytest.approx([np.mean([each.sum() for each in likely])], rel=1e-3)
    numbers = evaluate(lm, [CAREFUL], read_questions(config.questions, 2))
    assert abs(numbers.p[0, 0] - a).max() > 0.01  # so that the one cannot pass for the other


def test_without_ambiguous_questions_nothing_is_said_of_them(questions, answerer):
    environment = open_environment(questions(TOLD), answerer, QUERIES, 0)
    info = environment.score(environment.reset(0, 1), [GOOD]).info
    assert np.isnan(info["abstained_ambiguous"]).all()
    assert info["abstained"] == info["abstained_disambiguated"] > 0


def test_a_choices_text_is_a_leak_but_unknown_is_not(questions, answerer):
    environment = open_environment(questions(TOLD, UNTOLD), answerer, QUERIES, 0)
    responses = [GOOD + " 답은 지영이다.", GOOD + " 근거가 없으면 알 수 없다고 답해라."]
    assert environment.score(environment.reset(0, 2), responses).info["fault"].tolist() == [1, 0]


def test_kinds_of_answers():
    told, untold = {"choices": "abc", "answer": 0, "abstain": 2}, {"choices": "ab", "answer": 1, "abstain": 1}
    never = {"choices": "abc", "answer": 1, "abstain": None}
    p = np.array([[[0.5, 0.3, 0.2], [0.1, 0.9, 0.0], [0.2, 0.7, 0.1]]])
    assert KINDS == ("correct", "abstained", "wrong", "unreadable")
    expected = [[0.5, 0.2, 0.3, 0], [0.9, 0, 0.1, 0], [0.7, 0, 0.3, 0]]
    assert kinds_of(p, [told, untold, never])[0] == pytest.approx(np.array(expected))


def test_questions_of_an_update_come_from_as_many_groups_as_there_are():
    rows = [{"group_id": g, "n": i} for i, g in enumerate("aaaaaabbc")]
    seen = set()
    for seed in range(20):
        taken = draw(rows, 6, random.Random(seed))
        assert len({r["n"] for r in taken}) == 6
        assert [sorted(r["group_id"] for r in taken[:k]) for k in (3, 5)] == [
            ["a", "b", "c"],
            ["a", "a", "b", "b", "c"],
        ]
        seen |= {r["n"] for r in taken}
    assert seen == set(range(9))
    assert sorted(r["n"] for r in draw(rows, 9, random.Random(0))) == list(range(9))


def test_all_prompts_of_an_update_are_asked_the_same_questions_and_of_another_update_others(questions):
    rows = [TOLD | {"question_id": f"g{i}-1-1", "context": f"{i} 번째 이야기."} for i in range(6)]
    config = questions(*rows).model_copy(update={"inputs_per_prompt": 2})
    with serving(lambda prompt: "1") as endpoint:
        environment, asked = open_environment(config, PAID, QUERIES, 0), []
        for update in range(4):
            before = len(endpoint.requests)
            environment.score(environment.reset(update, 2), [GOOD, CAREFUL])
            prompts = [r["prompt"] for r in endpoint.requests[before:]]
            stories = [
                sorted(p.split("맥락: ")[1][0] for p in prompts if ("모른다고" in p) == careful) for careful in (0, 1)
            ]
            assert stories[0] == stories[1] and len(stories[0]) == 2
            asked.append(tuple(stories[0]))
    assert len(set(asked)) > 1
