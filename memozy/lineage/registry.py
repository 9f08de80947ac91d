"""What the tracking store tells: versions of models and prompts, the runs that made them, and the data version of each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from memozy.lineage import Origin, Step
from memozy.records import InputError
from memozy.reports import without_secrets

PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
DATA = "tags.`memozy.stage` = 'validate_data'"
_NAMED = re.compile(r"(?:models:/|prompts:/)?(?P<name>[^/@:']+)(?:/(?P<version>\d+)|@(?P<alias>[^/@:']+))")


def find(model: str) -> Origin | None:
    """The origin of a model or prompt, `name/version` or `name@alias`; None where the text is no such name.

    Raises InputError where the store knows no such version, or not what data it was made of, and where there is no store.
    """
    named = _NAMED.fullmatch(model)
    if named is None:
        return None
    with _store() as client:
        return _find(client, model, named)


def _find(client, model: str, named: re.Match) -> Origin:
    name = named["name"]
    number = named["version"] or _aliased(client, name, named["alias"])
    found = [v for v in _versions(client, f"name = '{name}'") if str(v.version) == number]
    if not found:
        raise InputError("is not in the registry", value=model, remedy=f"It has: {_known(client, name)}")
    if "data_version" not in found[0].tags:
        raise InputError("does not tell which data it was made of", value=model, field="data_version",
                         remedy="Give the candidate that register_models made")  # fmt: skip
    tags = dict(found[0].tags)
    return _of_run(client, f"{name}/{number}", tags["data_version"], tags.get("run_id"), tags)


def everything() -> list[Origin]:
    """Every model and prompt whose data is known, and every run that validated data, as far as the store knows them.

    Raises InputError where there is no store.
    """
    with _store() as client:
        return _everything(client)


def _everything(client) -> list[Origin]:
    models = [v for v in _versions(client, "") if "data_version" in v.tags]
    found = [_of_run(client, f"{v.name}/{v.version}", v.tags["data_version"], v.tags.get("run_id"), dict(v.tags)) for v in models]
    for run in _runs(client, DATA):
        parent = run.data.tags.get("mlflow.parentRunId")
        found += [_of_run(client, f"run {_name(client, parent or run.info.run_id)}", version, parent or run.info.run_id, {})
                  for version in _data_versions(run)]  # fmt: skip
    return found


@contextmanager
def _store() -> Iterator:
    """A client of the store that MLFLOW_TRACKING_URI names."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError("there is no tracking store", field="MLFLOW_TRACKING_URI", remedy="Set it, for example to sqlite:///mlflow.db")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # someone waits: not two minutes for a dead server
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    try:
        _look(uri)
        yield MlflowClient()
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        driver = getattr(error, "orig", None)
        reason = f"{type(error).__name__}: {driver}".split("\n")[0] if driver else type(error).__name__
        raise InputError(f"the tracking store can't be used ({reason})", field="MLFLOW_TRACKING_URI",
                         value=without_secrets(uri), remedy="Check the address and the credentials") from error  # fmt: skip


def _look(uri: str) -> None:
    """Raise SQLAlchemyError or OSError where a store is not there, or is none.

    MLflow itself would make one there, and try a dead database for two minutes.
    """
    kind = uri.partition(":")[0].partition("+")[0]
    if uri.startswith("file:") or "://" not in uri:
        os.listdir(urlsplit(uri).path if uri.startswith("file:") else uri)
    elif kind in ("sqlite", "postgresql", "mysql", "mssql"):
        from sqlalchemy import NullPool, create_engine, make_url, text
        from sqlalchemy.exc import ArgumentError

        try:
            url = make_url(uri)
        except ValueError as error:  # a port that is no number
            raise ArgumentError(str(error)) from None
        options = {"connect_timeout": 5} if kind in ("postgresql", "mysql") else {}
        if kind == "sqlite":
            url = make_url(f"sqlite:///file:{quote(os.path.abspath(url.database or ''))}?mode=ro&uri=true")
        with create_engine(url, connect_args=options, poolclass=NullPool).connect() as connection:
            connection.execute(text("SELECT 1 FROM experiments WHERE 1 = 0"))


def _of_run(client, name: str, version: str, run_id: str | None, tags: dict[str, str]) -> Origin:
    """The origin with what the pipeline run `run_id` and its stages tell; a run that was deleted tells nothing."""
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id) if run_id else None
    except MlflowException:
        run = None
    if run is None:
        return Origin(name, version, tags=tags)
    stages = list(_runs(client, f"tags.`mlflow.parentRunId` = '{run_id}'", run.info.experiment_id)) or [run]
    # the last one of each stage, but of those that validated data the one that pinned this version
    steps = {r.data.tags["memozy.stage"]: r for r in sorted(stages, key=lambda r: (version in _data_versions(r), r.info.end_time or 0))
             if "memozy.stage" in r.data.tags}  # fmt: skip
    place = run.data.tags.get("memozy.folder")
    pinned = steps.get("validate_data")
    return Origin(
        name, version, run.info.run_name, Path(place) if place else None, pinned.data.params.get("remote", "") if pinned else "",
        tuple(Step(stage, _inputs(r), r.data.params) for stage, r in sorted(steps.items(), key=lambda s: s[1].info.end_time or 0)), tags,
    )  # fmt: skip


def _inputs(run) -> dict[str, str]:
    return {i.dataset.name: i.dataset.digest for i in run.inputs.dataset_inputs if i.dataset.source_type == "sha256"}


def _data_versions(run) -> list[str]:
    return [i.dataset.digest for i in run.inputs.dataset_inputs if i.dataset.source_type == "dvc"]


def _name(client, run_id: str) -> str:
    return client.get_run(run_id).info.run_name


def _aliased(client, name: str, alias: str) -> str:
    from mlflow.exceptions import MlflowException

    for get in (client.get_model_version_by_alias, client.get_prompt_version_by_alias):
        try:
            return str(get(name, alias).version)
        except MlflowException:
            continue
    raise InputError("is not in the registry", value=f"{name}@{alias}", remedy=f"It has: {_known(client, name)}")


def _known(client, name: str) -> str:
    """What there is instead: versions of that name, else the names."""
    found = _versions(client, f"name = '{name}'") or _versions(client, "")
    return ", ".join(sorted({f"{v.name}/{v.version}" for v in found})[:10]) or "nothing"


def _versions(client, which: str) -> list:
    """Versions of models and, which MLflow keeps apart, of prompts."""
    prompts = f"{which} AND {PROMPT}" if which else PROMPT
    return [v for query in (which, prompts) for v in _pages(client.search_model_versions, filter_string=query)]


def _runs(client, which: str, experiment: str | None = None) -> Iterator:
    experiments = [experiment] if experiment else [e.experiment_id for e in _pages(client.search_experiments)]
    return _pages(client.search_runs, experiment_ids=experiments, filter_string=which) if experiments else iter(())


def _pages(search: Callable, **query) -> Iterator:
    token = None
    while True:
        page = search(**query, max_results=1000, page_token=token)
        yield from page
        if not (token := page.token):
            return
