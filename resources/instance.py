"""The Dagster home below `LSDATA_HOME`: written when it is absent, never overwritten."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from lsdata.settings import Settings

_CONFIG = """\
# Written by lsdata when it was absent; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    granularity: op
    default_limit: {limit}
  runs:
    max_concurrent_runs: {limit}
run_monitoring:
  enabled: true
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
"""
_POSTGRES = """\
storage:
  postgres:
    postgres_url:
      env: LSDATA_POSTGRES_URL
"""


def home(settings: Settings) -> Path:
    """The folder of Dagster's own files, with its configuration.

    With `LSDATA_POSTGRES_URL` set, runs and events are kept there; in SQLite files otherwise.
    """
    folder = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        postgres = _POSTGRES if os.environ.get("LSDATA_POSTGRES_URL") else ""
        config.write_text(_CONFIG.format(limit=max(1, settings.cores // 2)) + postgres)
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


@contextmanager
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance of that home."""
    home(settings)
    with dg.DagsterInstance.get() as opened:
        yield opened
