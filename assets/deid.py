"""De-identification: notes, and the twins of all datasets that declare one."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.binding import table
from lsdata.catalog import DATASETS, Dataset, Layer
from lsdata.catalog import deid as catalog
from lsdata.catalog.twin import Twin
from lsdata.lake.work import Outcome, Work

Frame = pl.LazyFrame


@table(catalog.NOTES)
def notes(work: Work) -> Outcome:
    from lsdata.deid import notes as room

    return room.notes(work)


@table(catalog.NOTES_SCRUBBED)
def notes_scrubbed(work: Work, notes: Frame) -> Outcome:
    from lsdata.deid import notes as room

    return room.scrubbed(work, notes)


def twins() -> Iterator[dg.AssetsDefinition]:
    """Of every declared twin, and the typed dataset it is made from: nothing else has to be written for one."""
    for made in DATASETS.values():
        if isinstance(made, Twin):
            if made.source.layer is Layer.SILVER_PHI:
                yield _typed(made.source)
            yield _twin(made)


def _typed(dataset: Dataset) -> dg.AssetsDefinition:
    @table(dataset)
    def typed(work: Work, **source: Frame) -> Outcome:
        from lsdata.deid import tables

        return tables.typed(work, dataset, *source.values())

    return typed


def _twin(dataset: Twin) -> dg.AssetsDefinition:
    @table(dataset)
    def twin(work: Work, **source: Frame) -> Outcome:
        from lsdata.deid import tables

        return tables.twin(work, dataset, *source.values())

    return twin
