"""Which answers of a model are no diary at all."""

import re

# How models and the servers in front of them begin when they do not write. The list is short on purpose: a diary may
# say sorry or tell of an AI, and what merely looks unlike one is the raters' and the reward model's to judge. Models
# refuse politely and in the present tense (없습니다), which tells them from a diary's 없었다 and 없어서.
_MODEL = r"(?:AI|인공지능|(?:대규모 ?|거대 ?)?언어 ?모델)(?: ?(?:언어 ?)?(?:모델|비서|어시스턴트|챗봇))?"
_NOT_ABLE = r"수(?:가|는)? ?없(?:습니다|어요|네요|으므로)"
_REFUSAL = re.compile(
    r"\W*(?:"
    r"(?:null|none)\W*$|"
    r"error(?![a-z])|"
    r"(?:(?:죄송합니다|알 수 없는|서버|내부|시스템|네트워크)\W+)*"
    r"오류(?:가 ?발생(?:했습니다|하였습니다|했어요)|입니다|\s*:|\W*$)|"
    r"unfortunately\b|"
    r"(?:i['’]?m|i am|we['’]?re|we are)\s+(?:very\s+|so\s+)?(?:sorry|unable)|sorry|"
    r"i\s+(?:can['’]?t|cannot|can not)|as an ai|"
    r"(?:죄송|미안)(?:합니다|하지만|해요).{0,80}?"
    rf"(?:{_NOT_ABLE}|어렵(?:습니다|네요)|어려워요|못 ?(?:합니다|해요)|불가(?:능)?합니다)|"
    r"(?:(?:저는|제가|현재|지금|첨부된|첨부하신|제공된|제공하신)\W+)*"
    rf"(?:사진|이미지).{{0,20}}?(?:볼|확인할) ?{_NOT_ABLE}|"
    rf"(?:저는|나는|제가) {_MODEL}(?:이?라(?![는고니])|입니다|이?에요|예요|로서|으로서|이?므로|이기|이?지만)|"
    rf"{_MODEL}로서"
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
