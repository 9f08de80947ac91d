"""How a diary follows its prompt: the teacher whose texts the tiny LM learns from.

A diary is a list of clauses, each a past-tense stem ("다녀왔"), joined by 고 inside a sentence and
closed by 다 or 습니다. Instructions decide which clauses there are, over how many sentences they
spread and in which form; what nobody asked for is left to chance, and chance is careless: it
invents feelings, adds headings and talks like an assistant.
"""

import random

from microworld.contexts import MOODS, PHOTOS, particle

SENSES = (
    "바람 소리가 귓가를 스쳤", "커피 향이 코끝에 닿았", "햇살이 손등을 데웠", "달콤한 냄새가 퍼졌", "차가운 공기가 볼에 닿았",
    "멀리서 노랫소리가 들렸", "발밑에서 자갈 소리가 났", "고소한 맛이 입안에 남았", "물소리가 잔잔하게 들렸", "부드러운 빛이 눈에 들어왔",
)  # fmt: skip
COMPANION_ACTS = (
    "나란히 앉아 간식을 나눠 먹었", "서로 사진을 찍어 주었", "한참 이야기를 나눴", "손을 잡고 천천히 걸었", "같이 노래를 흥얼거렸",
    "벤치에 앉아 생각을 정리했", "천천히 걸으며 메모를 남겼",
)  # fmt: skip
CLOSINGS = (
    "이 순간을 오래 기억하고 싶었", "다음에 꼭 다시 오고 싶었", "작은 일에도 감사하게 되었", "오늘 하루가 선물 같았", "평범한 날이 소중하다는 걸 알았",
)  # fmt: skip
EXCLAMATIONS = ("와 대박!", "우와!", "최고!", "세상에!")

_FILLERS = ("여기저기 구경했", "맛있는 것도 먹었", "그냥 시간을 보냈", "이것저것 했", "잠깐 쉬었")
_PREFACES = ("네, 일기를 써 드릴게요.", "요청하신 일기를 작성해 드립니다.")
_OPENERS_ALONE = ("오늘 혼자 {place}에 다녀왔", "혼자 {place}에서 하루를 보냈", "오랜만에 혼자 {place}에 갔")
_OPENERS = ("오늘 {with_} {place}에 다녀왔", "{with_} {place}에서 하루를 보냈", "오랜만에 {with_} {place}에 갔")
_PHOTO_PLAIN = ("{photo_obj} 보았", "{photo} 사진을 찍었", "{photo_obj} 사진에 담았")
_PHOTO_DETAIL = (
    "{photo}에서 {d1_and} {d2_obj} 찍었",
    "{photo}의 {d1_and} {d2_subj} 눈에 띄었",
    "{photo} 사진에 {d1_and} {d2_obj} 담았",
)


def write_diary(keys: tuple[str, ...], context: dict, rng: random.Random) -> str:
    """A Korean diary for `context` that obeys the instruction `keys` (see `instructions.INSTRUCTIONS`)."""
    asked = set(keys)
    clauses = _clauses(asked, context, rng)
    n_sentences = 1 if "short" in asked else 3 if "medium" in asked else 5 if "long" in asked else rng.choice((1, 2, 2))
    polite = "polite" in asked or ("plain" not in asked and rng.random() < 0.25)
    preface = "plain" not in asked and rng.random() < (0.5 if "polite" in asked else 0.15)
    heading = rng.random() < (0.95 if "heading" in asked else 0.0 if "no_heading" in asked else 0.3)
    sentences = _sentences(clauses, n_sentences, "습니다" if polite else "다", "exclaim" in asked, rng)
    text = " ".join(sentences)
    if heading:
        if rng.random() < 0.5:
            text = f"제목: {context['place']} 일기\n" + text
        else:
            text = "\n".join(f"- {s}" for s in sentences)
    return f"{rng.choice(_PREFACES)}\n{text}" if preface else text


def _clauses(asked: set[str], context: dict, rng: random.Random) -> list[str]:
    """The clauses in the order they will stand: opener, photo, senses, companion, mood, fillers, closing."""
    place, people, photo = context["place"], context["people"], context["photo"]
    alone = people == "혼자"
    with_ = particle(people, "과", "와")
    opener = rng.choice(_OPENERS_ALONE if alone else _OPENERS).format(place=place, with_=with_)
    d1, d2 = rng.sample(PHOTOS[photo], 2)
    shot = rng.choice(_PHOTO_DETAIL if "detail" in asked else _PHOTO_PLAIN).format(
        photo=photo, photo_obj=particle(photo, "을", "를"), d1_and=particle(d1, "과", "와"),
        d2_obj=particle(d2, "을", "를"), d2_subj=particle(d2, "이", "가"),
    )  # fmt: skip
    clauses = [opener, shot]
    if "sensory" in asked:
        clauses.append(rng.choice(SENSES))
    if "companion" in asked:
        clauses.append(rng.choice(COMPANION_ACTS[5:]) if alone else f"{with_} {rng.choice(COMPANION_ACTS[:5])}")
    invented = "given_mood" not in asked and rng.random() < 0.5
    mood = rng.choice([m for m in MOODS if m != context["mood"]]) if invented else context["mood"]
    clauses.append(f"{rng.choice(('마음이', '참', '하루 종일'))} {MOODS[mood]}")
    wanted = 3 if "medium" in asked else 5 if "long" in asked else 0
    for filler in rng.sample(_FILLERS, max(0, wanted - len(clauses) - ("closing" in asked))):
        clauses.insert(-1, filler)
    if "closing" in asked:
        clauses.append(rng.choice(CLOSINGS))
    return clauses


def _sentences(clauses: list[str], n: int, ending: str, exclaim: bool, rng: random.Random) -> list[str]:
    """Spread `clauses` over at most `n` sentences, earlier sentences taking the extra ones."""
    n = min(n, len(clauses))
    base, extra = divmod(len(clauses), n)
    sentences, start = [], 0
    for i in range(n):
        size = base + (i < extra)
        mark = "!!" if exclaim and rng.random() < 0.7 else "."
        cry = f"{rng.choice(EXCLAMATIONS)} " if exclaim and (i == 0 or rng.random() < 0.3) else ""
        sentences.append(cry + "고 ".join(clauses[start : start + size]) + ending + mark)
        start += size
    return sentences
