"""A language model with LoRA adapters and a regression head, which reads the text itself."""

from components.train_reward.candidates import SequenceMember, Training

READS: dict[str, float] = {}


def fit(training: Training) -> SequenceMember:
    from components.train_reward.lora import train_regression

    scorer = train_regression(training.view.features.texts, training.ratings, training.weights, training.config.lora,
                              training.config.seed, training.work)  # fmt: skip
    return SequenceMember(scorer)
