"""Texts as every part reads them, which of them are one text to a model, and what that joins.

reading      the form in which texts are read, compared and shown
near         every pair of texts that are nearly the same, however many the texts
groups       what is linked, however indirectly, is one group
"""

from memozy.texts.groups import connected
from memozy.texts.near import COPY, near_pairs
from memozy.texts.reading import clean, fenced, normalise

__all__ = ["COPY", "clean", "connected", "fenced", "near_pairs", "normalise"]
