"""Guards against over-optimisation: when to stop, which update to keep, and what to say of it. Pure functions.

Who maximises a proxy (the reward model) drives it up and, from some distance to the start on, what it stands for down:
Gao et al. 2023 (arXiv:2210.10760, §3) find gold = d (α - β log d) with d = √KL. So a gold model that is never trained
on is watched: row u of the curves is measured on responses of the policy that u updates have made, row 0 on the start's.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Rows = Sequence[Mapping[str, float]]  # one per update, as they are logged
SCORE, PROXY, GOLD, KL = (f"objective/{name}" for name in ("score", "proxy", "gold", "kl"))


class Verdict(NamedTuple):
    """kind: "hacking" (it is), "kl" (it went too far), "unguarded" (nobody looked), "nothing" (the start was kept) or
    "sound". sentence: the same in words, with its figures."""

    kind: str
    sentence: str


def smooth(values: Sequence[float]) -> list[float]:
    """Each value's mean with its neighbours, of three, at both ends of two."""
    around = [values[max(0, u - 1) : u + 2] for u in range(len(values))]
    return [sum(part) / len(part) for part in around]


def kept(rows: Rows, kl_target: float, final: bool, by: str) -> int:
    """The update to keep: the best by SCORE or by GOLD, smoothed, of those whose KL is within the target.

    Gold, a rough guide to small gains, decides where the policy was seen hacking; else the score does. Never without one:
    where KL is beyond the target everywhere, it is 0, the start. final: whether no row will follow; while some will, the
    last row's smoothed value is not known yet, and left out.
    """
    values = smooth([row[by] for row in rows])
    known = range(len(rows) if final else max(1, len(rows) - 1))
    within = [u for u in known if rows[u][KL] <= kl_target]
    return max(within or [0], key=lambda u: values[u])


def falling(values: Sequence[float]) -> float:
    """p of the one-sided Mann-Kendall test: how often values in random order would fall at least as steadily.

    Kendall 1938 with its exact distribution: no shape of the noise is supposed. 1 for fewer than two values, or equal ones.
    """
    if len(set(values)) < 2:
        return 1.0
    from scipy.stats import kendalltau

    return float(kendalltau(range(len(values)), values, alternative="less").pvalue)


def hacking(rows: Rows, updates: int, false_alarm: float) -> bool:
    """Whether proxy rises and gold falls: since its best row gold falls by `falling`, and proxy is above what it was there.

    The rows after the best of rows that only scatter are in random order, so one look errs with the level it is given;
    it is false_alarm / updates, so that all looks of a run together stop it wrongly with probability `false_alarm` at most
    (Bonferroni). Then a fall is noticed after six updates at the earliest, seven with 50 updates or more.
    """
    if GOLD not in rows[0]:
        return False
    gold, proxy = ([row[name] for row in rows] for name in (GOLD, PROXY))
    best = gold.index(max(gold))
    return smooth(proxy)[-1] > smooth(proxy)[best] and falling(gold[best + 1 :]) <= false_alarm / updates


def too_far(rows: Rows, kl_limit: float) -> bool:
    """Whether the last update's KL is beyond the limit, in nats per response, at which training stops."""
    return rows[-1][KL] > kl_limit


def verdict(
    rows: Rows, keep: int, updates: int, false_alarm: float, kl_limit: float, unwatched: str | None
) -> Verdict:
    """What the curves of a run say, its update `keep` having been kept. unwatched: why there is no gold model, if so."""
    watched = GOLD in rows[0]
    held = f"kept update {keep}" if keep else "kept the policy it started from"
    if hacking(rows, updates, false_alarm):
        gold = [row[GOLD] for row in rows]
        best = gold.index(max(gold))
        return Verdict(
            "hacking", f"The policy is hacking the reward model: since update {best} {_change(rows, best, -1)}; {held}."
        )
    if too_far(rows, kl_limit):
        said = f", {_change(rows, 0, -1)} since the start" if watched else ""
        return Verdict("kl", f"KL is {rows[-1][KL]:.1f} nats, beyond the limit of {kl_limit:g}: stopped{said}; {held}.")
    if keep == 0:
        return Verdict("nothing", f"By the reward model no update within the KL target is better than the start; {held}.")
    if not watched:
        return Verdict("unguarded", f"Whether the policy hacks the reward model is not known, for {unwatched}; {held}.")
    return Verdict(
        "sound", f"No sign of reward hacking: from the start to update {keep}, which is kept, {_change(rows, 0, keep)}."
    )


def _change(rows: Rows, start: int, end: int) -> str:
    """proxy +0.21, gold -0.14: between two updates, smoothed."""
    changes = ((name, smooth([row[key] for row in rows])) for name, key in (("proxy", PROXY), ("gold", GOLD)))
    return ", ".join(f"{name} {values[end] - values[start]:+.2f}" for name, values in changes)
