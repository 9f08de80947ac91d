"""Extremely randomised trees on surface and rubric: they never leave the range of the ratings."""

from components.train_reward.candidates import Member, Training

READS = {"surface": 1.0}
LEAF = 0.008  # of the rows, in a leaf at least


def fit(training: Training) -> Member:
    from sklearn.ensemble import ExtraTreesRegressor

    regressor = ExtraTreesRegressor(100, min_samples_leaf=LEAF, max_features=0.4, random_state=training.config.seed)
    return Member(READS, regressor.fit(training.view.matrix(READS), training.ratings, training.weights))
