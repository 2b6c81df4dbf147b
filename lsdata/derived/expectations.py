"""The Great Expectations suite of a dataset, and its verdict on a frame.

Checks of a dataset, by name: `primary_key`; `column_<name>` for each column with bounds, a codelist or a pattern; and
each declared expectation. Columns are judged by Great Expectations' own types; row rules and the key are evaluated by
polars to a boolean column, which Great Expectations then expects to hold. That the frame has the declared columns,
types and no undeclared nulls is not a check: `lsdata.derived.arrow.conform` refuses it before.
"""

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from lsdata.catalog import Column, Dataset

if TYPE_CHECKING:
    import great_expectations as gx

PRIMARY_KEY = "primary_key"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check of a dataset, before it has run.

    Args:
        rule: SQL boolean over one row, true where the row is right.
        column: set where the rule is about one column alone.
    """

    name: str
    doc: str
    rule: str
    blocking: bool
    column: Column | None = None


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a check found.

    Args:
        failing, rows: rows that violate it, of how many (counts).
        query: SQL that shows the violating rows.
    """

    name: str
    passed: bool
    blocking: bool
    failing: int
    rows: int
    doc: str
    query: str


def checks(dataset: Dataset) -> tuple[Check, ...]:
    """All checks of a dataset, in the order: key, columns, declared expectations."""
    return tuple(_checks(dataset))


def _checks(dataset: Dataset) -> Iterator[Check]:
    key = ", ".join(f'"{k}"' for k in dataset.primary_key)
    yield Check(
        name=PRIMARY_KEY,
        doc=f"Grain: {dataset.grain}; ({', '.join(dataset.primary_key)}) is unique.",
        rule=f"count(*) OVER (PARTITION BY {key}) = 1",
        blocking=True,
    )
    for c in dataset.columns:
        if rules := _rules(c):
            allowed = " AND ".join(rules)
            yield Check(
                name=f"column_{c.name}", doc=f"{c.doc} Allowed: {allowed}.", rule=allowed, blocking=True, column=c
            )
    for e in dataset.expectations:
        yield Check(name=e.name, doc=e.doc, rule=e.rule, blocking=e.blocking)


def _rules(c: Column) -> list[str]:
    name = f'"{c.name}"'
    rules = [f"{name} >= {c.minimum!r}"] if c.minimum is not None else []
    rules += [f"{name} <= {c.maximum!r}"] if c.maximum is not None else []
    rules += [f"NOT isnan({name})"] if rules and c.type == "float64" else []
    rules += [f"{name} IN ({', '.join(map(_literal, c.codelist))})"] if c.codelist else []
    rules += [f"regexp_full_match({name}, {_literal(c.pattern)})"] if c.pattern else []
    return rules


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def suite(dataset: Dataset) -> "gx.ExpectationSuite":
    """The Great Expectations suite: columns by its own types, all else as a boolean column `check:<name>`."""
    gx = _gx()
    found: list[Any] = [e for check in checks(dataset) for e in _expectations(check)]
    return gx.ExpectationSuite(name=dataset.key, expectations=found)


def _expectations(check: Check) -> Iterator[Any]:
    gxe = _gx().expectations
    meta: dict[str, Any] = {"check": check.name}
    c = check.column
    if c is None:
        yield gxe.ExpectColumnValuesToBeInSet(column=_verdict(check), value_set=[True], meta=meta)
        return
    if c.minimum is not None or c.maximum is not None:
        yield gxe.ExpectColumnValuesToBeBetween(column=c.name, min_value=c.minimum, max_value=c.maximum, meta=meta)
    if c.codelist:
        yield gxe.ExpectColumnValuesToBeInSet(column=c.name, value_set=list(c.codelist), meta=meta)
    if c.pattern:
        yield gxe.ExpectColumnValuesToMatchRegex(column=c.name, regex=_whole(c.pattern), meta=meta)


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\Z"


def _verdict(check: Check) -> str:
    return f"check:{check.name}"


def validate(dataset: Dataset, frame: pl.DataFrame) -> tuple[CheckResult, ...]:
    """Judge a frame that conforms to the declaration and is sorted by partition and primary key.

    Great Expectations gives the verdict; violating rows are counted by polars, so that no value leaves the frame. What
    one of the two finds wrong is wrong: Great Expectations takes NaN for null, for example.
    """
    found = checks(dataset)
    verdicts = frame.select(_holds(dataset, c).alias(_verdict(c)) for c in found)
    failing = (
        {c.name: int(n) for c, n in zip(found, verdicts.select((~pl.all()).sum()).row(0), strict=True) if n}
        if frame.height
        else {}
    )
    columns = [c.column.name for c in found if c.column]
    rules = verdicts.select(_verdict(c) for c in found if c.column is None)
    judged = pl.concat([frame.select(columns), rules], how="horizontal").to_pandas()
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": judged})
    outcome = batch.validate(suite(dataset), result_format="BOOLEAN_ONLY")
    for result in outcome.results:
        if not result.success:
            failing.setdefault(result.expectation_config.meta["check"], frame.height)
    return tuple(
        CheckResult(
            name=c.name,
            passed=c.name not in failing,
            blocking=c.blocking,
            failing=failing.get(c.name, 0),
            rows=frame.height,
            doc=c.doc,
            query=violations(dataset, c),
        )
        for c in found
    )


def violations(dataset: Dataset, check: Check) -> str:
    """SQL that shows the rows that violate a check (DuckDB, run from the lake's root)."""
    clause = "QUALIFY" if check.name == PRIMARY_KEY else "WHERE"
    return f"SELECT * FROM delta_scan('{dataset.key}') {clause} NOT ({check.rule})"


def _holds(dataset: Dataset, check: Check) -> pl.Expr:
    """True where the row is right. SQL says null where it cannot say; a rule that cannot say is not violated."""
    if check.name == PRIMARY_KEY:
        # Sorted by key: a row that is not alone equals a neighbour.
        return ~(_equals_neighbour(dataset, 1) | _equals_neighbour(dataset, -1))
    if check.column is None:
        return pl.sql_expr(check.rule).fill_null(value=True)
    c, column = check.column, pl.col(check.column.name)
    held = [column >= c.minimum] if c.minimum is not None else []
    held += [column <= c.maximum] if c.maximum is not None else []
    held += [~column.is_nan()] if held and c.type == "float64" else []
    held += [column.is_in(c.codelist)] if c.codelist else []
    held += [column.str.contains(rf"\A(?:{c.pattern})\z")] if c.pattern else []
    return pl.all_horizontal(held).fill_null(value=True)


def _equals_neighbour(dataset: Dataset, step: int) -> pl.Expr:
    row = pl.int_range(pl.len())
    exists = row > 0 if step > 0 else row < pl.len() - 1
    return exists & pl.all_horizontal(pl.col(k).eq_missing(pl.col(k).shift(step)) for k in dataset.primary_key)


@cache
def _gx() -> Any:
    """Great Expectations, without Spark: importing that takes seconds, and pyspark 4.2 ends the process when it is
    imported where the main module has no file, as in Dagster's run workers.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    absent = "pyspark" not in sys.modules
    if absent:
        sys.modules["pyspark"] = cast("Any", None)
    try:
        import great_expectations as gx

        importlib.import_module("great_expectations.expectations")
    finally:
        if absent:
            del sys.modules["pyspark"]
    return gx


@cache
def _batch_definition() -> Any:
    """One in-memory context a process, without the documentation sites that would be left in the temporary folder."""
    gx = _gx()
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    return (
        context.data_sources.add_pandas("staged")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
    )
