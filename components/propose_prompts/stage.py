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
from memozy import policies
from memozy.llm import Completion, open_llm
from memozy.records import (
    ARMS,
    CONTEXTS,
    HUMAN,
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
    scored; the digest (of the photo, or the words) is null where neither is known. writers (JSON): the sources of prompts
    compared, with a page. Raises InputError when nobody wrote a usable prompt, there is too little to show a writer, or
    too few contexts are left beside those shown, by id and by photo.
    """
    prompts = read_jsonl(config.prompts, ARMS)
    incumbent, known = prompts.row(0, named=True), prompts["template"].to_list()
    check_template(incumbent["template"], config.prompts, 1)
    sampling = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    task, seen, examples = _task(config, incumbent, oversampled) if config.writers else (None, Shown(), [])
    contexts, used = read_contexts(config.contexts, config.n_contexts).to_dicts(), _digests(examples, config.contexts)
    free = [c for c in contexts if not {c["context_id"], context_digest(c)} & {*used, *used.values()}]
    if len(free) < config.contexts_per_prompt:
        raise InputError(f"leaves {len(free)} contexts of other photos than the diaries shown to writers", file=config.contexts,
                         field="contexts_per_prompt", value=config.contexts_per_prompt,
                         remedy="Add contexts of other photos, or ask for fewer")  # fmt: skip
    shared = random.Random(config.seed).sample(free, config.contexts_per_prompt)

    sources = []
    for i, (name, folder) in enumerate(zip(POLICIES, (sft, policy), strict=True)):
        texts = policies.sample(folder, config.candidates, seed=2 * config.seed + i, **sampling)
        sources.append(Source(name, "prompt policy", [Completion(t, 0.0) for t in texts], Shown(), known))
    for writer in config.writers:
        progress = Progress(f"propose_prompts: {writer.name}", writer.candidates, "prompts")
        asked = [task] * writer.candidates
        answers = open_llm(writer.llm).complete(asked, config.seed, progress, failures_ok=True)
        sources.append(Source(writer.name, writer.llm.model, answers, seen, known))
    if not any(s.candidates for s in sources):
        asked = sum(len(s.answers) for s in sources)
        raise InputError(f"none of {asked} prompts is new and passes every required check", field="proposals.candidates",
                         value=config.candidates, remedy="Train sft for more steps, or ask for more")  # fmt: skip

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
    used |= {c["context_id"]: context_digest(c) for c in shared}
    write_jsonl(({"context_id": c, "digest": digest} for c, digest in used.items()), used_contexts)
    writers.write_text(json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    proposals_report.write_text(page.render(told, rows, task), encoding="utf-8")
    return Result({
        "n_arms": len(rows), "score_incumbent": told["incumbent"],
        **{f"usable_{r['source']}": r["usable"] for r in told["sources"]},
        **{f"score_{r['source']}": r["score"][0] for r in told["sources"] if r["prompts"]},
    })  # fmt: skip


def _task(config: Config, incumbent: dict, oversampled: Path) -> tuple[str, Shown, list[dict]]:
    """What writers are asked, what they see by it, and the context_id and image_id of every diary they are shown."""
    rated = read(oversampled, OVERSAMPLED).filter(HUMAN, split="train")
    sides = choose_examples(rated, config.examples_per_side, incumbent["prompt_id"], config.seed, oversampled)
    best, worst = (list(side.select("text", "rating").iter_rows()) for side in sides)
    task = meta_prompt(incumbent["template"], best, worst)
    return task, shown(best, worst), pl.concat(sides).select("context_id", "image_id").to_dicts()


def _digests(examples: list[dict], contexts: str) -> dict[str, str | None]:
    """context_id -> digest of the diaries shown: by their own photo, or where they name none, as `contexts` has it."""
    known = {c["context_id"]: c for c in read_jsonl(contexts, CONTEXTS).to_dicts()}
    found = {e["context_id"]: e if e["image_id"] else known.get(e["context_id"]) for e in examples}
    return {c: context_digest(context) if context else None for c, context in found.items()}


def _scores(config: Config, templates: list[str], contexts: list[dict], reward: Path, work: Path) -> dict[str, float]:
    """Mean score of each template's diaries, one for each context."""
    prompts = [fill(t, c) for t in templates for c in contexts]
    written = open_llm(config.llm).complete(prompts, config.seed, Progress("propose_prompts", len(prompts), "diaries"))
    each, _ = RewardModel.load(reward, ScoreCache(work / "scores.sqlite")).score([w.text for w in written])
    means = each.reshape(len(templates), len(contexts)).mean(axis=1).tolist()
    return dict(zip(templates, means, strict=True))
