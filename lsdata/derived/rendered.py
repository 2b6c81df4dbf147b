"""The derived files that are checked in: written by `lsdata render`, compared by `lsdata check`."""

import json
from pathlib import Path
from typing import Any

from lsdata.catalog import DATASETS
from lsdata.derived import dbt, dictionary, policy, spark


def files() -> dict[str, str]:
    """Path below the repository to content."""
    return {
        "dbt/models/sources.yml": dbt.sources_yaml(),
        "dbt/models/models.yml": dbt.models_yaml(),
        "docs/dictionary.md": dictionary.markdown(),
        "policy/access.json": _json(policy.access()),
        "policy/lifecycle.json": _json(policy.lifecycle()),
        "policy/spark_schemas.json": _json({key: spark.spark_schema(d) for key, d in DATASETS.items()}),
    }


def _json(told: Any) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def render(root: Path) -> list[str]:
    """Write what differs; the paths written."""
    changed = stale(root)
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files()[path])
    return changed


def stale(root: Path) -> list[str]:
    """Paths whose file is absent or is not what the declarations say today."""
    return [p for p, text in files().items() if not (root / p).is_file() or (root / p).read_text() != text]
