"""Personal data in texts: e-mail addresses, resident registration numbers, payment cards, telephone numbers.

What looks like one is taken for one: a number asked about in vain costs less than one given away. Names, addresses,
accounts and what a photo shows are not looked for.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence

import polars as pl

KINDS = {  # and what stands in a masked text instead
    "e-mail address": "[이메일]", "resident registration number": "[주민등록번호]", "card number": "[카드번호]",
    "phone number": "[전화번호]",
}  # fmt: skip
REGION = "KR"  # whose numbers are known without a country code

# Full-width signs and the dashes that people write, each as the one plain character it stands for.
_PLAIN = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_PLAIN |= dict.fromkeys(map(ord, "‐‑‒–—―−ㅡ~～〜_＿"), "-")
_MAYBE = r"[@＠]|\d(?:[^\pL\d]{0,3}ㅡ?\d){7}"  # a sign of an address, or eight digits; all else holds nothing
_EMAIL = re.compile(r"[\w.%+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,}", re.ASCII | re.IGNORECASE)  # RFC 5321's lengths
_RESIDENT = re.compile(r"(?<!\d)(\d\d)(\d\d)(\d\d)\s?-?\s?(\d)\d{6}(?!\d)")
_CENTURY = dict(zip("9012567834", (1800, 1800, *[1900] * 4, *[2000] * 4), strict=True))  # of the seventh digit
_CARD = re.compile(r"(?<!\d)(?:\d{4}[ -]?){3}\d{4}(?!\d)|(?<!\d)\d{4}[ -]?\d{6}[ -]?\d{5}(?!\d)")


def find(texts: Sequence[str | None] | pl.Series) -> pl.DataFrame:
    """Where personal data stands: {row, kind, start, end}, rows from 0, characters [start, end), in order.

    A null holds none. Nearly every text is passed over by one regular expression on the whole column; the few
    that are left are looked at one by one.
    """
    column = pl.Series("text", texts, dtype=pl.String)
    maybe = column.str.contains(_MAYBE).fill_null(False).arg_true().to_list()
    rows = [(row, kind, start, end) for row in maybe for kind, start, end in _spans(column[row])]
    schema = {"row": pl.Int64, "kind": pl.String, "start": pl.Int64, "end": pl.Int64}
    return pl.DataFrame(rows, orient="row", schema=schema)


def masked(text: str) -> str:
    """The text with the name of its kind in place of each piece of personal data.

    masked("연락처는 010-1234-5678") == "연락처는 [전화번호]"
    """
    for kind, start, end in reversed(_spans(text)):
        text = text[:start] + KINDS[kind] + text[end:]
    return text


def _spans(text: str) -> list[tuple[str, int, int]]:
    """Kind, start and end of each piece, in order. Of two that overlap the kind that stands first in KINDS."""
    plain = text.translate(_PLAIN)
    kept: list[tuple[str, int, int]] = []
    for finder in (_emails, _residents, _cards, _phones):
        kept += [found for found in finder(plain) if all(found[2] <= k[1] or k[2] <= found[1] for k in kept)]
    return sorted(kept, key=lambda span: span[1])


def _emails(text: str) -> Iterator[tuple[str, int, int]]:
    for found in _EMAIL.finditer(text):
        yield "e-mail address", *found.span()


def _residents(text: str) -> Iterator[tuple[str, int, int]]:
    """주민등록번호 and 외국인등록번호: six digits of a day of birth, of which the seventh tells the century.

    The last digit is no longer a checksum of the others in numbers given since October 2020, so it isn't asked to be one.
    """
    for found in _RESIDENT.finditer(text):
        year, month, day, century = found.groups()
        try:
            born = datetime.date(_CENTURY[century] + int(year), int(month), int(day))
        except ValueError:
            continue
        if born <= datetime.date.today():
            yield "resident registration number", *found.span()


def _cards(text: str) -> Iterator[tuple[str, int, int]]:
    """Fifteen or sixteen digits whose last is the checksum of the others (ISO/IEC 7812-1, Luhn)."""
    for found in _CARD.finditer(text):
        digits = [int(sign) for sign in reversed(found.group()) if sign.isdigit()]
        total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
        if total and total % 10 == 0:
            yield "card number", *found.span()


def _phones(text: str) -> Iterator[tuple[str, int, int]]:
    """Numbers that exist in REGION's plan, or with a country code in that country's."""
    import phonenumbers

    for found in phonenumbers.PhoneNumberMatcher(text, REGION):
        yield "phone number", found.start, found.end
