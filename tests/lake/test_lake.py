"""Publishing: all of it or nothing, one commit, the same rows again, and the evidence with it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from errno import ENOSPC
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lsdata.catalog import DATASETS, Dataset, Store
from lsdata.catalog.core import FILE_INDEX
from lsdata.catalog.genomics import COHORTS, GENOTYPES, JOINT_CALLS, SUBJECTS
from lsdata.derived import arrow
from lsdata.derived.expectations import CheckResult
from lsdata.errors import InvalidInput, LedgerTampered, LsdataError, MissingData, SchemaMismatch, UnsupportedTable
from lsdata.lake import lake as lake_module
from lsdata.lake.content import rows_sha256
from lsdata.lake.lake import COMMIT_KEY, Act, Lake, Made, Published
from lsdata.lake.ledger import Entry
from lsdata.lake.state import Input
from lsdata.settings import Settings

Frames = Callable[..., pl.DataFrame]
Publish = Callable[..., Published]


def commits(lake: Lake, key: str) -> list[list[dict[str, Any]]]:
    """The actions of each commit of a table."""
    found = sorted((lake.tables.root / key / "_delta_log").glob("*.json"))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in found]


def info(commit: list[dict[str, Any]]) -> dict[str, Any]:
    return next(action["commitInfo"] for action in commit if "commitInfo" in action)


def content(lake: Lake, key: str, version: int | None = None) -> pl.DataFrame:
    return lake.read(key, version=version).collect().sort(DATASETS[key].primary_key)


def entries(lake: Lake, key: str) -> list[Entry]:
    return [entry for _, entry in lake.ledger.entries() if entry.subject == key]


def verdict(name: str, *, passed: bool, blocking: bool = True) -> CheckResult:
    return CheckResult(
        name=name, passed=passed, blocking=blocking, failing=int(not passed), rows=1, doc="", query="SELECT 1"
    )


def refusing(column: str, *bad: str) -> Callable[[Dataset, pl.DataFrame], Sequence[CheckResult]]:
    """A blocking check that frames with one of these values fail."""
    return lambda _, frame: [verdict("is_good", passed=not frame[column].is_in(list(bad)).any())]


def always(*results: CheckResult) -> Callable[[Dataset, pl.DataFrame], Sequence[CheckResult]]:
    """Checks that always end so."""
    return lambda _, __: results


def of_one_cohort(_: Dataset, frame: pl.DataFrame) -> Sequence[CheckResult]:
    """A blocking check that every cohort passes alone."""
    return [verdict("whole", passed=frame["cohort_id"].n_unique() == 1)]


def two(sample_frame: Frames, seed: int = 0) -> pl.DataFrame:
    """Genotypes of two cohorts."""
    return pl.concat([sample_frame(GENOTYPES, 6, "c1", seed), sample_frame(GENOTYPES, 4, "c2", seed)])


# ---------------------------------------------------------------- every dataset


def test_what_is_published_is_what_is_read(lake: Lake, every: Dataset, sample_frame: Frames, publish: Publish) -> None:
    if every.store is not Store.DELTA:
        pytest.skip("its rows are kept elsewhere")
    frame = sample_frame(every, 5)
    publish(lake, every, frame)
    found = lake.read(every.key).collect()
    assert found.schema == arrow.polars_schema(every)
    assert found.sort(every.primary_key).equals(frame.sort(every.primary_key))
    told = lake.state().partitions(every.key)
    assert sum(p.rows for p in told.values()) == 5
    for partition, publication in told.items():
        part = frame.filter(pl.col(every.partition.column) == partition) if every.partition else frame
        assert publication.sha256 == rows_sha256(part, every.primary_key)


def test_tables_can_be_read_by_every_engine(lake: Lake, every: Dataset, sample_frame: Frames, publish: Publish) -> None:
    """Reader 1 and writer 2 are what all of delta-rs, DuckDB and Spark know; meanings travel as comments."""
    if every.store is not Store.DELTA:
        pytest.skip("its rows are kept elsewhere")
    publish(lake, every, sample_frame(every, 2))
    actions = {name: told for action in commits(lake, every.key)[0] for name, told in action.items()}
    assert (actions["protocol"]["minReaderVersion"], actions["protocol"]["minWriterVersion"]) == (1, 2)
    assert actions["metaData"]["partitionColumns"] == ([every.partition.column] if every.partition else [])
    fields = {f["name"]: f for f in json.loads(actions["metaData"]["schemaString"])["fields"]}
    assert {n: f["nullable"] for n, f in fields.items()} == {c.name: c.nullable for c in every.columns}
    assert {n: f["metadata"]["comment"] for n, f in fields.items()} == {c.name: c.doc for c in every.columns}
    assert actions["metaData"]["configuration"]["delta.enableExpiredLogCleanup"] == "false"


# ---------------------------------------------------------------- idempotence and partitions


def test_publishing_again_gives_the_same_rows_and_hash_and_leaves_other_partitions(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    frame = two(sample_frame)
    publish(lake, GENOTYPES, frame)
    before, files = (
        lake.state().partitions(GENOTYPES.key),
        set((lake.tables.root / GENOTYPES.key).glob("cohort_id=c2/*")),
    )
    publish(lake, GENOTYPES, frame.filter(pl.col("cohort_id") == "c1"))
    after = lake.state().partitions(GENOTYPES.key)
    assert content(lake, GENOTYPES.key).equals(frame.sort(GENOTYPES.primary_key))
    assert after["c1"].sha256 == before["c1"].sha256
    assert (before["c1"].version, after["c1"].version, after["c2"].version) == (0, 1, 0)
    assert set((lake.tables.root / GENOTYPES.key).glob("cohort_id=c2/*")) == files


def test_a_table_is_the_sum_of_its_partitions_in_whatever_order_they_come(
    settings: Settings, sample_frame: Frames, publish: Publish
) -> None:
    parts = [sample_frame(GENOTYPES, 5, p, seed) for seed, p in enumerate("abc")]
    together, backwards = Lake(settings), Lake(replace(settings, home=settings.home / "other"))
    publish(together, GENOTYPES, pl.concat(parts))
    for part in reversed(parts):
        publish(backwards, GENOTYPES, part)
    assert content(together, GENOTYPES.key).equals(content(backwards, GENOTYPES.key))
    one, other = (x.state().partitions(GENOTYPES.key) for x in (together, backwards))
    assert {p: t.sha256 for p, t in one.items()} == {p: t.sha256 for p, t in other.items()}
    for part, name in zip(parts, "abc", strict=True):
        read = together.read(GENOTYPES.key, [name]).collect()
        assert read.sort(GENOTYPES.primary_key).equals(part.sort(GENOTYPES.primary_key))


def test_a_republished_partition_loses_the_rows_that_are_gone(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    frame = two(sample_frame)
    publish(lake, GENOTYPES, frame)
    fewer = sample_frame(GENOTYPES, 1, "c1", seed=7)
    publish(lake, GENOTYPES, fewer)
    expected = pl.concat([fewer, frame.filter(pl.col("cohort_id") == "c2")])
    assert content(lake, GENOTYPES.key).equals(expected.sort(GENOTYPES.primary_key))


@pytest.mark.parametrize("dataset", [GENOTYPES, COHORTS], ids=lambda d: d.name)
def test_publishing_no_rows_empties_the_partition(
    lake: Lake, dataset: Dataset, sample_frame: Frames, publish: Publish
) -> None:
    partition, other = ("c1", "c2") if dataset.partition else ("", None)
    publish(lake, dataset, sample_frame(dataset, 3, partition))
    if other:
        publish(lake, dataset, sample_frame(dataset, 2, other))
    made = publish(lake, dataset, arrow.empty(dataset), {partition: Made(fingerprint="f")})
    assert dict(made.rows) == {partition: 0}
    assert content(lake, dataset.key).height == (2 if other else 0)
    told = lake.state().publication(dataset.key, partition)
    assert told is not None
    assert told.rows == 0
    assert told.fingerprint == "f"


def test_a_first_publish_without_rows_makes_an_empty_table(lake: Lake, publish: Publish) -> None:
    publish(lake, GENOTYPES, arrow.empty(GENOTYPES), {"c1": Made()})
    assert lake.version(GENOTYPES.key) == 0
    assert content(lake, GENOTYPES.key).height == 0


def test_two_thousand_partitions_are_one_commit(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    frame = sample_frame(GENOTYPES, 2000)
    for version in range(2):
        made = publish(lake, GENOTYPES, frame)
        assert made.version == version
        assert len(made.rows) == 2000
    assert len(commits(lake, GENOTYPES.key)) == len(entries(lake, GENOTYPES.key)) == 2
    assert content(lake, GENOTYPES.key).equals(frame.sort(GENOTYPES.primary_key))


def test_publishing_nothing_does_nothing(lake: Lake, publish: Publish) -> None:
    assert publish(lake, GENOTYPES, arrow.empty(GENOTYPES), {}).version is None
    assert not lake.exists(GENOTYPES.key)
    assert lake.ledger.size() == 0


STRANGE = [
    "007",
    "NULL",
    "null",
    "true",
    "a b",
    "ä",
    "a\u0308",
    "a'b",
    "50%",
    "a=b",
    "a:b",
    "a+b",
    "#?&",
    "x%2Fy",
    "1e5",
]


def test_partition_keys_are_texts_whatever_they_look_like(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    first = pl.concat([sample_frame(GENOTYPES, 2, p, 1) for p in STRANGE])
    publish(lake, GENOTYPES, first)
    for partition in STRANGE:
        publish(lake, GENOTYPES, sample_frame(GENOTYPES, 1, partition, 2))
    found = lake.read(GENOTYPES.key).collect()
    assert sorted(found["cohort_id"]) == sorted(STRANGE)
    for partition in STRANGE:
        assert lake.read(GENOTYPES.key, [partition]).collect()["cohort_id"].to_list() == [partition]


def test_an_empty_partition_key_is_refused(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    """Delta reads an empty partition value back as null."""
    with pytest.raises(LsdataError):
        publish(lake, GENOTYPES, sample_frame(GENOTYPES, 2, ""))
    assert not lake.exists(GENOTYPES.key)


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms())
def test_the_order_of_the_rows_given_never_matters(
    lake: Lake, sample_frame: Frames, publish: Publish, shuffler: Any
) -> None:
    frame = two(sample_frame)
    order = list(range(frame.height))
    shuffler.shuffle(order)
    publish(lake, GENOTYPES, frame[order].select(reversed(frame.columns)))
    told = lake.state().partitions(GENOTYPES.key)
    for partition, publication in told.items():
        part = frame.filter(pl.col("cohort_id") == partition)
        assert publication.sha256 == rows_sha256(part, GENOTYPES.primary_key)


# ---------------------------------------------------------------- commit, ledger, time travel


def test_a_publish_is_one_commit_that_carries_its_ledger_entry(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    act = Act(operator="Grace", reason="new reads", run_id="run-7", git_commit="abc123")
    upstream = Input(key="silver/genomics/variants", version=4, partitions={"c1": "0" * 64})
    landing = Input(key="landing", version=None, files={"sequencing/r/a.fastq.gz": "1" * 64})
    made = {"c1": Made(inputs=(upstream, landing), fingerprint="print"), "c2": Made(fingerprint="other")}
    frame = two(sample_frame)
    publish(lake, GENOTYPES, frame, made, act=act)
    (commit,) = commits(lake, GENOTYPES.key)
    (entry,) = entries(lake, GENOTYPES.key)
    carried = Entry.from_line(info(commit)[COMMIT_KEY].encode())
    assert replace(carried, old_version=None, new_version=0) == entry
    assert (entry.action, entry.subject, entry.actor, entry.reason) == ("publish", GENOTYPES.key, "Grace", "new reads")
    detail: Any = entry.detail
    assert (detail["run_id"], detail["git_commit"]) == ("run-7", "abc123")
    first = detail["partitions"]["c1"]
    assert (first["rows"], first["fingerprint"], first["inputs"]) == (
        6,
        "print",
        [upstream.as_json(), landing.as_json()],
    )
    assert detail["partitions"]["c2"]["inputs"] == []
    told = lake.state().publication(GENOTYPES.key, "c1")
    assert told is not None
    assert told.inputs == (upstream, landing)
    assert told.actor == "Grace"
    assert lake.ledger.verify().ok


def test_a_publish_without_a_git_commit_names_the_code_that_runs(
    lake: Lake, sample_frame: Frames, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "code_version", lambda: "feedbeef")
    publish(lake, COHORTS, sample_frame(COHORTS, 1), act=Act(operator="Ada", reason="r"))
    told = lake.state().publication(COHORTS.key)
    assert told is not None
    assert told.git_commit == "feedbeef"


def test_old_versions_stay_readable_with_their_publication(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    frames = [sample_frame(COHORTS, 3, seed=seed) for seed in range(3)]
    for seed, frame in enumerate(frames):
        assert publish(lake, COHORTS, frame, {"": Made(fingerprint=str(seed))}).version == seed
    for version, frame in enumerate(frames):
        assert content(lake, COHORTS.key, version).equals(frame.sort(COHORTS.primary_key))
        told = lake.state().publication(COHORTS.key, version=version)
        assert told is not None
        assert told.fingerprint == str(version)


def test_versions_and_entries_chain(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    for seed in range(3):
        publish(lake, COHORTS, sample_frame(COHORTS, 3, seed=seed))
    assert [(e.old_version, e.new_version) for e in entries(lake, COHORTS.key)] == [(None, 0), (0, 1), (1, 2)]


def test_a_dataset_that_was_never_published_has_no_rows(lake: Lake) -> None:
    assert lake.read(GENOTYPES.key).collect().equals(arrow.empty(GENOTYPES))
    assert lake.version(GENOTYPES.key) is None
    assert lake.state().partitions(GENOTYPES.key) == {}


def test_an_empty_log_folder_is_a_table_never_published(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    """A process that dies in the first commit of a table leaves one."""
    (lake.tables.root / COHORTS.key / "_delta_log").mkdir(parents=True)
    assert lake.read(COHORTS.key).collect().height == 0
    assert lake.recover() == []
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    assert content(lake, COHORTS.key).height == 2


# ---------------------------------------------------------------- refusal of frames and tables


def test_every_discrepancy_of_a_frame_is_listed_at_once(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    frame = sample_frame(GENOTYPES, 3, "c1")
    wrong = frame.drop("ref", "dp").with_columns(
        pl.col("pos").cast(pl.Int32), pl.lit("x").alias("extra"), pl.lit(None, pl.String).alias("gt"), gq=pl.lit("9")
    )
    with pytest.raises(SchemaMismatch) as caught:
        publish(lake, GENOTYPES, wrong, {"c1": Made()})
    for part in (
        "ref is missing", "dp is missing", "extra is not declared", "pos is Int32; declared Int64",
        "gq is String; declared Int32", "gt has 3 nulls; declared not null",
    ):  # fmt: skip
        assert part in caught.value.found
    assert not lake.exists(GENOTYPES.key)
    assert lake.ledger.size() == 0


def test_foreign_rows_are_listed_with_the_other_discrepancies(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    wrong = two(sample_frame).with_columns(pl.lit("x").alias("extra"))
    with pytest.raises(SchemaMismatch) as caught:
        publish(lake, GENOTYPES, wrong, {"c1": Made()})
    assert "extra is not declared" in caught.value.found
    assert "rows of 1 partitions that are not being made" in caught.value.found


def test_rows_of_partitions_that_are_not_being_made_are_refused(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    with pytest.raises(SchemaMismatch, match="rows of 1 partitions that are not being made"):
        publish(lake, GENOTYPES, two(sample_frame), {"c1": Made()})
    assert not lake.exists(GENOTYPES.key)


def map_columns(log: Path) -> None:
    """Make the first commit of a table one of a column-mapped table, as Spark writes it."""
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            for number, column in enumerate(schema["fields"], 1):
                column["metadata"]["delta.columnMapping.id"] = number
                column["metadata"]["delta.columnMapping.physicalName"] = f"col-{number}"
            action["metaData"]["schemaString"] = json.dumps(schema)
            action["metaData"]["configuration"] |= {
                "delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": str(len(schema["fields"])),
            }  # fmt: skip
    log.write_text("\n".join(map(json.dumps, actions)))


def test_column_mapped_tables_are_refused(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    """delta-rs would read every value of them as null."""
    publish(lake, COHORTS, sample_frame(COHORTS, 3))
    map_columns(lake.tables.root / COHORTS.key / "_delta_log" / f"{0:020d}.json")
    with pytest.raises(UnsupportedTable, match="column mapping mode name"):
        lake.read(COHORTS.key)
    with pytest.raises(UnsupportedTable, match="column mapping mode name"):
        lake.compact(COHORTS.key, Act(operator="Ada", reason="upkeep"))


def test_nothing_is_published_into_a_column_mapped_table(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, COHORTS, sample_frame(COHORTS, 3))
    map_columns(lake.tables.root / COHORTS.key / "_delta_log" / f"{0:020d}.json")
    with pytest.raises(UnsupportedTable, match="column mapping mode name"):
        publish(lake, COHORTS, sample_frame(COHORTS, 3, seed=1))


def test_a_table_with_other_types_than_declared_is_refused(lake: Lake, sample_frame: Frames) -> None:
    from deltalake import write_deltalake

    frame = sample_frame(GENOTYPES, 2, "c1").with_columns(pl.col("pos").cast(pl.Int32))
    write_deltalake(lake.uri(GENOTYPES.key), frame.to_arrow())
    with pytest.raises(SchemaMismatch, match="pos is Int32; declared Int64"):
        lake.read(GENOTYPES.key)


def test_a_table_of_an_older_declaration_can_be_published_again_as_its_refusal_says(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    from deltalake import write_deltalake

    frame = sample_frame(COHORTS, 3)
    write_deltalake(lake.uri(COHORTS.key), frame.select("cohort_id").to_arrow())
    with pytest.raises(SchemaMismatch, match=r"sample_id is missing.*Publish it again with the code of today"):
        lake.read(COHORTS.key)
    publish(lake, COHORTS, frame)
    assert content(lake, COHORTS.key).equals(frame.sort(COHORTS.primary_key))


# ---------------------------------------------------------------- checks


def test_a_failed_blocking_check_leaves_what_is_published_and_keeps_the_rows(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    old = sample_frame(COHORTS, 3)
    publish(lake, COHORTS, old)
    new = sample_frame(COHORTS, 2, seed=1)
    made = publish(lake, COHORTS, new, validate=always(verdict("is_good", passed=False)))
    assert made.version is None
    assert made.rows == {}
    assert dict(made.refused) == {"": ("is_good",)}
    assert content(lake, COHORTS.key).equals(old.sort(COHORTS.primary_key))
    assert len(commits(lake, COHORTS.key)) == len(entries(lake, COHORTS.key)) == 1
    assert made.staged is not None
    kept = pl.read_ipc(Path(made.staged) / "rows.arrow")
    assert kept.sort(COHORTS.primary_key).equals(new.sort(COHORTS.primary_key))
    told = json.loads((Path(made.staged) / "refused.json").read_text())
    assert told == {"dataset": COHORTS.key, "refused": {"": ["is_good"]}}
    lake.recover()
    assert (Path(made.staged) / "rows.arrow").exists()


def test_a_refused_partition_does_not_stop_the_good_ones(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    old = two(sample_frame)
    publish(lake, GENOTYPES, old)
    new = pl.concat([two(sample_frame, 1), sample_frame(GENOTYPES, 2, "c3")])
    made = publish(lake, GENOTYPES, new, validate=refusing("cohort_id", "c1"))
    assert dict(made.refused) == {"c1": ("is_good",)}
    assert dict(made.rows) == {"c2": 4, "c3": 2}
    expected = pl.concat([old.filter(pl.col("cohort_id") == "c1"), new.filter(pl.col("cohort_id") != "c1")])
    assert content(lake, GENOTYPES.key).equals(expected.sort(GENOTYPES.primary_key))
    assert {p: t.version for p, t in lake.state().partitions(GENOTYPES.key).items()} == {"c1": 0, "c2": 1, "c3": 1}


def test_files_of_a_refused_partition_are_not_published(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    rows = pl.concat([sample_frame(JOINT_CALLS, 2, "c1"), sample_frame(JOINT_CALLS, 2, "c2")])
    files = {"c1": {"joint.vcf.gz": b"bad"}, "c2": {"joint.vcf.gz": b"good"}}
    made = publish(lake, JOINT_CALLS, rows, files=files, validate=refusing("cohort_id", "c1"))
    assert lake.file(JOINT_CALLS.key, "c2", "joint.vcf.gz").read_bytes() == b"good"
    with pytest.raises(MissingData):
        lake.file(JOINT_CALLS.key, "c1", "joint.vcf.gz")
    kept = lake.files.root / "_staging" / Path(made.staged or "").name / "c1" / "joint.vcf.gz"
    assert kept.read_bytes() == b"bad"
    assert lake.read(FILE_INDEX.key).collect()["partition"].to_list() == ["c2"]


def test_a_failed_warning_does_not_block(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    odd = always(verdict("odd", passed=False, blocking=False))
    made = publish(lake, COHORTS, sample_frame(COHORTS, 2), validate=odd)
    assert made.version == 0
    assert made.refused == {}
    assert [r.passed for r in made.results] == [False]


def test_a_blocking_failure_that_no_partition_shows_alone_refuses_all(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    """A key that is unique in each partition and not in the table, say: it must not pass because nobody is to blame."""
    made = publish(
        lake, GENOTYPES, two(sample_frame),
        validate=of_one_cohort,
    )  # fmt: skip
    assert made.version is None
    assert set(made.refused) == {"c1", "c2"}
    assert not lake.exists(GENOTYPES.key)


def test_a_partition_without_rows_is_refused_when_the_check_fails_for_it(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    """dbt tests fail for a build, not for rows: emptying a partition must not slip past them."""
    publish(lake, GENOTYPES, two(sample_frame))
    publish(
        lake, GENOTYPES, sample_frame(GENOTYPES, 2, "c1", 1), {"c1": Made(), "c2": Made()},
        validate=always(verdict("dbt_tests", passed=False)),
    )  # fmt: skip
    assert content(lake, GENOTYPES.key).equals(two(sample_frame).sort(GENOTYPES.primary_key))


def test_the_declared_checks_block_a_broken_key(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    from lsdata.derived.expectations import validate

    frame = sample_frame(GENOTYPES, 2, "c1")
    made = publish(lake, GENOTYPES, pl.concat([frame, frame, sample_frame(GENOTYPES, 2, "c2")]), validate=validate)
    assert dict(made.refused) == {"c1": ("primary_key",)}
    assert dict(made.rows) == {"c2": 2}


# ---------------------------------------------------------------- files


VCF, DB = "joint.vcf.gz", "genomicsdb.tar"


def calls(sample_frame: Frames, partition: str = "c1", seed: int = 0) -> pl.DataFrame:
    return sample_frame(JOINT_CALLS, 2, partition, seed)


def on_disk(lake: Lake, key: str) -> dict[str, bytes]:
    root = lake.files.root / key
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_files_and_rows_are_published_together(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"calls", "logs/a.txt": b"log"}})
    assert on_disk(lake, JOINT_CALLS.key) == {f"c1/{VCF}": b"calls", "c1/logs/a.txt": b"log"}
    told = lake.state().publication(JOINT_CALLS.key, "c1")
    assert told is not None
    assert told.files == {VCF: hashlib.sha256(b"calls").hexdigest(), "logs/a.txt": hashlib.sha256(b"log").hexdigest()}
    index = lake.read(FILE_INDEX.key).collect().sort("uri")
    assert index.select("dataset", "partition", "uri", "format", "bytes", "sha256", "run_id").rows() == [
        (JOINT_CALLS.key, "c1", f"{JOINT_CALLS.key}/c1/{VCF}", "VCF", 5, told.files[VCF], "run-1"),
        (JOINT_CALLS.key, "c1", f"{JOINT_CALLS.key}/c1/logs/a.txt", "other", 3, told.files["logs/a.txt"], "run-1"),
    ]
    assert not list((lake.tables.root / "_staging").iterdir())
    assert not list((lake.files.root / "_staging").iterdir())


def test_a_changed_file_is_changed_content(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    hashes: set[str] = set()
    for files in ({VCF: b"1"}, {VCF: b"2"}, {DB: b"1"}, {VCF: b"1", DB: b"1"}):
        publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": files})
        hashes.add(lake.state().partitions(JOINT_CALLS.key)["c1"].sha256)
    assert len(hashes) == 4


def test_rows_are_content_whatever_the_files_are_called(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    hashes: set[str] = set()
    for seed in range(2):
        publish(lake, JOINT_CALLS, calls(sample_frame, seed=seed), files={"c1": {"rows": b"same"}})
        hashes.add(lake.state().partitions(JOINT_CALLS.key)["c1"].sha256)
    assert len(hashes) == 2


def test_replaced_files_disappear_and_other_partitions_keep_theirs(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"1", "old.txt": b"old"}})
    publish(lake, JOINT_CALLS, calls(sample_frame, "c2"), files={"c2": {VCF: b"2"}})
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"3"}})
    assert on_disk(lake, JOINT_CALLS.key) == {f"c1/{VCF}": b"3", f"c2/{VCF}": b"2"}
    index = lake.read(FILE_INDEX.key).collect()
    assert dict(index.select("uri", "sha256").iter_rows()) == {
        f"{JOINT_CALLS.key}/c1/{VCF}": hashlib.sha256(b"3").hexdigest(),
        f"{JOINT_CALLS.key}/c2/{VCF}": hashlib.sha256(b"2").hexdigest(),
    }


def test_a_partition_that_no_longer_has_files_loses_them(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"1"}})
    publish(lake, JOINT_CALLS, calls(sample_frame), {"c1": Made()})
    assert on_disk(lake, JOINT_CALLS.key) == {}
    assert lake.read(FILE_INDEX.key).collect().height == 0


def publish_named(lake: Lake, frame: pl.DataFrame, name: str, prepare: Callable[[Path], object]) -> None:
    """Publish one partition whose one file is called so; `prepare` fills its staging folder."""
    with lake.staging(JOINT_CALLS.key) as staging:
        prepare(staging.folder("c1"))
        act = Act(operator="Ada", reason="r", git_commit="c")
        lake.publish(JOINT_CALLS, frame, {"c1": Made(files=(name,))}, act, lambda d, f: (), staging)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "logs/../../outside.txt", "missing.txt", "logs"])
def test_a_name_that_is_no_file_of_the_folder_is_refused(lake: Lake, sample_frame: Frames, name: str) -> None:
    def prepare(folder: Path) -> None:
        (folder / "logs").mkdir()
        (folder.parent / "outside.txt").write_text("x")

    with pytest.raises(InvalidInput) as caught:
        publish_named(lake, calls(sample_frame), name, prepare)
    assert caught.value.code == "no_such_file"
    assert not lake.exists(JOINT_CALLS.key)
    assert on_disk(lake, JOINT_CALLS.key) == {}


def test_a_link_out_of_the_folder_is_refused(lake: Lake, sample_frame: Frames, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(InvalidInput):
        publish_named(lake, calls(sample_frame), VCF, lambda folder: (folder / VCF).symlink_to(tmp_path / "secret"))


@pytest.mark.parametrize("name", [f"./{VCF}", f"logs/../{VCF}"])
def test_a_roundabout_name_is_refused_or_published(lake: Lake, sample_frame: Frames, name: str) -> None:
    def prepare(folder: Path) -> None:
        (folder / "logs").mkdir()
        (folder / VCF).write_bytes(b"calls")

    try:
        publish_named(lake, calls(sample_frame), name, prepare)
    except InvalidInput:
        assert not lake.exists(JOINT_CALLS.key)
    else:
        assert on_disk(lake, JOINT_CALLS.key) == {f"c1/{VCF}": b"calls"}


@pytest.mark.parametrize("partition", ["../../../outside", "..", ".", "{home}/outside", "a/b"])
def test_a_partition_key_that_is_no_folder_name_gets_no_files(
    lake: Lake, sample_frame: Frames, publish: Publish, partition: str
) -> None:
    partition = partition.format(home=lake.settings.home)
    with pytest.raises(LsdataError):
        publish(lake, JOINT_CALLS, calls(sample_frame, partition), files={partition: {VCF: b"calls"}})
    assert not lake.exists(JOINT_CALLS.key)
    assert not list(lake.settings.home.rglob("outside"))


# ---------------------------------------------------------------- when a step fails


@pytest.mark.parametrize(
    "step", ["stage", "checked", "journal written", "journal in place", "file moved", "files moved", "files indexed",
             "committed", "recorded"],
)  # fmt: skip
def test_a_publish_that_fails_at_any_step_is_all_there_or_not_at_all_after_recovery(
    settings: Settings, sample_frame: Frames, publish: Publish, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk or a lost race raises where a crash would kill: files and rows must still agree in the end."""
    lake = Lake(settings)
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"old", DB: b"old"}})

    def fail(at: str) -> None:
        if at == step:
            raise OSError(ENOSPC, at)

    monkeypatch.setattr(lake_module, "reached", fail)
    new = calls(sample_frame, seed=1)
    with pytest.raises(OSError, match=step):
        publish(lake, JOINT_CALLS, new, files={"c1": {VCF: b"new", DB: b"new"}})
    monkeypatch.undo()
    lake = Lake(settings)
    lake.recover()
    told = lake.state().partitions(JOINT_CALLS.key)["c1"]
    rows = content(lake, JOINT_CALLS.key)
    whole = b"new" if rows.equals(new.sort(JOINT_CALLS.primary_key)) else b"old"
    sha256 = hashlib.sha256(whole).hexdigest()
    assert on_disk(lake, JOINT_CALLS.key) == {f"c1/{VCF}": whole, f"c1/{DB}": whole}
    assert told.files == {VCF: sha256, DB: sha256}
    assert set(lake.read(FILE_INDEX.key).collect()["sha256"]) == {sha256}
    assert rows.height == told.rows


def test_a_refused_publish_leaves_the_published_files(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"old"}})
    backup = lake.settings.home / "backup"
    shutil.copytree(lake.tables.root / JOINT_CALLS.key, backup)
    publish(lake, JOINT_CALLS, calls(sample_frame, seed=1), files={"c1": {VCF: b"last"}})
    shutil.rmtree(lake.tables.root / JOINT_CALLS.key)
    shutil.copytree(backup, lake.tables.root / JOINT_CALLS.key)
    with pytest.raises(LedgerTampered):
        publish(lake, JOINT_CALLS, calls(sample_frame, seed=2), files={"c1": {VCF: b"new"}})
    assert on_disk(lake, JOINT_CALLS.key) == {f"c1/{VCF}": b"last"}


# ---------------------------------------------------------------- several writers


def _publish_in_process(home: Path, partition: str, frame: pl.DataFrame, rounds: int, files: bool) -> None:
    lake = Lake(Settings(home=home))
    act = Act(operator="Ada", reason="r", git_commit="c")
    for _ in range(rounds):
        with lake.staging("x/y/z") as staging:
            if files:
                (staging.folder(partition) / VCF).write_text(str(frame["records"].sum()))
            made = {partition: Made(files=(VCF,) if files else (), fingerprint=str(frame.hash_rows().sum()))}
            lake.publish(JOINT_CALLS, frame, made, act, lambda d, f: (), staging)


def at_once(calls: list[tuple[Any, ...]]) -> None:
    context = get_context("forkserver")
    context.set_forkserver_preload(["lsdata.lake.lake", "deltalake"])
    processes = [context.Process(target=_publish_in_process, args=args) for args in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [p.exitcode for p in processes] == [0] * len(processes)


@pytest.mark.parametrize("files", [False, True], ids=["rows", "rows and files"])
def test_processes_that_publish_different_partitions_lose_nothing(
    lake: Lake, sample_frame: Frames, files: bool
) -> None:
    frames = {p: calls(sample_frame, p, seed) for seed, p in enumerate(["c1", "c2", "c3", "c4"])}
    at_once([(lake.settings.home, p, frame, 3, files) for p, frame in frames.items()])
    assert content(lake, JOINT_CALLS.key).equals(pl.concat(frames.values()).sort(JOINT_CALLS.primary_key))
    found = entries(lake, JOINT_CALLS.key)
    assert [e.new_version for e in found] == list(range(12))
    assert lake.version(JOINT_CALLS.key) == 11
    assert lake.ledger.verify().ok
    assert lake.recover() == []
    if files:
        index = lake.read(FILE_INDEX.key).collect()
        assert sorted(index["partition"]) == sorted(frames)
        for p, frame in frames.items():
            assert lake.file(JOINT_CALLS.key, p, VCF).read_text() == str(frame["records"].sum())


def test_two_processes_that_publish_one_partition_leave_one_of_them_whole(lake: Lake, sample_frame: Frames) -> None:
    frames = [calls(sample_frame, "c1", seed) for seed in range(2)]
    at_once([(lake.settings.home, "c1", frame, 4, False) for frame in frames])
    found, told = content(lake, JOINT_CALLS.key), lake.state().partitions(JOINT_CALLS.key)["c1"]
    winner = next(f for f in frames if str(f.hash_rows().sum()) == told.fingerprint)
    assert found.equals(winner.sort(JOINT_CALLS.primary_key))
    assert [e.new_version for e in entries(lake, JOINT_CALLS.key)] == list(range(8))


def test_two_publishers_of_one_partition_never_mix_files_and_rows(
    lake: Lake, sample_frame: Frames, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one comes when the first has moved its files and not yet published its rows."""
    context = get_context("forkserver")
    mine, others = calls(sample_frame, seed=0), calls(sample_frame, seed=1)
    other = context.Process(target=_publish_in_process, args=(lake.settings.home, "c1", others, 1, True))

    def pause(step: str) -> None:
        if step == "files moved":
            other.start()
            other.join(3)  # who has to wait for the first one is still there then

    monkeypatch.setattr(lake_module, "reached", pause)
    publish(lake, JOINT_CALLS, mine, files={"c1": {VCF: str(mine["records"].sum()).encode()}})
    other.join(60)
    assert other.exitcode == 0
    rows = content(lake, JOINT_CALLS.key)
    assert lake.file(JOINT_CALLS.key, "c1", VCF).read_text() == str(rows["records"].sum())
    told = lake.state().partitions(JOINT_CALLS.key)["c1"]
    assert told.files[VCF] == hashlib.sha256(str(rows["records"].sum()).encode()).hexdigest()
    assert lake.read(FILE_INDEX.key).collect()["sha256"].to_list() == [told.files[VCF]]


# ---------------------------------------------------------------- tampering, dropping, upkeep


def foreign(lake: Lake, frame: pl.DataFrame, **more: Any) -> None:
    from deltalake import write_deltalake

    write_deltalake(lake.uri(COHORTS.key), frame.to_arrow(), mode="append", **more)


def test_a_foreign_commit_gets_its_entry_on_recovery(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    foreign(lake, sample_frame(COHORTS, 1, seed=1))
    assert len(lake.recover()) == 1
    assert lake.recover() == []
    last = entries(lake, COHORTS.key)[-1]
    assert (last.action, last.actor, last.old_version, last.new_version) == ("foreign_commit", "unknown", 0, 1)
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    assert [e.new_version for e in entries(lake, COHORTS.key)] == [0, 1, 2]
    assert lake.ledger.verify().ok


def test_a_foreign_commit_gets_its_entry_before_the_next_publish(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    foreign(lake, sample_frame(COHORTS, 1, seed=1))
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    assert [e.action for e in entries(lake, COHORTS.key)] == ["publish", "foreign_commit", "publish"]


def test_a_foreign_commit_gets_its_entry_before_a_compaction(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    foreign(lake, sample_frame(COHORTS, 1, seed=1))
    assert lake.compact(COHORTS.key, Act(operator="Ada", reason="upkeep")) == 2
    lake.recover()
    assert [(e.action, e.new_version) for e in entries(lake, COHORTS.key)] == [
        ("publish", 0), ("foreign_commit", 1), ("compact", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("told", ["not an entry", "{}"])
def test_a_foreign_commit_with_a_broken_entry_does_not_stop_recovery(
    lake: Lake, sample_frame: Frames, publish: Publish, told: str
) -> None:
    from deltalake import CommitProperties

    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    foreign(
        lake, sample_frame(COHORTS, 1, seed=1), commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: told})
    )
    lake.recover()
    assert [e.action for e in entries(lake, COHORTS.key)] == ["publish", "foreign_commit"]


def test_a_foreign_commit_that_copies_an_entry_gets_one_of_its_own(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    from deltalake import CommitProperties

    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    copied = info(commits(lake, COHORTS.key)[0])[COMMIT_KEY]
    foreign(
        lake, sample_frame(COHORTS, 1, seed=1), commit_properties=CommitProperties(custom_metadata={COMMIT_KEY: copied})
    )
    lake.recover()
    assert [(e.action, e.new_version) for e in entries(lake, COHORTS.key)] == [("publish", 0), ("foreign_commit", 1)]
    assert lake.recover() == []


def rolled_back(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    """A table of which an older copy was put back."""
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    backup = lake.settings.home / "backup"
    shutil.copytree(lake.tables.root / COHORTS.key, backup)
    publish(lake, COHORTS, sample_frame(COHORTS, 3, seed=1))
    shutil.rmtree(lake.tables.root / COHORTS.key)
    shutil.copytree(backup, lake.tables.root / COHORTS.key)


def test_a_table_that_was_rolled_back_is_refused(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    rolled_back(lake, sample_frame, publish)
    with pytest.raises(LedgerTampered, match="no version 1"):
        publish(Lake(lake.settings), COHORTS, sample_frame(COHORTS, 2))


def test_a_table_that_was_rolled_back_is_not_compacted(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    rolled_back(lake, sample_frame, publish)
    with pytest.raises(LedgerTampered, match="no version 1"):
        lake.compact(COHORTS.key, Act(operator="Ada", reason="upkeep"))


def test_a_table_that_was_rolled_back_and_written_on_is_refused(
    lake: Lake, sample_frame: Frames, publish: Publish
) -> None:
    rolled_back(lake, sample_frame, publish)
    foreign(lake, sample_frame(COHORTS, 1, seed=2))
    with pytest.raises(LedgerTampered):
        publish(lake, COHORTS, sample_frame(COHORTS, 2))


def test_a_table_that_was_deleted_is_refused(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, COHORTS, sample_frame(COHORTS, 2))
    shutil.rmtree(lake.tables.root / COHORTS.key)
    with pytest.raises(LedgerTampered):
        publish(lake, COHORTS, sample_frame(COHORTS, 2))


def test_a_dropped_table_can_be_published_again(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"1"}})
    publish(lake, JOINT_CALLS, calls(sample_frame, "c2"), files={"c2": {VCF: b"2"}})
    lake.drop(JOINT_CALLS.key, Act(operator="Grace", reason="consent withdrawn"))
    assert not lake.exists(JOINT_CALLS.key)
    assert on_disk(lake, JOINT_CALLS.key) == {}
    assert lake.state().partitions(JOINT_CALLS.key) == {}
    last = entries(lake, JOINT_CALLS.key)[-1]
    assert (last.action, last.actor, last.old_version, last.new_version) == ("delete", "Grace", 1, None)
    fresh = Lake(lake.settings)
    assert fresh.recover() == []
    assert publish(fresh, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"3"}}).version == 0
    assert set(fresh.state().partitions(JOINT_CALLS.key)) == {"c1"}
    assert fresh.ledger.verify().ok


def test_the_file_index_holds_no_files_of_a_dropped_table(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, JOINT_CALLS, calls(sample_frame), files={"c1": {VCF: b"1"}})
    lake.drop(JOINT_CALLS.key, Act(operator="Grace", reason="consent withdrawn"))
    assert lake.read(FILE_INDEX.key).collect().height == 0


def test_compaction_changes_files_and_nothing_else(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    from deltalake import write_deltalake

    frame = sample_frame(GENOTYPES, 9, "c1")
    publish(lake, GENOTYPES, frame.head(3))
    for start in (3, 6):
        write_deltalake(lake.uri(GENOTYPES.key), frame[start : start + 3].to_arrow(), mode="append")
    lake.recover()
    before = lake.state().partitions(GENOTYPES.key)
    act = Act(operator="Ada", reason="upkeep")
    assert lake.compact(GENOTYPES.key, act) == 3
    assert lake.compact(GENOTYPES.key, act) is None
    assert content(lake, GENOTYPES.key).equals(frame.sort(GENOTYPES.primary_key))
    assert lake.state().partitions(GENOTYPES.key) == before
    assert lake.recover() == []
    assert [e.new_version for e in entries(lake, GENOTYPES.key)] == [0, 1, 2, 3]
    assert publish(lake, GENOTYPES, frame).version == 4


def test_compaction_of_what_is_not_there_does_nothing(lake: Lake) -> None:
    assert all(lake.compact(key, Act(operator="Ada", reason="upkeep")) is None for key in DATASETS)


# ---------------------------------------------------------------- privacy


SECRETS = ("Jane Roe", "1969-07-20", "MRN0815", "94110", "pat-77", "weeps at night")


def patient(sample_frame: Frames) -> pl.DataFrame:
    values = dict(zip(("name", "birth_date", "mrn", "zip", "patient_id", "phenotype_note"), SECRETS, strict=True))
    return sample_frame(SUBJECTS, 2).with_columns(*(pl.lit(v).alias(n) for n, v in values.items()))


def nowhere(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize(
    "spoiled",
    [
        pl.lit(None, pl.String).alias("sample_id"),
        pl.col("name").alias("surname"),
        pl.col("zip").cast(pl.Int64),
        pl.col("phenotype_note").cast(pl.Categorical),
    ],
)
def test_a_refusal_holds_no_value_of_an_identifying_column(
    lake: Lake, sample_frame: Frames, publish: Publish, spoiled: pl.Expr
) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        publish(lake, SUBJECTS, patient(sample_frame).with_columns(spoiled))
    assert nowhere(str(caught.value))
    assert nowhere(repr(caught.value.args))


def test_checks_ledger_and_logs_hold_no_value_of_an_identifying_column(
    lake: Lake, sample_frame: Frames, publish: Publish, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    from lsdata.derived.expectations import validate

    caplog.set_level("DEBUG")
    frame = patient(sample_frame)
    made = publish(lake, SUBJECTS, pl.concat([frame, frame]).with_columns(sample_id=pl.lit("§")), validate=validate)
    assert {r.name for r in made.results if not r.passed} == {"primary_key", "column_sample_id"}
    publish(lake, SUBJECTS, frame, validate=validate)
    ledger = b"".join(p.read_bytes() for p in lake.settings.path("ledger").iterdir())
    carried = [info(commit)[COMMIT_KEY] for commit in commits(lake, SUBJECTS.key)]
    told = json.loads((Path(made.staged or "") / "refused.json").read_text())
    out, err = capfd.readouterr()
    for text in (repr(made), json.dumps(told), ledger.decode(), out, err, caplog.text, *carried):
        assert nowhere(text)
    assert nowhere(json.dumps([e.detail for e in entries(lake, SUBJECTS.key)]))


def test_every_process_of_one_home_uses_one_lock_per_table(lake: Lake, sample_frame: Frames, publish: Publish) -> None:
    publish(lake, COHORTS, sample_frame(COHORTS, 1))
    assert os.listdir(lake.settings.home / "locks") == [f"{COHORTS.key.replace('/', '.')}.lock"]
    assert not (lake.settings.path("ledger") / "locks").exists()


@pytest.mark.parametrize("name", ["with a space", "größe", "it's"])
def test_a_home_may_be_called_anything(tmp_path: Path, sample_frame: Frames, publish: Publish, name: str) -> None:
    lake = Lake(Settings(home=tmp_path / name))
    frame = sample_frame(JOINT_CALLS, 2, "c1")
    for _ in range(2):
        publish(lake, JOINT_CALLS, frame, files={"c1": {VCF: b"calls"}})
    assert content(lake, JOINT_CALLS.key).equals(frame.sort(JOINT_CALLS.primary_key))
    assert lake.compact(JOINT_CALLS.key, Act(operator="Ada", reason="upkeep")) is None
    assert lake.recover() == []
    assert lake.ledger.verify().ok
