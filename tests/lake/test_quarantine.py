"""Quarantine: original bytes, a reason for each, open until it is resolved."""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsdata.errors import InvalidInput
from lsdata.lake import quarantine as quarantine_module
from lsdata.lake.places import LocalPlace
from lsdata.lake.quarantine import Quarantine, Reject, originals


def reject(name: str, *files: Path, code: str = "bad_md5") -> Reject:
    return Reject(name=name, code=code, where=name, found="another", allowed="this", do="Send it again.", files=files)


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    return Quarantine(LocalPlace(tmp_path / "quarantine", tmp_path / "locks"))


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "landing" / "a.fastq.gz"
    path.parent.mkdir()
    path.write_bytes(b"original")
    return path


def codes(quarantine: Quarantine, domain: str | None = None) -> list[str]:
    return [told["code"] for told in quarantine.open(domain)]


def test_the_reason_has_all_parts_and_the_original_its_bytes_and_hash(quarantine: Quarantine, original: Path) -> None:
    quarantine.replace("genomics", "fastq_manifest", "run1", [reject("a", original)])
    (told,) = quarantine.open()
    assert told["path"] == "genomics/fastq_manifest/run1/a"
    assert [told[part] for part in ("name", "code", "where", "found", "allowed", "do")] == [
        "a", "bad_md5", "a", "another", "this", "Send it again.",
    ]  # fmt: skip
    sha256 = hashlib.sha256(b"original").hexdigest()
    assert told["files"] == [{"name": "a.fastq.gz", "bytes": 8, "sha256": sha256}]
    assert (quarantine.place.root / told["path"] / "a.fastq.gz").read_bytes() == b"original"
    assert told["resolved_at"] is None
    assert told["quarantined_at"].endswith("+00:00")


def test_the_bytes_stay_when_the_original_is_changed_or_gone(quarantine: Quarantine, original: Path) -> None:
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    original.write_bytes(b"corrected")
    original.unlink()
    (told,) = quarantine.open()
    assert (quarantine.place.root / told["path"] / "a.fastq.gz").read_bytes() == b"original"


def test_a_reject_that_is_gone_is_resolved_and_its_bytes_stay(quarantine: Quarantine, original: Path) -> None:
    quarantine.replace("genomics", "d", "p", [reject("a", original), reject("b")])
    quarantine.replace("genomics", "d", "p", [reject("b", code="truncated")])
    assert codes(quarantine) == ["truncated"]
    place = quarantine.place.root / "genomics/d/p/a"
    assert json.loads((place / "reason.json").read_text())["resolved_at"]
    assert (place / "a.fastq.gz").read_bytes() == b"original"


def test_a_reject_that_comes_back_is_open_again(quarantine: Quarantine) -> None:
    for rejects in ([reject("a")], [], [reject("a")]):
        quarantine.replace("genomics", "d", "p", rejects)
    assert codes(quarantine) == ["bad_md5"]


def test_when_it_was_resolved_does_not_change_later(quarantine: Quarantine) -> None:
    quarantine.replace("genomics", "d", "p", [reject("a")])
    quarantine.replace("genomics", "d", "p", [])
    resolved = (quarantine.place.root / "genomics/d/p/a/reason.json").read_text()
    quarantine.replace("genomics", "d", "p", [reject("b")])
    assert (quarantine.place.root / "genomics/d/p/a/reason.json").read_text() == resolved


def test_partitions_datasets_and_domains_do_not_resolve_each_other(quarantine: Quarantine) -> None:
    places = [("genomics", "d", "p1"), ("genomics", "d", "p2"), ("genomics", "e", "p1"), ("clinical", "d", "")]
    for place in places:
        quarantine.replace(*place, [reject("a", code="-".join(place))])
    quarantine.replace("genomics", "d", "p1", [])
    assert codes(quarantine) == ["clinical-d-", "genomics-d-p2", "genomics-e-p1"]
    assert codes(quarantine, "genomics") == ["genomics-d-p2", "genomics-e-p1"]
    assert [told["path"] for told in quarantine.open("clinical")] == ["clinical/d/all/a"]


def test_nothing_is_open_where_nothing_was_quarantined(quarantine: Quarantine) -> None:
    assert codes(quarantine) == []
    assert codes(quarantine, "genomics") == []
    quarantine.replace("genomics", "d", "p", [])
    assert codes(quarantine) == []


@given(st.lists(st.text("ab. +/", min_size=1, max_size=3), min_size=2, max_size=2, unique=True))
def test_two_names_never_share_a_folder(names: list[str]) -> None:
    folders = [quarantine_module._folder_name(name) for name in names]  # pyright: ignore[reportPrivateUsage]
    assert folders[0] != folders[1]


@pytest.mark.parametrize(
    ("one", "other"), [("a b", "a+b"), ("a/b", "a b"), (".a", "a"), ("..", "."), ("x" * 250 + "1", "x" * 250 + "2")]
)
def test_rejects_with_names_alike_are_both_kept(quarantine: Quarantine, one: str, other: str) -> None:
    quarantine.replace("genomics", "d", "p", [reject(one), reject(other)])
    assert sorted(told["name"] for told in quarantine.open()) == sorted([one, other])


@pytest.mark.parametrize("name", ["..", "../../x", "/etc", ".", "a/../..", "\0", "x" * 400, "ä" * 200])
def test_no_name_leaves_the_folder_of_its_partition(quarantine: Quarantine, name: str) -> None:
    quarantine.replace("genomics", "d", "p", [reject(name)])
    (told,) = quarantine.open()
    assert Path(told["path"]).parent == Path("genomics/d/p")


def test_originals_of_one_name_from_two_folders_are_both_kept(quarantine: Quarantine, tmp_path: Path) -> None:
    files: list[Path] = []
    for lane in ("L001", "L002"):
        (tmp_path / lane).mkdir()
        files.append(tmp_path / lane / "reads.fastq.gz")
        files[-1].write_text(lane)
    quarantine.replace("genomics", "d", "p", [reject("run", *files)])
    (told,) = quarantine.open()
    kept = {(quarantine.place.root / told["path"] / f["name"]).read_text() for f in told["files"]}
    assert kept == {"L001", "L002"}


def test_an_original_called_reason_json_is_kept(quarantine: Quarantine, tmp_path: Path) -> None:
    (tmp_path / "reason.json").write_text("{}")
    quarantine.replace("genomics", "d", "p", [reject("run", tmp_path / "reason.json")])
    (told,) = quarantine.open()
    assert (quarantine.place.root / told["path"] / told["files"][0]["name"]).read_text() == "{}"


def test_an_original_that_is_not_there_is_left_out(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.replace("genomics", "d", "p", [reject("a", tmp_path / "absent", tmp_path)])
    (told,) = quarantine.open()
    assert told["files"] == []


def test_quarantining_again_keeps_the_files_as_they_are_now(quarantine: Quarantine, original: Path) -> None:
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    original.write_bytes(b"worse")
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    (told,) = quarantine.open()
    assert (quarantine.place.root / told["path"] / "a.fastq.gz").read_bytes() == b"worse"
    assert told["files"][0]["sha256"] == hashlib.sha256(b"worse").hexdigest()


@pytest.mark.parametrize("mode", [0o644, 0o444])
def test_an_edit_in_place_of_the_original_does_not_reach_what_is_kept(
    quarantine: Quarantine, original: Path, mode: int
) -> None:
    """A hard link would follow it; a file without write permission is edited by its owner or by root all the same."""
    original.chmod(mode)
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    original.chmod(0o644)
    with original.open("r+b") as stream:
        stream.write(b"edited!!")
    (told,) = quarantine.open()
    assert (quarantine.place.root / told["path"] / "a.fastq.gz").read_bytes() == b"original"


def test_a_file_that_is_kept_already_is_not_copied_again(
    quarantine: Quarantine, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    (before,) = quarantine.open()

    def refuse(*_: object) -> int:
        raise AssertionError("copied again")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    (told,) = quarantine.open()
    assert told["files"] == before["files"]
    original.write_bytes(b"replaced")
    with pytest.raises(AssertionError, match="copied again"):
        quarantine.replace("genomics", "d", "p", [reject("a", original)])


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_share_gets_a_copy(
    code: int, quarantine: Quarantine, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    (told,) = quarantine.open()
    assert told["files"] == [{"name": "a.fastq.gz", "bytes": 8, "sha256": hashlib.sha256(b"original").hexdigest()}]


def test_a_disk_that_is_full_is_said_and_no_half_file_passes_for_the_original(
    quarantine: Quarantine, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    quarantine.replace("genomics", "d", "p", [reject("a", original)])
    (told,) = quarantine.open()
    assert told["files"][0]["not_readable"] == os.strerror(errno.ENOSPC)
    assert not (quarantine.place.root / told["path"] / "a.fastq.gz").exists()


LANDED = ("sequencing/r/SampleSheet.csv", "sequencing/r/A.fastq.gz", "sequencing/r/A.fastq.gz.md5")


@pytest.mark.parametrize(
    ("where", "files", "kept"),
    [
        ("sequencing/r/A.fastq.gz", None, LANDED[1:2]),
        ("sequencing/r/A.fastq.gz, read 5", None, LANDED[1:2]),
        ("sequencing/r/A.fastq.gz", LANDED[:1], LANDED[:1]),
        ("sequencing/r", (), ()),
        ("sequencing/r", None, LANDED),
    ],
    ids=["its place", "a line of it", "named", "none at fault", "not said"],
)
def test_what_is_at_fault_is_kept_and_not_what_lies_beside_it(
    where: str, files: tuple[str, ...] | None, kept: tuple[str, ...]
) -> None:
    landing = Path("/landing")
    at_fault = None if files is None else [landing / f for f in files]
    error = InvalidInput(where, code="c", found="f", allowed="a", do="D.", files=at_fault)
    assert originals(error, landing.joinpath, LANDED) == tuple(landing / k for k in kept)


def test_a_reject_says_what_its_error_says(original: Path) -> None:
    error = InvalidInput("a.fastq.gz", code="truncated", found="no end", allowed="whole gzip", do="Copy it again.")
    made: Any = Reject.of(error, "a", [original])
    assert (made.code, made.where, made.found, made.allowed, made.do, made.files) == (
        "truncated", "a.fastq.gz", "no end", "whole gzip", "Copy it again.", (original,),
    )  # fmt: skip
