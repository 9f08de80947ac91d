"""The stage on the embedded models: what it writes, and that a killed run ends as an uninterrupted one."""

import json

import pytest
import torch

from components.train_ppo import stage
from components.train_ppo.config import Config
from components.train_ppo.environment import PromptDiary
from components.train_ppo.stage import best_update, run
from components.train_sft.config import Config as SFTConfig
from components.train_sft.stage import run as run_sft
from memozy.ledger import open_ledger
from memozy.llm import LLMConfig, open_llm
from memozy.modeling import LanguageModel
from memozy.records import read_contexts
from memozy.reward import RewardModel
from tests.endpoint import PAID, serving


@pytest.fixture(scope="module")
def sft(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sft") / "sft"
    run_sft(
        SFTConfig(model=str(data / "models/policy"), instructions=str(data / "instructions.jsonl"), steps=3), sft=folder
    )
    return folder


def settings(data, **changes):
    return Config(
        contexts=str(data / "contexts.jsonl"), n_contexts=20, llm=LLMConfig(model=str(data / "models/writer")), updates=3,
        rollouts=6, contexts_per_prompt=2, epochs=1, mini_batches=2, learning_rate=5e-3,
    ).model_copy(update=changes)  # fmt: skip


def train(data, sft, reward, folder, **changes):
    (folder / "work").mkdir(parents=True, exist_ok=True)
    run(settings(data, **changes), sft=sft, reward=reward, policy=folder / "policy", curves=folder / "curves",
        samples=folder / "samples", work=folder / "work")  # fmt: skip
    rows = [json.loads(line) for line in (folder / "curves").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


def weights(folder):
    return LanguageModel.load(folder / "policy/model").model.state_dict()


def test_killed_it_ends_bit_for_bit_as_if_it_had_not_been(data, sft, reward, tmp_path, monkeypatch):
    expected = train(data, sft, reward, tmp_path / "whole")
    step = stage.PPO.step

    class Killed(Exception):
        pass

    def killing(self, update):
        if update == 2:
            raise Killed
        return step(self, update)

    monkeypatch.setattr(stage.PPO, "step", killing)
    with pytest.raises(Killed):
        train(data, sft, reward, tmp_path / "killed")
    assert not (tmp_path / "killed/curves").exists()
    taken = []
    monkeypatch.setattr(stage.PPO, "step", lambda self, update: taken.append(update) or step(self, update))
    assert train(data, sft, reward, tmp_path / "killed") == expected
    assert taken == [2]
    a, b = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(a[k], b[k]) for k in a)


DIARY = "동생이랑 강릉 바다에 갔다. 연을 날리다가 줄이 끊어져 한참 웃었다. 바람은 찼지만 오래 걸었다!"


def test_killed_between_paying_and_learning_it_pays_for_no_diary_twice(data, sft, reward, tmp_path, monkeypatch):
    """As costly a moment as there is: an update's diaries are written and paid for, and nothing is saved of it."""
    score = RewardModel.score
    paying = {"llm": PAID.model_copy(update={"concurrency": 8}), "learning_rate": 1e-4}
    with serving(lambda prompt: DIARY) as endpoint, open_ledger(f"sqlite:///{tmp_path / 'l.sqlite'}", "train_ppo") as book:
        paid = []

        def killing(self, texts):
            paid.append(endpoint.usd)
            if len(paid) == 2:
                raise KeyboardInterrupt
            return score(self, texts)

        monkeypatch.setattr(RewardModel, "score", killing)
        with pytest.raises(KeyboardInterrupt):
            train(data, sft, reward, tmp_path / "ppo", **paying)
        assert paid[1] > paid[0] > 0 and book.total().settled_usd == pytest.approx(endpoint.usd, abs=1e-9)
        rows = train(data, sft, reward, tmp_path / "ppo", **paying)
        assert set(endpoint.billed.values()) == {1} and paid[2] == paid[1] < endpoint.usd
        # what the update that was cut short had paid is in no row, but in the stage's total
        assert [row["cost_usd"] for row in rows] == pytest.approx([paid[0], 0.0, endpoint.usd - paid[2]], abs=1e-9)
        assert book.total("train_ppo").spent_usd == pytest.approx(endpoint.usd, abs=1e-9)


def test_the_kept_update_is_the_best_within_the_kl_target():
    # smoothed over three: 0.05, 0.2, 0.4, 0.57 (KL 9 > 8), 0.65 (KL 12)
    assert best_update([0.0, 0.1, 0.5, 0.6, 0.7], [0.0, 1.0, 6.0, 9.0, 12.0], target=8.0) == 2
    assert best_update([0.5, 0.1, 0.1], [0.0, 1.0, 2.0], target=8.0) == 0
    assert best_update([0.5, 0.9], [9.0, 9.0], target=8.0) == 0


def test_a_template_with_a_fault_scores_minus_one_unread(data, reward):
    llm = open_llm(LLMConfig(model=str(data / "models/writer")))
    contexts = read_contexts(data / "contexts.jsonl", 20).to_dicts()
    environment = PromptDiary(llm, RewardModel.load(reward), contexts, per_prompt=2, seed=0)
    good = "일기를 써 줘. 장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}. 다섯 문장으로 써 줘."
    scores = environment.score([good, "장소를 잊은 프롬프트.", good], update=0)
    assert scores[1] == -1 and scores[0] > -1
    assert scores.shape == (3,)


def test_pessimism_takes_the_uncertainty_from_every_diary(data, reward):
    """The same diaries, scored with and without: the difference is the mean uncertainty of each prompt's two diaries."""
    llm = open_llm(LLMConfig(model=str(data / "models/writer")))
    model, contexts = RewardModel.load(reward), read_contexts(data / "contexts.jsonl", 20).to_dicts()
    good = "일기를 써 줘. 장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}. 다섯 문장으로 써 줘."
    seen = []

    class Heard:
        def score(self, texts):
            seen.append(model.score(texts))
            return seen[-1]

    plain, careful = (PromptDiary(llm, Heard(), contexts, 2, 0, p).score([good], update=0)[0] for p in (0.0, 0.5))
    (scores, uncertainty), again = seen
    assert scores.tolist() == again[0].tolist() and uncertainty.max() > 0
    assert careful == pytest.approx(sum(max(s - 0.5 * u, -1) for s, u in zip(scores, uncertainty, strict=True)) / 2)
    assert careful < plain
