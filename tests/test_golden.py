"""Golden cases: input beside output. An asset is materialized from the CSVs of a case and must give `out.csv`.

`tests/golden/<layer>/<domain>/<dataset>/<case>/` holds a CSV per upstream, `out.csv` and `why.md`. Columns that an
input leaves out are filled with values the declaration allows; columns that `out.csv` leaves out are not compared.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import assets
from assets.specs import key
from lsdata.catalog import DATASETS, Dataset
from lsdata.derived import arrow
from lsdata.lake.lake import Lake
from resources.lake import LakeResource
from resources.tools import ToolsResource

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.rglob("out.csv"))


def _csv(dataset: Dataset, path: Path) -> pl.DataFrame:
    frame = pl.read_csv(path, infer_schema=False)
    return frame.cast({name: arrow.polars_schema(dataset)[name] for name in frame.columns})


@pytest.mark.parametrize("case", CASES, ids=[path.relative_to(GOLDEN).as_posix() for path in CASES])
def test_golden_case(
    case: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch, sample_frame: Callable[..., pl.DataFrame],
    publish: Callable[..., Any],
) -> None:  # fmt: skip
    dataset = DATASETS["/".join(case.relative_to(GOLDEN).parts[:3])]
    for upstream in (DATASETS[u.key] for u in dataset.upstream):
        if (case / f"{upstream.name}.csv").exists():
            given = _csv(upstream, case / f"{upstream.name}.csv")
            publish(lake, upstream, sample_frame(upstream, given.height).with_columns(given.get_columns()))
    expected = _csv(dataset, case / "out.csv")
    monkeypatch.setattr(LakeResource, "open", lambda _: lake)
    column = dataset.partition.column if dataset.partition else None
    with dg.DagsterInstance.ephemeral() as instance:
        for partition in expected[column].unique(maintain_order=True) if column else [None]:
            if column:
                instance.add_dynamic_partitions(dataset.partition.name, [partition])
            dg.materialize(
                list(assets.defs().assets or ()), selection=[key(dataset)], partition_key=partition,
                resources={"lake": LakeResource(), "tools": ToolsResource()}, instance=instance,
            )  # fmt: skip
    by = [name for name in dataset.primary_key if name in expected.columns]
    made = lake.read(dataset.key).select(expected.columns).collect()
    assert_frame_equal(made.sort(by), expected.sort(by))
    assert (case / "why.md").read_text().strip()
