"""The landing zone: which files a pattern names, and a fingerprint that changes when they do."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.catalog import DATASETS
from lsdata.lake.landing import Landed, LandingZone, fingerprint
from lsdata.lake.places import LocalPlace

FILES = [
    "cohorts.csv", "subjects.csv", "sequencing/r1/SampleSheet.csv", "sequencing/r1/Data/Intensities/a_R1.fastq.gz",
    "sequencing/r10/SampleSheet.csv", "sequencing/loose.txt", "reference/hg/hg.fa", "reference/hg/hg.fa.gz",
    "reference/hg/hgxfa", "reference/hg/genes.gff3", "reference/hg2/hg2.fa",
]  # fmt: skip


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return LandingZone(LocalPlace(tmp_path, tmp_path / "locks"))


def names(zone: LandingZone, pattern: str, partition: str = "") -> list[str]:
    return [f.path for f in zone.listing(pattern, partition)]


@pytest.mark.parametrize(
    ("pattern", "partition", "found"),
    [
        ("cohorts.csv", "", ["cohorts.csv"]),
        ("absent.csv", "", []),
        ("absent/{partition}/**", "r1", []),
        ("sequencing/{partition}/**", "r1", [FILES[3], FILES[2]]),
        ("sequencing/{partition}/*", "r1", [FILES[2]]),
        ("sequencing/*/**", "", [FILES[3], FILES[2], FILES[4]]),
        ("reference/{partition}/{partition}.fa*", "hg", ["reference/hg/hg.fa", "reference/hg/hg.fa.gz"]),
        ("reference/{partition}/genes.*", "hg", ["reference/hg/genes.gff3"]),
        ("reference/{partition}/genes.*", "hg2", []),
    ],
)
def test_a_pattern_names_just_its_files(zone: LandingZone, pattern: str, partition: str, found: list[str]) -> None:
    assert names(zone, pattern, partition) == found


@pytest.mark.parametrize("partition", ["r*", "r[1]", "r.", "r?", "r+1", "(r", "r\\1", "$", "{partition}"])
def test_a_partition_key_is_a_name_and_no_pattern(tmp_path: Path, partition: str) -> None:
    for folder in (partition, "r1", "rx"):
        (tmp_path / "sequencing" / folder).mkdir(parents=True)
        (tmp_path / "sequencing" / folder / "a.txt").write_text("x")
    found = names(LandingZone(LocalPlace(tmp_path, tmp_path / "locks")), "sequencing/{partition}/**", partition)
    assert found == [f"sequencing/{partition}/a.txt"]


def test_hidden_files_and_folders_are_not_there(zone: LandingZone) -> None:
    for name in (".hidden", ".rsync/a.fastq.gz", "Data/.a.fastq.gz.Xy12"):
        path = zone.place.root / "sequencing/r1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (zone.place.root / "reference/.tmp").mkdir()
    assert names(zone, "sequencing/{partition}/**", "r1") == [FILES[3], FILES[2]]
    assert zone.folders("reference") == ("hg", "hg2")


def test_folders_are_the_folders_in_a_folder_sorted(zone: LandingZone) -> None:
    assert zone.folders("sequencing") == ("r1", "r10")
    assert zone.folders("nowhere") == ()
    assert zone.folders("cohorts.csv") == ()


def test_a_missing_landing_zone_is_empty(tmp_path: Path) -> None:
    zone = LandingZone(LocalPlace(tmp_path / "absent", tmp_path / "locks"))
    assert zone.listing("sequencing/*/**") == ()
    assert zone.folders("sequencing") == ()


def test_a_link_to_nothing_is_not_there(zone: LandingZone) -> None:
    (zone.place.root / "sequencing/r1/gone.fastq.gz").symlink_to(zone.place.root / "nowhere")
    assert names(zone, "sequencing/{partition}/**", "r1") == [FILES[3], FILES[2]]


def test_a_file_that_goes_while_it_is_listed_is_not_there(zone: LandingZone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copying tools rename; a sensor must not fail on it. `exists` says what was true a moment ago."""
    (zone.place.root / "sequencing/r1/gone.fastq.gz").symlink_to(zone.place.root / "nowhere")

    def there(_: Path) -> bool:
        return True

    monkeypatch.setattr(Path, "exists", there)
    assert names(zone, "sequencing/{partition}/**", "r1") == [FILES[3], FILES[2]]


def test_listings_of_one_folder_do_not_read_the_others(zone: LandingZone, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cohorts.csv` is looked for at every tick: that must not walk through all run folders."""
    walked: list[str] = []
    walk = os.walk

    def told(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for folder, folders, files in walk(top):
            walked.append(str(Path(folder).relative_to(zone.place.root)))
            yield folder, folders, files

    monkeypatch.setattr(os, "walk", told)
    assert names(zone, "cohorts.csv") == ["cohorts.csv"]
    assert names(zone, "reference/{partition}/genes.*", "hg") == ["reference/hg/genes.gff3"]
    assert not [folder for folder in walked if folder.startswith("sequencing")]


def test_every_declared_pattern_lies_in_the_folder_of_its_partitions() -> None:
    for dataset in DATASETS.values():
        for place in dataset.landing:
            assert not place.pattern.startswith(("/", "."))
            assert ".." not in place.pattern
            assert ("{partition}" in place.pattern) == (dataset.partition is not None)
            if dataset.partition and dataset.partition.landing:
                assert place.pattern.startswith(f"{dataset.partition.landing}/{{partition}}/")


def test_the_fingerprint_changes_with_name_size_and_time(zone: LandingZone) -> None:
    def now() -> str:
        return fingerprint(LandingZone(zone.place).listing("sequencing/*/**"))

    path = zone.place.root / FILES[2]
    seen = [now()]
    os.utime(path, ns=(1, 1))
    seen.append(now())
    path.write_text("longer than before")
    os.utime(path, ns=(1, 1))
    seen.append(now())
    path = path.rename(path.with_name("samplesheet.csv"))
    seen.append(now())
    (path.parent / "more.txt").write_text("")
    seen.append(now())
    assert len(set(seen)) == 5
    assert now() == seen[-1]


def test_one_zone_gives_one_answer(zone: LandingZone) -> None:
    before = zone.listing("sequencing/*/**")
    (zone.place.root / "sequencing/r1/more.txt").write_text("")
    assert zone.listing("sequencing/*/**") == before
    assert len(LandingZone(zone.place).listing("sequencing/*/**")) == len(before) + 1


@given(st.lists(st.builds(Landed, path=st.text(), bytes=st.integers(0), modified_ns=st.integers(0)), unique=True))
def test_equal_listings_have_equal_fingerprints_and_no_listing_is_a_part_of_itself(files: list[Landed]) -> None:
    assert fingerprint(files) == fingerprint(tuple(files))
    if files:
        assert fingerprint(files) != fingerprint(files[1:])


def test_names_that_are_no_utf8_can_be_listed(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "sequencing")
    os.makedirs(path + b"/r1")
    with open(path + b"/r1/\xff.fastq.gz", "wb"):
        pass
    (found,) = LandingZone(LocalPlace(tmp_path, tmp_path / "locks")).listing("sequencing/*/**")
    assert os.fsencode(found.path) == b"sequencing/r1/\xff.fastq.gz"
    assert len(fingerprint([found])) == 64
