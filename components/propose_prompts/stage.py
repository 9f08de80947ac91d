"""Stage `propose_prompts`: the policies and language models write challengers to the incumbent prompt."""

import hashlib
import json
import random
from pathlib import Path

import polars as pl

from components.propose_prompts import page
from components.propose_prompts.challengers import choose, ranked
from components.propose_prompts.checks import CHECKS, REQUIRED, Shown
from components.propose_prompts.config import POLICIES, Config
from components.propose_prompts.study import Source, row
from components.propose_prompts.writing import choose_examples, meta_prompt, shown
from memozy.llm import Completion, open_llm
from memozy.modeling import sample_policy
from memozy.records import (
    ARMS,
    CONTEXTS,
    OVERSAMPLED,
    InputError,
    check_template,
    context_digest,
    fill,
    read,
    read_contexts,
    read_jsonl,
    write,
    write_jsonl,
)  # fmt: skip
from memozy.reward import RewardModel, ScoreCache
from memozy.stages import In, Out, Progress, Result, Work


def run(
    config: Config, *, sft: In, policy: In, reward: In, oversampled: In, arms: Out, used_contexts: Out, writers: Out,
    proposals_report: Out, work: Work,
) -> Result:  # fmt: skip
    """Have prompts written, score them on shared contexts, and write the `arms`: the incumbent, then challengers.

    used_contexts (JSONL: context_id, digest): every context whose diary was shown to a writer, or on which prompts were
    scored; the digest is null where `contexts` does not hold it. writers (JSON): the sources of prompts compared, with
    a page. Raises InputError when nobody wrote a usable prompt, or there is too little to show a writer.
    """
    prompts = read_jsonl(config.prompts, ARMS)
    incumbent, known = prompts.row(0, named=True), prompts["template"].to_list()
    check_template(incumbent["template"], config.prompts, 1)
    sampling = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    sources, examples, task = [], [], None
    for i, (name, folder) in enumerate(zip(POLICIES, (sft, policy), strict=True)):
        texts = sample_policy(folder, config.candidates, seed=2 * config.seed + i, **sampling)
        sources.append(Source(name, "prompt policy", [Completion(t, 0.0) for t in texts], Shown(), known))
    if config.writers:
        task, seen, examples = _task(config, incumbent, oversampled)
        for writer in config.writers:
            progress = Progress(f"propose_prompts: {writer.name}", writer.candidates, "prompts")
            asked = [task] * writer.candidates
            answers = open_llm(writer.llm).complete(asked, config.seed, progress, failures_ok=True)
            sources.append(Source(writer.name, writer.llm.model, answers, seen, known))
    if not any(s.candidates for s in sources):
        asked = sum(len(s.answers) for s in sources)
        raise InputError(f"none of {asked} prompts is new and keeps every slot", field="proposals.candidates",
                         value=config.candidates, remedy="Train sft for more steps, or ask for more")  # fmt: skip

    free = [c for c in read_contexts(config.contexts, config.n_contexts).to_dicts() if c["context_id"] not in examples]
    shared = random.Random(config.seed).sample(free, config.contexts_per_prompt)
    templates = list(dict.fromkeys([incumbent["template"], *(t for s in sources for t in s.candidates)]))
    scores = _scores(config, templates, shared, reward, work)

    challengers = choose(ranked({s.name: s.candidates for s in sources}, scores))
    rows = [incumbent] + [
        {"prompt_id": "p" + hashlib.sha256(t.encode()).hexdigest()[:8], "template": t,
         "parent_prompt_id": incumbent["prompt_id"], "origin": origin}
        for origin, t in challengers
    ]  # fmt: skip
    told = {"incumbent": scores[incumbent["template"]], "contexts": len(shared), "checks": CHECKS, "required": REQUIRED,
            "sources": [row(s, scores) for s in sources]}  # fmt: skip
    write(pl.DataFrame(rows, schema=ARMS.dtypes), arms, ARMS)
    by_id = {c["context_id"]: c for c in read_jsonl(config.contexts, CONTEXTS).to_dicts()}
    write_jsonl(({"context_id": c, "digest": context_digest(by_id[c]) if c in by_id else None}
                 for c in dict.fromkeys([*examples, *(c["context_id"] for c in shared)])), used_contexts)  # fmt: skip
    writers.write_text(json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    proposals_report.write_text(page.render(told, rows, task), encoding="utf-8")
    return Result({
        "n_arms": len(rows), "score_incumbent": told["incumbent"],
        **{f"usable_{r['source']}": r["usable"] for r in told["sources"]},
        **{f"score_{r['source']}": r["score"][0] for r in told["sources"] if r["prompts"]},
    })  # fmt: skip


def _task(config: Config, incumbent: dict, oversampled: Path) -> tuple[str, Shown, list[str]]:
    """What writers are asked, what they see by it, and the ids of the contexts whose diaries they are shown."""
    rated = read(oversampled, OVERSAMPLED).filter(split="train")
    sides = choose_examples(rated, config.examples_per_side, incumbent["prompt_id"], config.seed)
    best, worst = (list(side.select("text", "rating").iter_rows()) for side in sides)
    task = meta_prompt(incumbent["template"], best, worst)
    return task, shown(best, worst), [c for side in sides for c in side["context_id"]]


def _scores(
    config: Config, templates: list[str], contexts: list[dict], reward: Path, work: Path
) -> dict[str, float]:
    """Mean score of each template's diaries, one for each context."""
    prompts = [fill(t, c) for t in templates for c in contexts]
    written = open_llm(config.llm).complete(prompts, config.seed, Progress("propose_prompts", len(prompts), "diaries"))
    each, _ = RewardModel.load(reward, ScoreCache(work / "scores.sqlite")).score([w.text for w in written])
    means = each.reshape(len(templates), len(contexts)).mean(axis=1).tolist()
    return dict(zip(templates, means, strict=True))
