"""What there is to rate, who sees it in which order, and what is rated twice.

Nothing of it tells who wrote a text: neither the prompt nor the model is read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from memozy.preferences import LONGEST
from memozy.records import SLOTS, InputError
from memozy.tables import read_rows
from memozy.texts import clean

_ABOUT = ("context_id", "image_id", *SLOTS, "image_path")


@dataclass(frozen=True)
class Item:
    """What one answer is about.

    id: of the diary, or of the context where outputs are ranked. texts: one diary, or the outputs. keys: what of
    `context_id` and `image_id` is known. about: what is told of the context, by SLOTS. image: the photo, where a file is.
    """

    id: str
    texts: tuple[str, ...]
    keys: dict[str, str]
    about: dict[str, str]
    image: Path | None = None


def read(diaries: Path, contexts: Path | None = None) -> list[Item]:
    """The diaries of a table, in its order; `contexts`: a table with what was told of each context.

    A diary may stand in several rows (a file of ratings has one for each rater). White space around ids and texts is
    left out, as `import_ratings` leaves it out. A path of a photo counts from where the command runs, as in every run. Raises InputError.
    """
    known = _contexts(contexts) if contexts else {}
    found: dict[str, Item] = {}
    for number, row in enumerate(read_rows(diaries, ("diary_id", "text", *_ABOUT)), start=1):
        name, text = ((row.get(column) or "").strip() for column in ("diary_id", "text"))
        for column, value in (("diary_id", name), ("text", text)):
            if not value:
                raise InputError(
                    "is empty", file=diaries, row=number, field=column, remedy="Every diary needs an id and a text"
                )
        keys = {key: row[key] for key in ("context_id", "image_id") if row.get(key)}
        context = keys.get("context_id", "")
        if known and context not in known:
            raise InputError("no such context", file=diaries, row=number, field="context_id", value=context,
                             remedy=f"Every diary's context stands in {contexts}")  # fmt: skip
        told = known.get(context, row)
        about = {slot: told[slot] for slot in SLOTS if told.get(slot)}
        item = Item(name, (text,), keys, about, _photo(told.get("image_path")))
        if found.setdefault(name, item).texts != item.texts:
            raise InputError("has another text in an earlier row", file=diaries, row=number, field="diary_id", value=name,
                             remedy="Give each text an id of its own")  # fmt: skip
    if not found:
        raise InputError("holds no rows", file=diaries, remedy="It should hold diaries")
    return list(found.values())


def to_rank(diaries: Sequence[Item], seed: int) -> tuple[list[Item], int]:
    """The contexts whose different outputs can be ranked, and how many have only one.

    What no context is named for is grouped by its photo. Of more than 9 outputs a draw by `seed` is ranked.
    """
    groups: dict[str, list[Item]] = {}
    for diary in diaries:
        groups.setdefault(diary.keys.get("context_id") or diary.keys.get("image_id") or diary.id, []).append(diary)
    found = []
    for name, outputs in groups.items():
        texts = tuple({clean(output.texts[0]): output.texts[0] for output in shuffled(outputs, seed)}.values())[
            :LONGEST
        ]
        if len(texts) > 1:
            found.append(Item(name, texts, outputs[0].keys, outputs[0].about, outputs[0].image))
    return found, len(groups) - len(found)


def shuffled(items: Sequence[Item], seed: int, rater: str = "") -> list[Item]:
    """The items in this rater's order: it hangs on seed, rater and ids alone, so that more items upset nobody's."""
    return sorted(items, key=lambda item: sha256(f"{seed}|{rater}|{item.id}".encode()).digest())


def rated_twice(items: Sequence[Item], share: float, seed: int) -> set[str]:
    """Ids of the share of the items, rounded, that two people rate, so that their agreement can be told."""
    return {item.id for item in shuffled(items, seed, "twice")[: round(share * len(items))]}


def assigned(items: Sequence[Item], raters: Sequence[str], share: float, seed: int) -> dict[str, list[Item]]:
    """Each rater's items, in his order: every item to one rater, the share rated twice to another one as well."""
    twice, own = rated_twice(items, share, seed), {rater: [] for rater in raters}
    second = 0
    for place, item in enumerate(shuffled(items, seed)):
        own[raters[place % len(raters)]].append(item)
        if item.id in twice and len(raters) > 1:
            own[raters[(place + 1 + second % (len(raters) - 1)) % len(raters)]].append(item)
            second += 1
    return {rater: shuffled(mine, seed, rater) for rater, mine in own.items()}


def name_fault(name: str, taken: Collection[str] = ()) -> str | None:
    """What makes a rater's name unusable, or None."""
    if not name.strip() or name != name.strip():
        return "is empty or begins or ends with a space"
    if len(name) > 60 or not name.isprintable() or set(name) & set('/\\:*?"<>|') or name.startswith("."):
        return "is no name that a file could have"
    return "stands twice" if name in taken else None


def _contexts(path: Path) -> dict[str, dict]:
    found = {}
    for number, row in enumerate(read_rows(path, _ABOUT), start=1):
        if not row.get("context_id"):
            raise InputError("is empty", file=path, row=number, field="context_id", remedy="Every context needs one")
        found[row["context_id"]] = row
    if not found:
        raise InputError("holds no rows", file=path, remedy="It should hold contexts")
    return found


def _photo(path: str | None) -> Path | None:
    return Path(path) if path and Path(path).is_file() else None
