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

    Great Expectations gives the verdict, on the values that decide it; violating rows are counted by polars, so that no
    value leaves the frame. What one of the two finds wrong is wrong: Great Expectations takes NaN for null, e.g.
    """
    found = checks(dataset)
    failing: dict[str, int] = {}
    deciding: list[pl.DataFrame] = []
    for c in found:
        values = frame.select(c.column.name if c.column else _verdicts(dataset, frame, c).alias(_verdict(c)))
        deciding.append(_deciding(values))
        held = _within(c.column) if c.column else pl.col(_verdict(c))
        if not deciding[-1].select(held.all()).item():
            failing[c.name] = values.select((~held).sum()).item()
    judged = pl.concat(deciding, how="horizontal_extend").to_pandas()
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


def _deciding(values: pl.DataFrame) -> pl.DataFrame:
    """The values of a column that decide whether all are right: of numbers the least, the greatest and a NaN; of others
    each once. Beside a column of more of them they are filled up with nulls, which are not judged.
    """
    if values.dtypes[0].is_numeric():
        return pl.concat(values.select(pick) for pick in (pl.all().min(), pl.all().max(), pl.all().nan_max()))
    return values.unique()


def violations(dataset: Dataset, check: Check) -> str:
    """SQL that shows the rows that violate a check (DuckDB, run from the lake's root)."""
    clause = "QUALIFY" if check.name == PRIMARY_KEY else "WHERE"
    return f"SELECT * FROM delta_scan('{dataset.key}') {clause} NOT ({check.rule})"


def _verdicts(dataset: Dataset, frame: pl.DataFrame, check: Check) -> pl.Series:
    """True where the row is right. SQL says null where it cannot say; a rule that cannot say is not violated."""
    if check.name == PRIMARY_KEY:
        return ~_repeated(frame.select(dataset.primary_key))
    return frame.select(pl.sql_expr(check.rule).fill_null(value=True)).to_series()


def _repeated(keys: pl.DataFrame) -> pl.Series:
    """True where a row is not alone; rows are sorted, so that it equals a neighbour."""
    equal = pl.repeat(value=True, n=max(keys.height - 1, 0), dtype=pl.Boolean, eager=True)
    for series in reversed(keys.get_columns()):  # the last column of a key differs most
        equal &= series[1:].eq_missing(series[:-1])
        if not equal.any():
            break
    edge = pl.Series([False] * min(keys.height, 1), dtype=pl.Boolean)
    return pl.concat([edge, equal]) | pl.concat([equal, edge])


def _within(c: Column) -> pl.Expr:
    """True where a value is allowed; null is not judged."""
    column = pl.col(c.name)
    held = [column >= c.minimum] if c.minimum is not None else []
    held += [column <= c.maximum] if c.maximum is not None else []
    held += [~column.is_nan()] if held and c.type == "float64" else []
    held += [column.is_in(c.codelist)] if c.codelist else []
    held += [column.str.contains(rf"\A(?:{c.pattern})\z")] if c.pattern else []
    return pl.all_horizontal(held).fill_null(value=True)


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
