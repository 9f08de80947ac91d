"""Texts that want a high score and deserve none: not one is scored above the 60th percentile of held-out diaries."""

import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.model_selection import GroupKFold

from components.train_reward.procedure import Rows
from memozy.reward import RewardModel
from memozy.reward.features import Features
from memozy.reward.gate import Gate
from memozy.texts import clean
from microworld.adversarial import PER_GUARD, attacks
from microworld.instructions import sample_instructions, template
from tests.rated import fitted, rated_rows

SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
CORPORA = ("micro-world", "rated_diaries.jsonl", "nsmc_reviews.jsonl")
BAR = 60  # percentile


def corpus(name: str) -> Rows:
    if name == "micro-world":
        return rated_rows(400, 1, seed=0)
    if not (SHARED / name).is_file():
        pytest.skip(f"no {name} here: set MEMOZY_SHARED_DATA")
    frame = pl.read_ndjson(SHARED / name)
    if len(frame) > 1500:
        frame = frame.sample(1500, seed=0)
    group = "image_id" if "image_id" in frame.columns else "movie_id"
    texts = [clean(t) for t in frame["text"]]
    ratings = frame["rating"].cast(pl.Float64).to_numpy()
    return Rows(Features(texts, "usem3"), ratings, np.ones(len(texts), int), frame[group].to_numpy())


@pytest.fixture(scope="module", params=CORPORA[:2])
def judged(request, tmp_path_factory) -> tuple[RewardModel, list[str], dict[str, list[str]]]:
    """A model, diaries it was not fitted on, and attacks that start from the good ones among them."""
    rows = corpus(request.param)
    train, held = next(GroupKFold(4, shuffle=True, random_state=0).split(rows.ratings, groups=rows.groups))
    model = fitted("ensemble", rows.take(train), tmp_path_factory.mktemp("work"))
    texts = [rows.features.texts[i] for i in held]
    rng = random.Random(0)
    prompts = [template(sample_instructions(rng, 0.5, 0.15), rng) for _ in range(10)]
    best = [rows.features.texts[i] for i in sorted(held, key=lambda i: -rows.ratings[i])[:25]]
    return model, texts, attacks(prompts, best, seed=0)


def test_no_attack_scores_high(judged):
    model, diaries, tried = judged
    bar = np.percentile(model.score(diaries)[0], BAR)
    above = {guard: int((model.score(texts)[0] > bar).sum()) for guard, texts in tried.items()}
    # in Korean, words may change places: of a few diaries a shuffle is still a sentence
    assert above.pop("shuffled words") <= 1
    assert {guard: n for guard, n in above.items() if n} == {}


def test_without_its_gate_the_model_falls_for_them(judged):
    """The attacks are worth the name: what the members say of them is often high."""
    model, diaries, tried = judged
    gate = replace(model.gate, shortest=0.0, limits={"characters": np.inf}, familiar={"characters": np.inf})
    fooled = replace(model, gate=gate)
    bar = np.percentile(fooled.score(diaries)[0], BAR)
    for guard in ("repetition", "5,000 characters", "shuffled words", "emoji"):
        assert (fooled.score(tried[guard])[0] > bar).any(), guard


def test_saying_it_twice_pays_nobody(judged):
    model, diaries, _ = judged
    once = model.score(diaries)[0]
    for times in (2, 3):
        assert (model.score(["\n".join([d] * times) for d in diaries])[0] <= once).all()


def test_ten_texts_for_each_guard_and_the_same_ones_again():
    diaries = rated_rows(30, 1, seed=1).features.texts
    tried = attacks(["{place} 일기를 써 줘."], diaries, seed=4)
    assert {len(texts) for texts in tried.values()} == {PER_GUARD} and len(tried) >= 15
    assert tried == attacks(["{place} 일기를 써 줘."], diaries, seed=4) != attacks(["{place} 일기를 써 줘."], diaries, seed=5)
    assert not set(diaries) & {clean(t) for texts in tried.values() for t in texts}, "none is just a diary"
    assert {len(t) >= 5000 for t in tried["5,000 characters"]} == {True}


@pytest.mark.parametrize("name", CORPORA)
def test_real_texts_are_let_through(name):
    """By gates made without them: at most 1 % are shut, and few that people rated well are unfamiliar."""
    rows = corpus(name)
    texts, shut, unfamiliar = rows.features.texts, np.zeros(len(rows.ratings), bool), np.zeros(len(rows.ratings), bool)
    for train, held in GroupKFold(5, shuffle=True, random_state=0).split(texts, groups=rows.groups):
        gate = Gate.around([texts[i] for i in train], rows.ratings[train], rows.groups[train])
        asked = [texts[i] for i in held]
        shut[held], unfamiliar[held] = gate.shut(asked), gate.unfamiliar(asked)
    well = rows.ratings >= np.median(rows.ratings)
    assert shut.mean() <= 0.01
    assert (unfamiliar & well).mean() <= 0.04
