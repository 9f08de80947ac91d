"""Texts as every part reads them."""

from __future__ import annotations

import re
import unicodedata

# marks of a fence and of chat templates (<|im_end|>, [|assistant|], [INST]), also as NFKC would make them
_MARKS = str.maketrans("<>[]|＜＞［］｜", "‹›〔〕¦‹›〔〕¦")


def clean(text: str) -> str:
    """The form in which a text is read everywhere: composed (NFC), without surrounding white space.

    Half a character, as a text cut in the middle of one may hold (a lone surrogate), becomes U+FFFD.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", whole).strip()


def normalise(text: str) -> str:
    """NFC, case folded, letters and digits only; a text without any keeps its signs.

    normalise("오늘, 좋았다!") == normalise("오늘 좋았다") == "오늘좋았다"
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return re.sub(r"[\W_]+", "", folded) or "".join(folded.split())


def fenced(text: str, tag: str) -> str:
    """A stranger's text between tags, to be shown to a model; its own brackets and bars become look-alikes, so that
    neither the closing tag nor a chat template's marker can stand in it."""
    return f"<{tag}>\n{text.translate(_MARKS)}\n</{tag}>"
