"""Shrunk values of prompts by segment, and which segments depart."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import multivariate_normal, norm

from benchmarks.off_policy import ALIKE, World, simulate, wrong_departures
from components.personalize_prompts.allocation import allocate, chances, departures
from components.personalize_prompts.segments import GRID, cell_means, estimate, make_log, posterior
from memozy.records import InputError

TAU2 = (0.2 * norm.ppf((1 + GRID) / 2)) ** 2  # of a half-normal with scale 0.2


def log_of(*rows, arms=("A", "B"), file=None):
    """rows: segment, prompt, propensity, value."""
    columns = dict(zip(("segment", "prompt_id", "propensity", "value"), zip(*rows, strict=True), strict=True))
    table = pl.DataFrame(columns, schema_overrides={"segment": pl.String, "value": pl.Float64})
    return make_log(
        table.with_row_index("shown_id").cast({"shown_id": pl.String}), arms, min_propensity=0.1, seed=0, file=file
    )


def test_a_log_is_numbered_and_its_least_propensities_raised():
    log = log_of(("y", "B", 0.5, 1), (None, "A", 0.01, 0), ("o", "gone", 0.5, -1))
    assert log.segments == ("o", "y", None) and log.segment.tolist() == [1, 2, 0]
    assert log.arm.tolist() == [1, 0, 2]  # 2: a prompt that is not compared
    assert log.propensity.tolist() == [0.5, 0.1, 0.5] and log.raised.tolist() == [False, True, False]
    assert log.cells().tolist() == [[0, 0], [0, 1], [1, 0]]


def test_folds_go_by_the_showing_alone():
    rows = [("y", "A", 0.5, 1.0)] * 1000
    first, second = log_of(*rows), log_of(*rows[:500])
    assert (first.fold[:500] == second.fold).all()
    assert np.bincount(first.fold).min() > 150 and len(set(first.fold)) == 5


def test_a_segment_is_no_user():
    with pytest.raises(InputError, match="log.jsonl, field 'segment': names 201 segments.*kind of user"):
        log_of(*((f"u{i}", "A", 0.5, 1.0) for i in range(201)), file="log.jsonl")


def test_cell_means_by_hand():
    log = log_of(("y", "A", 0.5, 1), ("y", "A", 0.25, 0), ("y", "B", 0.5, 0.5), ("y", "B", 0.5, 0.5))
    mean, variance, n = cell_means(log, np.ones(4, bool))
    # A: weights 2 and 4, mean 2/6; squares (2 · 4/9 + 4 · 1/9) / 6 · 2 = 4/9; B: 0.5, no squares
    # common: (4/9 + 1) / 2 = 13/18; A: (4/9 + 5 · 13/18) / 6 = 73/108, times (4 + 16) / 36; B: 65/108, times 8 / 16
    assert mean.tolist() == [[pytest.approx(1 / 3), 0.5]] and n.tolist() == [[2, 2]]
    assert variance.tolist() == [[pytest.approx(73 / 108 * 20 / 36), pytest.approx(65 / 108 / 2)]]


def test_shrinkage_by_hand():
    variance = np.full((2, 2), 0.04)
    taste = np.array([[0.3, -0.3], [-0.3, 0.3]])  # nothing but tastes: prior variance tau²
    found = posterior(taste, variance, adopted=0, spread=0.2)
    assert np.allclose(found.value, taste * (TAU2 / (TAU2 + 0.04))[:, None, None])
    shared = np.array([[0.3, -0.3], [0.3, -0.3]])  # nothing but prompts: prior variance 2 + tau², as two segments agree
    found = posterior(shared, variance, adopted=0, spread=0.2)
    keep = (2 + TAU2) / (2 + TAU2 + 0.04)
    assert np.allclose(found.value, shared * keep[:, None, None])
    assert np.allclose(found.gain[:, 0, 1], -0.6 * keep)


def test_the_posterior_is_that_of_a_regression_on_every_effect():
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(0, 0.3, (4, 3)), rng.uniform(0.001, 0.1, (4, 3))
    variance[1, 2] = np.inf  # never shown
    mean[1, 2] = np.nan
    found = posterior(mean, variance, adopted=1, spread=0.2)
    known = np.isfinite(variance.ravel())
    s, a = (i.ravel() for i in np.indices((4, 3)))
    design = np.hstack([np.eye(4)[s], np.eye(3)[a], np.eye(12)])
    x, y, v = design[known], mean.ravel()[known], variance.ravel()[known]
    evidence = []
    for t, tau2 in enumerate(TAU2):
        prior = np.r_[np.ones(7), np.full(12, tau2)]
        covariance = np.linalg.inv(x.T @ (x / v[:, None]) + np.diag(1 / prior))
        effects = covariance @ x.T @ (y / v)
        over = design - design[(s * 3 + 1)]
        assert np.allclose(found.value[t].ravel(), design @ effects, atol=1e-6)
        assert np.allclose(found.gain[t].ravel(), over @ effects, atol=1e-6)
        assert np.allclose(found.value_sd[t].ravel() ** 2, np.diag(design @ covariance @ design.T), atol=1e-6)
        assert np.allclose(found.gain_sd[t].ravel() ** 2, np.diag(over @ covariance @ over.T), atol=1e-6)
        evidence.append(multivariate_normal.logpdf(y, cov=x @ np.diag(prior) @ x.T + np.diag(v)))
    weight = np.exp(np.array(evidence) - max(evidence))
    assert np.allclose(found.weight, weight / weight.sum())


def test_a_small_segment_follows_everyone_and_a_large_different_one_departs():
    rng = np.random.default_rng(2)
    world = World("", ((0.0, 0.3, 0.2, 0.0),) * 2 + ((0.0, 0.05, 0.05, 0.4),), n=4000, shares=(0.68, 0.02, 0.3))
    log = simulate(world, rng)
    values = estimate(log, 1, spread=0.2, confidence=0.95)
    assert departures(values, 3, 0.95) == {2: 3}
    assert departures(values, 2, 0.95) == {}  # the third is nobody's segment
    assert values.mean[1].argmax() == 2 and values.value[1].argmax() == 1  # by its own means the small one would depart
    own = values.mean - values.mean[:, [1]]
    assert (values.doubt[:, 1] == 1).all() and (values.gain[:, 1] == 0).all()
    assert np.abs(values.gain[1] - values.gain[0]).sum() < 0.8 * np.abs(own[1] - values.gain[0]).sum()
    assert np.allclose(values.gain[0], own[0], atol=0.02)  # the largest keeps what it says itself
    assert (values.low < values.value).all() and (values.value < values.high).all()
    assert (values.high - values.low)[1].min() > (values.high - values.low)[0].max()


def test_departures_are_held_to_the_confidence_over_all_comparisons():
    values = estimate(simulate(ALIKE, np.random.default_rng(0)), 1, spread=0.2, confidence=0.95)
    doubt = np.ones((3, 4))
    doubt[0, 2], doubt[1, 3] = 0.05 / 9 * 0.99, 0.05 / 9 * 1.01
    changed = type(values)(**vars(values) | {"doubt": doubt})
    assert departures(changed, 3, 0.95) == {0: 2}  # 3 segments, 3 rivals: 9 comparisons


def test_segments_that_do_not_differ_rarely_depart():
    share, p = wrong_departures(ALIKE, 200)
    assert p > 0.01, share


def test_every_prompt_keeps_a_chance():
    assert chances(3, 1, 0.1).tolist() == pytest.approx([0.05, 0.9, 0.05])
    assert chances(1, 0, 0.1).tolist() == [1.0]
    made = allocate({"A": "a", "B": "b"}, 0, ["young", "old"], {1: 1}, 0.1, seed=0)
    assert made.everyone == made.segments["young"] == {"A": 0.9, "B": 0.1}
    assert made.segments["old"] == {"A": 0.1, "B": 0.9}
    assert made.salt != allocate({"A": "a", "B": "b"}, 0, ["young", "old"], {}, 0.1, seed=0).salt
