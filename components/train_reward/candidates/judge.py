"""The LLM judge's grade, brought to the raters' scale by isotonic regression on the training rows."""

from components.train_reward.candidates import Member, Training

READS = {"grade": 1.0}


def fit(training: Training) -> Member:
    from sklearn.isotonic import IsotonicRegression

    regressor = IsotonicRegression(y_min=-1, y_max=1, out_of_bounds="clip")
    return Member(READS, regressor.fit(training.view.matrix(READS), training.ratings, training.weights))
