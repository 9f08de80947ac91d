"""What a reward model has learned, where it errs, and how good any model could be: for people to read.

Scores are (n,), out of fold and averaged over repeats, so that nothing explained was fitted on the same rows.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from components.train_reward.metrics import Interval, bootstrap, mean_interval, rank_correlation
from memozy.records import RATING_LEVELS, nearest_level

# What each criterion is read off: columns of SURFACE, and -1 where less of it is more of the criterion.
RUBRIC = {
    "richness": {"kinds_of_richness": 1, "senses": 1, "views": 1, "food": 1},
    "naturalness": {"mixed_speech": -1, "polite_share": -1, "slips": -1, "guesses": -1, "foreign": -1},
    "length": {"log_letters": 1, "log_words": 1, "sentences": 1},
    "not a diary": {"about_writing": 1, "to_a_reader": 1, "markup": 1, "headings": 1, "listed_lines": 1},
}

FILLER = " 그런 날이었다. 그렇게 시간이 갔다. 그리고 하루가 지나갔다."  # diary-like sentences that say nothing

_SENTENCE = re.compile(r"[^.!?~…\n]+[.!?~…]*")

PADDINGS: dict[str, Callable[[str], str]] = {
    "filler appended": lambda text: text + FILLER,
    "last sentence repeated": lambda text: f"{text} {(_SENTENCE.findall(text) or [text])[-1].strip()}",
    "text doubled": lambda text: f"{text} {text}",
}


def human_ceiling(ratings, rating_variance, n_raters, n=2000, seed=0) -> dict | None:
    """The least error that any model can be expected to make on these ratings; None where no two raters are compared.

    ratings: (N,) means over a diary's raters; rating_variance: (N,) between them (ddof 1), NaN or None where unknown;
    n_raters: (N,). Raters differ from what raters at large would say by sigma², pooled over doubly rated diaries by
    degrees of freedom, which are taken to be like the others. A mean of k ratings is then off by sigma² / k in square:
    the mean of that, `least_mse`, is what even a model that knows the truth would show. Of the ratings' variance it
    leaves 1 - least_mse / variance to explain, `most_r2` (classical reliability; Lord and Novick 1968, §3.4).

    -> {"double_rated": diaries, "variance_of_one", "least_mse", "most_r2": intervals by a bootstrap over diaries, too
    narrow where few are doubly rated}
    """
    ratings, raters, variance = (np.array(v, float) for v in (ratings, n_raters, rating_variance))
    twice = (raters >= 2) & np.isfinite(variance)
    if not twice.any():
        return None
    freedom = np.where(twice, raters - 1, 0.0)
    between = freedom * np.where(twice, variance, 0.0)

    def ceiling(w):
        total, one = w.sum(axis=1), w @ between / np.where(w @ freedom > 0, w @ freedom, np.nan)
        noise = one * (w @ (1 / raters)) / total
        spread = w @ ratings**2 / total - (w @ ratings / total) ** 2
        most = 1 - np.divide(noise, spread, out=np.ones_like(noise), where=spread > 0)
        return np.stack([one, noise, np.clip(most, 0, 1)], axis=1)

    found = bootstrap(ceiling, np.arange(len(ratings)), n, seed)
    names = ("variance_of_one", "least_mse", "most_r2")
    return {"double_rated": int(twice.sum()), **dict(zip(names, found, strict=True))}


def residuals_by_level(score, ratings) -> list[dict]:
    """Per rating level, lowest first: n, mean score, mean residual (rating - score) and its sd (ddof 1, 0 for one row).

    Any honest model scores the ends of the scale towards the middle: an end's residual is no miscalibration.
    """
    score, ratings = np.asarray(score, float), np.asarray(ratings, float)
    levels = np.array([nearest_level(r) for r in ratings])
    rows = []
    for level in RATING_LEVELS:
        at = levels == level
        if at.any():
            residual = ratings[at] - score[at]
            rows.append({"level": level, "n": int(at.sum()), "mean_score": float(score[at].mean()),
                         "mean_residual": float(residual.mean()),
                         "sd": float(residual.std(ddof=1)) if at.sum() > 1 else 0.0})  # fmt: skip
    return rows


def worst(texts, score, ratings, ids, k=5) -> dict[str, list[dict]]:
    """The k largest over- and underestimates, largest first: {"over", "under"} -> rows of id, text, score, rating."""
    excess = np.asarray(score, float) - np.asarray(ratings, float)
    order = np.argsort(-excess, kind="stable")
    chosen = {"over": [i for i in order[:k] if excess[i] > 0], "under": [i for i in order[::-1][:k] if excess[i] < 0]}
    return {
        side: [{"id": ids[i], "text": texts[i], "score": float(score[i]), "rating": float(ratings[i])} for i in rows]
        for side, rows in chosen.items()
    }


def linear_contributions(coefficients, names: Sequence[str], k=10) -> list[tuple[str, float]]:
    """The k columns that raise the score most and the k that lower it most, highest first.

    coefficients: (columns,) of standardised columns, times the weight they are read with: rating units per standard
    deviation. Of columns that go together a linear model may praise one and blame the other: read them as a whole.
    """
    ranked = sorted(zip(names, map(float, coefficients), strict=True), key=lambda pair: -pair[1])
    return [p for p in ranked if p[1] > 0][:k] + [p for p in ranked if p[1] < 0][-k:]


def permutation_importance(predict: Callable[[Mapping[str, np.ndarray]], np.ndarray], parts: Mapping[str, np.ndarray],
                           ratings, groups, shuffles=5, n=2000, seed=0) -> list[tuple[str, Interval]]:  # fmt: skip
    """By how much the squared error rises when one part is shuffled among rows (Breiman 2001), most first.

    parts: columns or whole blocks, (n,) or (n, d) each, moved as one; predict: parts -> (n,) scores by models that
    were fitted on other rows (scikit-learn's function moves single columns of one model only). The interval is the
    group bootstrap's of the mean over shuffles. What another part says as well costs nothing to lose: blocks tell more.
    """
    rng, ratings = np.random.default_rng(seed), np.asarray(ratings, float)
    whole = (predict(parts) - ratings) ** 2
    rises = {}
    for name, part in parts.items():
        orders = [rng.permutation(len(ratings)) for _ in range(shuffles)]
        rise = np.mean([(predict({**parts, name: part[o]}) - ratings) ** 2 - whole for o in orders], axis=0)
        rises[name] = mean_interval(rise, groups, n, seed)
    return sorted(rises.items(), key=lambda item: -item[1].value)


def rubric_view(surface: np.ndarray, names: Sequence[str], score, ratings, groups, n=2000, seed=0) -> list[dict]:
    """Does the model weigh the rubric as people do? One row per criterion of RUBRIC.

    surface: (n, columns) by `names`. A criterion's index is, per text, the mean of its columns' percentile ranks among
    these texts, in [0, 1], 0.5 where all are alike. `rating` and `score` are its Spearman correlations with each; a
    score, free of the raters' noise, correlates the more of the two. So `left`, with rating - score, decides: 0 when
    all that the criterion tells of the rating is in the score. Where its interval leaves out 0, the model weighs the
    criterion too little if that is the rating's own direction, else too much. Intervals are the group bootstrap's.
    """
    score, ratings = np.asarray(score, float), np.asarray(ratings, float)
    column = dict(zip(names, np.asarray(surface, float).T, strict=True))
    rows = []
    for criterion, columns in RUBRIC.items():
        index = np.mean([(rankdata(sign * column[c]) - 0.5) / len(score) for c, sign in columns.items()], axis=0)
        found = _associations(index, score, ratings, groups, n, seed)
        wrong = "too little" if found["left"].value * found["rating"].value > 0 else "too much"
        rows.append({"criterion": criterion, "columns": list(columns),
                     **{k: found[k] for k in ("rating", "score", "left")},
                     "verdict": _sided(found["left"], "as people do", wrong, wrong)})  # fmt: skip
    return rows


def length_bias(texts: Sequence[str], predict: Callable[[Sequence[str]], np.ndarray], ratings, score, groups,
                n=2000, seed=0) -> dict:  # fmt: skip
    """Is length paid for beyond what people pay? Associations, and what padding real texts does to the score.

    predict: texts -> (n,) scores of the model as it will be used, gates and all; it shows itself best on texts that it
    was not fitted on. score: (n,), which the associations are of. Length is in characters.
    -> "rating", "score", "left": Spearman of length with each (as in `rubric_view`); "score_given_rating": the partial
       one, which noise in the ratings alone keeps from 0; "padding": per way of PADDINGS the mean change of the
       score, with its interval, and the share of texts that gain by it; "verdict": one sentence.
    """
    texts, score, ratings = list(texts), np.asarray(score, float), np.asarray(ratings, float)
    length = np.array([len(t) for t in texts], float)
    found = _associations(length, score, ratings, groups, n, seed)
    before = np.asarray(predict(texts), float)
    padding = {}
    for way, pad in PADDINGS.items():
        change = np.asarray(predict([pad(t) for t in texts]), float) - before
        padding[way] = {"change": mean_interval(change, groups, n, seed), "gain": float((change > 0).mean())}
    paid = [f"{way} ({p['change'].value:+.2f})" for way, p in padding.items() if p["change"].low > 0]
    most = max(p["change"].value for p in padding.values())
    said = f"Padding pays: {', '.join(paid)}" if paid else f"Padding does not pay (at most {most:+.2f} on average)"
    left = _sided(found["left"], "as people do", "less than people do", "more than people do")
    return {**found, "padding": padding, "verdict": f"{said}; the model values length {left}."}


def _associations(x, score, ratings, groups, n, seed) -> dict[str, Interval]:
    """Spearman of x with rating, score, rating - score, and with score given rating; group-bootstrap intervals."""

    def statistic(w):
        rating, scored, both = (rank_correlation(w, *pair) for pair in ((x, ratings), (x, score), (score, ratings)))
        apart = np.sqrt(np.maximum((1 - rating**2) * (1 - both**2), 1e-12))
        given = np.clip((scored - rating * both) / apart, -1, 1)
        return np.stack([rating, scored, rank_correlation(w, x, ratings - score), given], axis=1)

    keys = ("rating", "score", "left", "score_given_rating")
    return dict(zip(keys, bootstrap(statistic, groups, n, seed), strict=True))


def _sided(interval: Interval, neither: str, above: str, below: str) -> str:
    return above if interval.low > 0 else below if interval.high < 0 else neither
