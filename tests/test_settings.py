"""Settings come from `LSDATA_*` variables; what cannot be used is refused by name."""

import getpass
import os
from pathlib import Path

import pytest

from lsdata.errors import SettingError
from lsdata.lake.lake import Lake
from lsdata.settings import Settings, local_path

AREAS = ("landing", "lake", "files", "vault", "ledger", "reports", "quarantine")


def test_everything_has_a_place_below_home_by_default(tmp_path: Path) -> None:
    settings = Settings.read({"LSDATA_HOME": str(tmp_path)})
    assert [settings.path(area) for area in AREAS] == [tmp_path / area for area in AREAS]
    assert (settings.engine, settings.compute, settings.reference) == ("duckdb", "local", None)
    assert settings.cores == os.cpu_count()
    assert settings.operator == getpass.getuser()


def test_home_is_below_the_working_directory_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.read({}).home == tmp_path / ".lsdata"
    settings = Settings.read({"LSDATA_HOME": "mine"})
    monkeypatch.chdir("/")
    assert settings.path("lake") == tmp_path / "mine" / "lake"


def test_empty_variables_are_unset() -> None:
    names = ("HOME", "ENGINE", "COMPUTE", "CORES", "OPERATOR", "REASON", "REFERENCE", "LAKE_URL", "WITNESS", "KEYS")
    assert Settings.read({f"LSDATA_{n}": "" for n in names}) == Settings.read({})


def test_each_area_can_be_put_elsewhere(tmp_path: Path) -> None:
    environ = {f"LSDATA_{area.upper()}_URL": f"file://{tmp_path}/{area}x/" for area in AREAS}
    settings = Settings.read(environ)
    for area in AREAS:
        assert settings.url(area) == f"file://{tmp_path}/{area}x"
        assert settings.path(area) == tmp_path / f"{area}x"


@pytest.mark.parametrize("name", ["with a space", "größe", "50%", "a#b?c"])
def test_a_home_may_be_called_anything(tmp_path: Path, name: str) -> None:
    settings = Settings.read({"LSDATA_HOME": str(tmp_path / name)})
    assert settings.path("lake") == tmp_path / name / "lake"


def test_a_plain_path_is_a_place_too(tmp_path: Path) -> None:
    assert Settings.read({"LSDATA_LAKE_URL": str(tmp_path / "lake")}).path("lake") == tmp_path / "lake"


def test_a_plain_path_is_the_same_place_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.read({"LSDATA_LAKE_URL": "lake"})
    monkeypatch.chdir("/")
    assert settings.path("lake") == tmp_path / "lake"


def test_object_stores_have_urls_and_no_path() -> None:
    settings = Settings.read({"LSDATA_LAKE_URL": "abfss://lake@account.dfs.core.windows.net/prefix/"})
    assert settings.url("lake") == "abfss://lake@account.dfs.core.windows.net/prefix"
    with pytest.raises(SettingError, match="scheme abfss"):
        settings.path("lake")


def test_a_region_has_a_place_of_its_own_or_none() -> None:
    settings = Settings.read({"LSDATA_LAKE_URL_EU": "file:///eu/lake", "LSDATA_LAKE_URL": "file:///lake"})
    assert settings.url("lake", "EU") == settings.url("lake", "eu") == "file:///eu/lake"
    assert settings.url("lake") == "file:///lake"
    with pytest.raises(SettingError) as caught:
        settings.url("lake", "us")
    assert caught.value.where == "LSDATA_LAKE_URL_US"
    with pytest.raises(SettingError, match="LSDATA_FILES_URL_EU"):
        settings.url("files", "eu")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LSDATA_ENGINE", "sqlite"), ("LSDATA_ENGINE", "DuckDB"), ("LSDATA_COMPUTE", "slurm"), ("LSDATA_CORES", "0"),
        ("LSDATA_CORES", "-1"), ("LSDATA_CORES", "many"), ("LSDATA_CORES", "1.5"), ("LSDATA_CORES", "²"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.read({name: value})
    assert caught.value.where == name
    assert caught.value.allowed
    assert caught.value.do


def test_values_are_taken_as_given() -> None:
    settings = Settings.read(
        {
            "LSDATA_ENGINE": "spark", "LSDATA_COMPUTE": "batch", "LSDATA_CORES": "3", "LSDATA_OPERATOR": "Ada",
            "LSDATA_REASON": "audit", "LSDATA_REFERENCE": "hg38", "LSDATA_ALIGNER": "bwa",
        }
    )  # fmt: skip
    assert (settings.engine, settings.compute, settings.cores, settings.operator) == ("spark", "batch", 3, "Ada")
    assert (settings.reason, settings.reference, settings.aligner) == ("audit", "hg38", "bwa")


def test_an_operator_that_cannot_be_known_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container often runs as a number without a name; the ledger must name somebody."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(SettingError) as caught:
        Settings.read({})
    assert caught.value.where == "LSDATA_OPERATOR"
    assert Settings.read({"LSDATA_OPERATOR": "Ada"}).operator == "Ada"


def test_keys_and_witness_lie_outside_the_ledger_and_can_be_put_elsewhere(tmp_path: Path) -> None:
    settings = Settings.read({"LSDATA_HOME": str(tmp_path)})
    ledger = settings.path("ledger")
    assert ledger not in settings.key_folder.parents
    assert ledger not in settings.witness_file.parents
    elsewhere = {"LSDATA_KEYS": str(tmp_path / "k"), "LSDATA_WITNESS": str(tmp_path / "w.json")}
    settings = Settings.read({"LSDATA_HOME": str(tmp_path), **elsewhere})
    assert (settings.key_folder, settings.witness_file) == (tmp_path / "k", tmp_path / "w.json")
    with pytest.raises(SettingError):
        Lake(Settings(home=tmp_path, keys=tmp_path / "ledger" / "keys"))


@pytest.mark.parametrize("url", ["az://c/p", "s3://b/p", "http://x/y"])
def test_only_local_urls_have_a_path(url: str) -> None:
    with pytest.raises(SettingError):
        local_path(url)
