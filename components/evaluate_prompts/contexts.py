"""What the arms are compared on: contexts that nothing was learned from, in an order that stays."""

import hashlib
from pathlib import Path

from components.evaluate_prompts.config import Config
from memozy import qna
from memozy.records import OVERSAMPLED, InputError, context_digest, json_lines, read, read_contexts


def comparable(config: Config, used: Path, oversampled: Path) -> list[dict]:
    """The contexts, or for task qna the questions, in the order in which every arm walks through them.

    used: JSONL {context_id, digest} of the contexts that served to write or choose the prompts; oversampled: the reward
    model's rows. Raises InputError for a context that is known from either, or two that show one photo.

    The order is by a hash, so that leaving a context out moves no other. Questions of one template stand together, so
    that every look brings new templates.
    """
    qna_task = config.task == "qna"
    if qna_task:
        found = qna.read_questions(config.contexts, config.n_contexts)
    else:
        found = read_contexts(config.contexts, config.n_contexts).to_dicts()
        _check_fresh(found, used, oversampled, config.contexts)

    def turn(name: str) -> str:
        return hashlib.sha256(f"{config.seed}|{name}".encode()).hexdigest()

    return sorted(found, key=lambda c: (turn(c["group_id"]) if qna_task else "", turn(c["context_id"])))


def _check_fresh(contexts: list[dict], used: Path, oversampled: Path, file: str) -> None:
    seen = {row[name] for _, row in json_lines(used, "used contexts") for name in ("context_id", "digest")}
    for row in read(oversampled, OVERSAMPLED).select("context_id", "image_id").iter_rows(named=True):
        seen |= {row["context_id"]} | ({context_digest(row)} if row["image_id"] else set())
    photos: set[str] = set()
    for number, context in enumerate(contexts, start=1):
        if {context["context_id"], context_digest(context)} & seen:
            raise InputError("is known from training or from writing the prompts: they can't be compared on it", file=file,
                             row=number, field="context_id", value=context["context_id"],
                             remedy="Keep the evaluation's contexts and photos apart from all others")  # fmt: skip
        photo = context["image_id"]
        if photo in photos:
            raise InputError("shows a photo that another context shows: they are no independent evidence", file=file,
                             row=number, field="image_id", value=photo, remedy="Give one context a photo")  # fmt: skip
        photos |= {photo} if photo else set()
