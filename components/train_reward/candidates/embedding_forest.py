"""A random forest on sentence embeddings: the first team's recipe."""

from components.train_reward.candidates import Member, Training

READS = {"embedding": 1.0}


def fit(training: Training) -> Member:
    from sklearn.ensemble import RandomForestRegressor

    regressor = RandomForestRegressor(100, min_samples_leaf=5, max_features=0.03, random_state=training.config.seed)
    return Member(READS, regressor.fit(training.view.matrix(READS), training.ratings, training.weights))
