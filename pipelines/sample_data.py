"""Rebuild the sample data in `data/`: contexts, prompts, instruction data, and rated sample diaries.

All of it is drawn from the micro-world with fixed seeds; the diaries are written by the embedded
writer and rated by simulated raters, and say so. `make tiny-lm` calls this after the models.
"""

import argparse
import csv
import random
from pathlib import Path

from components.generate_diaries.assignment import assign
from memozy.llm import LLMConfig, open_llm
from memozy.records import SIMULATED, fill, write_jsonl
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions, template
from microworld.qna_instructions import qna_template, random_keys
from microworld.questions import sample_questions
from microworld.raters import PANEL

INCUMBENT = ("closing", "medium", "no_heading", "plain")  # prompt A: decent, and far from the best there is
META_PROMPTS = (
    "사진 일기를 쓰는 모델에게 줄 프롬프트를 써 주세요.",
    "일기를 쓰는 모델에게 줄 지시문을 한 문단으로 작성해 주세요.",
    "사진과 정보를 받아 일기를 쓰게 하는 프롬프트를 적어 주세요.",
)
QNA_INCUMBENT = (
    "다음 질문의 답을 고르세요. 선택지에 적힌 말만 써서 답해 주세요. 맥락: {context} 질문: {question} 선택지: {choices}"
)
QNA_META_PROMPTS = (
    "질문에 답하는 모델에게 줄 프롬프트를 써 주세요.",
    "맥락과 선택지를 읽고 답을 고르게 하는 지시문을 작성해 주세요.",
    "맥락, 질문, 선택지를 받아 답하게 하는 프롬프트를 적어 주세요.",
)


def main(out: Path) -> None:
    """Write every sample file under `out`; the models must already be in `out`/models."""
    rng = random.Random(2024)
    contexts = sample_contexts(1000, seed=11)
    write_jsonl(contexts[:400], out / "contexts.jsonl")
    write_jsonl(contexts[400:], out / "evaluation_contexts.jsonl")

    prompts = [
        {"prompt_id": "A", "template": template(INCUMBENT, rng), "parent_prompt_id": None, "origin": "incumbent"}
    ]
    prompts += [
        {"prompt_id": f"old-{n:02d}", "template": template(sample_instructions(rng, wanted=0.35, unwanted=0.2), rng),
         "parent_prompt_id": None, "origin": "history"}
        for n in range(1, 25)
    ]  # fmt: skip
    write_jsonl(prompts, out / "prompts.jsonl")
    write_jsonl(
        (
            {"instruction": META_PROMPTS[n % len(META_PROMPTS)], "input": "",
             "output": template(sample_instructions(rng, wanted=0.35, unwanted=0.15), rng)}
            for n in range(600)
        ),
        out / "instructions.jsonl",
    )  # fmt: skip

    shown = {c["context_id"]: c for c in contexts[:100]}
    templates = {p["prompt_id"]: p["template"] for p in prompts}
    pairs = assign(list(shown), list(templates), per_context=2, seed=0)
    llm = open_llm(LLMConfig(model=str(out / "models" / "writer")))
    written = llm.complete([fill(templates[p], shown[c]) for c, p in pairs], seed=0)
    diaries = [
        {"diary_id": f"sample-{n:04d}", "context_id": c, "prompt_id": p, "generator": "data/models/writer",
         "text": w.text, "cost_usd": 0.0, "created_at": "2024-01-01T00:00:00+00:00"}
        for n, ((c, p), w) in enumerate(zip(pairs, written, strict=True))
    ]  # fmt: skip
    write_jsonl(diaries, out / "diaries.jsonl")
    with open(out / "ratings.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["diary_id", "image_id", "text", "rater_id", "rating", "source"])
        for n, d in enumerate(diaries):
            for rater in (PANEL[n % len(PANEL)], *([PANEL[(n + 1) % len(PANEL)]] if n % 5 == 0 else [])):
                level = rater.rate(d["text"], shown[d["context_id"]], d["diary_id"])
                table.writerow([d["diary_id"], d["context_id"], d["text"], rater.rater_id, level, SIMULATED])
    write_jsonl(({"query": q} for q in META_PROMPTS), out / "queries.jsonl")
    write_questions(out)


def write_questions(out: Path) -> None:
    """Write the questions, and the prompts and instruction data for them, under `out`; no model is needed."""
    rng = random.Random(2025)
    write_jsonl(sample_questions(408, seed=31, held=False), out / "questions.jsonl")
    write_jsonl(sample_questions(312, seed=32, held=True), out / "evaluation_questions.jsonl")
    prompts = [QNA_INCUMBENT, *(qna_template(random_keys(rng, wanted=0.35, unwanted=0.2), rng) for _ in range(24))]
    write_jsonl(
        (
            {"prompt_id": f"qna-{n:02d}", "template": words, "parent_prompt_id": None,
             "origin": "history" if n else "incumbent"}
            for n, words in enumerate(prompts)
        ),
        out / "qna_prompts.jsonl",
    )  # fmt: skip
    taught = {}  # by what makes a row: none stands twice
    while len(taught) < 400:
        asked = QNA_META_PROMPTS[len(taught) % len(QNA_META_PROMPTS)]
        taught[asked, qna_template(random_keys(rng, wanted=0.35, unwanted=0.15), rng)] = None
    write_jsonl(
        ({"instruction": asked, "input": "", "output": words} for asked, words in taught),
        out / "qna_instructions.jsonl",
    )
    write_jsonl(({"query": q} for q in QNA_META_PROMPTS), out / "qna_queries.jsonl")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipelines.sample_data", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data"))
    main(parser.parse_args().out)
