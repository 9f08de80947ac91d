"""The reward model: a text in, a score in [-1, 1], its uncertainty and the likely rating out.

Trained by `components/train_reward`. A model is a set of members that read the same text in different ways; the
score is their weighted mean. Every member is clipped before the mean and every feature saturates, so that no
single oddity can buy a high score; a text that no rated text is like is capped, and one that is hardly a text
gets the floor. The file is written and read by skops: no pickle, and no type beyond a short list is ever loaded.

    surface      statistics and rubric of a text           gate         what may be scored at all
    korean       morphology and fluency (Kiwi)             calibration  from a score to the likely rating
    encoders     sentence embeddings                       members      regressors and sequence models
    features     all of these, computed once               sequence     language models with LoRA
    judge        an LLM's grade                            cache        scores computed before
    model        the reward model itself                   pyfunc       the same model as MLflow loads it
"""

from memozy.reward.cache import ScoreCache
from memozy.reward.model import FLOOR, Prediction, RewardModel

__all__ = ["FLOOR", "Prediction", "RewardModel", "ScoreCache"]
