"""Which answers of a model are no diary at all."""

import re

# How models and the servers in front of them begin when they do not write. The list is short on purpose: a diary may
# say sorry, and what merely looks unlike one is the raters' and the reward model's to judge.
_REFUSAL = re.compile(
    r"\W*(?:"
    r"error(?![a-z])|"
    r"(?:i['’]?m|i am|we['’]?re|we are)\s+(?:very\s+|so\s+)?(?:sorry|unable)|sorry|"
    r"i\s+(?:can['’]?t|cannot|can not)|as an ai|"
    r"(?:죄송|미안)(?:합니다|하지만|해요|하지만요).{0,80}?(?:수가? ?없|어렵|못 ?하|불가)|"
    r"(?:저는|나는) (?:인공지능|AI)"
    r")",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip


def fault(text: str) -> str | None:
    """Why an answer is no diary: it is empty, an error's text or a refusal; None for any other."""
    if not text.strip():
        return "empty answer"
    if _REFUSAL.match(text):
        return f"refusal: {' '.join(text.split())[:80]}"
    return None
