from components.train_ppo.measures import distinct, distinct_2


def test_distinct_counts_texts_and_pairs_of_words():
    assert distinct(["a b", "a b", "b a", "c"]) == 0.75
    # pairs: (a b), (a b), (b a), (a c) -> 3 of 4
    assert distinct_2(["a b", "a b a", "a c", "d"]) == 0.75
    assert distinct_2(["a", ""]) == 1.0
