"""What comes next for whom. Every answer is on disk before the page hears of it; what is skipped comes again at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime

from annotation.answers import Answers
from annotation.items import Item, name_fault, rated_twice, shuffled


class Refused(ValueError):
    """An answer that cannot stand. `why` is one of the page's words that begin with `no_`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Desk(ABC):
    """The items, the answers so far, and who sees what; for one call at a time. What an answer is, `tasks` says.

    Items are told to the page by their place in `items`: no id, however telling, reaches a rater.
    """

    def __init__(self, items: Sequence[Item], answers: Answers, double: float, seed: int) -> None:
        twice = rated_twice(items, double, seed)
        self.items, self.answers, self.seed = items, answers, seed
        self.wanted = [1 + (item.id in twice) for item in items]
        self.by: list[dict[str, dict]] = [{} for _ in items]  # of each item, its answers by rater
        self._place = {item.id: place for place, item in enumerate(items)}
        self._order: dict[str, list[int]] = {}  # of each rater, as the rest below
        self._history: dict[str, list[int]] = {}  # what was answered and skipped, the latest last
        self._skipped: dict[str, list[int]] = {}
        self._back: dict[str, int] = {}  # the item asked back
        self._open: dict[str, int] = {}  # the item on the screen
        for row in answers.rows:
            self._note(row)

    @property
    def raters(self) -> list[str]:
        """Who has answered anything, by name."""
        return sorted({row["rater_id"] for row in self.answers.rows})

    def state(self, rater: str) -> dict:
        """What the page shows a rater: the next item or None, how far he is, and how far raters agree. Raises Refused."""
        self._check(rater, 0)
        waiting = self._waiting(rater)
        later = [place for place in self._skipped.get(rater, []) if place in waiting]
        place = self._next(rater, [place for place in waiting if place not in later])
        self._open.pop(rater, None)
        if place is not None:
            self._open[rater] = place
        return {
            "item": None if place is None else self._shown(rater, place),
            "answered": sum(rater in by for by in self.by), "left": len(waiting) - len(later), "skipped": len(later),
            "undo": bool(self._history.get(rater)), "agreement": self.agreement(),
        }  # fmt: skip

    def answer(self, rater: str, place: int, value: object) -> None:
        """Take an answer; told twice, it counts once. Raises Refused, and OSError where it could not be saved."""
        item = self._check(rater, place)
        said = self.said(item, value)
        before = self.by[place].get(rater)
        if before is None:
            row = {**item.keys, "rater_id": rater, **said, "rated_at": datetime.now(UTC).isoformat(timespec="seconds")}
            self.answers.add(row)
            self._note(row)
            self._leave(rater, place)
        elif any(before.get(key) != told for key, told in said.items()):
            raise Refused("no_longer")

    def skip(self, rater: str, place: int) -> None:
        """Put an item behind all others of this rater. Raises Refused."""
        self._check(rater, place)
        if rater in self.by[place]:
            raise Refused("no_longer")
        self._leave(rater, place)
        self._skipped.setdefault(rater, []).append(place)
        self._history.setdefault(rater, []).append(place)

    def again(self, rater: str) -> None:
        """Show a rater what he skipped."""
        self._skipped.pop(rater, None)

    def undo(self, rater: str) -> None:
        """Take the rater's last step back, and show him that item again. Raises Refused, and OSError as `answer`."""
        if not self._history.get(rater):
            raise Refused("no_step")
        place = self._history[rater][-1]
        if rater in self.by[place]:
            self.answers.take_back(self.by[place][rater])
            del self.by[place][rater]
        self._leave(rater, place)
        self._history[rater].pop()
        self._back[rater] = place

    @abstractmethod
    def name(self, row: dict) -> object:
        """The id of the item that a row of the file is about."""

    @abstractmethod
    def same(self, row: dict, item: Item) -> bool:
        """Whether a row with the item's id is about its very texts: an id may come again with another text."""

    @abstractmethod
    def said(self, item: Item, value: object) -> dict:
        """What of a row holds the answer. Raises Refused for a value that is none."""

    @abstractmethod
    def texts(self, item: Item, rater: str) -> list[tuple[int, str]]:
        """The item's texts with their places, in the order in which this rater sees them."""

    @abstractmethod
    def agreement(self) -> dict | None:
        """How far raters agree, where that can be told."""

    def _check(self, rater: object, place: object) -> Item:
        if not isinstance(rater, str) or name_fault(rater):
            raise Refused("no_name")
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(self.items):
            raise Refused("no_item")
        return self.items[place]

    def _note(self, row: dict) -> None:
        place = self._place.get(self.name(row))
        if place is not None and self.same(row, self.items[place]):  # an answer about another item stays in the file
            self.by[place][row["rater_id"]] = row
            self._history.setdefault(row["rater_id"], []).append(place)

    def _leave(self, rater: str, place: int) -> None:
        self._back.pop(rater, None)
        if place in self._skipped.get(rater, []):
            self._skipped[rater].remove(place)

    def _waiting(self, rater: str) -> list[int]:
        """What this rater can still answer, in his order; but first what waits for its second answer, so that agreement can be
        told early, and last what is before another one."""
        if rater not in self._order:
            self._order[rater] = [self._place[item.id] for item in shuffled(self.items, self.seed, rater)]
        waiting = [p for p in self._order[rater] if rater not in self.by[p] and len(self.by[p]) < self.wanted[p]]
        elsewhere = {place for other, place in self._open.items() if other != rater}
        return sorted(waiting, key=lambda place: (place in elsewhere, not self.by[place]))

    def _next(self, rater: str, waiting: list[int]) -> int | None:
        shown = self._back.get(rater, self._open.get(rater))
        return shown if shown in waiting or rater in self._back else next(iter(waiting), None)

    def _shown(self, rater: str, place: int) -> dict:
        item = self.items[place]
        return {"place": place, "texts": self.texts(item, rater), "about": item.about, "photo": item.image is not None}
