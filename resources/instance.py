"""The Dagster instance of this home."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from lsdata.dagster_home import ensure
from lsdata.settings import Settings


@contextmanager
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance; its folder and configuration are made when they are absent."""
    ensure(settings.home)
    with dg.DagsterInstance.get() as opened:
        yield opened
