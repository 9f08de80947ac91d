"""What is written about a photo: a place, companions and a mood, drawn for it."""

import hashlib
import random
from collections.abc import Sequence
from itertools import product


def draw(image_id: str, n: int, places: Sequence[str], people: Sequence[str], moods: Sequence[str], seed: int) -> list[dict]:  # fmt: skip
    """`n` different contexts {context_id, image_id, place, people, mood} of a photo, at most as many as the lists make.

    They hang on the photo's content, the lists and `seed` alone, not on its name or on other photos; the first ones are
    the same for every `n`. An id names the photo and what was drawn, so that it never comes to mean something else.
    """
    drawn = list(dict.fromkeys(product(places, people, moods)))
    random.Random(f"{seed}|{image_id}").shuffle(drawn)
    return [
        {"context_id": f"{image_id}-{hashlib.sha256('|'.join(words).encode()).hexdigest()[:8]}", "image_id": image_id,
         "place": words[0], "people": words[1], "mood": words[2]}
        for words in drawn[:n]
    ]  # fmt: skip
