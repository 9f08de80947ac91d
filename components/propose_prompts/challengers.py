"""Which of the written prompts become challengers."""

from collections.abc import Iterable, Mapping, Sequence

from memozy.texts import near_pairs, normalise

NEAR = 0.98  # cosine of two prompts' letters; another number of sentences in a prompt of the usual length is farther


def fresh(templates: Sequence[str], known: Iterable[str]) -> list[str]:
    """`templates` in their order, without those that say again, or nearly, what one of `known` or one kept before says."""
    known = list(known)
    texts = [normalise(template) for template in (*known, *templates)]
    near: dict[int, set[int]] = {}
    for i, j in near_pairs(texts, NEAR).tolist():  # of equal texts it names the first
        near.setdefault(i, set()).add(j)
        near.setdefault(j, set()).add(i)
    said, kept = set(texts[: len(known)]), set(range(len(known)))
    for row in range(len(known), len(texts)):
        if texts[row] not in said and not near.get(row, set()) & kept:
            kept.add(row)
        said.add(texts[row])
    return [templates[row - len(known)] for row in sorted(kept) if row >= len(known)]


def ranked(candidates: Mapping[str, Sequence[str]], scores: Mapping[str, float]) -> list[tuple[str, list[str]]]:
    """(origin, its templates in the order in which they may become a challenger), from each source's candidates.

    `ppo`: the PPO policy's, best score first. `best_of_n`: the SFT policy's, best first. `sft`: the same as they were
    drawn, what one gets without any selection. `llm:<name>`: the best first of every other source.
    """
    best = {name: sorted(templates, key=lambda t: -scores[t]) for name, templates in candidates.items()}
    policies = [("ppo", best.pop("ppo")), ("best_of_n", best.pop("sft")), ("sft", list(candidates["sft"]))]
    return policies + [(f"llm:{name}", templates) for name, templates in best.items()]


def choose(ranking: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """(origin, template) of one challenger for each origin; what is chosen already, or nearly, makes way for the next."""
    chosen: dict[str, str] = {}
    for origin, templates in ranking:
        for template in fresh(templates, chosen)[:1]:
            chosen[template] = origin
    return [(origin, template) for template, origin in chosen.items()]
