"""Gradient boosting on sentence embeddings."""

from components.train_reward.candidates import Member, Training

READS = {"embedding": 1.0}


def fit(training: Training) -> Member:
    from sklearn.ensemble import GradientBoostingRegressor

    regressor = GradientBoostingRegressor(n_estimators=100, learning_rate=0.08, max_depth=3, subsample=0.7,
                                          max_features=0.05, random_state=training.config.seed)  # fmt: skip
    return Member(READS, regressor.fit(training.view.matrix(READS), training.ratings, training.weights))
