"""Training of sequence models: that they learn, count weights, and go on after a kill as if there had been none."""

import random
import shutil

import numpy as np
import pytest
import torch

from components.train_reward import lora
from components.train_reward.config import Lora
from components.train_reward.lora import train_pairs, train_regression
from memozy.reward.sequence import SequenceScorer
from tests.fakes import tiny_lm

WORDS = "바다 산 강 길 친구 가족 동생 기쁨 설렘 빛".split()


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Lora:
    base = tmp_path_factory.mktemp("base")
    tiny_lm().save(base)
    return Lora(base=str(base), learning_rate=1e-2, epochs=5)


def said_words(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts of a few words, and the rating of each: 1 with the sea in it, 0 without."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(3, 9))) for _ in range(n)]
    return texts, np.array([float("바다" in t) for t in texts])


def weights_of(scorer: SequenceScorer) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in scorer.model.named_parameters() if p.requires_grad}


def same(a: SequenceScorer, b: SequenceScorer) -> bool:
    a, b = weights_of(a), weights_of(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Killed(BaseException):
    pass


def kill_at(step: int, monkeypatch) -> None:
    advance = lora.Progress.advance

    def killing(self, n: int = 1, **numbers: float) -> None:
        if self.done == step:
            raise Killed
        advance(self, n, **numbers)

    monkeypatch.setattr(lora.Progress, "advance", killing)


def test_it_learns_what_a_word_is_worth_and_says_nothing_but_its_progress(settings, tmp_path, capfd):
    texts, ratings = said_words(400)
    scorer = train_regression(texts[:320], ratings[:320], np.ones(320), settings, seed=0)
    out, err = capfd.readouterr()
    assert all(line.startswith("… train_reward: ") for line in out.splitlines()), out
    assert "100/100 steps" in out.splitlines()[-1] and err == ""
    said, truth = scorer.predict(texts[320:]), ratings[320:]
    assert 1 - ((said - truth) ** 2).mean() / truth.var() > 0.5
    scorer.save(tmp_path)
    assert SequenceScorer.load(tmp_path).predict(texts[320:]).tolist() == said.tolist()


def test_a_weight_of_two_is_a_row_that_stands_there_twice(settings):
    texts, ratings = said_words(6, seed=1)
    whole = settings.model_copy(update={"batch_size": 9, "epochs": 3})  # all rows in every step
    counts = [2, 1, 3, 1, 1, 1]
    weighted = train_regression(texts, ratings, np.array(counts), whole, seed=0)
    rows = [i for i, n in enumerate(counts) for _ in range(n)]
    repeated = train_regression([texts[i] for i in rows], ratings[rows], np.ones(9), whole, seed=0)
    unweighted = train_regression(texts, ratings, np.ones(6), whole, seed=0)
    assert weighted.predict(texts) == pytest.approx(repeated.predict(texts), abs=1e-4)
    assert np.abs(weighted.predict(texts) - unweighted.predict(texts)).max() > 1e-2


def test_equal_ratings_are_no_trouble(settings):
    texts, _ = said_words(8)
    said = train_regression(texts, np.full(8, 0.5), np.ones(8), settings, seed=0).predict(texts)
    assert np.isfinite(said).all() and np.abs(said - 0.5).max() < 0.5


def test_killed_it_ends_with_the_same_weights_bit_for_bit(settings, tmp_path, monkeypatch, capfd):
    texts, ratings = said_words(64)
    straight = train_regression(texts, ratings, np.ones(64), settings, seed=5)
    assert not same(straight, train_regression(texts, ratings, np.ones(64), settings, seed=6))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_at(11, patched)  # of 20 steps, four an epoch; a checkpoint every two
        train_regression(texts, ratings, np.ones(64), settings, seed=5, work=tmp_path)
    (kept,) = tmp_path.glob("*/checkpoint-*")
    assert kept.name == "checkpoint-10", "in the middle of an epoch"
    cut_off = shutil.copytree(kept, kept.with_name("checkpoint-12"))  # killed while it was being written
    (cut_off / "trainer_state.json").unlink()
    (cut_off / "adapter_model.safetensors").write_bytes(b"")
    capfd.readouterr()
    resumed = train_regression(texts, ratings, np.ones(64), settings, seed=5, work=tmp_path)
    assert "… train_reward: 11/20 steps" in capfd.readouterr().out
    assert same(straight, resumed)
    assert straight.predict(texts).tolist() == resumed.predict(texts).tolist()


def test_what_was_finished_is_not_done_again_and_other_data_never_goes_on_from_it(settings, tmp_path, monkeypatch):
    texts, ratings = said_words(32)
    done = train_regression(texts, ratings, np.ones(32), settings, seed=0, work=tmp_path)
    other = train_regression(texts, -ratings, np.ones(32), settings, seed=0, work=tmp_path)
    assert same(other, train_regression(texts, -ratings, np.ones(32), settings, seed=0))
    kill_at(0, monkeypatch)
    assert same(done, train_regression(texts, ratings, np.ones(32), settings, seed=0, work=tmp_path))


def test_pairs_teach_which_word_is_preferred(settings, tmp_path, monkeypatch, capfd):
    texts, liked = said_words(600)
    sea, none = [t for t, x in zip(texts, liked, strict=True) if x], [t for t, x in zip(texts, liked, strict=True) if not x]
    n = min(len(sea), len(none)) - 40
    assert n > 100
    straight = train_pairs(sea[:n], none[:n], settings, seed=0)
    out, err = capfd.readouterr()
    assert all(line.startswith("… train_reward: ") for line in out.splitlines()) and err == ""
    assert (straight.predict(sea[n : n + 40]) > straight.predict(none[n : n + 40])).mean() > 0.9
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_at(30, patched)
        train_pairs(sea[:n], none[:n], settings, seed=0, work=tmp_path)
    assert same(straight, train_pairs(sea[:n], none[:n], settings, seed=0, work=tmp_path))


def test_without_pairs_nothing_is_learned(settings):
    fresh = SequenceScorer.fresh(settings.base, settings.revision, settings.rank, settings.max_length, seed=0)
    assert same(train_pairs([], [], settings, seed=0), fresh)
