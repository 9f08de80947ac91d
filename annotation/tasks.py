"""The two things people are asked: to rate a diary, or to rank the outputs of one context."""

from __future__ import annotations

from annotation.desk import Desk, Refused
from annotation.items import Item, shuffled
from memozy.records import RATING_LEVELS
from memozy.texts import clean

ENOUGH = 10  # diaries that two people rated, from which agreement is told: an interval from fewer says nothing


class Rate(Desk):
    """Ratings: {diary_id, context_id?, image_id?, rater_id, rating, text, rated_at}, which `import_ratings` reads."""

    def name(self, row: dict) -> object:
        return row["diary_id"]

    @staticmethod
    def fault(row: dict) -> str | None:
        """What makes a line none of this task, or None."""
        named = all(isinstance(row.get(name), str) for name in ("diary_id", "rater_id"))
        if not isinstance(row.get("text", ""), str):
            return "has a text that is none"
        return None if named and row.get("rating") in RATING_LEVELS else "is no rating of a diary"

    def same(self, row: dict, item: Item) -> bool:
        return clean(row.get("text", item.texts[0])) == clean(item.texts[0])

    def said(self, item: Item, value: object) -> dict:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value not in RATING_LEVELS:
            raise Refused("no_answer")
        return {"diary_id": item.id, "rating": float(value), "text": item.texts[0]}

    def texts(self, item: Item, rater: str) -> list[tuple[int, str]]:
        return list(enumerate(item.texts))

    def agreement(self) -> dict:
        """Krippendorff's alpha and its interval, from ENOUGH diaries that two people rated; before, how many are needed."""
        shared = {place: by for place, by in enumerate(self.by) if len(by) > 1}
        told = {"shared": len(shared), "needed": max(0, ENOUGH - len(shared))}
        if told["needed"]:
            return told
        from memozy.raters import alpha, alpha_interval

        rows = [(row["rating"], place, rater) for place, by in shared.items() for rater, row in by.items()]
        value, item, who = (list(column) for column in zip(*rows, strict=True))
        return told | {"alpha": alpha(value, item, who), "interval": alpha_interval(value, item, who)}


class Rank(Desk):
    """Ranked lists: {context_id and/or image_id, rater_id, ranked, rated_at}, which `memozy.preferences` reads."""

    def name(self, row: dict) -> object:
        return row.get("context_id") or row.get("image_id")

    @staticmethod
    def fault(row: dict) -> str | None:
        """What makes a line none of this task, or None."""
        named = isinstance(row.get("rater_id"), str) and isinstance(row.get("context_id") or row.get("image_id"), str)
        return None if named and _ranked(row) else "is no ranked list"

    def same(self, row: dict, item: Item) -> bool:
        return {clean(text) for text in _ranked(row)} == {clean(text) for text in item.texts}

    def said(self, item: Item, value: object) -> dict:
        """value: the places of the texts, best first, those that tie together: [[2], [0, 1]]."""
        tiers = value if isinstance(value, list) and all(isinstance(tier, list) and tier for tier in value) else []
        places = [place for tier in tiers for place in tier]
        if any(type(place) is not int for place in places) or sorted(places) != list(range(len(item.texts))):
            raise Refused("no_answer")
        if len(tiers) == 1:
            raise Refused("no_order")
        tiers = [[item.texts[place] for place in sorted(tier)] for tier in tiers]
        return {"ranked": [tier[0] if len(tier) == 1 else tier for tier in tiers]}

    def texts(self, item: Item, rater: str) -> list[tuple[int, str]]:
        outputs = [Item(f"{item.id}|{text}", (text,), {}, {}) for text in item.texts]
        return [(outputs.index(output), output.texts[0]) for output in shuffled(outputs, self.seed, rater)]

    def agreement(self) -> None:
        """Not told: pairs out of one list belong together, and alpha's interval would be too narrow."""


def _ranked(row: dict) -> list[str]:
    """The texts of a ranked list, those that tie as well; none where it is no such list."""
    ranked = row.get("ranked")
    tiers = [tier if isinstance(tier, list) else [tier] for tier in ranked] if isinstance(ranked, list) else []
    texts = [text for tier in tiers for text in tier]
    return texts if all(isinstance(text, str) for text in texts) else []
