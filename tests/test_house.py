"""The house rules that a tool can check."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from lsdata.catalog import DATASETS, Engine
from lsdata.derived import policy, rendered

ROOT = Path(__file__).resolve().parents[1]


def test_rendered_files_are_what_the_declarations_say():
    assert rendered.stale(ROOT) == []


def test_no_declared_flow_carries_phi_too_far():
    assert policy.forbidden_flows() == []


def test_no_installed_distribution_owns_the_names_of_the_code_location():
    assert not {"assets", "resources", "sensors", "definitions"} & set(packages_distributions())


def test_wheel_holds_the_library_alone(tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lsdata"}
    assert "lsdata/site/templates/base.html" in names


def test_imports_go_down_the_list():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_dagster_dbt_sees_the_models_of_the_catalog(tmp_path: Path):
    """The graph takes specs from the catalog; dagster-dbt's own reading of the project must agree."""
    import json

    from dagster_dbt import DagsterDbtTranslator, build_dbt_asset_specs

    from resources import dbt

    manifest = json.loads(json.dumps(dbt.manifest_of("duckdb").writable_manifest().to_dict(), default=str))
    specs = {
        spec.key.path[-1]: spec
        for spec in build_dbt_asset_specs(manifest=manifest, dagster_dbt_translator=DagsterDbtTranslator())
    }
    gold = {d.name: d for d in DATASETS.values() if d.engine is Engine.DBT}
    assert set(gold) <= set(specs)
    for name, dataset in gold.items():
        columns = specs[name].metadata["dagster/column_schema"].columns
        assert [c.name for c in columns] == list(dataset.names)
