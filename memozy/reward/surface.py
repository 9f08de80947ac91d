"""What a text shows on its surface: plain statistics, and counts of what the app's rubric asks of a photo diary.

The rubric has four criteria: *richness* (where, with whom, what one saw, tasted and felt), *naturalness*
(told the way one writes down one's own day), *length*, and *not a diary* (talk about writing one). Each
column serves one criterion (`CRITERIA`), so that what a model has learned can be read by criterion.
The phrases are Korean in general, no list of one app's places; a wrong match costs little, for the
weights are learned.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

MOST = 4.0  # a phrase found more often than that counts no further

_WORD = re.compile(r"\w+")
_HANGUL = re.compile(r"[가-힣]")
_SENTENCE_END = re.compile(r"[.!?~…\n]+")
_NOT_HANGUL_AT_END = re.compile(r"[^가-힣]+$")
_MARK_RUN = re.compile(r"[!?~.,…]{2,}")
_LATIN = re.compile(r"[A-Za-z]")
_DIGIT = re.compile(r"\d")
_LONE_LETTER = re.compile(r"[ㄱ-ㅎㅏ-ㅣ]")
_SYMBOL = re.compile(r"[^\w\s.,!?~…'\"()]")
_LISTED = re.compile(r"[-•*#]|\d+[.)]|\w+\s*:")
_AND = re.compile(r"\w고\b")
_LINKED = re.compile(r"\w(?:서|며|면서|지만|는데)\b")
_POLITE = ("니다", "요", "죠")


def _any(phrases: str) -> re.Pattern[str]:
    """Any of the phrases, parted by spaces: `_` is an optional space, a leading `^` the start of a word."""
    parts = sorted(phrases.split(), key=len, reverse=True)
    return re.compile("|".join(re.sub(r"^\^", r"\\b", p).replace("_", " ?") for p in parts))


_RUBRIC = {
    "richness": {
        "places": _any(
            "^서울 ^부산 ^대구 ^인천 ^광주 ^대전 ^울산 ^세종 ^경기 ^강원 ^충청 ^전라 ^경상 ^제주 ^춘천 ^강릉 ^속초 ^양양 ^원주 ^평창 "
            "^정선 ^동해시 ^삼척 ^태백 ^홍천 ^가평 ^양평 ^파주 ^수원 ^용인 ^성남 ^고양시 ^일산 ^분당 ^안양 ^부천 ^강화 ^포천 ^여주 "
            "^이천 ^천안 ^아산 ^공주 ^부여 ^태안 ^보령 ^단양 ^제천 ^청주 ^충주 ^전주 ^군산 ^익산 ^남원 ^담양 ^여수 ^순천 ^목포 "
            "^보성 ^완도 ^해남 ^경주 ^포항 ^안동 ^영덕 ^울릉 ^독도 ^통영 ^거제 ^남해 ^진주 ^창원 ^김해 ^한강 ^해운대 ^광안리 ^홍대 "
            "^명동 ^강남 ^이태원 ^성수동 ^북촌 ^인사동 ^남산 ^설악 ^지리산 ^한라산 ^일본 ^도쿄 ^오사카 ^파리 ^유럽 ^미국 ^베트남 ^태국"
        ),
        "spots": _any(
            "카페 식당 맛집 시장 공원 해변 해수욕장 바닷가 호텔 숙소 펜션 박물관 미술관 전시 영화관 놀이공원 놀이기구 동물원 "
            "수족관 도서관 학교 회사 기차 지하철 버스 공항 정류장 산책로 등산 계곡 호수 절에 한옥 궁에 백화점 가게 서점 콘서트 "
            "공연 축제 캠핑 집에서 동네 골목 거리 건물 전망대 다리_위 포토존"
        ),
        "companions": _any(
            "혼자 친구 가족 엄마 아빠 어머니 아버지 부모님 할머니 할아버지 언니 오빠 누나 ^형이랑 ^형과 동생 남편 아내 ^딸 ^아들 "
            "아이들 ^애들 남자친구 여자친구 남친 여친 연인 애인 동료 선배 후배 이모 삼촌 사촌 조카 다_같이 ^우리 ^둘이 ^셋이"
        ),
        "moods": _any(
            "행복 즐거 즐겁 즐겼 즐긴 기뻤 기쁘 기뻐 기쁨 신나 신났 설레 설렜 설렘 떨렸 떨리 재밌 재미 힐링 감동 감사 고마 편안 "
            "평화 여유 뿌듯 만족 흐뭇 상쾌 심쿵 뭉클 벅차 벅찼 두근 충전 완벽 슬프 슬펐 우울 외로 외롭 속상 아쉬 아쉽 힘들 힘든 피곤 "
            "지쳤 화났 화가 짜증 긴장 걱정 그리웠 그립 그리움 부러 놀랐 당황 무서 ^웃었 ^울었 기대 포근 든든 사랑스"
        ),
        "feeling_good": _any("좋았 좋은 좋다 좋고 좋아 좋을 좋네 괜찮"),
        "times": _any(
            "오늘 어제 그제 내일 아침 점심 저녁 새벽 오전 오후 ^밤 한낮 주말 평일 하루 월요일 화요일 수요일 목요일 금요일 토요일 "
            "일요일 ^봄 여름 가을 겨울 생일 기념일 명절 방학 휴가 휴일 크리스마스 오랜만 모처럼 처음"
        ),
        "photos": _any("사진 찰칵 ^컷 한_컷 인증샷 촬영 셀카 찍었 찍은 찍어 찍고"),
        "memories": _any("추억 기억 기념 기록 잊지 잊을 잊히 잊혀 간직 남겼 남긴 남길 남기"),
        "food": _any(
            "먹었 먹으 먹고 먹는 먹을 먹기 먹은 마셨 마시 음식 밥을 밥_먹 식사 요리 메뉴 간식 디저트 커피 케이크 빵 고기 라면 치킨 "
            "피자 김밥 국물 맥주 술을 안주 맛있 맛이 맛도 꿀맛"
        ),
        "views": _any(
            "풍경 경치 야경 전망 ^뷰 바다 하늘 노을 일몰 일출 석양 구름 햇살 햇빛 ^별이 ^달이 달빛 ^눈이 ^눈사람 ^비가 ^꽃 벚꽃 "
            "단풍 나무 강물 ^강이 ^산이 파도 모래 조명 불빛 날씨 고양이 강아지 동물 분위기"
        ),
        "senses": _any(
            "시원 부드러 부드럽 향기 향이 냄새 소리 바람 따뜻 따스 추웠 추운 추위 춥 더웠 더운 뜨거 차가 달콤 고소 매콤 새콤 짭짤 "
            "바삭 쫄깃 촉촉 반짝 맑았 맑은 맑고 푸르 푸른 파란 하얀 하얗 빨간 노란 알록달록 깔끔 아늑 조용 시끌 북적 두꺼 커다 활짝"
        ),
        "looks": _any("예쁘 예쁜 예뻐 예뻤 이뻤 이쁘 이쁜 멋지 멋진 멋졌 멋있 아름다 아름답 귀여 귀엽 신기 특별 인상적 환상적 장관 새로운"),
    },
    "naturalness": {
        "strong_words": _any("진짜 정말 너무 완전 대박 최고 엄청 굉장 무척 아주 매우 ^참 ^꽤 ^딱 ^넘 ^와"),
        "hopes": _any("싶다 싶었 싶어 싶은 겠다 겠지 다음에 ^또 ^다시 앞으로 좋겠 해야지 자주"),
        "hedges": _any("것_같다 것_같았 것_같아 거_같 듯하 듯했 ^뭔가 ^그런지 ^그런가 덕분 덕에"),
        "guesses": _any("나보다 나_보다 나봐 나보네 나_보네 것_같네 듯_보 해_보였 ^보였 어보였 아보였 있어_보 모양이다 았겠 었겠 했겠"),
        "connectives": _any("그래서 그리고 그런데 ^근데 하지만 그래도 그러다 ^해서 니까 면서 길래 는데 지만 다가 어서 아서 여서 려고"),
        "pointing": re.compile(r"\b(?:[이그저](?:런|렇게| )|[여거저]기)"),
        "stated_mood": _any("기분은 기분이 기분을"),
        "mood_in_passing": _any("기분도 기분_좋 기분좋"),
        "laughs": re.compile(r"ㅎㅎ|ㅋㅋ|ㅠㅠ|ㅜㅜ|\^\^"),
        "slips": re.compile(r"됬|되서|할려|햇[다어]|[가-힣]따\b|[가-힣]이였|혼자(?:랑|와)\b"),
        "foreign": re.compile(r"[A-Za-z\u3040-\u30ff\u4e00-\u9fff]{2,}"),
        "invisible": re.compile(r"[\u00a0\u200b-\u200d\ufeff]"),
        "pictographs": re.compile(r"[\u2600-\u27bf\U0001f000-\U0001faff]"),
        "quotations": re.compile(r"['\"‘’“”]"),
    },
    "not a diary": {
        "about_writing": _any(
            "일기를 일기_작성 일기의 일기는 일기로 일기_내용 작성 사용자 제공 정보 대화 내용 형식 예시 수정 추가 바탕으로 반영 제안 "
            "요청 입장에서 말투 주의 다음과_같 위와 위의 아래 본문 제목 완성 완료 프롬프트 요약 글자 문장으로"
        ),
        "to_a_reader": _any(
            "말씀 드리 드릴 드려 드립 해드 주세요 주시 주셨 주실 하세요 으세요 습니다 입니다 니까요 까요 네요 군요 나요 셨어요 세요 "
            "을게요 할게요 릴게요 께서 당신 고객"
        ),
        "markup": re.compile(r"-{3,}|\*\*|^#+ |```|</?\w+|[{}\[\]<>]", re.MULTILINE),
        "headings": re.compile(r"^[ \t]*\w{1,6} ?\w{0,6} ?:", re.MULTILINE),
        "blank_lines": re.compile(r"\n\s*\n"),
    },
}


def _rubric(text: str) -> dict[str, float]:
    counts = {
        criterion: {name: min(float(len(phrase.findall(text))), MOST) for name, phrase in phrases.items()}
        for criterion, phrases in _RUBRIC.items()
    }
    kinds = {f"kinds_of_{c}".replace(" ", "_"): float(sum(map(bool, found.values()))) for c, found in counts.items()}
    return {name: count for found in counts.values() for name, count in found.items()} | kinds


def _statistics(text: str) -> dict[str, float]:
    words = _WORD.findall(text)
    stems = [w[:2] for w in words]  # Korean inflects at the end: two syllables tell most words apart
    sentences = [s for s in _SENTENCE_END.split(text) if _WORD.search(s)]
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    endings = [_NOT_HANGUL_AT_END.sub("", s) for s in sentences]
    polite = sum(e.endswith(_POLITE) for e in endings)
    plain = sum(e.endswith("다") and not e.endswith(_POLITE) for e in endings)
    past = sum(e.endswith("다") and _closed_by_double_siot(e[-2:-1]) for e in endings)
    grams = [text[i : i + 4] for i in range(len(text) - 3)]
    pairs = list(pairwise(stems))
    letters = sum(map(len, words))  # marks and spaces make no text longer
    n, n_words, n_sentences = max(len(text), 1), max(len(words), 1), max(len(sentences), 1)
    return {
        "characters": float(len(text)),
        "log_letters": math.log1p(letters),
        "letters_up_to_50": min(letters, 50.0),
        "letters_beyond_70": max(letters - 70.0, 0.0),
        "log_words": math.log1p(len(words)),
        "distinct_words": float(len(set(words))),
        "distinct_stems": float(len(set(stems))),
        "distinct_word_share": len(set(words)) / n_words,
        "distinct_stem_share": len(set(stems)) / n_words,
        "repeated_gram_share": _repeated(grams),
        "repeated_pair_share": _repeated(pairs),
        "letters_a_word": letters / n_words,
        "sentences": float(len(sentences)),
        "log_letters_a_sentence": math.log1p(letters / n_sentences),
        "shortest_sentence": float(min(map(len, sentences), default=0)),
        "sentence_length_spread": float(np.std([len(s) for s in sentences])) * n_sentences / n if sentences else 0.0,
        "exclamation_marks": float(text.count("!")),
        "question_marks": float(text.count("?")),
        "tildes": float(text.count("~")),
        "full_stops": float(text.count(".")),
        "commas": float(text.count(",")),
        "colons": float(text.count(":")),
        "log_mark_runs": math.log1p(len(_MARK_RUN.findall(text))),
        "symbols": float(len(_SYMBOL.findall(text))),
        "lone_letters": float(len(_LONE_LETTER.findall(text))),
        "digits": float(len(_DIGIT.findall(text))),
        "latin_share": len(_LATIN.findall(text)) / n,
        "hangul_share": len(_HANGUL.findall(text)) / max(len("".join(text.split())), 1),
        "plain_share": plain / n_sentences,
        "polite_share": polite / n_sentences,
        "past_share": past / n_sentences,
        "mixed_speech": float(plain > 0 and polite > 0),
        "lines": float(len(lines)),
        "listed_lines": float(sum(bool(_LISTED.match(line)) for line in lines)),
        "first_line_share": len(lines[0]) / n if lines else 0.0,
        "ands_a_sentence": len(_AND.findall(text)) / n_sentences,
        "links_a_sentence": len(_LINKED.findall(text)) / n_sentences,
    }


def _repeated(items: Sequence) -> float:
    return 1 - len(set(items)) / len(items) if items else 0.0


def _closed_by_double_siot(syllable: str) -> bool:
    """Whether a syllable ends in ㅆ, as the past tense does before 다: 갔, 먹었 (Unicode §3.12)."""
    return bool(_HANGUL.match(syllable)) and (ord(syllable) - 0xAC00) % 28 == 20


SURFACE = (*_statistics(""), *_rubric(""))
_STATISTICS = {
    "richness": ("distinct_words", "distinct_stems"),
    "length": (
        "characters", "log_letters", "letters_up_to_50", "letters_beyond_70", "log_words", "sentences",
        "log_letters_a_sentence", "shortest_sentence",
    ),
    "not a diary": ("colons", "lines", "listed_lines", "first_line_share", "latin_share", "hangul_share"),
}  # fmt: skip


def _criteria() -> dict[str, tuple[str, ...]]:
    named = {c: (*_STATISTICS.get(c, ()), *_RUBRIC.get(c, ())) for c in ("richness", "length", "not a diary")}
    rest = tuple(n for n in SURFACE if not any(n in columns for columns in named.values()))
    return named | {"naturalness": rest}


CRITERIA = _criteria()


def surface_features(texts: Sequence[str]) -> np.ndarray:
    """Statistics and rubric counts of cleaned texts: (n, len(SURFACE)) floats >= 0, columns named by SURFACE."""
    return np.array([list((_statistics(t) | _rubric(t)).values()) for t in texts], float).reshape(-1, len(SURFACE))
