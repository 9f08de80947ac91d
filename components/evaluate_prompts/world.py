"""A simulated world, look by look: prompts of known worth, a judge who is biased, and raters who lean.

An evaluation draws contexts, diaries of every arm on them, scores by a judge with a bias for each arm, and
five-level ratings by raters with biases of their own (or a verifier's verdicts, or reactions in an app), and then runs
the project's own sampling and estimate. Arms' true values are the exact means of the levels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from components.evaluate_prompts.estimate import STEP, Estimates, Ratings, corrected, weighted
from components.evaluate_prompts.replay import verified
from components.evaluate_prompts.rounds import UNREAD, next_pulls, next_ratings, raters_of
from components.evaluate_prompts.samplers import SAMPLERS

DIARY_SHARE, BIAS_SHARE, NOISE_SHARE = 0.6, 0.04, 0.36  # of a rating's variance, before it is rounded
SCORE_SLOPE = 0.6  # a judge's scores are closer together than ratings
JUDGE_BIAS_SD = 0.1  # between arms, where a setting names no bias
QUESTIONS = 4  # of one template, for a verifier
AT_ONCE = 64  # pulls the sampler chooses together
TILT = 0.5  # how far the app prefers some arms for some users: the log of the odds, in sds of their leniency


@dataclass(frozen=True)
class Setting:
    """One world and one way to decide in it.

    truth: mean panel rating of each arm, incumbent first; rating_sd: of ratings within an arm, before the scale's ends
    cut it; bias: of the judge, per arm, or None for a draw with sd JUDGE_BIAS_SD in every repetition; rho2: squared
    correlation of score and rating within an arm; shared: correlation of two arms' diaries on one context.
    scorer: "judge"; "human", where nothing is scored and all is rated; "verifier" (rating_sd: of its verdicts -1, 0, 1;
    n_raters must be 1); or "feedback" (reactions of the panel as users, whom the app shows arms with logged chances).
    unread: share of the judge's answers that are not readable, the worse the diary the oftener, at most 0.5.
    n_raters: the panel, evenly spread in leniency. raters: "block" (one rater a context, in turn, as the project
    assigns them), "cell" (one a diary, at random), "own" (two of three diaries of an arm by the arm's own rater) or
    "look" (another one each look); double_rated: share of the contexts that a second rater rates too; unanswered: share
    of the ratings asked for that nobody gave.
    rule: "planned", or "peeking" (one-sided tests at level delta after every round). adaptive False: the same number of
    ratings for every arm. sampler: of samplers.SAMPLERS, which chooses `pulls_per_look` diaries to be scored; "": every
    arm on every context. per_look: rated diaries, verified answers or showings, a look, over all arms.
    """

    name: str
    truth: tuple[float, ...]
    rating_sd: float = 0.5
    bias: tuple[float, ...] | None = None
    rho2: float = 0.3
    shared: float = 0.3
    scorer: str = "judge"
    unread: float = 0.0
    n_raters: int = 5
    raters: str = "block"
    double_rated: float = 0.0
    unanswered: float = 0.0
    rule: str = "planned"
    adaptive: bool = True
    sampler: str = ""
    pulls_per_look: int = 192
    n_contexts: int = 400
    per_look: int = 120
    n_looks: int = 4
    epsilon: float = 0.1
    delta: float = 0.05

    @property
    def step(self) -> float:
        """Between two levels of the scale."""
        return 1.0 if self.scorer == "verifier" else STEP

    @property
    def spread(self) -> "Spread":
        return Spread.of(self.rating_sd, self.n_raters, self.step)

    @property
    def center(self) -> np.ndarray:
        """The mean quality of every arm's diaries, [K]."""
        return np.array([quality_mean(t, self.rating_sd, self.n_raters, self.step) for t in self.truth])


@dataclass(frozen=True)
class Spread:
    """Standard deviations that make up `rating_sd`: of diaries' quality, of noise; biases: of the raters, [R]."""

    diary: float
    noise: float
    biases: np.ndarray

    @classmethod
    def of(cls, rating_sd: float, n_raters: int, step: float = STEP) -> "Spread":
        felt = np.sqrt(rating_sd**2 - step**2 / 12)
        lean = np.linspace(-1, 1, n_raters) if n_raters > 1 else np.zeros(1)
        biases = np.sqrt(BIAS_SHARE) * felt * lean / (lean.std() or 1)
        return cls(np.sqrt(DIARY_SHARE) * felt, np.sqrt(NOISE_SHARE) * felt, biases)


def to_level(q: np.ndarray, step: float = STEP) -> np.ndarray:
    return np.clip(np.round(q / step) * step, -1, 1)


@lru_cache(maxsize=10_000)
def quality_mean(panel_mean: float, rating_sd: float, n_raters: int, step: float = STEP) -> float:
    """The mean of a normal quality of diaries at which the panel's levels average `panel_mean`."""
    spread = Spread.of(rating_sd, n_raters, step)

    def mean(m: float) -> float:
        edges = (np.arange(-1 + step / 2, 1, step) - m - spread.biases[:, None]) / np.hypot(spread.diary, spread.noise)
        return float((1 - step * ndtr(edges).sum(axis=1)).mean())

    return brentq(lambda m: mean(m) - panel_mean, -5, 5)


def written(s: Setting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The quality of every arm's diary on every context, and the judge's score of it, UNREAD without one; both [K, N]."""
    k, n, diary_sd = len(s.truth), s.n_contexts, s.spread.diary
    common, own = rng.normal(size=n), rng.normal(size=(k, n))
    quality = s.center[:, None] + diary_sd * (np.sqrt(s.shared) * common + np.sqrt(1 - s.shared) * own)
    if s.scorer != "judge":
        return quality, np.full((k, n), UNREAD)
    blur = SCORE_SLOPE * diary_sd * np.sqrt(max((diary_sd / s.rating_sd) ** 2 / s.rho2 - 1, 0))
    bias = rng.normal(0, JUDGE_BIAS_SD, k) if s.bias is None else np.array(s.bias)
    scores = np.clip(SCORE_SLOPE * quality + bias[:, None] + rng.normal(0, blur, (k, n)), -1, 1)
    if s.unread:
        worse = ndtr((quality.mean() - quality) / quality.std())  # about 0.5 on average
        scores[rng.random((k, n)) < 2 * s.unread * worse] = UNREAD
    return quality, scores


def looks(s: Setting, rng: np.random.Generator) -> Iterator[Estimates]:
    """The estimates after each look of one evaluation."""
    return {"feedback": _feedback, "verifier": _verified}.get(s.scorer, _rated)(s, rng)


def _rated(s: Setting, rng: np.random.Generator) -> Iterator[Estimates]:
    """The estimates after each look at human ratings."""
    k, n, spread = len(s.truth), s.n_contexts, s.spread
    quality, scores = written(s, rng)
    order = rng.permutation(s.n_raters)
    turned = [np.roll(order, by).tolist() for by in range(s.n_raters)]

    def rate(asked: Sequence[tuple[int, int]], look: int) -> np.ndarray:
        """Rows of arm, context, rater and level, [4, ratings]; the panel is turned so that `first` comes first."""
        arm, context = np.array(asked).T
        first = {
            "block": lambda: context,
            "cell": lambda: rng.integers(s.n_raters, size=len(arm)),
            "own": lambda: np.where(rng.random(len(arm)) < 2 / 3, arm, rng.integers(s.n_raters, size=len(arm))),
            "look": lambda: np.full(len(arm), look),
        }[s.raters]()
        arm, context, rater = np.array([
            (j, i, name) for j, i, at in zip(arm.tolist(), context.tolist(), first.tolist(), strict=True)
            for name in raters_of(i, turned[(i - at) % s.n_raters], s.double_rated)
        ]).T  # fmt: skip
        felt = quality[arm, context] + spread.biases[rater] + rng.normal(0, spread.noise, len(arm))
        told = np.array([arm, context, rater, to_level(felt)])
        return told[:, rng.random(len(arm)) >= s.unanswered] if s.unanswered else told

    sampler = SAMPLERS[s.sampler](seed=int(rng.integers(2**32))) if s.sampler else None
    pulled = np.full((k, n), s.scorer == "judge" and sampler is None)
    rated, told, mean = np.zeros((k, n), dtype=bool), [], np.zeros(k)
    for look in range(s.n_looks):
        for _ in range(0, s.pulls_per_look if sampler else 0, AT_ONCE):
            for cell in next_pulls(sampler, np.where(pulled, scores, np.nan), AT_ONCE):
                pulled[cell] = True
        if not s.adaptive:
            start, end = (min(round(s.per_look * x / k), n) for x in (look, look + 1))
            pulled[:, start:end] = True
            asked = [(arm, i) for arm in range(k) for i in range(start, end)]
        elif s.scorer == "human":
            waiting = int((pulled & ~rated).sum())
            for cell in next_ratings(mean, ~pulled, pulled.sum(axis=1), s.per_look - waiting, s.epsilon):
                pulled[cell] = True
            asked = np.argwhere(pulled & ~rated)
        else:
            asked = next_ratings(mean, pulled & ~rated, rated.sum(axis=1), s.per_look, s.epsilon)
        told.append(rate(asked, look))
        arm, context, rater, value = np.concatenate(told, axis=1)
        ratings = Ratings(arm.astype(int), context.astype(int), rater.astype(int), value)
        rated[ratings.arm, ratings.context] = True
        estimates = corrected(np.where(pulled, scores, np.nan), ratings)
        mean = estimates.mean
        yield estimates


def _verified(s: Setting, rng: np.random.Generator) -> Iterator[Estimates]:
    """The estimates after each look at a verifier's verdicts; the questions of one template share its quality."""
    k, n = len(s.truth), s.n_contexts
    template = np.arange(n) // QUESTIONS
    quality = written(s, rng)[0][:, template]
    verdict = to_level(quality + rng.normal(0, s.spread.noise, (k, n)), s.step)
    pulled, mean, rows = np.zeros((k, n), dtype=bool), np.zeros(k), []
    for _ in range(s.n_looks):
        for arm, i in next_ratings(mean, ~pulled, pulled.sum(axis=1), s.per_look, s.epsilon):
            pulled[arm, i] = True
            rows.append({"prompt_id": arm, "context_id": f"t-{template[i]}-{i}", "score": verdict[arm, i]})
        estimates = verified(rows, range(k))
        mean = estimates.mean
        yield estimates


def _feedback(s: Setting, rng: np.random.Generator) -> Iterator[Estimates]:
    """The estimates after each look at an app's log: users of different leniency, the lenient ones shown some arms oftener.

    After each look half of all showings go to the arm that leads.
    """
    k, spread, center = len(s.truth), s.spread, s.center
    lenient = spread.biases / spread.biases.std()
    share, told = np.full(k, 1 / k), []
    for _ in range(s.n_looks):
        chance = share * np.exp(TILT * np.outer(lenient, (-1.0) ** np.arange(k)))
        chance /= chance.sum(axis=1, keepdims=True)  # [users, K]
        user = rng.integers(s.n_raters, size=s.per_look)
        arm = (rng.random(s.per_look)[:, None] > np.cumsum(chance, axis=1)[user, :-1]).sum(axis=1)
        felt = center[arm] + spread.biases[user] + rng.normal(0, np.hypot(spread.diary, spread.noise), s.per_look)
        told.append(np.array([arm, to_level(felt), chance[user, arm]]))
        arm, value, propensity = np.concatenate(told, axis=1)
        estimates = weighted(arm.astype(int), value, propensity, k)
        share = np.full(k, 0.5 / (k - 1))
        share[np.argmax(estimates.mean)] = 0.5
        yield estimates
