import re
from pathlib import Path

import pytest

import annotation
from annotation.words import WORDS, language

SLOT = re.compile(r"\{(\w+)\}")


def test_both_languages_say_the_same_and_nothing_is_said_in_vain():
    ko, en = WORDS["ko"], WORDS["en"]
    assert ko.keys() == en.keys()
    for key in ko:
        assert sorted(SLOT.findall(str(ko[key]))) == sorted(SLOT.findall(str(en[key]))), key
        assert ko[key] != en[key] and len(ko[key]) > 0
    folder = Path(annotation.__file__).parent
    used = "".join(
        path.read_text(encoding="utf-8")
        for path in folder.glob("*")
        if path.suffix in (".py", ".js", ".j2") and path.stem != "words"
    )
    used += "title_rate title_rank who_rate who_rank place people mood"  # put together from a mode, or a slot's name
    assert [key for key in ko if not re.search(rf"\b{key}\b", used)] == []


@pytest.mark.parametrize("accepted, lang", [
    ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"), ("en-US,en;q=0.9,ko;q=0.8", "en"), ("fr,ko;q=0.5", "ko"), ("fr", "en"), (None, "en"), ("", "en"),
    ("en;q=0.1,ko;q=0.9", "ko"), ("ko;q=0,en", "en"), ("ko;q=x, en", "en"),
])  # fmt: skip
def test_the_language_is_what_the_browser_likes_best(accepted, lang):
    assert language(accepted) == lang
