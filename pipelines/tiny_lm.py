"""Rebuild the embedded models: `make tiny-lm` (about an hour on two cores; killed, it goes on where it was).

Two small models come out, both taught from scratch by the project's own SFT code on a corpus that
the micro-world generates: the *writer* (the frozen task LM: prompt -> diary) and the *policy base*
(knows what prompts look like; `train_sft` and `train_ppo` teach it to write good ones). Then the
writer is measured: does it obey instructions in combinations it has never seen, does it copy what
the prompt says? A writer that does not is refused.
"""

import argparse
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from components.train_sft.sft import tokenize, train
from memozy.modeling import LanguageModel, generate
from memozy.records import fill
from memozy.reports import page
from memozy.stages import Progress
from microworld.contexts import sample_contexts
from microworld.instructions import INSTRUCTIONS, held_out, properties, sample_instructions, template
from microworld.vocabulary import slot_values, train_tokenizer
from microworld.writer import write_diary

N_PAIRS = 120_000
WRITER = {"hidden_size": 192, "num_hidden_layers": 4, "intermediate_size": 512, "num_attention_heads": 6}
POLICY = {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 344, "num_attention_heads": 4}
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


def new_model(tokenizer, shape: dict[str, int]) -> LanguageModel:
    config = LlamaConfig(
        vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **shape,
    )  # fmt: skip
    return LanguageModel(LlamaForCausalLM(config), tokenizer)


def build(out: Path, work: Path, writer_steps: int, policy_steps: int, seed: int) -> None:
    """Train both models and save them in half precision as `out`/writer and `out`/policy."""
    triples = corpus(N_PAIRS, seed)
    tokenizer = train_tokenizer((text for t in triples[:8000] for text in t), size=1600)
    heavy = frozenset(tokenizer.convert_tokens_to_ids(v) for v in slot_values())
    work.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(seed)
    writer = new_model(tokenizer, WRITER)
    policy = new_model(tokenizer, POLICY)
    jobs = (
        ("writer", writer, writer_steps, [tokenize(writer, prompt, diary, heavy) for _, prompt, diary in triples]),
        (
            "policy",
            policy,
            policy_steps,
            [tokenize(policy, "글을 이어 써 주세요.", words) for words, _, _ in triples[:40_000]],
        ),
    )
    for name, lm, steps, examples in jobs:
        if (work / name).exists():  # finished by an attempt that was killed later
            continue
        train(lm.model, examples, steps=steps, batch_size=64, learning_rate=2e-3, warmup=100, pad_id=lm.pad_id, seed=seed,
              on_step=_report(Progress(f"tiny-lm {name}", steps, "steps")), autocast=True,
              checkpoint=work / f"{name}.safetensors")  # fmt: skip
        LanguageModel(lm.model.to(torch.float16), tokenizer).save(work / f"{name}.half")
        (work / f"{name}.half").replace(work / name)
    for name, *_ in jobs:
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.copytree(work / name, out / name)
    shutil.rmtree(work)


def _report(progress: Progress) -> Callable[[int, float], None]:
    """Progress counts from where it is first told to: a resumed training shows its own rate."""

    def on_step(step: int, loss: float) -> None:
        if progress.done == 0:
            progress.start = progress.done = step
        progress.advance(loss=loss)

    return on_step


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.tiny_lm", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("data/models"), help="where writer/ and policy/ go")
    parser.add_argument(
        "--report", type=Path, default=Path("runs/tiny-lm/report.html"), help="the page of measurements"
    )
    parser.add_argument("--writer-steps", type=int, default=3000)
    parser.add_argument("--policy-steps", type=int, default=1500)
    parser.add_argument("--measure-only", action="store_true", help="measure the writer that is there")
    parser.add_argument("--combinations", type=int, default=20, help="held-out combinations per instruction")
    parser.add_argument("--samples", type=int, default=64, help="diaries per combination, with and without")
    args = parser.parse_args()
    if not args.measure_only:
        build(args.out, args.report.parent / "work", args.writer_steps, args.policy_steps, seed=0)

    writer = LanguageModel.load(args.out / "writer")
    contexts = sample_contexts(400, seed=77)
    rows = obedience(writer, contexts, args.combinations, args.samples, seed=1)
    by_key = {
        key: sum(r["obeyed"] for r in rows if r["instruction"] == key) / args.combinations for key in INSTRUCTIONS
    }
    share = sum(r["obeyed"] for r in rows) / len(rows)
    named = copying(writer, contexts, seed=2)
    args.report.parent.mkdir(parents=True, exist_ok=True)
    html = page(Path(__file__).parent / "tiny_lm.html.j2", rows=rows, by_key=by_key, share=share, named=named,
                combinations=args.combinations, samples=args.samples, least=LEAST_OBEDIENCE)  # fmt: skip
    args.report.write_text(html, encoding="utf-8")
    for key, obeyed in by_key.items():
        print(f"  {key:<12} obeyed in {obeyed:.0%} of {args.combinations} held-out combinations")
    print(f"obedience {share:.1%}   names its place {named['place']:.1%}, companion {named['people']:.1%}, "
          f"photo {named['photo']:.1%}   report: {args.report}")  # fmt: skip
    if share < LEAST_OBEDIENCE or named["place"] < LEAST_COPYING:
        sys.exit("the writer does not obey its prompts well enough: do not ship it")


if __name__ == "__main__":
    main()
