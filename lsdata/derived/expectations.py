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
    key = ", ".join(dataset.primary_key)
    yield Check(
        name=PRIMARY_KEY,
        doc=f"One {dataset.grain}: ({key}) is unique.",
        blocking=True,
        rule=f"count(*) OVER (PARTITION BY {key}) = 1",
    )
    for c in dataset.columns:
        rules = [f'"{c.name}" >= {c.minimum:g}'] if c.minimum is not None else []
        rules += [f'"{c.name}" <= {c.maximum:g}'] if c.maximum is not None else []
        rules += [f'"{c.name}" IN ({", ".join(map(_literal, c.codelist))})'] if c.codelist else []
        rules += [f"regexp_matches(\"{c.name}\", '^(?:{c.pattern})$')"] if c.pattern else []
        if rules:
            allowed = " AND ".join(rules)
            yield Check(
                name=f"column_{c.name}", doc=f"{c.doc} Allowed: {allowed}.", rule=allowed, blocking=True, column=c
            )
    for e in dataset.expectations:
        yield Check(name=e.name, doc=e.doc, rule=e.rule, blocking=e.blocking)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def suite(dataset: Dataset) -> "gx.ExpectationSuite":
    """The Great Expectations suite; what is not about one column alone is expected of a boolean column of its name."""
    gx = _gx()
    found: list[Any] = [e for check in checks(dataset) for e in _expectations(check)]
    return gx.ExpectationSuite(name=dataset.key, expectations=found)


def _expectations(check: Check) -> Iterator[Any]:
    gxe = _gx().expectations

    meta: dict[str, Any] = {"check": check.name}
    if check.column is None:
        yield gxe.ExpectColumnValuesToBeInSet(column=check.name, value_set=[True], meta=meta)
        return
    c = check.column
    if c.minimum is not None or c.maximum is not None:
        yield gxe.ExpectColumnValuesToBeBetween(column=c.name, min_value=c.minimum, max_value=c.maximum, meta=meta)
    if c.codelist:
        yield gxe.ExpectColumnValuesToBeInSet(column=c.name, value_set=list(c.codelist), meta=meta)
    if c.pattern:
        yield gxe.ExpectColumnValuesToMatchRegex(column=c.name, regex=f"^(?:{c.pattern})$", meta=meta)


def validate(dataset: Dataset, frame: pl.DataFrame) -> tuple[CheckResult, ...]:
    """Judge a frame that conforms to the declaration and is sorted by partition and primary key.

    Counts of violating rows are found only where the quick verdict is negative; values never leave the frame.
    """
    found = checks(dataset)
    wanted = [c.column.name for c in found if c.column]
    rules = [_holds(dataset, c).alias(c.name) for c in found if c.column is None]
    judged = frame.select(*wanted, *rules).to_pandas()
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": judged})
    expectations = suite(dataset)
    outcome = batch.validate(expectations, result_format="BOOLEAN_ONLY")
    failing: dict[str, int] = {}
    if not outcome.success:
        counts: Any = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
        for result in batch.validate(expectations, result_format=counts).results:
            if not result.success:
                config: Any = result.expectation_config
                name = config.meta["check"]
                failing[name] = max(failing.get(name, 0), int(result.result.get("unexpected_count") or 1))
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
        # Sorted by key: a duplicate equals its neighbour.
        same = pl.all_horizontal(pl.col(k).eq_missing(pl.col(k).shift(1)) for k in dataset.primary_key)
        return ~(same & (pl.int_range(pl.len()) > 0))
    return pl.sql_expr(check.rule).fill_null(value=True)


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
