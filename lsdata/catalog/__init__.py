"""Every dataset, declared once."""

from collections.abc import Mapping
from types import MappingProxyType

from lsdata.catalog import core, deid, genomics, pharmacovigilance
from lsdata.catalog.declaration import (
    Column,
    Dataset,
    Engine,
    Expectation,
    FileKind,
    Gxp,
    Landing,
    Layer,
    Partition,
    Phi,
    Residency,
    Retention,
    Sensitivity,
    Store,
    Type,
    Upstream,
)
from lsdata.errors import DeclarationError

__all__ = [
    "DATASETS",
    "Column",
    "Dataset",
    "Engine",
    "Expectation",
    "FileKind",
    "Gxp",
    "Landing",
    "Layer",
    "Partition",
    "Phi",
    "Residency",
    "Retention",
    "Sensitivity",
    "Store",
    "Type",
    "Upstream",
    "dataset",
]

_rooms = (core, genomics, deid, pharmacovigilance)
_declared = [value for room in _rooms for value in vars(room).values() if isinstance(value, Dataset)]

DATASETS: Mapping[str, Dataset] = MappingProxyType({d.key: d for d in _declared})
"""All datasets by key, in the order they are declared."""


def dataset(key: str) -> Dataset:
    """The dataset of this key.

    Raises:
        DeclarationError: there is none.
    """
    if key not in DATASETS:
        raise DeclarationError(
            key, found="no such dataset", allowed=", ".join(DATASETS), do="Name one of them, or declare it."
        )
    return DATASETS[key]
