"""What each arm is worth: human ratings, made sharper by a cheap and biased score of every diary.

Prediction-powered inference (arXiv 2301.09633; tuned as in PPI++, arXiv 2311.01453). With F the score
of every pulled diary and Y the human rating of some, arm k on its N_k pulled and n_k rated contexts:

    theta_k = mean over rated (Y - lambda F)  +  lambda * mean over pulled F

It is unbiased for the raters' mean whatever the score's own bias, as long as which diaries are rated
does not depend on their score. Rated diaries are among the pulled ones, so the best lambda is the slope
of Y on F within an arm. It is pooled over arms, shrunk by the positive part of 1 - (se / slope)^2, and
held in [0, 1]: a useless score gets lambda near 0, and the estimate is the plain mean.

Y is a rating less its rater's predicted bias (`memozy.raters`), averaged where several people rated one diary: so the
raters' mean is that of all who rated, each counted once. Others may see it otherwise; no interval covers that.

Every arm sees the same contexts, so contexts are the blocks. The estimate's error is a sum over contexts i of

    psi_ki = lambda (F_ki - mean F_k) / N_k  +  [k rated on i] (e_ki - mean e_k) / n_k,      e = Y - lambda F

and the covariance of two arms is the sum of psi_ki psi_ji (each part with its n / (n - 1)): with all
contexts rated this is the paired t-test; with some, it is pairing where there are pairs. What the biases
are not known by adds w V w': V the covariance of their prediction errors, w_kr the share of rater r in arm k.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from memozy.raters import RaterEffects, fit

STEP = 0.5  # between two levels of the rating scale
FLOOR = STEP**2 / 12  # rounding alone leaves this variance in a rating
PRIOR = 5.0  # so many ratings' worth of the arms' common variance goes into each arm's own


@dataclass(frozen=True)
class Ratings:
    """n human ratings: arm, context and rater as indices from 0, value: the level in [-1, 1]; all [n].

    One diary may be rated by several people. Raises ValueError for other shapes or values.
    """

    arm: np.ndarray
    context: np.ndarray
    rater: np.ndarray
    value: np.ndarray

    def __post_init__(self) -> None:
        shapes = {np.shape(x) for x in (self.arm, self.context, self.rater, self.value)}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"arm, context, rater and value must be [n], one of each for every rating; got {shapes}")
        if len(self.value) and not np.abs(self.value).max() <= 1:
            raise ValueError("ratings must be in [-1, 1]")


@dataclass(frozen=True)
class Estimates:
    """Estimates of what K arms are worth.

    mean: estimated mean rating, [K]; covariance: of these estimates, [K, K]; n_rated: rated diaries, [K] (of
    weighted feedback: so many equally weighted ones tell as much); n_ratings: ratings, [K], more where diaries
    were rated twice; n_pulls: scored diaries, [K]; score_mean: mean score, uncorrected, [K]; weight: lambda in
    [0, 1]; rho: correlation of score and rating within arms (pooled), None where either does not vary; raters:
    the biases that were taken out, None where no rater took part.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n_rated: np.ndarray
    n_ratings: np.ndarray
    n_pulls: np.ndarray
    score_mean: np.ndarray
    weight: float
    rho: float | None
    raters: RaterEffects | None = None

    @property
    def se(self) -> np.ndarray:
        """Standard error of every arm's mean, [K]; more than 0 always."""
        return np.sqrt(np.diag(self.covariance))

    def interval(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Low and high of each arm by itself, [K] each, at one look planned as the only one; cut to [-1, 1]."""
        half = stdtrit(np.maximum(self.n_rated - 1, 1), (1 + confidence) / 2) * self.se
        return np.maximum(self.mean - half, -1), np.minimum(self.mean + half, 1)

    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """mean_b - mean_j and its standard error, both [K, K] with row b and column j; the diagonal's se is NaN."""
        variance = np.diag(self.covariance)
        se2 = variance[:, None] + variance[None, :] - 2 * self.covariance
        se2 = np.maximum(se2, FLOOR / self.n_rated[:, None] + FLOOR / self.n_rated[None, :])
        np.fill_diagonal(se2, np.nan)
        return self.mean[:, None] - self.mean[None, :], np.sqrt(se2)


def corrected(scores: np.ndarray, ratings: Ratings) -> Estimates:
    """The arms' corrected means and their covariance.

    scores: [K, N] in [-1, 1] by arm and context, NaN where not pulled.
    Raises ValueError for other shapes or values, a rating without a score, or an arm with fewer than 2 rated diaries.

    What was fitted to the same ratings, lambda and biases, is given back to the residuals in degrees of freedom.
    A few equal ratings are no proof of a small variance: an arm's residual variance counts as at least its mix
    with the arms' common one, at PRIOR ratings' weight (a moderated t, Smyth 2004), the latter at least FLOOR.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or not np.nanmax(np.abs(scores), initial=0) <= 1:
        raise ValueError(f"scores must be [arms, contexts] and in [-1, 1]; got shape {scores.shape}")
    cell = np.ravel_multi_index((ratings.arm, ratings.context), scores.shape)  # ValueError outside of the table
    pulled = ~np.isnan(scores)
    if not pulled.flat[cell].all():
        raise ValueError("every rated diary needs a score")
    times = np.bincount(cell, minlength=scores.size)
    rated = (times > 0).reshape(scores.shape)
    n, n_pulls = rated.sum(axis=1), pulled.sum(axis=1)
    if n.min() < 2:
        raise ValueError(f"every arm needs at least 2 rated diaries; got {n.tolist()}")

    effects = fit(ratings.value, cell, ratings.rater, ratings.arm)
    at = np.unique(np.asarray(ratings.rater).astype(str), return_inverse=True)[1]  # in the order of effects.raters
    y = np.bincount(cell, (ratings.value - effects.bias[at]) / times[cell], minlength=scores.size)
    y = y.reshape(scores.shape)
    share = np.zeros((len(scores), len(effects.raters)))
    np.add.at(share, (ratings.arm, at), 1 / times[cell] / n[ratings.arm])

    weight, rho = _weight(scores, y, rated, n)
    score_mean = np.where(pulled, scores, 0).sum(axis=1) / n_pulls
    residual = np.where(rated, y - weight * scores, 0)
    residual_mean = residual.sum(axis=1) / n
    residual = np.where(rated, residual - residual_mean[:, None], 0)
    spread = np.where(pulled, scores - score_mean[:, None], 0)

    freedom = (n - 1).sum()
    residual *= np.sqrt(freedom / max(freedom - _fitted(effects) - (weight > 0), 1))
    error = weight * spread / np.sqrt(n_pulls * (n_pulls - 1))[:, None] + residual / np.sqrt(n * (n - 1))[:, None]
    squares = (residual**2).sum(axis=1)
    common = max(squares.sum() / freedom, FLOOR)
    moderated = (squares + PRIOR * common) / (n - 1 + PRIOR)
    missing = np.maximum(moderated - squares / (n - 1), 0) / n
    return Estimates(
        mean=residual_mean + weight * score_mean,
        covariance=error @ error.T + np.diag(missing) + share @ effects.covariance @ share.T,
        n_rated=n,
        n_ratings=np.bincount(ratings.arm, minlength=len(scores)),
        n_pulls=n_pulls,
        score_mean=score_mean,
        weight=weight,
        rho=rho,
        raters=effects,
    )


def humans_alone(scores: np.ndarray, ratings: Ratings) -> Estimates:
    """As `corrected`, of the ratings only: scores tell which diaries there are, and count for nothing."""
    return corrected(np.where(np.isnan(scores), np.nan, 0.0), ratings)


def judge_alone(scores: np.ndarray) -> Estimates:
    """Each arm's mean score, right only if the judge has no bias. scores: [K, N], NaN where not pulled.

    Raises ValueError for an arm with fewer than 2 scores.
    """
    pulled = ~np.isnan(scores)
    n = pulled.sum(axis=1)
    if n.min() < 2:
        raise ValueError(f"every arm needs at least 2 scores; got {n.tolist()}")
    mean = np.where(pulled, scores, 0).sum(axis=1) / n
    error = np.where(pulled, scores - mean[:, None], 0) / np.sqrt(n * (n - 1))[:, None]
    return Estimates(mean, error @ error.T, n, np.zeros_like(n), n, mean, 1.0, None)


def weighted(arm: np.ndarray, value: np.ndarray, propensity: np.ndarray, n_arms: int) -> Estimates:
    """Each arm's mean reaction in an app that showed it with a logged chance: self-normalised inverse propensity.

    With w = 1 / propensity where arm k was shown (Hajek 1971; SNIPS, Swaminathan and Joachims 2015), its variance
    from influence functions:  theta_k = sum w Y / sum w,  var = n / (n - 1) sum w^2 (Y - theta_k)^2 / (sum w)^2.
    As one showing shows one arm, arms have no covariance. n_rated is Kish's (sum w)^2 / sum w^2, n_pulls the showings.

    arm, value in [-1, 1], propensity in (0, 1]: [n]. Raises ValueError for other shapes or values, or fewer than 2
    showings of an arm. Each variance is moderated as in `corrected`.
    """
    arm, value, propensity = np.asarray(arm), np.asarray(value, dtype=float), np.asarray(propensity, dtype=float)
    if not (arm.shape == value.shape == propensity.shape == (len(arm),)):
        raise ValueError("arm, value and propensity must be [n], one of each for every showing")
    if not ((propensity > 0) & (propensity <= 1)).all():
        raise ValueError("propensities must be in (0, 1]")
    if not (np.abs(value) <= 1).all():
        raise ValueError("values must be in [-1, 1]")
    count = np.bincount(arm, minlength=n_arms)
    if len(count) > n_arms or count.min() < 2:
        raise ValueError(f"every one of {n_arms} arms needs at least 2 showings; got {count.tolist()}")
    w = 1 / propensity
    total, squared = np.bincount(arm, w, n_arms), np.bincount(arm, w**2, n_arms)
    mean = np.bincount(arm, w * value, n_arms) / total
    effective = total**2 / squared
    own = np.bincount(arm, (w * (value - mean[arm])) ** 2, n_arms) / squared * count / (count - 1)
    common = max((own * (effective - 1)).sum() / max((effective - 1).sum(), 1e-9), FLOOR)
    moderated = (own * np.maximum(effective - 1, 0) + PRIOR * common) / (np.maximum(effective - 1, 0) + PRIOR)
    return Estimates(
        mean=mean,
        covariance=np.diag(np.maximum(own, moderated) / effective),
        n_rated=effective,
        n_ratings=count,
        n_pulls=count,
        score_mean=mean,
        weight=0.0,
        rho=None,
    )


def _fitted(effects: RaterEffects) -> float:
    """Degrees of freedom that the biases took: R - 1 where they are well known, 0 where the prior alone speaks."""
    prior = effects.rater_sd**2
    most = len(effects.raters) - 1
    return float(np.clip(most - np.trace(effects.covariance) / prior, 0, most)) if prior else 0.0


def _weight(scores: np.ndarray, ratings: np.ndarray, rated: np.ndarray, n: np.ndarray) -> tuple[float, float | None]:
    """lambda and rho, from deviations from each arm's own mean over its rated diaries."""
    f, y = np.where(rated, scores, 0), np.where(rated, ratings, 0)
    f, y = f - (f.sum(axis=1) / n)[:, None] * rated, y - (y.sum(axis=1) / n)[:, None] * rated
    ff, fy, yy = float((f * f).sum()), float((f * y).sum()), float((y * y).sum())
    if min(ff, yy) < 1e-12:
        return 0.0, None
    rho = fy / np.sqrt(ff * yy)
    freedom = int((n - 1).sum()) - 1
    if fy <= 0 or freedom < 1:
        return 0.0, float(rho)
    slope, variance = fy / ff, max(yy - fy * fy / ff, 0) / freedom / ff
    return float(np.clip(slope * max(1 - variance / slope**2, 0), 0, 1)), float(rho)
