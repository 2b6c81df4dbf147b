"""A process killed at every step of the publish protocol: never data without its entry, never a torn table.

Each case runs in a process of its own, which kills itself (SIGKILL) when the publish reaches its n-th step. What it
left behind is then read, recovered and judged by this process, which opens the lake anew.
"""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog import DATASETS, Dataset
from lsdata.catalog.core import FILE_INDEX
from lsdata.catalog.genomics import COHORTS, GENOTYPES, JOINT_CALLS
from lsdata.derived.expectations import CheckResult
from lsdata.lake import lake as lake_module
from lsdata.lake.lake import COMMIT_KEY, Act, Lake, Made, Published
from lsdata.lake.ledger import Entry
from lsdata.settings import Settings

Frames = Callable[..., pl.DataFrame]
Files = Mapping[str, Mapping[str, bytes]]
ACT = Act(operator="Ada", reason="a test", run_id="run-1", git_commit="c0ffee")
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["lsdata.lake.lake", "deltalake", "pyarrow"])


@dataclass(frozen=True)
class Content:
    """What is published at once: rows of two partitions (of one, where there is but one) and their files."""

    dataset: Dataset
    rows: pl.DataFrame
    files: Files

    def made(self) -> dict[str, Made]:
        column = self.dataset.partition.column if self.dataset.partition else None
        partitions = self.rows[column].unique().sort() if column else [""]
        return {p: Made(files=tuple(self.files.get(p, ())), fingerprint=f"print of {p}") for p in partitions}

    def publish(self, lake: Lake, validate: Any = None) -> Published:
        with lake.staging(self.dataset.key) as staging:
            for partition, files in self.files.items():
                for name, data in files.items():
                    path = staging.folder(partition) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
            return lake.publish(self.dataset, self.rows, self.made(), ACT, validate or (lambda d, f: ()), staging)

    def is_in(self, lake: Lake) -> bool:
        found = lake.read(self.dataset.key).collect()
        return found.sort(self.dataset.primary_key).equals(self.rows.sort(self.dataset.primary_key))


def content(kind: str, sample_frame: Frames, seed: int) -> Content:
    match kind:
        case "partitioned":
            parts = [sample_frame(GENOTYPES, 3 + seed, p, seed) for p in ("c1", "c2")]
            return Content(GENOTYPES, pl.concat(parts), {})
        case "unpartitioned":
            return Content(COHORTS, sample_frame(COHORTS, 3 + seed, seed=seed), {})
        case _:
            parts = [sample_frame(JOINT_CALLS, 2 + seed, p, seed) for p in ("c1", "c2")]
            new = f"{seed}".encode()
            files = {
                "c1": {"joint.vcf.gz": b"one " + new, f"log/{seed}.txt": new},
                "c2": {"joint.vcf.gz": b"two " + new},
            }
            return Content(JOINT_CALLS, pl.concat(parts), files)


def _publish_and_die(home: Path, new: Content, step: int) -> None:
    reached = 0

    def die(_: str) -> None:
        nonlocal reached
        reached += 1
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    lake_module.reached = die
    new.publish(Lake(Settings(home=home)))


def steps_of(lake: Lake, new: Content, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of a publish, by doing it in a copy of the home."""
    copy = lake.settings.home.with_name("copy")
    if lake.settings.home.exists():
        shutil.copytree(lake.settings.home, copy)
    found: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(lake_module, "reached", found.append)
        new.publish(Lake(Settings(home=copy)))
    shutil.rmtree(copy)
    return found


# ---------------------------------------------------------------- what must hold


def assert_every_commit_has_its_entry(lake: Lake) -> None:
    found = [entry for _, entry in lake.ledger.entries()]
    assert len({e.id for e in found}) == len(found)
    commits: list[tuple[str, int, str]] = []
    for log in lake.tables.root.glob("*/*/*/_delta_log/*.json"):
        key = "/".join(log.parent.parent.relative_to(lake.tables.root).parts)
        infos = [
            told["commitInfo"] for line in log.read_text().splitlines() if "commitInfo" in (told := json.loads(line))
        ]
        commits.append((key, int(log.stem), Entry.from_line(infos[0][COMMIT_KEY].encode()).id))
    assert sorted(commits) == sorted((e.subject, e.new_version, e.id) for e in found if e.new_version is not None)
    assert lake.ledger.verify().ok


def assert_files_agree(lake: Lake, dataset: Dataset) -> None:
    """Disk, file index and publications say the same of the files."""
    root = lake.files.root / dataset.key
    disk = {
        str(p.relative_to(lake.files.root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*") if p.is_file()
    }  # fmt: skip
    index = lake.read(FILE_INDEX.key).filter(pl.col("dataset") == dataset.key).collect()
    published = {
        f"{dataset.key}/{partition}/{name}": sha256
        for partition, told in lake.state().partitions(dataset.key).items() for name, sha256 in told.files.items()
    }  # fmt: skip
    assert disk == published
    assert dict(index.select("uri", "sha256").iter_rows()) == published
    for uri, size in index.select("uri", "bytes").iter_rows():
        assert (lake.files.root / uri).stat().st_size == size


def everything(lake: Lake) -> dict[str, bytes]:
    """Every byte of the home but locks, keys and the lock files beside tables."""
    kept = (lake.tables.root, lake.files.root, lake.settings.path("ledger"))
    return {str(p): p.read_bytes() for place in kept for p in place.rglob("*") if p.is_file()}


def assert_clean(lake: Lake) -> None:
    for root in (lake.tables.root, lake.files.root):
        staging = root / "_staging"
        assert not staging.exists() or not list(staging.iterdir())


KINDS = ["partitioned", "unpartitioned", "with files"]


@pytest.mark.parametrize("again", [False, True], ids=["first publish", "republish"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_publish_killed_at_any_step_is_whole_and_recorded(
    tmp_path: Path, sample_frame: Frames, monkeypatch: pytest.MonkeyPatch, kind: str, again: bool
) -> None:
    origin = Lake(Settings(home=tmp_path / "origin"))
    old, new = (content(kind, sample_frame, seed) for seed in (0, 1))
    if again:
        old.publish(origin)
    steps = steps_of(origin, new, monkeypatch)
    assert steps[-2:] == ["committed", "recorded"]
    assert ("journal in place" in steps) == bool(new.files)
    homes = {step: tmp_path / f"killed{step}" for step in range(1, len(steps) + 1)}
    running: dict[int, Any] = {}
    for step, home in homes.items():
        if origin.settings.home.exists():
            shutil.copytree(origin.settings.home, home)
        running[step] = CONTEXT.Process(target=_publish_and_die, args=(home, new, step))
        running[step].start()
        if len(running) % 4 == 0:
            running[step].join(60)
    faults: list[str] = []
    for step, process in running.items():
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        try:
            judge(Settings(home=homes[step]), old if again else None, new)
        except Exception as fault:  # each step is a case: all that fail are told
            faults.append(f"step {step}, {steps[step - 1]}: {type(fault).__name__}: {str(fault)[:300]}")
    assert not faults, "\n" + "\n".join(faults)


def judge(settings: Settings, old: Content | None, new: Content) -> None:
    """What must hold after a kill, whichever step it was."""
    lake = Lake(settings)
    key = new.dataset.key
    readable = lake.read(key).collect()
    assert new.is_in(lake) or (old.is_in(lake) if old else readable.height == 0)

    lake.recover()
    became_new = new.is_in(lake)
    assert became_new or (old.is_in(lake) if old else lake.read(key).collect().height == 0)
    told = lake.state().partitions(key)
    assert set(told) == (set(new.made()) if old or became_new else set())
    assert sum(p.rows for p in told.values()) == lake.read(key).collect().height
    assert_every_commit_has_its_entry(lake)
    assert_files_agree(lake, new.dataset)
    assert_clean(lake)

    before = everything(lake)
    assert lake.recover() == []
    assert Lake(settings).recover() == []
    assert everything(lake) == before

    new.publish(lake)
    assert new.is_in(lake)
    assert_every_commit_has_its_entry(lake)
    assert_files_agree(lake, new.dataset)
    assert_clean(lake)


# ---------------------------------------------------------------- recovery beside others


def kill_at(lake: Lake, new: Content, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = steps_of(lake, new, monkeypatch).index(name) + 1
    process = CONTEXT.Process(target=_publish_and_die, args=(lake.settings.home, new, step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("kind", KINDS)
def test_publishing_without_recovery_records_what_the_dead_one_committed(
    tmp_path: Path, sample_frame: Frames, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A process that is already running does not recover: its next publish must do what is due for the table."""
    lake = Lake(Settings(home=tmp_path / "home"))
    old, new, last = (content(kind, sample_frame, seed) for seed in (0, 1, 2))
    old.publish(lake)
    kill_at(lake, new, "committed", monkeypatch)
    last.publish(lake)
    lake.recover()
    assert_every_commit_has_its_entry(lake)
    assert_files_agree(lake, new.dataset)


@pytest.mark.parametrize("step", ["journal in place", "file moved", "files moved", "files indexed"])
def test_recovery_does_not_put_a_dead_publish_over_a_later_one(
    tmp_path: Path, sample_frame: Frames, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lake = Lake(Settings(home=tmp_path / "home"))
    old, dead, last = (content("with files", sample_frame, seed) for seed in (0, 1, 2))
    old.publish(lake)
    kill_at(lake, dead, step, monkeypatch)
    last.publish(lake)
    Lake(lake.settings).recover()
    assert last.is_in(lake)
    assert_every_commit_has_its_entry(lake)
    assert_files_agree(lake, last.dataset)
    assert_clean(lake)


def test_recovery_leaves_a_living_publish_alone(
    tmp_path: Path, sample_frame: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(Settings(home=tmp_path / "home"))
    new = content("with files", sample_frame, 0)
    found: list[list[str]] = []

    def recover(step: str) -> None:
        if step in ("stage", "journal written", "journal in place", "file moved", "files moved", "files indexed"):
            found.append(Lake(lake.settings).recover())

    monkeypatch.setattr(lake_module, "reached", recover)
    new.publish(lake)
    assert found
    assert not any(found)
    assert new.is_in(lake)
    assert_files_agree(lake, new.dataset)


def refuse_c1(dataset: Dataset, frame: pl.DataFrame) -> list[CheckResult]:
    passed = "c1" not in frame["cohort_id"]
    return [CheckResult(name="x", passed=passed, blocking=True, failing=1, rows=1, doc="", query="")]


def _refuse_and_die(home: Path, new: Content) -> None:
    def die(step: str) -> None:
        if step == "files moved":
            os.kill(os.getpid(), signal.SIGKILL)

    lake_module.reached = die
    new.publish(Lake(Settings(home=home)), refuse_c1)


def test_recovery_keeps_refused_rows_and_publishes_the_good_ones(tmp_path: Path, sample_frame: Frames) -> None:
    lake = Lake(Settings(home=tmp_path / "home"))
    new = content("with files", sample_frame, 0)
    process = CONTEXT.Process(target=_refuse_and_die, args=(lake.settings.home, new))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    lake.recover()
    assert lake.read(new.dataset.key).collect()["cohort_id"].unique().to_list() == ["c2"]
    (kept,) = (lake.tables.root / "_staging").iterdir()
    assert pl.read_ipc(kept / "rows.arrow").height == new.rows.height
    assert json.loads((kept / "refused.json").read_text())["refused"] == {"c1": ["x"]}
    assert_every_commit_has_its_entry(lake)
    assert_files_agree(lake, new.dataset)
    assert lake.recover() == []


# ---------------------------------------------------------------- what a kill between two steps leaves


def test_staged_files_without_their_rows_are_swept_away(tmp_path: Path) -> None:
    """A process killed while it cleans up has removed the rows first; CRAMs must not stay for ever."""
    lake = Lake(Settings(home=tmp_path / "home"))
    orphan = lake.files.root / "_staging" / f"silver.genomics.alignments-{'0' * 32}"
    orphan.mkdir(parents=True)
    (orphan / "big.cram").write_bytes(b"x")
    lake.recover()
    assert not orphan.exists()


def test_a_compaction_that_died_before_its_record_is_recorded(
    tmp_path: Path, sample_frame: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltalake import write_deltalake

    lake = Lake(Settings(home=tmp_path / "home"))
    frame = sample_frame(COHORTS, 4)
    Content(COHORTS, frame.head(2), {}).publish(lake)
    write_deltalake(lake.uri(COHORTS.key), frame.tail(2).to_arrow(), mode="append")
    lake.recover()

    def die(*_: object) -> None:
        raise OSError("died")

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "_record", die)
        with pytest.raises(OSError, match="died"):
            lake.compact(COHORTS.key, ACT)
    lake = Lake(lake.settings)
    assert len(lake.recover()) == 1
    last = list(lake.ledger.entries())[-1][1]
    assert (last.action, last.old_version, last.new_version) == ("compact", 1, 2)


def test_a_drop_that_died_can_be_done_again(tmp_path: Path, sample_frame: Frames) -> None:
    lake = Lake(Settings(home=tmp_path / "home"))
    new = content("unpartitioned", sample_frame, 0)
    new.publish(lake)
    shutil.rmtree(lake.tables.root / COHORTS.key)  # as far as it came
    lake = Lake(lake.settings)
    assert lake.recover() == []
    lake.drop(COHORTS.key, ACT)
    new.publish(lake)
    assert new.is_in(lake)
    assert lake.ledger.verify().ok


def nothing(*_: object) -> None:
    """A step that is never reached."""


def test_every_declared_table_survives_a_kill_after_its_commit(
    tmp_path: Path, sample_frame: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recovered entry comes from the commit: it must be readable for every dataset there is."""
    lake = Lake(Settings(home=tmp_path / "home"))
    tables = [d for d in DATASETS.values() if d.domain != "core"]
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "_record", nothing)
        for dataset in tables:
            Content(dataset, sample_frame(dataset, 3), {}).publish(lake)
    assert lake.ledger.size() == 0
    lake = Lake(lake.settings)
    assert len(lake.recover()) == len(tables)
    assert_every_commit_has_its_entry(lake)
    for dataset in tables:
        assert sum(p.rows for p in lake.state().partitions(dataset.key).values()) == 3
