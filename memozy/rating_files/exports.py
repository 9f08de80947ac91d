"""Exports of annotation tools as flat rows, one for each person's rating of one item.

Label Studio's raw JSON: a list of tasks, each with `data` and `annotations[].result[]`. Argilla's flattened one
(`to_list(flatten=True)`): records with `<question>.responses` and their `.users` and `.status` beside them. In both the
item's own fields (`diary_id`, `text`, `context_id`, `image_id`) are taken by these names.
"""

from __future__ import annotations

from collections.abc import Iterator

from memozy.tables import Unusable

RATING = "rating"  # the control or question that is meant, where there are several
ABOUT = ("diary_id", "text", "context_id", "image_id", "source")
RESPONSES = ".responses"


def flatten(objects: list[dict | Unusable]) -> list[dict | Unusable]:
    """The rows that a JSON file's objects stand for; what is neither tool's export stays as it is."""
    names = set().union(*(o for o in objects if isinstance(o, dict)))
    if not ({"annotations", "responses"} & names or any(name.endswith(RESPONSES) for name in names)):
        return objects
    return [row for o in objects for row in ([o] if isinstance(o, Unusable) else _rows(o))]


def _rows(record: dict) -> Iterator[dict | Unusable]:
    if "annotations" in record:
        yield from _label_studio(record)
    elif any(name.endswith(RESPONSES) for name in record):
        yield from _argilla(record)
    elif "responses" in record:
        # it doesn't tell the responses that were discarded from those that were submitted
        yield Unusable(record.get("id"), "is an Argilla export without the responses' status: export with flatten=True")
    else:
        yield record


def _label_studio(task: dict) -> Iterator[dict | Unusable]:
    data, annotations = task.get("data"), task.get("annotations")
    if not isinstance(data, dict) or not isinstance(annotations, list):
        yield Unusable(task.get("id"), "is not a task of Label Studio: 'data' is an object, 'annotations' a list")
        return
    about = {name: data.get(name) for name in ABOUT}
    if about["diary_id"] is None:
        about["diary_id"] = Unusable(f"task {task.get('id')}", "has no diary_id in its task's 'data'")
    for annotation in annotations:
        if not isinstance(annotation, dict):
            yield Unusable(annotation, "is not an annotation of Label Studio")
            continue
        mark = _mark(annotation.get("result"))
        if annotation.get("was_cancelled"):
            mark = Unusable(True, "was cancelled by its annotator")
        yield about | {
            "rater_id": _annotator(annotation.get("completed_by")),
            "rating": mark,
            "rated_at": annotation.get("updated_at") or annotation.get("created_at"),
        }


def _annotator(by: object) -> object:
    """The annotator's number, which is told alone or in an object with their name."""
    return by.get("id", Unusable(by, "names no annotator")) if isinstance(by, dict) else by


def _mark(results: object) -> object:
    if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
        return Unusable(results, "is not a list of results")
    marks = [r for r in results if r.get("type") in ("rating", "choices", "number")]
    if len(marks) > 1:
        marks = [r for r in marks if r.get("from_name") == RATING]
    if len(marks) != 1:
        return Unusable(results, f"has not exactly one rating: one control, or the one named '{RATING}', tells it")
    value = marks[0].get("value")
    found = value.get(marks[0]["type"]) if isinstance(value, dict) else None
    if isinstance(found, list):
        return found[0] if len(found) == 1 else Unusable(found, "has not exactly one choice")
    return found


def _argilla(record: dict) -> Iterator[dict | Unusable]:
    questions = [name.removesuffix(RESPONSES) for name in record if name.endswith(RESPONSES)]
    question = RATING if RATING in questions else questions[0]
    if question != RATING and len(questions) > 1:
        yield Unusable(", ".join(questions), f"has several questions and none named '{RATING}'")
        return
    key = question + RESPONSES
    answers, users, states = (record.get(name) or [] for name in (key, f"{key}.users", f"{key}.status"))
    if not all(isinstance(part, list) and len(part) == len(answers) for part in (answers, users, states)):
        yield Unusable(record.get("id"), "does not tell every response's user and status")
        return
    about = {name: record.get(name) for name in ABOUT}
    about["diary_id"] = about["diary_id"] or record.get("id")
    for answer, user, state in zip(answers, users, states, strict=True):
        mark = answer if state == "submitted" else Unusable(state, "was not submitted")
        yield about | {"rater_id": user, "rating": mark}
