"""People who rate: how far they agree, how each of them leans, and who answers at random.

agreement    Krippendorff's alpha with an interval; raters who don't read
effects      biases, noise and rater-adjusted means, from a crossed linear mixed model
ratings      ratings as codes
"""

from memozy.raters.agreement import alpha, alpha_interval, random_raters
from memozy.raters.effects import RaterEffects, adjusted, fit

__all__ = ["RaterEffects", "adjusted", "alpha", "alpha_interval", "fit", "random_raters"]
