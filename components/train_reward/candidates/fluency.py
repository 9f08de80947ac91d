"""Extremely randomised trees on surface and Korean grammar: does a morphological analyser see what characters don't?"""

from components.train_reward.candidates import Member, Training

READS = {"surface": 1.0, "korean": 1.0}


def fit(training: Training) -> Member:
    from sklearn.ensemble import ExtraTreesRegressor

    regressor = ExtraTreesRegressor(100, min_samples_leaf=3, max_features=0.4, random_state=training.config.seed)
    return Member(READS, regressor.fit(training.view.matrix(READS), training.ratings, training.weights))
