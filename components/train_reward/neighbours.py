"""Nearest neighbours on surface and rubric: a text is worth what the rated ones most like it are worth.

Kept for the gold model, so no candidate: their own ratings are all that it can answer, however odd a text is.
"""

from components.train_reward.candidates import Member, Training

READS = {"surface": 1.0}
NEIGHBOURS = 8  # rated texts whose ratings are averaged, nearer ones counting more


def fit(training: Training) -> Member:
    from sklearn.neighbors import KNeighborsRegressor

    x = training.view.matrix(READS)
    near = KNeighborsRegressor(min(NEIGHBOURS, len(x)), weights="distance", algorithm="brute")
    return Member(READS, near.fit(x, training.ratings))
