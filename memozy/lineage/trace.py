"""The two questions: what was this made of, and what was made of that; as values that JSON takes, and as lines."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from memozy import records, sheets
from memozy.lineage import Origin, Step, about, count, folders, given, registry, rows
from memozy.records import InputError
from memozy.reports import without_secrets
from memozy.versions import changes

PULLS = "stages/evaluate_prompts/out/pulls"  # in a run's folder
SHOWN = 10  # of raters, files and sources; JSON has all


def origin(what: str, runs: Path) -> Origin:
    """The origin of a run's folder, of a run by its name under `runs`, or of a registered model or prompt. Raises InputError."""
    for folder in (Path(what), runs / what):
        if (folder / "stages").is_dir():
            return folders.find(folder)
    found = registry.find(what)
    if found is None:
        raise InputError("is no model and no run", value=what, remedy="Give NAME/VERSION, NAME@ALIAS, a run's name or its folder")
    return found


def back(found: Origin, remotes: Sequence[str], file: Path | None = None) -> dict[str, Any]:
    """What `found` was made of, counted; the rows themselves go to `file` (`write_rows`). Raises InputError.

    The rows are checked against the data version; and where the run's folder is at hand, so is every link between its stages.
    `links`, `broken`, and `evaluation` where there was one, are None where it isn't: nobody can tell.
    """
    made = folders.behind(found)
    with folders.data(found, remotes) as (place, where):
        data = changes.load(place)
    splits, pulls = (_read(made.output(*source), schema) if made else None for source, schema in (
        (("split_data", "rated"), records.RATED), (("evaluate_prompts", "pulls"), records.PULLS),
    ))  # fmt: skip
    every = rows(data, splits, pulls)
    if file is not None:
        write_rows(every, file)
    steps = made.steps if made else found.steps
    return {
        "of": found.name, "run": found.run, "data_version": found.version, "found_in": without_secrets(where),
        "tags": {k: v for k, v in found.tags.items() if k in ("reward_hash", "prompt_id", "decision", "simulated", "champion")},
        "stages": sorted({step.stage for step in steps}), "given": given(steps),
        "links": len(made.links) if made else None,
        "broken": [{"stage": stage, "input": name} for stage, name in made.broken] if made else None,
        **count(data), "evaluation": None if pulls is None and _evaluated(steps) else int((every["kind"] == "evaluation").sum()), "rows": every.height,
    }  # fmt: skip


def forward(rater: str | None, diary: str | None, remotes: Sequence[str], file: Path | None = None) -> dict[str, Any]:
    """Every data version the store knows that has rows of a rater or of a diary, with the models and runs made of it.

    `unknown`: the versions of which nobody can tell, since their rows are nowhere to be found; or, where a rater is asked
    for, what was rated in an evaluation, since that is only in the folder of its run. Raises InputError.
    """
    by_version: dict[str, list[Origin]] = {}
    for each in registry.everything():
        by_version.setdefault(each.version, []).append(each)
    used, unknown, kept = [], [], []
    for version, origins in sorted(by_version.items()):
        names = list(dict.fromkeys(each.name for each in origins))
        try:
            data = _first(origins, remotes)
        except InputError as error:
            unknown.append({"version": version, "made_of_it": names, "why": str(error)})
            continue
        pulls = {each.folder / PULLS for each in origins if each.folder and (each.folder / PULLS).is_file()}
        judged = pl.concat(records.read(file, records.PULLS) for file in sorted(pulls)).unique() if pulls else None
        lost = [each for each in origins if _evaluated(each.steps) and (each.folder is None or each.folder / PULLS not in pulls)]
        if rater is not None and lost:
            why = f"the ratings that judged its prompts are in the folder of {_runs(lost)}, which is not here"
            unknown.append({"version": version, "made_of_it": names, "why": why})
        found = about(rows(data, None, judged), rater, diary)
        if found.height:
            kinds = dict(found["kind"].value_counts().iter_rows())
            used.append({"version": version, "made_of_it": names, "rows": {k: kinds.get(k, 0) for k in ("rating", "surrogate", "evaluation")}})
            kept.append(found.with_columns(version=pl.lit(version)))
    if file is not None:
        write_rows(pl.concat(kept) if kept else pl.DataFrame(schema={"version": pl.String}), file)
    return {"rater": rater, "diary": diary, "versions": len(by_version), "used": used, "unknown": unknown}


def _evaluated(steps: Sequence[Step]) -> bool:
    """Whether people may have judged prompts in a run of these stages; of a run that was deleted nobody knows."""
    return not steps or any(step.stage == "evaluate_prompts" for step in steps)


def _runs(origins: Sequence[Origin]) -> str:
    return _list(sorted({f"the run '{each.run}'" if each.run else f"the unknown run behind {each.name}" for each in origins}))


def _first(origins: Sequence[Origin], remotes: Sequence[str]) -> changes.DataSet:
    """The data set that all of `origins` share, from the first place that holds it."""
    problem = None
    for each in origins:
        try:
            with folders.data(each, remotes) as (place, _):
                return changes.load(place)
        except InputError as error:
            problem = error
    raise problem


def _read(file: Path | None, schema: records.Schema) -> pl.DataFrame | None:
    return records.read(file, schema) if file is not None and file.is_file() else None


def check_rows(file: Path | None) -> None:
    """Raise InputError where `write_rows` could not write."""
    if file is None:
        return
    if file.suffix not in (".csv", ".parquet"):
        raise InputError("is of an unknown format", file=file, value=file.suffix, remedy="Known: .csv, .parquet")
    if file.exists() or not file.absolute().parent.is_dir():
        raise InputError("exists already" if file.exists() else "lies in no folder", file=file, remedy="Give another name")


def write_rows(found: pl.DataFrame, file: Path) -> None:
    """Write rows as Parquet, or as CSV in which no cell is a formula (`sheets.inert`); whole or not at all."""
    check_rows(file)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    if file.suffix == ".parquet":
        found.write_parquet(scratch)
    else:
        with open(scratch, "w", encoding="utf-8-sig", newline="") as written:
            table = csv.writer(written)
            table.writerow(found.columns)
            table.writerows([sheets.inert(v) if isinstance(v, str) else v for v in row] for row in found.iter_rows())
    os.replace(scratch, file)


def lines(told: dict[str, Any]) -> list[str]:
    """What `back` or `forward` found, for a terminal."""
    return _forward_lines(told) if "used" in told else _back_lines(told)


def _back_lines(told: dict[str, Any]) -> list[str]:
    shown = [f"{told['of']}, made by the run '{told['run'] or 'unknown'}' in {len(told['stages'])} stages",
             f"Data version {told['data_version']}, found in {told['found_in']}; its rows make up this version."]  # fmt: skip
    if told["links"] is None:
        shown.append("The run's folder is not here: which stage read what is known from the tracking store only.")
    else:
        broken = [f"{each['stage']} read a '{each['input']}'" for each in told["broken"]]
        shown.append(f"{told['links']} links between its stages hold, by SHA-256."
                     + (f" NOT to be found any more: {_list(broken)}." if broken else ""))  # fmt: skip
    files: dict[tuple[str, str], list[str]] = {}
    for each in told["given"]:
        files.setdefault((each["place"], each["sha256"]), []).append(f"{each['stage']}.{each['setting']}")
    shown += [f"  {changes.shown(place)}, SHA-256 {sha[:12]}…, of {_list(users)}" for (place, sha), users in files.items()]
    shown.append(f"{told['ratings']} ratings of {told['diaries']} diaries; {_counts(told['classes'])}")
    shown.append(f"  from {_counts(told['sources'])}")
    shown.append(f"  by {_counts(told['raters'])}")
    if told["surrogates"]:
        shown.append(f"{told['surrogates']} surrogates, which nobody rated; {_counts(told['signals'])}; {_counts(told['methods'])}")
    if told["evaluation"] is None:
        shown.append("Which ratings judged its prompts, NOBODY CAN TELL: they are in the run's folder only.")
    elif told["evaluation"]:
        shown.append(f"{told['evaluation']} more ratings judged the prompts against each other.")
    return shown


def _forward_lines(told: dict[str, Any]) -> list[str]:
    what = f"rater {changes.shown(told['rater'])}" if told["rater"] is not None else f"diary {changes.shown(told['diary'])}"
    shown = [f"Rows of {what} are in {len(told['used'])} of {told['versions']} data versions that the store knows."]
    for each in told["used"]:
        shown += [f"{each['version']}: {_counts({k: n for k, n in each['rows'].items() if n})}",
                  *(f"  {name}" for name in each["made_of_it"])]  # fmt: skip
    for each in told["unknown"]:
        shown += [f"{each['version']}: NOBODY CAN TELL: {each['why']}", *(f"  {name}" for name in each["made_of_it"])]
    return shown


def _counts(numbers: dict[str, int]) -> str:
    most = sorted(numbers.items(), key=lambda item: -item[1]) if len(numbers) > SHOWN else list(numbers.items())
    return _list([f"{changes.shown(name)}: {n}" for name, n in most])


def _list(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return (", ".join(texts[:SHOWN]) or "nothing") + more
