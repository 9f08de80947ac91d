"""Stage `generate_diaries`: the LLM writes diaries that people will rate."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from components.generate_diaries import photos
from components.generate_diaries.answers import fault
from components.generate_diaries.assignment import assign
from components.generate_diaries.config import Config
from components.generate_diaries.contexts import draw
from memozy import records
from memozy.llm import ChatModel, Completion, Request, open_llm
from memozy.records import InputError
from memozy.stages import Out, Progress, Result, Work

# what a prompt says of a photo that nobody described: where the model sees it, and where it doesn't
ATTACHED, UNSEEN = "첨부한 사진", "사진 한 장"
ANEW = 1_000_000  # added to the seed where an answer is asked for again: more than any first answer adds to it


def run(config: Config, *, diaries: Out, contexts: Out, failures: Out, work: Work) -> Result:
    """Read prompts, and contexts (JSONL) or photos; write `diaries` and the `contexts` they show (Parquet).

    An answer that is no diary is asked for once again, with another seed. What failed never becomes a diary but stands
    in `failures` (JSONL: image_path, context_id, prompt_id, reason): photos that cannot be opened, whose contexts are
    left out, and calls that ended without a diary. Raises InputError where more than the share `max_failed` of either
    failed, for a template with a fault, for too few contexts, and for a photo to be sent that isn't there.
    """
    templates = _templates(config.prompts)
    llm = open_llm(config.llm, blank_ok=True)
    shown, broken = _of_photos(config) if config.photos else _of_file(config)
    n_photos = shown["image_path"].drop_nulls().n_unique() + len(broken)
    seen: dict[str, Path] = {}
    if config.send_images:
        seen, unseen = _seen(shown, work / "photos", config)
        shown, broken = shown.filter(pl.col("image_path").is_in(list(seen))), broken + unseen
    _refuse_too_many(broken, n_photos, "photos", config.max_failed)

    by_id = {c["context_id"]: c for c in shown.to_dicts()}
    pairs = assign(list(by_id), list(templates), config.per_context, config.seed)
    answers = _answers(llm, [_request(templates[p], by_id[c], seen) for c, p in pairs], config.seed)
    now, times = datetime.now(UTC).isoformat(timespec="seconds"), Counter()
    rows, failed = [], []
    for (c, p), answer in zip(pairs, answers, strict=True):
        times[c, p] += 1
        if reason := answer.failure or fault(answer.text):
            failed.append(_failure(by_id[c]["image_path"], reason, c, p))
            continue
        name = f"{times[c, p]}|{c}|{p}|{llm.name}|{answer.text}"
        rows.append({
            "diary_id": "d" + hashlib.sha256(name.encode()).hexdigest()[:12], "context_id": c,
            "image_id": by_id[c]["image_id"], "prompt_id": p, "generator": llm.name, "text": answer.text,
            "cost_usd": answer.cost_usd, "created_at": now,
        })  # fmt: skip
    _refuse_too_many(failed, len(pairs), "answers", config.max_failed)
    records.write(pl.DataFrame(rows, schema=records.DIARIES.dtypes), diaries, records.DIARIES)
    records.write(shown, contexts, records.CONTEXTS)
    records.write_jsonl(broken + failed, failures)
    for these, n, what in ((broken, n_photos, "photos"), (failed, len(pairs), "answers")):
        if these:
            print(f"… generate_diaries: {len(these)} of {n} {what} failed, see failures", flush=True)
    return Result({
        "n_diaries": len(rows),
        "n_contexts": len(by_id),
        "n_photos": shown["image_id"].drop_nulls().n_unique(),
        "n_prompts": len(templates),
        "n_failed_photos": len(broken),
        "n_failed_answers": len(failed),
    })  # fmt: skip


def _templates(file: str) -> dict[str, str]:
    prompts = records.read_jsonl(file, records.ARMS)
    for row, template in enumerate(prompts["template"], start=1):
        records.check_template(template, file, row)
    return dict(zip(prompts["prompt_id"], prompts["template"], strict=True))


def _of_file(config: Config) -> tuple[pl.DataFrame, list[dict]]:
    """The contexts of a file, each with the id of its photo, where it has one."""
    shown = records.read_contexts(config.contexts, config.n_contexts)
    if config.send_images and shown["image_path"].null_count():
        row = int(shown["image_path"].is_null().arg_true()[0])
        raise InputError("is empty, but images are to be sent", file=config.contexts, row=row + 1, field="image_path",
                         remedy="Name each context's photo, or set send_images to false")  # fmt: skip
    for row, path in enumerate(shown["image_path"], start=1):
        if config.send_images and not Path(path).is_file():
            raise InputError("no such photo", file=config.contexts, row=row, field="image_path", value=path,
                             remedy="Put it there, or set send_images to false")  # fmt: skip
    return shown, []


def _of_photos(config: Config) -> tuple[pl.DataFrame, list[dict]]:
    """The contexts drawn for the photos of a folder, and the photos that cannot be read. The same photo twice is one."""
    paths, broken = {}, []
    for path in photos.find(Path(config.photos)):
        try:
            photos.check_format(path)
            paths.setdefault(photos.content_id(path), path)
        except photos.Unreadable as error:
            broken.append(_failure(path, str(error)))
    drawn = [
        context | {"image_path": str(path)}
        for image_id, path in paths.items()
        for context in draw(image_id, config.per_photo, config.places, config.people, config.moods, config.seed)
    ]
    return pl.DataFrame(drawn, schema=records.CONTEXTS.dtypes), broken


def _seen(shown: pl.DataFrame, folder: Path, config: Config) -> tuple[dict[str, Path], list[dict]]:
    """What is sent of each photo, by its path, and the photos that cannot be opened."""
    paths = shown["image_path"].unique(maintain_order=True)
    progress = Progress("generate_diaries", len(paths), "photos")
    small, broken = {}, []
    for path in paths:
        try:
            small[path] = photos.shrink(Path(path), folder, config.image_side)
        except photos.Unreadable as error:
            broken.append(_failure(path, str(error)))
        progress.advance()
    return small, broken


def _request(template: str, context: dict, seen: dict[str, Path]) -> Request:
    image = seen.get(context["image_path"])
    described = context["photo"] or (ATTACHED if image else UNSEEN)
    return Request(records.fill(template, context | {"photo": described}), image=image)


def _answers(llm: ChatModel, requests: Sequence[Request], seed: int) -> list[Completion]:
    """One for each request, in order; where the first was no diary, the second, whatever that is."""
    answers = llm.complete(requests, seed, Progress("generate_diaries", len(requests), "diaries"), failures_ok=True)
    faulty = [i for i, answer in enumerate(answers) if answer.failure is None and fault(answer.text)]
    anew = Progress("generate_diaries", len(faulty), "answers that were no diary asked for again")
    second = llm.complete([requests[i] for i in faulty], seed + ANEW, anew, failures_ok=True)
    for i, answer in zip(faulty, second, strict=True):
        answers[i] = answer
    return answers


def _failure(image_path: object, reason: str, context_id: str | None = None, prompt_id: str | None = None) -> dict:
    path = None if image_path is None else str(image_path)
    return {"image_path": path, "context_id": context_id, "prompt_id": prompt_id, "reason": reason}


def _refuse_too_many(failed: list[dict], n: int, what: str, most: float) -> None:
    if not failed or (len(failed) <= most * n and len(failed) < n):
        return
    firsts = {_kind(f): f for f in reversed(failed)}
    reasons = [f"{times} × {_example(firsts[kind])}" for kind, times in Counter(map(_kind, failed)).most_common(3)]
    raise InputError(f"{len(failed)} of {n} {what} failed: {'; '.join(reasons)}", field="max_failed", value=most,
                     remedy="Mend the cause" + (" or raise it" if len(failed) < n else ""))  # fmt: skip


def _kind(failure: dict) -> str:
    return failure["reason"].partition(": ")[0]


def _example(failure: dict) -> str:
    """Its reason, on one line, and where."""
    reason = " ".join(failure["reason"].split())
    where = f"{failure['context_id']} by {failure['prompt_id']}" if failure["context_id"] else failure["image_path"]
    return f"{reason if len(reason) <= 120 else reason[:119] + '…'} ({where})"
