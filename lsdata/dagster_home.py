"""Dagster's home below `LSDATA_HOME`, made when it is absent and never overwritten. Imports nothing but the standard
library: `make setup` has every Python of the environment import it, so that Dagster's own commands find the home.
"""

import os
import re
import sys
from pathlib import Path

_COMMANDS = {"dagster", "dagster-webserver", "dagster-daemon", "dg"}
_CONFIG = """\
# Written by lsdata when it was absent; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    granularity: op
    default_limit: 1
  runs:
    max_concurrent_runs: 2
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


def ensure(home: Path) -> Path:
    """Dagster's home with its configuration: `DAGSTER_HOME` where that is set, else `home`/dagster.

    With `LSDATA_POSTGRES_URL` set, runs and events are kept in that database; in SQLite files otherwise. The file names
    the variable, never its value: that holds a password.
    """
    if postgres := os.environ.get("LSDATA_POSTGRES_URL"):
        # SQLAlchemy 2.1 would look for psycopg 3 behind a plain URL; what dagster-postgres comes with is psycopg2.
        os.environ["LSDATA_POSTGRES_URL"] = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", postgres)
    folder = Path(os.environ.setdefault("DAGSTER_HOME", str(home / "dagster")))
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        config.write_text(_CONFIG + (_POSTGRES if postgres else ""))
    return folder


if any(Path(word).name in _COMMANDS for word in sys.orig_argv[:3]):
    ensure(Path(os.environ.get("LSDATA_HOME") or ".lsdata").resolve())
