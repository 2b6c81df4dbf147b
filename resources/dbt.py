"""Runs the dbt project in this process over partitions of the lake.

Models are built and tested in a scratch database; publishing is the lake's work. dagster-dbt's own runner materializes
before its checks have run and costs seconds a partition, see docs/decisions.
"""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsdata.catalog import DATASETS, Dataset
from lsdata.derived import dbt as derived
from lsdata.errors import JobFailed
from lsdata.lake.places import LocalPlace
from resources.spark import session

if TYPE_CHECKING:
    import polars as pl

    from lsdata.lake.lake import Lake

PROJECT = Path(__file__).resolve().parents[1] / "dbt"


@dataclass(frozen=True)
class Built:
    """What dbt made: the rows, and failing rows by test."""

    rows: "pl.DataFrame"
    tests: dict[str, int]


def build(
    lake: "Lake",
    dataset: Dataset,
    partitions: Sequence[str],
    log: Callable[[str], None],
    engine: str | None = None,
    versions: Mapping[str, int] | None = None,
) -> Built:
    """Build and test one model for some partitions.

    Args:
        versions: Delta version of each upstream to read, one that is not named having no rows: those that are recorded
            as inputs, whatever has been published since. The newest of all of them by default.

    Raises:
        JobFailed: dbt could not build it.
    """
    engine = engine or lake.settings.engine
    versions = lake.state().versions if versions is None else versions
    place = lake.settings.scratch
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dbt-", dir=place) as folder:
        scans = {
            f"{derived.source_name(source)}.{source.name}": _scan(
                lake, source, versions.get(source.key), dataset, partitions, engine, Path(folder)
            )
            for source in (DATASETS[u.key] for u in dataset.upstream)
        }
        os.environ["LSDATA_DBT_FOLDER"] = folder
        if engine == "spark":
            # dbt-spark takes the session that is there; without one it would make its own, which knows no Delta.
            session(lake.settings).sql("create database if not exists scratch")
        tests = _invoke(dataset, scans, lake.settings.pv_roles, folder, engine, log)
        return Built(rows=_rows(lake, dataset, folder, engine), tests=tests)


def _scan(
    lake: "Lake",
    source: Dataset,
    version: int | None,
    dataset: Dataset,
    partitions: Sequence[str],
    engine: str,
    folder: Path,
) -> str:
    """The rows of a source that the partitions need. A table that readers would misread is refused here."""
    columns = ", ".join(source.names)
    if version is None:
        nothing = ", ".join(f"cast(null as {derived.sql_type(c.type)}) as {c.name}" for c in source.columns)
        return f"select {nothing} where 1 = 0"
    shared = source.partition is not None and source.partition == dataset.partition
    rows = lake.read(source.key, partitions if shared else None, version)
    if not isinstance(lake.tables, LocalPlace):
        # The engines know nothing of the store's credentials: the rows that are needed are brought to them.
        path = folder / f"{source.name}.parquet"
        rows.sink_parquet(path)
        return f"select {columns} from " + (f"read_parquet('{path}')" if engine == "duckdb" else f"parquet.`{path}`")
    uri = lake.uri(source.key)
    table = (
        f"delta_scan('{uri}', version => {version})" if engine == "duckdb" else f"delta.`{uri}` version as of {version}"
    )
    if source.partition and shared:
        wanted = ", ".join("'" + p.replace("'", "''") + "'" for p in partitions)
        return f"select {columns} from {table} where {source.partition.column} in ({wanted})"
    return f"select {columns} from {table}"


@cache
def manifest_of(engine: str) -> Any:
    """The parsed project, once a process."""
    runner = _runner()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("LSDATA_DBT_FOLDER", folder)
        parsed = runner().invoke(["parse", *_flags(folder, engine)])
    if not parsed.success:
        raise JobFailed(
            "dbt parse", found=str(parsed.exception), allowed="a project that parses", do="Correct the model it names."
        )
    return parsed.result


def _runner() -> Any:
    # The extension comes as a wheel: DuckDB would download it otherwise.
    from dbt.cli.main import dbtRunner
    from duckdb_extensions import import_extension  # pyright: ignore[reportMissingTypeStubs] - it has none

    import_extension("delta")
    return dbtRunner


def _flags(folder: str, engine: str) -> list[str]:
    return [
        "--project-dir",
        str(PROJECT),
        "--profiles-dir",
        str(PROJECT),
        "--target",
        engine,
        "--target-path",
        folder,
        "--log-path",
        folder,
        "--log-level",
        "none",
        "--no-use-colors",
    ]


def _invoke(
    dataset: Dataset,
    scans: dict[str, str],
    roles: Sequence[str],
    folder: str,
    engine: str,
    log: Callable[[str], None],
) -> dict[str, int]:
    # dbt writes what it has compiled into the manifest: a second build would take it for its own.
    manifest = manifest_of(engine).deepcopy()
    said = {"scans": scans, "pv_roles": list(roles)}
    selected = ["build", "--select", dataset.name, "--vars", json.dumps(said)]
    outcome = _runner()(manifest=manifest).invoke([*selected, *_flags(folder, engine)])
    if outcome.result is None:
        raise JobFailed(
            f"dbt {dataset.name}",
            found=str(outcome.exception),
            allowed="a project that compiles",
            do="Correct the model it names.",
        )
    tests: dict[str, int] = {}
    for one in outcome.result.results:
        log(f"dbt {one.node.resource_type} {one.node.name}: {one.status} ({one.execution_time:.2f} s)")
        if one.node.resource_type == "test":
            tests[one.node.name] = int(one.failures or 0)
        if str(one.status) in ("error", "runtime error"):
            raise JobFailed(
                f"dbt {one.node.name}", found=str(one.message), allowed="SQL that runs", do="Correct the model."
            )
    return tests


def _rows(lake: "Lake", dataset: Dataset, folder: str, engine: str) -> "pl.DataFrame":
    import polars as pl

    from lsdata.derived import arrow

    if engine == "duckdb":
        import duckdb
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        # dbt keeps the database open with settings of its own, beside which nobody else can open it.
        DuckDBConnectionManager.close_all_connections()
        with duckdb.connect(f"{folder}/scratch.duckdb", read_only=True) as connection:
            frame = connection.sql(f'select * from main."{dataset.name}"').pl()
    else:
        made = session(lake.settings).table(f"scratch.{dataset.name}")
        frame = pl.DataFrame(made.toArrow())
    return arrow.typed(dataset, frame)
