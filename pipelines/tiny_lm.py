"""Rebuild the embedded models: `make tiny-lm` (about two hours on two cores; killed, it goes on where it was).

Small models come out, all taught from scratch on corpora that the micro-world generates:

writer      the frozen task LM for diaries: prompt -> diary
policy      knows what prompts for diaries look like; `train_sft` and `train_ppo` teach it to write good ones
assistant   the frozen task LM for questions, which writes diaries too
qna_policy  knows what prompts for questions look like

Then the two task LMs are measured: does the writer obey instructions in combinations it has never seen, and copy what the
prompt says; does the assistant answer, abstain and guess as it is told to, about stories it has never met? One that does
not is refused.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from memozy.modeling import LanguageModel
from memozy.reports import page
from memozy.stages import Progress
from microworld.vocabulary import slot_values, train_tokenizer
from pipelines import tiny_diary, tiny_qna
from pipelines.from_scratch import Example, tokenize, train
from pipelines.tiny_diary import corpus
from pipelines.tiny_qna import Triples, assistant_examples, first_lesson, qna_corpus, qna_tokenizer

N_PAIRS = 120_000
WRITER = {"hidden_size": 192, "num_hidden_layers": 4, "intermediate_size": 512, "num_attention_heads": 6}
POLICY = {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 344, "num_attention_heads": 4}


def new_model(tokenizer, shape: dict[str, int]) -> LanguageModel:
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, num_key_value_heads=2, **shape,
    )  # fmt: skip
    return LanguageModel(LlamaForCausalLM(config), tokenizer)


class Job(NamedTuple):
    """A model to teach, and its lessons one after the other: (examples, steps, batch size)."""

    lm: LanguageModel
    learning_rate: float
    lessons: list[tuple[list[Example], int, int]]


def diary_jobs(seed: int) -> dict[str, Job]:
    triples = corpus(N_PAIRS, seed)
    tokenizer = train_tokenizer((text for t in triples[:8000] for text in t), size=1600)
    heavy = frozenset(tokenizer.convert_tokens_to_ids(v) for v in slot_values())
    torch.manual_seed(seed)
    writer, policy = new_model(tokenizer, WRITER), new_model(tokenizer, POLICY)
    diaries = [tokenize(writer, prompt, diary, heavy) for _, prompt, diary in triples]
    prompts = _continuations(policy, triples[:40_000])
    return {
        "writer": Job(writer, 2e-3, [(diaries, 3000, 64)]),
        "policy": Job(policy, 2e-3, [(prompts, 1500, 64)]),
    }


def qna_jobs(seed: int) -> dict[str, Job]:
    diaries, questions = corpus(20_000, seed), qna_corpus(40_000, seed)
    tokenizer = qna_tokenizer(diaries, questions)
    torch.manual_seed(seed)
    assistant, policy = new_model(tokenizer, WRITER), new_model(tokenizer, POLICY)
    first = assistant_examples(assistant, [], first_lesson(20_000, seed + 1))
    second = assistant_examples(assistant, diaries, questions)
    prompts = _continuations(policy, questions)
    return {
        "assistant": Job(assistant, 2e-3, [(first, 400, 64), (second, 2500, 64)]),
        "qna_policy": Job(policy, 2e-3, [(prompts, 800, 64)]),
    }


def _continuations(lm: LanguageModel, triples: Triples) -> list[Example]:
    return [tokenize(lm, "글을 이어 써 주세요.", words) for words, _, _ in triples]


MODELS = {"writer": diary_jobs, "policy": diary_jobs, "assistant": qna_jobs, "qna_policy": qna_jobs}


def build(out: Path, work: Path, only: Sequence[str], seed: int) -> None:
    """Train the models of `only` and save them in half precision as `out`/<name>. Killed, it goes on where it was."""
    work.mkdir(parents=True, exist_ok=True)
    for jobs in (diary_jobs, qna_jobs):
        names = [name for name in only if MODELS[name] is jobs and not (work / name).exists()]
        made = jobs(seed) if names else {}
        for name in names:
            teach(name, made[name], work, seed)
    for name in only:
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.copytree(work / name, out / name)
    shutil.rmtree(work)


def teach(name: str, job: Job, work: Path, seed: int) -> None:
    """Take the job's lessons and save the model as `work`/<name>; what a killed attempt has finished is kept."""
    lm = job.lm
    for n, (examples, steps, batch_size) in enumerate(job.lessons, start=1):
        done = work / f"{name}-{n}"
        if done.exists():
            lm = LanguageModel.load(done)
            continue
        train(lm.model, examples, steps=steps, batch_size=batch_size, learning_rate=job.learning_rate, warmup=100, pad_id=lm.pad_id,
              seed=seed, on_step=_report(Progress(f"tiny-lm {done.name}", steps, "steps")), autocast=True,
              checkpoint=work / f"{done.name}.safetensors")  # fmt: skip
        _save(lm, done)
    _save(LanguageModel(lm.model.to(torch.float16), lm.tokenizer), work / name)


def _save(lm: LanguageModel, folder: Path) -> None:
    """Under a scratch name first: a kill leaves a whole folder or none."""
    scratch = folder.with_name(f"{folder.name}.part")
    lm.save(scratch)
    scratch.replace(folder)


def _report(progress: Progress) -> Callable[[int, float], None]:
    """Progress counts from where it is first told to: a resumed training shows its own rate."""

    def on_step(step: int, loss: float) -> None:
        if progress.done == 0:
            progress.start = progress.done = step
        progress.advance(loss=loss)

    return on_step


MEASURES = {"writer": tiny_diary.measured, "assistant": tiny_qna.measured}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.tiny_lm", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("data/models"), help="where the models' folders go")
    parser.add_argument(
        "--report", type=Path, default=Path("runs/tiny-lm/report.html"), help="the page of measurements"
    )
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), help="these models alone")
    parser.add_argument("--measure-only", action="store_true", help="measure the models that are there")
    parser.add_argument("--combinations", type=int, default=20, help="combinations of others per instruction")
    parser.add_argument(
        "--samples", type=int, default=64, help="diaries or questions per combination, with and without"
    )
    args = parser.parse_args()
    if not args.measure_only:
        build(args.out, args.report.parent / "work", args.only, seed=0)

    found = {
        name: measured(LanguageModel.load(args.out / name), args.combinations, args.samples)
        for name, measured in MEASURES.items()
        if name in args.only
    }
    args.report.parent.mkdir(parents=True, exist_ok=True)
    html = page(Path(__file__).parent / "tiny_lm.html.j2", found=found, combinations=args.combinations, samples=args.samples,
                least_obeyed=tiny_diary.LEAST_OBEDIENCE, least_right=tiny_qna.LEAST_RIGHT)  # fmt: skip
    args.report.write_text(html, encoding="utf-8")
    for name, told in found.items():
        for key, share in told["by_key"].items():
            print(f"  {name} {key:<15} obeyed in {share:.0%} of {args.combinations} combinations")
        print(f"{name}: obedience {told['share']:.1%}; {told['summary']}")
    print(f"report: {args.report}")
    if unfit := [name for name, told in found.items() if not told["fit"]]:
        sys.exit(f"{' and '.join(unfit)}: not good enough by what is asked above: do not ship it")


if __name__ == "__main__":
    main()
