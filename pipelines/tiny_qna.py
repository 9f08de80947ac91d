"""The embedded models for questions: what they are taught, and whether the assistant obeys on stories it never met.

The *assistant* (the frozen task LM) writes diaries as the writer does, and answers questions by a choice's words.
It is taught in two lessons: first what the right answers are, then how a prompt decides whether it gives them.
"""

import random
from collections.abc import Sequence

import numpy as np

from memozy.environments.prompt_qna import evaluate
from memozy.modeling import LanguageModel
from memozy.qna import QNA_SLOTS, fill_question
from microworld.qna_instructions import GOOD, QNA_INSTRUCTIONS, QNA_UNWANTED, answer, qna_template, random_keys
from microworld.questions import places, sample_questions, subjects
from microworld.vocabulary import slot_values, train_tokenizer
from pipelines.from_scratch import Example, tokenize
from pipelines.tiny_diary import LEAST_OBEDIENCE, obeyed

LEAST_RIGHT = 0.9  # chance of the right answer by good prompts, where the context tells and where it does not
PROMPT_WEIGHT = 0.1  # of a prompt's token in the loss: to foresee a choice is to copy a name, which answers need too
ANSWER_WEIGHT = 4.0

Triples = list[tuple[str, str, str]]  # (template, prompt with its slots filled, reply)


def qna_corpus(n: int, seed: int) -> Triples:
    """`n` triples in which the reply is drawn as the prompt's instructions have it; no story that is held back."""
    rng = random.Random(seed)
    triples = []
    for row in sample_questions(n, seed, held=False):
        keys = random_keys(rng, wanted=rng.uniform(0.2, 0.8), unwanted=0.2)
        words = qna_template(keys, rng)
        triples.append((words, fill_question(words, row), answer(keys, row, rng)))
    return triples


def first_lesson(n: int, seed: int) -> Triples:
    """`n` triples by good prompts with the right answer: chance in the answers would hide what they depend on."""
    rng = random.Random(seed)
    rows = sample_questions(n, seed, held=False)
    words = [qna_template(GOOD, rng) for _ in rows]
    return [(w, fill_question(w, row), row["answer"]) for w, row in zip(words, rows, strict=True)]


def qna_tokenizer(diaries: Triples, questions: Triples):
    """Of both kinds of text; names are single tokens, so that they can be copied."""
    texts = (text for t in (*diaries[:5000], *questions[:8000]) for text in t)
    atoms = (*(f"{{{slot}}}" for slot in QNA_SLOTS), *subjects())
    return train_tokenizer(texts, size=2500, atoms=atoms, phrases=True)


def assistant_examples(lm: LanguageModel, diaries: Triples, questions: Triples) -> list[Example]:
    heavy = frozenset(lm.tokenizer.convert_tokens_to_ids(v) for v in slot_values())
    answered = [_whole(tokenize(lm, prompt, reply)) for _, prompt, reply in questions]
    return answered + [tokenize(lm, prompt, diary, heavy) for _, prompt, diary in diaries]


def _whole(example: Example) -> Example:
    """The same with its prompt, but for the first token, to be foreseen as well; the answer's first token says it all."""
    tokens = example.prompt + example.reply
    weights = [PROMPT_WEIGHT] * (len(example.prompt) - 1) + [ANSWER_WEIGHT, *example.weights[1:]]
    return Example(tokens[:1], tokens[1:], weights)


def read_rows(rows: Sequence[dict]) -> list[dict]:
    """Rows of `sample_questions` as memozy.qna.read_questions gives them."""
    return [dict(row, answer=places(row)[0], abstain=places(row)[1]) for row in rows]


def measures(lm: LanguageModel, templates: Sequence[str], questions: Sequence[dict]) -> dict[str, np.ndarray]:
    """Of each template, [P]: the mean chance of the right choice where the context tells (`right`), of «unknown» there
    (`abstained_told`) and where it does not tell (`abstained_untold`), of the first choice (`first`), and that the
    answer begins with a choice (`readable`)."""
    p, mass = evaluate(lm, templates, questions, "texts")  # [P, Q, 3], [P, Q]
    told = np.array([q["answer"] != q["abstain"] for q in questions])
    every = np.arange(len(questions))
    right = p[:, every, [q["answer"] for q in questions]]
    unknown = p[:, every, [q["abstain"] for q in questions]]
    return {
        "right": right[:, told].mean(axis=1),
        "abstained_told": unknown[:, told].mean(axis=1),
        "abstained_untold": unknown[:, ~told].mean(axis=1),
        "first": p[:, :, 0].mean(axis=1),
        "readable": mass.mean(axis=1),
    }


def qna_obedience(lm: LanguageModel, combinations: int, samples: int, seed: int) -> list[dict]:
    """Does adding an instruction to others move its property the right way, on questions of stories held back?

    One row per (instruction, combination): the property's mean over the same `samples` questions without and with it.
    The others are good or none: by «always the first» no other instruction can be seen.
    """
    rng = random.Random(seed)
    questions = read_rows(sample_questions(samples, seed, held=True))
    rows = []
    for key, instruction in QNA_INSTRUCTIONS.items():
        for _ in range(combinations):
            base = random_keys(rng, wanted=0.5, unwanted=0.0)
            base = tuple(k for k in base if QNA_INSTRUCTIONS[k].group != instruction.group)
            pair = [qna_template(keys, rng) for keys in (base, (*base, key))]
            without, with_ = measures(lm, pair, questions)[instruction.property].tolist()
            rows.append({"instruction": key, "property": instruction.property, "combination": " + ".join(base) or "(none)",
                         "without": without, "with": with_, "obeyed": (with_ - without) * instruction.direction > 0})  # fmt: skip
    return rows


def qna_table(lm: LanguageModel, wordings: int, samples: int, seed: int) -> list[dict]:
    """One row per set of instructions: `measures` over `wordings` templates and `samples` questions of held-back stories.

    The sets: none, good ones alone, all good ones, and these with a bad one in the place of its group's.
    """
    rng = random.Random(seed)
    questions = read_rows(sample_questions(samples, seed, held=True))
    sets = [(), *((key,) for key in GOOD), GOOD]
    for key, instruction in QNA_INSTRUCTIONS.items():
        if key in QNA_UNWANTED:
            sets.append((*(k for k in GOOD if QNA_INSTRUCTIONS[k].group != instruction.group), key))
    rows = []
    for keys in sets:
        seen = measures(lm, [qna_template(keys, rng) for _ in range(wordings)], questions)
        rows.append({"asked": " + ".join(keys) or "(nothing)", **{name: float(v.mean()) for name, v in seen.items()}})
    return rows


def measured(lm: LanguageModel, combinations: int, samples: int) -> dict:
    """What the page says of an assistant: cases of `qna_obedience` (`rows`), the share obeyed of each instruction
    (`by_key`) and of all (`share`), the `table`, its row of the `good` prompts and that in a line (`summary`); `fit`:
    whether it is enough to ship it."""
    rows, table = qna_obedience(lm, combinations, samples, seed=1), qna_table(lm, 8, 4 * samples, seed=2)
    by_key, share = obeyed(rows)
    good = next(row for row in table if row["asked"] == " + ".join(GOOD))
    fit = share >= LEAST_OBEDIENCE and min(good["right"], good["abstained_untold"]) >= LEAST_RIGHT
    summary = f"by good prompts right {good['right']:.1%} where told, {good['abstained_untold']:.1%} where not"
    return {
        "rows": rows,
        "by_key": by_key,
        "share": share,
        "table": table,
        "good": good,
        "summary": summary,
        "fit": fit,
    }
