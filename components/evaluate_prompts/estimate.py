"""What each arm is worth: human ratings, made sharper by a cheap and biased score of every diary.

Prediction-powered inference (arXiv 2301.09633; tuned as in PPI++, arXiv 2311.01453). With F the score
of every pulled diary and Y the human rating of some, arm k on its N_k pulled and n_k rated contexts:

    theta_k = mean over rated (Y - lambda F)  +  lambda * mean over pulled F

It is unbiased for the raters' mean whatever the score's own bias, as long as which diaries are rated
does not depend on their score. Rated diaries are among the pulled ones, so the best lambda is the slope
of Y on F within an arm. It is pooled over arms, shrunk by the positive part of 1 - (se / slope)^2, and
held in [0, 1]: a useless score gets lambda near 0, and the estimate is the plain mean.

Every arm sees the same contexts, so contexts are the blocks. The estimate's error is a sum over contexts i of

    psi_ki = lambda (F_ki - mean F_k) / N_k  +  [k rated on i] (e_ki - mean e_k) / n_k,      e = Y - lambda F

and the covariance of two arms is the sum of psi_ki psi_ji (each part with its n / (n - 1)): with all
contexts rated this is the paired t-test; with some, it is pairing where there are pairs.
"""

from dataclasses import dataclass

import numpy as np

STEP = 0.5  # between two levels of the rating scale
FLOOR = STEP**2 / 12  # rounding alone leaves this variance in a rating
PRIOR = 5.0  # so many ratings' worth of the arms' common variance goes into each arm's own


@dataclass(frozen=True)
class Estimates:
    """Corrected estimates of K arms.

    mean: estimated mean rating, [K]; covariance: of these estimates, [K, K]; n_rated: ratings, [K];
    n_pulls: scored diaries, [K]; score_mean: mean score, uncorrected, [K]; weight: lambda in [0, 1];
    rho: correlation of score and rating within arms (pooled), None where either does not vary.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n_rated: np.ndarray
    n_pulls: np.ndarray
    score_mean: np.ndarray
    weight: float
    rho: float | None

    @property
    def se(self) -> np.ndarray:
        """Standard error of every arm's mean, [K]; more than 0 always."""
        return np.sqrt(np.diag(self.covariance))

    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """mean_b - mean_j and its standard error, both [K, K] with row b and column j; the diagonal's se is NaN."""
        variance = np.diag(self.covariance)
        se2 = variance[:, None] + variance[None, :] - 2 * self.covariance
        se2 = np.maximum(se2, FLOOR / self.n_rated[:, None] + FLOOR / self.n_rated[None, :])
        np.fill_diagonal(se2, np.nan)
        return self.mean[:, None] - self.mean[None, :], np.sqrt(se2)


def corrected(scores: np.ndarray, ratings: np.ndarray) -> Estimates:
    """The arms' corrected means and their covariance.

    scores, ratings: [K, N] in [-1, 1] by arm and context, NaN where not pulled or not rated.
    Raises ValueError for other shapes or values, a rating without a score, or an arm with fewer than 2 ratings.

    A few equal ratings are no proof of a small variance: an arm's residual variance counts as at least its mix
    with the arms' common one, at PRIOR ratings' weight (a moderated t, Smyth 2004), the latter at least FLOOR.
    """
    scores, ratings = np.asarray(scores, dtype=float), np.asarray(ratings, dtype=float)
    pulled, rated = ~np.isnan(scores), ~np.isnan(ratings)
    if scores.ndim != 2 or scores.shape != ratings.shape:
        raise ValueError(f"scores and ratings must be [arms, contexts]; got {scores.shape} and {ratings.shape}")
    if np.nanmax(np.abs([scores, ratings]), initial=0) > 1:
        raise ValueError("scores and ratings must be in [-1, 1]")
    if (rated & ~pulled).any():
        raise ValueError("every rated diary needs a score")
    n, n_pulls = rated.sum(axis=1), pulled.sum(axis=1)
    if n.min() < 2:
        raise ValueError(f"every arm needs at least 2 ratings; got {n.tolist()}")

    weight, rho = _weight(scores, ratings, rated, n)
    score_mean = np.where(pulled, scores, 0).sum(axis=1) / n_pulls
    residual = np.where(rated, ratings - weight * scores, 0)
    residual_mean = residual.sum(axis=1) / n
    residual = np.where(rated, residual - residual_mean[:, None], 0)
    spread = np.where(pulled, scores - score_mean[:, None], 0)

    error = weight * spread / np.sqrt(n_pulls * (n_pulls - 1))[:, None] + residual / np.sqrt(n * (n - 1))[:, None]
    squares = (residual**2).sum(axis=1)
    common = max(squares.sum() / (n - 1).sum(), FLOOR)
    moderated = (squares + PRIOR * common) / (n - 1 + PRIOR)
    missing = np.maximum(moderated - squares / (n - 1), 0) / n
    return Estimates(
        mean=residual_mean + weight * score_mean,
        covariance=error @ error.T + np.diag(missing),
        n_rated=n,
        n_pulls=n_pulls,
        score_mean=score_mean,
        weight=weight,
        rho=rho,
    )


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
