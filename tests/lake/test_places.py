"""Places: a folder and an object store behave alike, and so does a lake on them. The object store is Azurite."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog.core import FILE_INDEX
from lsdata.catalog.genomics import COHORTS, GENOTYPES, JOINT_CALLS
from lsdata.derived.expectations import CheckResult
from lsdata.errors import MissingData, SettingError
from lsdata.lake import lake as lake_module
from lsdata.lake import places
from lsdata.lake.lake import Lake
from lsdata.lake.landing import LandingZone
from lsdata.lake.places import LocalPlace, Place, RemotePlace, place_of
from lsdata.settings import Settings

Frames = Callable[..., pl.DataFrame]


@pytest.fixture
def remote(azure: Any, tmp_path: Path) -> Settings:
    """Everything in one container."""
    return Settings.read(azure.environ(tmp_path / "home", azure.container()))


@pytest.fixture(params=["folder", "container"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    if request.param == "folder":
        return LocalPlace(tmp_path / "place", tmp_path / "locks")
    return place_of(request.getfixturevalue("remote"), "lake")


# ---------------------------------------------------------------- settings


def test_a_connection_string_becomes_options_and_is_never_shown() -> None:
    given = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=c2VjcmV0PT0=;EndpointSuffix=core.windows.net"
    told = Settings.read({"AZURE_STORAGE_CONNECTION_STRING": given, "LSDATA_LAKE_URL": "abfss://lake@acme/x"})
    assert told.storage_options(told.url("lake")) == {
        "azure_storage_account_name": "acme",
        "azure_storage_account_key": "c2VjcmV0PT0=",
        "azure_storage_endpoint": "https://acme.blob.core.windows.net",
    }
    assert told.storage_options(told.url("files")) == {}
    assert "c2VjcmV0PT0=" not in repr(told) + repr(place_of(told, "lake"))


def test_a_shared_access_signature_may_hold_equal_signs() -> None:
    told = Settings.read(
        {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=http://x/a;SharedAccessSignature=sv=1&sig=a=="}
    )
    assert told.storage_options("az://c/x") == {
        "azure_storage_sas_key": "sv=1&sig=a==",
        "azure_storage_endpoint": "http://x/a",
        "allow_http": "true",
    }


def test_a_place_of_an_unknown_scheme_is_refused_when_settings_are_read() -> None:
    with pytest.raises(SettingError, match="LSDATA_LAKE_URL: scheme ftp; allowed: a path, or file://, az://"):
        Settings.read({"LSDATA_LAKE_URL": "ftp://host/lake"})


# ---------------------------------------------------------------- a place


def test_what_is_written_is_read_listed_and_removed(place: Place) -> None:
    names = ["a/b c/ö.txt", "a/b c/d/e", "a/f", "g"]
    for number, name in enumerate(names):
        place.write(name, b"x" * number)
    assert sorted((i.path, i.bytes) for i in place.items()) == sorted((n, i) for i, n in enumerate(names))
    assert sorted(i.path for i in place.items("a/b c")) == sorted(names[:2])
    assert not list(place.items("a/b"))  # a folder, not a beginning of a name
    assert place.folders() == ("a",)
    assert place.folders("a") == ("b c",)
    assert place.folders("nowhere") == ()
    assert place.read("a/f") == b"xx"
    assert place.stat("nowhere") is None
    assert place.read("nowhere") is None
    place.write("a/f", b"new")
    assert place.read("a/f") == b"new"
    place.remove("a/b c")
    place.remove("g")
    place.remove("nowhere")
    assert [i.path for i in place.items()] == ["a/f"]


def test_a_name_is_created_once(place: Place) -> None:
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(place.create("x/once", str(n).encode()))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.count(True) == 1
    assert [i.path for i in place.items()] == ["x/once"]


def test_a_file_made_near_is_kept_moved_and_found_again(place: Place) -> None:
    near = place.near("_staging/t/all/out.bin")
    near.parent.mkdir(parents=True)
    near.write_bytes(b"12345")
    place.keep("_staging/t/all/out.bin")
    assert place.move("_staging/t/all/out.bin", "k/p/out.bin")
    assert not place.move("_staging/t/all/out.bin", "k/p/out.bin")
    assert place.local("k/p/out.bin").read_bytes() == b"12345"
    assert place.stat("_staging/t/all/out.bin") is None


def test_a_local_folder_is_as_the_place_is_now(place: Place) -> None:
    place.write("k/p/one", b"1")
    place.write("k/p/sub/two", b"2")
    folder = place.local("k/p")
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {"one", "sub/two"}
    place.remove("k/p/one")
    place.write("k/p/sub/two", b"22")
    folder = place.local("k/p")
    assert [p.read_bytes() for p in folder.rglob("*") if p.is_file()] == [b"22"]
    assert not place.local("nothing").exists()


def test_one_at_a_time_holds_a_turn(place: Place) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with place.turn("a/table"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (inside, most) == (0, 1)


def test_the_turn_of_a_dead_process_ends(remote: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(remote, "lake")
    place.write("_locks/t", json.dumps({"owner": "dead", "until": time.time() + 0.5}).encode())
    begun = time.time()
    with place.turn("t"):
        assert time.time() - begun >= 0.4
    assert place.read("_locks/t") is None


def test_a_turn_is_renewed_while_its_owner_lives(remote: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_LEASE_SECONDS", 0.6)
    place, order = place_of(remote, "lake"), list[str]()

    def second() -> None:
        with place.turn("t"):
            order.append("second")

    with place.turn("t"):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(1.5)
        order.append("first")
    other.join(60)
    assert order == ["first", "second"]


# ---------------------------------------------------------------- a lake on an object store


def on_another_machine(settings: Settings, azure: Any, tmp_path: Path) -> Lake:
    """A lake of the same places with another home; witness and keys are shared, as an operator would."""
    container = settings.url("lake").removeprefix("az://").partition("/")[0]
    environ = azure.environ(tmp_path / "elsewhere", container)
    shared = {"LSDATA_WITNESS": str(settings.witness_file), "LSDATA_KEYS": str(settings.key_folder)}
    return Lake(Settings.read({**environ, **shared}))


def test_a_lake_in_a_container_publishes_replaces_and_gives_up(
    remote: Settings, azure: Any, tmp_path: Path, sample_frame: Frames, publish: Callable[..., Any]
) -> None:
    lake, other = Lake(remote), on_another_machine(remote, azure, tmp_path)
    first = {p: sample_frame(JOINT_CALLS, 3, p) for p in ("c 1", "c2")}
    files = {p: {"joint.vcf.gz": p.encode(), "joint.vcf.gz.tbi": b"i"} for p in first}
    publish(lake, JOINT_CALLS, pl.concat(first.values()), files=files)
    assert other.read(JOINT_CALLS.key).collect().height == 6
    assert other.file(JOINT_CALLS.key, "c 1", "joint.vcf.gz").read_bytes() == b"c 1"
    again = sample_frame(JOINT_CALLS, 2, "c2", 1)
    publish(other, JOINT_CALLS, again, files={"c2": {"joint.vcf.gz": b"new"}})
    assert lake.file(JOINT_CALLS.key, "c2", "joint.vcf.gz").read_bytes() == b"new"
    assert not (lake.folder(JOINT_CALLS.key, "c2") / "joint.vcf.gz.tbi").exists()
    found = lake.read(JOINT_CALLS.key).collect().sort(JOINT_CALLS.primary_key)
    assert found.equals(pl.concat([first["c 1"], again]).sort(JOINT_CALLS.primary_key))
    index = lake.read(FILE_INDEX.key).sort("uri").collect()
    assert index["sha256"].to_list()[-1] == hashlib.sha256(b"new").hexdigest()
    assert index["bytes"].to_list() == [3, 1, 3]
    assert lake.ledger.verify().ok
    assert not list(lake.tables.items("_staging"))
    assert not list(lake.files.items("_staging"))
    lake.drop(JOINT_CALLS.key, lake_module.Act(operator="Ada", reason="over"))
    assert other.read(JOINT_CALLS.key).collect().is_empty()
    with pytest.raises(MissingData):
        other.file(JOINT_CALLS.key, "c2", "joint.vcf.gz")


def test_refused_rows_are_kept_in_the_container(
    remote: Settings, sample_frame: Frames, publish: Callable[..., Any]
) -> None:
    lake = Lake(remote)
    no = CheckResult(name="no", passed=False, blocking=True, failing=2, rows=2, doc="", query="")
    made = publish(lake, COHORTS, rows := sample_frame(COHORTS, 2), validate=lambda *_: [no])
    assert made.version is None
    assert made.staged.startswith(remote.url("lake"))
    kept = lake.tables.local(made.staged.removeprefix(f"{remote.url('lake')}/"))
    assert pl.read_ipc(kept / "rows.arrow").height == rows.height


class Died(BaseException):
    """The machine is gone."""


def steps(lake: Lake, monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> Iterator[str]:
    found: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "reached", found.append)
        work()
    yield from found


def test_a_machine_lost_at_any_step_leaves_nothing_torn(
    azure: Any, tmp_path: Path, sample_frame: Frames, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = sample_frame(JOINT_CALLS, 2, "c1"), sample_frame(JOINT_CALLS, 3, "c1", 1)
    monkeypatch.setattr(places, "_LEASE_SECONDS", 0.3)

    def fresh(name: str) -> Lake:
        lake = Lake(Settings.read(azure.environ(tmp_path / name, azure.container())))
        publish(lake, JOINT_CALLS, old, files={"c1": {"a": b"old", "b": b"old"}})
        return lake

    whole = {"old": (old, {"a": b"old", "b": b"old"}), "new": (new, {"a": b"new", "c": b"new"})}
    republish = lambda lake: publish(lake, JOINT_CALLS, new, files={"c1": whole["new"][1]})  # noqa: E731
    counted = fresh("counted")
    passed = list(steps(counted, monkeypatch, lambda: republish(counted)))
    assert {"journal in place", "files moved", "committed"} < set(passed)
    for number, name in enumerate(passed):
        lake, left = fresh(f"killed{number}"), iter(range(number))

        def die(_: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Died

        with monkeypatch.context() as patch:
            patch.setattr(lake_module, "reached", die)
            with pytest.raises(Died):
                republish(lake)
        survivor = on_another_machine(lake.settings, azure, tmp_path / str(number))
        survivor.recover()
        told = survivor.state().partitions(JOINT_CALLS.key)["c1"]
        rows, files = whole["new" if told.rows == new.height else "old"]
        assert survivor.read(JOINT_CALLS.key).collect().equals(rows), name
        folder = survivor.folder(JOINT_CALLS.key, "c1")
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == files, name
        assert survivor.ledger.verify().ok, name


def test_writers_on_two_machines_lose_nothing(
    remote: Settings, azure: Any, tmp_path: Path, sample_frame: Frames, publish: Callable[..., Any]
) -> None:
    lakes = [Lake(remote), on_another_machine(remote, azure, tmp_path)]
    faults: list[BaseException] = []

    def write(number: int) -> None:
        try:
            publish(lakes[number % 2], GENOTYPES, sample_frame(GENOTYPES, 2, f"c{number}"))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not faults
    assert lakes[0].read(GENOTYPES.key).collect().height == 8
    assert set(lakes[1].state().partitions(GENOTYPES.key)) == {f"c{n}" for n in range(4)}
    assert lakes[0].ledger.verify().ok


def test_a_landing_zone_in_a_container_lists_without_reading_and_cleans_up(remote: Settings) -> None:
    place = place_of(remote, "landing")
    assert isinstance(place, RemotePlace)
    for name in (
        "sequencing/r1/SampleSheet.csv",
        "sequencing/r1/Data/x_R1.fastq.gz",
        "sequencing/r1/.part",
        "cohorts.csv",
    ):
        place.write(name, b"content")
    zone = LandingZone(place)
    assert zone.folders("sequencing") == ("r1",)
    assert [f.path for f in zone.listing("sequencing/{partition}/**", "r1")] == [
        "sequencing/r1/Data/x_R1.fastq.gz",
        "sequencing/r1/SampleSheet.csv",
    ]
    assert [(f.path, f.bytes) for f in zone.listing("cohorts.csv")] == [("cohorts.csv", 7)]
    assert not place.mirror.exists()
    path = zone.local("cohorts.csv")
    assert path.read_bytes() == b"content"
    zone.close()
    assert not path.exists()
