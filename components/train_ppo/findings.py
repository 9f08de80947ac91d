"""What is to be told of a run, in numbers and sentences that the page and the policy's card share. Pure functions."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from memozy.reports import number, percent

MEASURES = {  # of the curves' rows -> what it is, decimals
    "objective/score": ("score", 3), "objective/proxy": ("proxy", 3), "objective/gold": ("gold", 3),
    "objective/reward": ("reward, the score less the KL penalty", 3), "objective/kl": ("KL to the start, nats", 2),
    "objective/entropy": ("entropy, nats a token", 2), "objective/length": ("tokens of a response", 1),
    "objective/eos_rate": ("share that ends by itself", 3), "objective/distinct": ("share of different responses", 3),
    "env/fault": ("share with a fault", 3),
}  # fmt: skip
COMPARED = {"score": "score", "gold": "gold", "reward": "reward", "kl": "KL, nats"}


def measures(rows: Sequence[Mapping[str, float]], kept: int) -> list[tuple[str, str, list[str]]]:
    """(column, what it is, its figures at the start, at the update kept and at the last) of what was measured."""
    return [(key, name, [number(rows[u].get(key), digits) for u in (0, kept, -1)])
            for key, (name, digits) in MEASURES.items() if key in rows[0]]  # fmt: skip


def changes(compared: Sequence[Mapping]) -> list[tuple[str, float, float, list[float | None]]]:
    """(name, mean before, mean after, [mean change, low, high]) of the answers to the same queries.

    The interval is Student's, 95 %, of the change by query; it is about other queries, tried on the same inputs.
    """
    found = []
    for key, name in COMPARED.items():
        before, after = ([row[key] for row in compared if row["when"] == w and key in row] for w in ("before", "after"))
        if before:
            change = [b - a for a, b in zip(before, after, strict=True)]
            found.append((name, mean(before), mean(after), [mean(change), *_interval(change)]))
    return found


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return None, None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return mean(values) - half, mean(values) + half


def weaknesses(told: Mapping) -> list[str]:
    """What to know before trusting the policy, each with its figure; computed, never written by hand."""
    rows, kept = told["rows"], told["rows"][told["kept"]]
    found = [
        f"Its scores are a model's, of {number(round(told['config']['rollouts']))} responses an update: no person has rated what it writes."
    ]
    if told["verdict"].kind == "hacking":
        found.append(
            "Later updates exploited the reward model's mistakes; the one kept is from before gold fell, but learned from the same."
        )
    if told["unwatched"]:
        found.append(f"Nothing but KL held it back, for {told['unwatched']}.")
    elif told["gold"]["spearman"][0] < 0.5:
        rho, low, high = told["gold"]["spearman"]
        found.append(
            f"The gold model that watched is a rough one itself: Spearman's ρ {number(rho)} ({number(low)} to {number(high)})."
        )
    for key, least, said in (("objective/eos_rate", 0.95, "of its responses end before they run out of tokens"),
                             ("objective/distinct", 0.5, "of its responses differ from each other")):  # fmt: skip
        if kept.get(key, 1.0) < least:
            found.append(f"Only {percent(kept[key])} {said}.")
    if kept.get("env/fault", 0.0) > 0.05:
        found.append(f"{percent(kept['env/fault'])} of its responses have a fault and cannot be used.")
    if kept["objective/entropy"] < 0.5 * rows[0]["objective/entropy"]:
        found.append(
            f"It has grown narrow: entropy went from {number(rows[0]['objective/entropy'])} to {number(kept['objective/entropy'])} nats a token."
        )
    return found
