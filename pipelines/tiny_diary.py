"""The embedded models for diaries: what the writer is taught, and whether it obeys its prompts and copies what they say."""

import random

import torch

from memozy.generation import generate
from memozy.modeling import LanguageModel
from memozy.records import fill
from microworld.contexts import sample_contexts
from microworld.instructions import INSTRUCTIONS, held_out, properties, sample_instructions, template
from microworld.writer import write_diary

LEAST_OBEDIENCE = 0.9  # share of (instruction, held-out combination) cases that must move the right way
LEAST_COPYING = 0.9  # share of diaries that must name the place they are about


def corpus(n: int, seed: int) -> list[tuple[str, str, str]]:
    """`n` triples (template, prompt with its slots filled, diary that obeys it); no held-out combination."""
    rng = random.Random(seed)
    contexts = sample_contexts(30_000, seed)
    triples = []
    while len(triples) < n:
        keys = sample_instructions(rng, wanted=rng.uniform(0.2, 0.8), unwanted=0.15)
        if held_out(keys):
            continue
        context, words = rng.choice(contexts), template(keys, rng)
        triples.append((words, fill(words, context), write_diary(keys, context, rng)))
    return triples


def obedience(lm: LanguageModel, contexts: list[dict], combinations: int, samples: int, seed: int) -> list[dict]:
    """Does adding an instruction to a combination move its property the right way, where the sum was never seen?

    One row per (instruction, combination): the property's mean over `samples` diaries with and without
    the instruction, on the same contexts. The combination with the instruction is held out of the corpus.
    """
    rng = random.Random(seed)
    cases = []
    for key, instruction in INSTRUCTIONS.items():
        found = 0
        while found < combinations:
            base = sample_instructions(rng, wanted=0.4, unwanted=0.1)
            base = tuple(k for k in base if INSTRUCTIONS[k].group != instruction.group)
            more = tuple(sorted((*base, key)))
            if held_out(more):
                found += 1
                cases.append((instruction, base, more))
    prompts, used = [], []
    for _, base, more in cases:
        for keys in (base, more):
            for context in contexts[:samples]:
                prompts.append(lm.chat_ids(fill(template(keys, rng), context)))
                used.append(context)
    replies = generate(lm, prompts, max_new_tokens=96, temperature=0.7, rng=torch.Generator().manual_seed(seed))
    seen = [properties(lm.text(tokens), context) for tokens, context in zip(replies.tokens, used, strict=True)]
    rows = []
    for n, (instruction, base, _) in enumerate(cases):
        at = 2 * n * samples
        without, with_ = (
            sum(p[instruction.property] for p in seen[start : start + samples]) / samples
            for start in (at, at + samples)
        )
        rows.append({"instruction": instruction.key, "property": instruction.property, "combination": " + ".join(base) or "(none)",
                     "without": without, "with": with_, "obeyed": (with_ - without) * instruction.direction > 0})  # fmt: skip
    return rows


def copying(lm: LanguageModel, contexts: list[dict], seed: int) -> dict[str, float]:
    """Share of diaries, one per context by random prompts, that name their own place, photo and companion."""
    rng = random.Random(seed)
    prompts = [lm.chat_ids(fill(template(sample_instructions(rng, 0.5, 0.1), rng), c)) for c in contexts]
    replies = generate(lm, prompts, max_new_tokens=96, temperature=0.7, rng=torch.Generator().manual_seed(seed))
    texts = [lm.text(tokens) for tokens in replies.tokens]
    return {
        slot: sum(c[slot] in t for t, c in zip(texts, contexts, strict=True)) / len(texts)
        for slot in ("place", "people", "photo")
    }


def measured(lm: LanguageModel, combinations: int, samples: int) -> dict:
    """What the page says of a writer: cases of `obedience` (`rows`), the share obeyed of each instruction (`by_key`) and of
    all (`share`), what diaries name (`named`) and that in a line (`summary`); `fit`: whether it is enough to ship it."""
    contexts = sample_contexts(400, seed=77)
    rows, named = obedience(lm, contexts, combinations, samples, seed=1), copying(lm, contexts, seed=2)
    by_key, share = obeyed(rows)
    fit = share >= LEAST_OBEDIENCE and named["place"] >= LEAST_COPYING
    summary = f"names its place {named['place']:.1%}, companion {named['people']:.1%}, photo {named['photo']:.1%}"
    return {"rows": rows, "by_key": by_key, "share": share, "named": named, "summary": summary, "fit": fit}


def obeyed(rows: list[dict]) -> tuple[dict[str, float], float]:
    """Of cases as `obedience` gives them: (instruction -> share obeyed, share of all)."""
    keys = dict.fromkeys(row["instruction"] for row in rows)
    by_key = {key: [row["obeyed"] for row in rows if row["instruction"] == key] for key in keys}
    return {key: sum(seen) / len(seen) for key, seen in by_key.items()}, sum(r["obeyed"] for r in rows) / len(rows)
