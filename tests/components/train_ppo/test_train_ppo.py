"""The stage on the embedded models: what it writes, what stops it, and that a killed run ends as an uninterrupted one."""

import json
import time

import numpy as np
import pytest
import torch

from components.train_ppo import stage
from components.train_ppo.checkpoints import Checkpoints
from components.train_ppo.config import Config
from components.train_ppo.guards import GOLD, kept
from components.train_ppo.ppo import PPO
from components.train_ppo.stage import run
from memozy import policies
from memozy.environments import Scored
from memozy.ledger import open_ledger
from memozy.modeling import LanguageModel
from memozy.records import InputError
from memozy.reward import RewardModel
from memozy.weights import Weights
from tests.endpoint import PAID, serving
from tests.pages import Page
from tests.ppo import Task, trainer

QUERIES = ["사진 일기를 쓰는 모델에게 줄 프롬프트를 써 주세요.", "일기를 쓰는 모델에게 줄 지시문을 한 문단으로 작성해 주세요."]


@pytest.fixture(scope="module")
def writes_diaries(data, tmp_path_factory):
    """A policy that writes diaries, as `response/diary` asks."""
    folder = tmp_path_factory.mktemp("start")
    policies.save(policies.start(str(data / "models/writer"), Weights(), rank=4, seed=0), folder, "")
    return folder


@pytest.fixture(scope="module")
def writes_prompts(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    policy = policies.start(str(data / "models/policy"), Weights(), rank=4, seed=0)
    policy.queries = QUERIES
    policies.save(policy, folder, "")
    return folder


def settings(data, task="response/diary", **changes):
    files = {name: str(data / f"{name}.jsonl") for name in ("contexts", "prompts")}
    return Config(environment={"task": task, "n_contexts": 20, **files}, updates=3, rollouts=4, epochs=1, mini_batches=2,
                  learning_rate=5e-3, compared=2, max_new_tokens=40, **changes)  # fmt: skip


def train(config, start, reward, folder, gold=None):
    (folder / "work").mkdir(parents=True, exist_ok=True)
    return run(config, start=start, reward=reward, gold=gold, work=folder / "work",
               **{name: folder / name for name in ("policy", "curves", "samples", "ppo_report")})  # fmt: skip


def read(file, without="seconds"):
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if without not in k} for row in rows]


@pytest.fixture(scope="module")
def whole(data, writes_diaries, reward, gold, tmp_path_factory):
    """(the folder of an uninterrupted run, its result)"""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(settings(data, merge=True), writes_diaries, reward, folder, gold)


def test_the_policy_kept_is_the_one_the_curves_say(whole, writes_diaries):
    folder, result = whole
    rows = read(folder / "curves")
    assert [row["step"] for row in rows] == [0, 1, 2] and sum("kept" in row for row in rows) == 1
    assert rows[0]["objective/kl"] == pytest.approx(0, abs=1e-5)
    chosen = next(row for row in rows if row.get("kept"))
    gold = [row["objective/gold"] for row in rows]
    smoothed = [(gold[0] + gold[1]) / 2, sum(gold) / 3, (gold[1] + gold[2]) / 2]
    assert chosen["step"] == smoothed.index(max(smoothed)) == result.metrics["kept_update"]
    assert result.metrics["gold_kept"] == chosen["objective/gold"] and result.curves == json.loads(
        f"[{','.join((folder / 'curves').read_text().splitlines())}]"
    )
    adapter = lambda policy: policies.load(policy).lm.model.state_dict()  # noqa: E731
    now, before = adapter(folder / "policy"), adapter(writes_diaries)
    changed = [name for name in now if not torch.equal(now[name], before[name])]
    assert bool(changed) == (chosen["step"] > 0) and all("lora_" in name for name in changed)
    assert policies.load(folder / "policy").queries == policies.load(writes_diaries).queries
    ids = torch.tensor([policies.load(folder / "policy").lm.chat_ids(QUERIES[0])])
    merged, adapted = LanguageModel.load(folder / "policy/merged"), policies.load(folder / "policy").lm
    torch.testing.assert_close(merged.model(ids).logits, adapted.model(ids).logits, atol=1e-4, rtol=1e-4)


def test_before_and_after_answer_the_same_queries(whole):
    folder, result = whole
    rows = read(folder / "samples")
    before, after = ([row for row in rows if row["when"] == when] for when in ("before", "after"))
    assert len(before) == len(after) == 2
    assert [row["query"] for row in before] == [row["query"] for row in after]
    assert {row["step"] for row in before} == {0} and {row["step"] for row in after} == {result.metrics["kept_update"]}
    coefficient = read(folder / "curves")[int(result.metrics["kept_update"])]["objective/kl_coef"]
    for row in (*before, *after):
        assert row["reward"] == pytest.approx(row["score"] - coefficient * row["kl"]) and -1 <= row["gold"] <= 1
    assert all(row["kl"] == 0 for row in before)
    trained = [row for row in rows if row["when"] == "training"]
    assert [row["step"] for row in trained] == [0] * 4 + [1] * 4 + [2] * 4 and all(row["response"] for row in trained)


def test_page_and_card_tell_what_happened(whole):
    folder, result = whole
    page, card = Page((folder / "ppo_report").read_text(encoding="utf-8")), (folder / "policy/README.md").read_text(encoding="utf-8")
    page.check_self_contained()
    sentence = page.html.split("<h1>")[1].split("</h1>")[0]
    assert "kept" in sentence and sentence in card
    assert policies.load(folder / "policy").base.digest in card and "licence" in card and "models/writer" in card
    assert f"{result.metrics['proxy_kept']:.3f}" == page.row("proxy")[1] and page.row("proxy")[1] in card


class Killed(Exception):
    pass


def test_killed_it_ends_bit_for_bit_as_if_it_had_not_been(data, writes_diaries, reward, gold, whole, tmp_path, monkeypatch):
    step, taken = PPO.step, []

    def killing(self, update):
        taken.append(update)
        if taken == [0, 1, 2]:
            raise Killed
        return step(self, update)

    monkeypatch.setattr(PPO, "step", killing)
    with pytest.raises(Killed):
        train(settings(data), writes_diaries, reward, tmp_path, gold)
    assert not (tmp_path / "curves").exists()
    files = sorted(p.name for p in (tmp_path / "work").glob("*.safetensors"))
    assert files == ["adapter-0.safetensors", "adapter-1.safetensors", "adapter-2.safetensors", "trainer-2.safetensors"]
    train(settings(data), writes_diaries, reward, tmp_path, gold)
    assert taken == [0, 1, 2, 2]
    seconds = ("seconds", "tokens_per")
    for name in ("curves", "samples"):
        a, b = ([{k: v for k, v in row.items() if not k.startswith(seconds)} for row in read(f / name)] for f in (whole[0], tmp_path))
        assert a == b
    a, b = ((f / "policy/adapter/adapter_model.safetensors").read_bytes() for f in (whole[0], tmp_path))
    assert a == b


DIARY = "동생이랑 강릉 바다에 갔다. 연을 날리다가 줄이 끊어져 한참 웃었다. 바람은 찼지만 오래 걸었다!"


def test_killed_between_paying_and_learning_it_pays_for_no_diary_twice(data, writes_prompts, reward, tmp_path, monkeypatch):
    """As costly a moment as there is: an update's diaries are written and paid for, and nothing is saved of it."""
    score = RewardModel.score
    config = settings(data, "prompt/diary").model_copy(update={"llm": PAID.model_copy(update={"concurrency": 8}), "learning_rate": 1e-4,
                                                               "max_new_tokens": 96, "rollouts": 12})  # fmt: skip
    with serving(lambda prompt: DIARY) as endpoint, open_ledger(f"sqlite:///{tmp_path / 'l.sqlite'}", "train_ppo") as book:
        paid = []

        def killing(self, texts):
            paid.append(endpoint.usd)
            if len(paid) == 2:
                raise KeyboardInterrupt
            return score(self, texts)

        monkeypatch.setattr(RewardModel, "score", killing)
        with pytest.raises(KeyboardInterrupt):
            train(config, writes_prompts, reward, tmp_path / "ppo")
        assert paid[1] > paid[0] > 0 and book.total().settled_usd == pytest.approx(endpoint.usd, abs=1e-9)
        train(config, writes_prompts, reward, tmp_path / "ppo")
        assert set(endpoint.billed.values()) == {1} and paid[2] == paid[1] < endpoint.usd
        # what the update that was cut short had paid is in no row, nor what the comparison costs; the stage's total has both
        costs = [row["cost_usd"] for row in read(tmp_path / "ppo/curves")]
        assert costs == pytest.approx([paid[0], 0.0, paid[3] - paid[2]], abs=1e-9)
        assert book.total("train_ppo").spent_usd == pytest.approx(endpoint.usd, abs=1e-9)


def test_it_says_what_a_task_lacks(data, writes_diaries, tmp_path):
    with pytest.raises(InputError, match=r"response/diary.*no reward model"):
        train(settings(data), writes_diaries, None, tmp_path)
    with pytest.raises(InputError, match="taught no queries"):
        train(settings(data, "prompt/qna"), writes_diaries, None, tmp_path)


def test_a_gold_model_too_weak_is_not_heeded(gold, tmp_path):
    assert stage._watch(gold) == (gold, None) and stage._watch(None) == (None, "there is no gold model")
    card = json.loads((gold / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps(card | {"spearman": [0.05, -0.1, 0.2], "usable": False}), encoding="utf-8")
    assert stage._watch(tmp_path) == (None, "the gold model is too weak to tell (Spearman's ρ 0.05, -0.10 to 0.20)")


class Drifting(Task):
    """Its proxy and gold are what a list says of each update, whatever is written."""

    def __init__(self, proxy, gold):
        super().__init__()
        self.known = {"proxy": proxy, "gold": gold}

    def reset(self, update, n):
        self.update = update
        return super().reset(update, n)

    def score(self, queries, responses):
        told = {name: np.full(len(responses), values[self.update]) for name, values in self.known.items()}
        return Scored(super().score(queries, responses).scores, told)


def loop(work, task=None, **changes):
    """The stage's loop on a model of milliseconds; (rows, samples)."""
    (work / "work").mkdir(exist_ok=True)
    ppo = trainer(task=task, rollouts=4, max_new_tokens=4, epochs=1, **changes)
    return stage.train(ppo, Checkpoints(work / "work", ppo.actor.model), ppo.config, work / "work")


def test_training_stops_when_proxy_rises_and_gold_falls(tmp_path):
    proxy = [0.1 * u for u in range(12)]
    gold = [0.0, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.0, *[9.0] * 4]
    rows, _ = loop(tmp_path, Drifting(proxy, gold), updates=12, kl_limit=1e9)
    assert len(rows) == 8, "six falls in a row, 1 / 720, are fewer than 0.05 / 12"
    assert kept(rows, 1e9, final=True, by=GOLD) == 2  # of 0.3, 0.25 and 0.2 the mean is 0.25; at 1 it is 0.18


def test_kl_beyond_the_limit_stops(tmp_path):
    rows, _ = loop(tmp_path, updates=9, kl_target=1e-3, kl_limit=1e-3, learning_rate=5e-2)
    kl = [row["objective/kl"] for row in rows]
    assert len(kl) < 9 and kl[-1] > 1e-3 >= max(kl[:-1])


def test_disk_does_not_grow_with_updates(tmp_path):
    gold = [0.0, 0.2, 0.9, 0.3, 0.6, 0.2, 0.5, 0.1, 0.4]  # smoothed, best at 3: 0.6
    rows, shown = loop(tmp_path, Drifting([0.0] * 9, gold), updates=9, kl_target=1e9, kl_limit=1e9)
    assert len(rows) == 9 and {row["step"] for row in shown} == set(range(9)) and kept(rows, 1e9, final=True, by=GOLD) == 3
    files = sorted(file.name for file in (tmp_path / "work").glob("*.safetensors"))
    assert files == [*(f"adapter-{u}.safetensors" for u in (0, 3, 8, 9)), "trainer-9.safetensors"]


def test_training_that_diverges_is_not_gone_on_with(tmp_path):
    with pytest.raises(InputError, match=r"ppo\.learning_rate.*diverged in update 1: objective/proxy is not finite.*Lower it"):
        loop(tmp_path, Drifting([0.0, np.inf], [0.0, 0.0]), updates=2)
    assert len(json.loads((tmp_path / "work/state.json").read_text())["rows"]) == 1


def test_the_curves_are_in_the_store_while_it_runs(tmp_path, mlflow_store, monkeypatch):
    from mlflow.tracking import MlflowClient

    from memozy import tracking

    monkeypatch.setattr("memozy.live.Live.EVERY", 0.01)
    monkeypatch.setenv("MLFLOW_RUN_ID", tracking.start_run("live", {}, {}))
    client, seen = MlflowClient(), []

    def shown():
        """The curve as the store has it now."""
        return [history for file in tmp_path.glob("live-*[!p]") for history in
                [sorted((m.step, m.value) for m in client.get_metric_history(file.read_text(), "objective/score"))]]  # fmt: skip

    class Looking(Task):
        def reset(self, update, n):
            deadline = time.monotonic() + 60
            while [len(history) for history in shown()] != [update] and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.append([len(history) for history in shown()])
            return super().reset(update, n)

    rows, _ = loop(tmp_path, Looking(), updates=3)
    assert seen == [[0], [1], [2]], "each update can be seen before the next one begins"
    assert shown() == [[(row["step"], row["objective/score"]) for row in rows]]
