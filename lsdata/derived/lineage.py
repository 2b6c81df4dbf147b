"""Where each column of a dataset comes from, one step up."""

from lsdata.catalog import DATASETS, Dataset


def column_sources(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """Column name to (dataset, column) of its sources: those declared, else columns of the same name upstream.

    Left out are columns that follow from no column: constants, and what is read from the landing zone.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for column in dataset.columns:
        if column.constant:
            continue
        if column.source:
            declared = [source.rpartition(".") for source in column.source]
            found[column.name] = [(key, name) for key, _, name in declared]
            continue
        same = [
            (upstream.key, column.name) for upstream in dataset.upstream if column.name in DATASETS[upstream.key].names
        ]
        if same:
            found[column.name] = same
    return found
