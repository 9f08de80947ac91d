"""Ridge regression on sentence embeddings."""

from components.train_reward.candidates import Member, Training

READS = {"embedding": 1.0}


def fit(training: Training) -> Member:
    from sklearn.linear_model import Ridge

    return Member(READS, Ridge(alpha=1.0, solver="lsqr").fit(training.view.matrix(READS), training.ratings, training.weights))
