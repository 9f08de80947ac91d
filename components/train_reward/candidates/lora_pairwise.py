"""Bradley–Terry on a language model with LoRA adapters, trained by TRL's RewardTrainer; ratings fix its scale."""

from dataclasses import replace

import numpy as np

from components.train_reward.candidates import SequenceMember, Training
from components.train_reward.pairs import as_linear
from memozy.preferences import pairs_from_ratings

READS: dict[str, float] = {}


def fit(training: Training) -> SequenceMember:
    from components.train_reward.lora import train_pairs

    texts = training.view.features.texts
    pairs = pairs_from_ratings(training.ratings, training.groups, training.config.seed)
    chosen, rejected = ([texts[i] for i in side] for side in pairs.T)
    if training.preferences is not None:
        chosen += training.preferences.chosen.features.texts
        rejected += training.preferences.rejected.features.texts
    scorer = train_pairs(chosen, rejected, training.config.lora, training.config.seed, training.work)
    scale = as_linear(np.ones(1), scorer.predict(texts)[:, None], training.ratings, training.weights)
    return SequenceMember(replace(scorer, scale=float(scale.coef_[0]), offset=float(scale.intercept_)))
