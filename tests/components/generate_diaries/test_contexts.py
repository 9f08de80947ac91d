from collections import Counter

from components.generate_diaries.contexts import draw

LISTS = (["산", "강", "길", "집"], ["혼자", "친구", "가족"], ["기쁨", "설렘"])


def words(contexts):
    return [(c["place"], c["people"], c["mood"]) for c in contexts]


def test_a_photos_contexts_differ_and_are_its_own():
    first, second = draw("p1", 24, *LISTS, seed=0), draw("p2", 24, *LISTS, seed=0)
    assert len(set(words(first))) == 24 and set(words(first)) == set(words(second))
    assert words(first) != words(second) != words(draw("p2", 24, *LISTS, seed=1))
    assert draw("p1", 5, *LISTS, seed=0) == first[:5]
    assert {c["image_id"] for c in first} == {"p1"}


def test_an_id_means_the_same_whatever_was_drawn_before_it():
    once = {c["context_id"]: words([c]) for c in draw("p1", 24, *LISTS, seed=0)}
    again = {c["context_id"]: words([c]) for c in draw("p1", 24, *LISTS, seed=1)}
    assert len(once) == 24 and once == again
    assert once.keys().isdisjoint(c["context_id"] for c in draw("p2", 24, *LISTS, seed=0))


def test_every_word_is_drawn_as_often_as_any_other():
    drawn = [c for n in range(1000) for c in draw(f"p{n}", 1, *LISTS, seed=0)]
    for slot, choices in zip(("place", "people", "mood"), LISTS, strict=True):
        counts = Counter(c[slot] for c in drawn)
        expected = 1000 / len(choices)  # a binomial's standard deviation is at most √(1000 / 4) = 16
        assert all(abs(counts[word] - expected) < 64 for word in choices)
