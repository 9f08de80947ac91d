"""Ridge regression on character n-grams, surface and rubric: no encoder is needed."""

from components.train_reward.candidates import Member, Training

READS = {"surface": 0.25, "grams": 1.0}


def fit(training: Training) -> Member:
    from sklearn.linear_model import Ridge

    regressor = Ridge(alpha=3.0)
    return Member(READS, regressor.fit(training.view.matrix(READS), training.ratings, training.weights))
