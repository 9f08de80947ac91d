"""What users make of what they are shown: the app draws prompts, records reactions, and publishes them as data.

The app draws a prompt (`draw`), records the showing with the propensity it was drawn with, and then whatever the user
does with the text (`open_store`). `publish` writes what is new in the store as a batch, every event in exactly one;
`read_events` reads batches or a log, and `outcomes` makes one value in [-1, 1] of each showing.
"""

from memozy.feedback.allocation import Allocation, draw, read_allocation
from memozy.feedback.batches import publish
from memozy.feedback.events import read_events, read_log
from memozy.feedback.outcomes import SAID, outcomes, reactions
from memozy.feedback.store import Store, open_store

__all__ = ["SAID", "Allocation", "Store", "draw", "open_store", "outcomes", "publish", "reactions",
           "read_allocation", "read_events", "read_log"]  # fmt: skip
