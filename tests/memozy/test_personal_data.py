"""Personal data: what is found, what is left alone, and that none of it reaches an endpoint. No number here is anyone's."""

import pytest

from memozy.llm import open_llm
from memozy.personal_data import find, masked
from memozy.records import InputError
from tests.endpoint import PAID, serving

PHONE, EMAIL, RESIDENT, CARD = "[전화번호]", "[이메일]", "[주민등록번호]", "[카드번호]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("전화는 010-1234-5678로 주세요", f"전화는 {PHONE}로 주세요"),
        ("01012345678", PHONE), ("010 1234 5678", PHONE), ("010.1234.5678", PHONE), ("010ㅡ1234ㅡ5678", PHONE),
        ("010~1234~5678", PHONE), ("０１０－１２３４－５６７８", PHONE), ("(02) 312-3456", PHONE), ("가게 1588-1234.", f"가게 {PHONE}."),
        ("+82 10-1234-5678", PHONE), ("+1 650-253-0000", PHONE),
        ("me.too_2@mail.example.co.kr으로", f"{EMAIL}으로"), ("ＡＢ＠ｅｘａｍｐｌｅ．ｃｏｍ", EMAIL),
        ("900101-1234567", RESIDENT), ("9001011234567", RESIDENT), ("900101 - 1234567", RESIDENT),
        ("외국인 850712-5123456", f"외국인 {RESIDENT}"),
        ("4111 1111 1111 1111", CARD), ("3782-822463-10005", CARD),
        ("나 010-1234-5678, 엄마 me@x.com", f"나 {PHONE}, 엄마 {EMAIL}"),
    ],
)  # fmt: skip
def test_what_is_personal_is_masked_and_nothing_around_it(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2024-11-28 10:30에 만났다", "2024.11.28 - 2024.12.01", "15,000원과 20,000원", "1999-2010년", "@제주도", "나@집",
        "위도 37.566535, 경도 126.9779692", "점수 1 2 3 4 5 6 7 8 9 10", "ISBN 978-89-01-12345-6", "20241128",
        "901301-1234567",  # no thirteenth month
        "990101-3234567",  # born in 2099
        "4111 1111 1111 1112",  # no card's checksum
        "",
    ],
)  # fmt: skip
def test_dates_prices_and_places_are_left_alone(text):
    assert masked(text) == text


def test_resident_numbers_given_since_2020_need_no_checksum():
    """900101-1234567 has the checksum 8, so one of its ten last digits keeps it; all ten are taken for a number."""
    assert all(masked(f"900101-123456{last}") == RESIDENT for last in range(10))


def test_where_it_stands_is_told_by_row_and_character():
    texts = ["조용했다", None, "나 010-1234-5678, 엄마 me@x.com", "９００１０１－１２３４５６７"]
    assert find(texts).rows() == [
        (2, "phone number", 2, 15), (2, "e-mail address", 20, 28), (3, "resident registration number", 0, 14),
    ]  # fmt: skip
    assert find([]).is_empty() and find([None]).is_empty()


def test_long_texts_of_digits_and_signs_are_read_once():
    """Patterns that went back and forth would take hours for these."""
    for text in ("1" * 30_000, "a." * 15_000 + "@", "a@" + "a." * 15_000, "1-" * 15_000, "(1" * 15_000):
        assert find([text]).height <= 1


PROMPTS = ["연락처 010-1234-5678", "좋은 날", "메일 me@x.com"]


def test_no_number_leaves_for_an_endpoint_unless_told_so(own_ledger, capsys):
    with serving(lambda prompt: "네") as endpoint:
        open_llm(PAID).complete(PROMPTS, seed=0)
        assert set(endpoint.asked) == {f"연락처 {PHONE}", "좋은 날", f"메일 {EMAIL}"}
        assert "personal data masked in 2 of 3 requests: e-mail address, phone number" in capsys.readouterr().out
        open_llm(PAID.model_copy(update={"personal_data": "send"})).complete(PROMPTS, seed=0)
        assert len(endpoint.requests) == 5 and set(PROMPTS) < set(endpoint.asked)


def test_refused_data_is_named_by_kind_and_never_told(own_ledger):
    config = PAID.model_copy(update={"personal_data": "refuse"})
    with serving(lambda prompt: "네") as endpoint, pytest.raises(InputError) as error:
        open_llm(config).complete(PROMPTS[1:], seed=0)
    assert endpoint.requests == []
    assert "1 of 2 requests, the first of them number 2, hold personal data (e-mail address)" in str(error.value)
    assert "me@" not in str(error.value) and "\n" not in str(error.value)
