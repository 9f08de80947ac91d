"""Which rows of instruction data are fit to learn from, what is wrong with the others, and how varied they are."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from components.train_sft.config import Quality
from components.train_sft.instructions import Fault, Row
from memozy.modeling import LanguageModel
from memozy.records import InputError, template_fault
from memozy.texts import near_pairs, normalise

SAYING = 8  # letters from which an instruction found in an output is no coincidence


def check(rows: Sequence[Row], quality: Quality) -> tuple[list[Row], list[Fault]]:
    """The rows that may be learned from, and of each other one what is wrong: its format, or that it repeats a row before it."""
    faults = {r.number: fault for r in rows if (fault := _format(r, quality))}
    sound = [r for r in rows if r.number not in faults]
    for r, other in _copies(sound, quality.near_duplicate):
        faults[r.number] = Fault(r.number, "output", r.output, f"says what row {other.number} says")
    sound = [r for r in sound if r.number not in faults]
    if quality.one_answer:
        for several in contradictions(sound):
            named = ", ".join(str(r.number) for r in several)
            for r in several:
                faults[r.number] = Fault(r.number, "output", r.output, f"rows {named} answer one query differently")
        sound = [r for r in sound if r.number not in faults]
    return sound, list(faults.values())


def too_long(rows: Sequence[Row], lm: LanguageModel) -> tuple[list[Row], list[Fault]]:
    """The rows that the model's context holds, and the others."""
    context = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None) or math.inf
    kept, faults = [], []
    for r in rows:
        n = len(lm.chat_ids(r.query)) + len(lm.reply_ids(r.output))
        if n > context:
            faults.append(
                Fault(r.number, "output", r.output, f"is {n} tokens with its query, of {context} in a context")
            )
        else:
            kept.append(r)
    return kept, faults


def contradictions(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each query that has several outputs."""
    by_query = defaultdict(list)
    for r in rows:
        by_query[normalise(r.query)].append(r)
    return [several for several in by_query.values() if len(several) > 1]


def evenness(rows: Sequence[Row]) -> float:
    """Entropy of the instructions over log of their number (Pielou 1966): 1 where all are as frequent, 0 where one is all there is."""
    counts = Counter(r.instruction for r in rows).values()
    if len(counts) < 2:
        return 0.0
    shares = [n / len(rows) for n in counts]
    return -sum(p * math.log(p) for p in shares) / math.log(len(counts))


def refuse(n_rows: int, faults: Sequence[Fault], rows: Sequence[Row], quality: Quality, file: str) -> None:
    """Raise InputError where too many of `n_rows` were set aside, or the instructions of the rest vary too little."""
    if len(faults) > quality.most_quarantined * n_rows:
        first = min(faults, key=lambda f: f.row)
        raise InputError(f"{first.reason}, and {len(faults)} of {n_rows} rows cannot be used: more than {quality.most_quarantined:.0%}",
                         file=file, row=first.row, field=first.field, value=first.value,
                         remedy="Mend them, or raise sft.quality.most_quarantined")  # fmt: skip
    n = len({r.instruction for r in rows})
    if n < quality.instructions:
        raise InputError(f"has {n} distinct instructions, {quality.instructions} are wanted", file=file, field="instruction",
                         remedy="Say it in other words too, or lower sft.quality.instructions")  # fmt: skip
    if n > 1 and evenness(rows) < quality.evenness:
        most, count = Counter(r.instruction for r in rows).most_common(1)[0]
        raise InputError(f"{count} of {len(rows)} rows have this one: evenness {evenness(rows):.2f}, {quality.evenness:g} is wanted",
                         file=file, field="instruction", value=most,
                         remedy="Add rows with others, or lower sft.quality.evenness")  # fmt: skip


def without_copies(rows: Sequence[Row], of: Sequence[Row], near_duplicate: float) -> list[Row]:
    """Those of `rows` that say nothing which a row of `of` or an earlier one says."""
    copies = {id(r) for r, _ in _copies([*of, *rows], near_duplicate)}
    return [r for r in rows if id(r) not in copies]


def _copies(rows: Sequence[Row], near_duplicate: float) -> list[tuple[Row, Row]]:
    """Each row that repeats an earlier one, with that one, which is no copy itself.

    Copies agree in the output and in the whole row, each as letters and digits alone or by their cosine: neither the same
    short answer to two questions is one, nor two answers to the same long question.
    """
    outputs = [normalise(r.output) for r in rows]
    wholes = [f"{normalise(r.query)}\n{output}" for r, output in zip(rows, outputs, strict=True)]
    same_output, same_whole = (_alike(texts, near_duplicate) for texts in (outputs, wholes))
    found: dict[int, int] = {}
    for j in range(len(rows)):
        earlier = same_whole(j)
        first = min((earlier & same_output(j)) - found.keys(), default=None) if earlier else None
        if first is not None:
            found[j] = first
    return [(rows[j], rows[i]) for j, i in found.items()]


def _alike(texts: Sequence[str], near_duplicate: float) -> Callable[[int], set[int]]:
    """A function: row -> the rows before it whose text is the same or nearly."""
    places = defaultdict(list)
    for row, text in enumerate(texts):
        places[text].append(row)
    near = defaultdict(set)
    for i, j in near_pairs(texts, near_duplicate).tolist():
        near[texts[i]].add(texts[j])
        near[texts[j]].add(texts[i])
    return lambda row: {i for text in (texts[row], *near[texts[row]]) for i in places[text] if i < row}


def _format(r: Row, quality: Quality) -> Fault | None:
    said, asked = normalise(r.output), normalise(r.instruction)
    if len(asked) >= SAYING and asked in said:
        return Fault(r.number, "output", r.output, "repeats the instruction")
    wrong = template_fault(r.output, quality.slots) if quality.slots else None
    return Fault(r.number, "output", r.output, wrong) if wrong else None
