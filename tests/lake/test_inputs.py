"""What a partition is made from, and when it is stale: content decides, not versions and not time."""

import os
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from lsdata.catalog import DATASETS, Dataset
from lsdata.catalog import genomics as g
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Lake

BY_SAMPLE = ("gvcfs", "target_coverage", "sample_metrics")
GOLD = ("cohort_variants", "variant_frequencies", "sample_qc", "gene_burden")
Frames = Callable[..., pl.DataFrame]


def stale(lake: Lake) -> set[tuple[str, str]]:
    """All partitions that are published and not from what there is now."""
    inputs, state = Inputs(lake), lake.state()
    published = [(dataset, partition) for key, dataset in DATASETS.items() for partition in state.partitions(key)]
    return {(dataset.name, partition) for dataset, partition in published if inputs.stale(dataset, partition)}


def dependents(dataset: Dataset) -> set[str]:
    return {d.name for d in DATASETS.values() if dataset.key in {u.key for u in d.upstream}}


# ---------------------------------------------------------------- staleness


def test_what_was_just_made_is_not_stale(settled: Any) -> None:
    assert stale(settled.lake) == set()


def test_making_it_again_with_the_same_result_makes_nothing_stale(settled: Any) -> None:
    """Early cutoff: the Delta versions move on, the contents do not."""
    for key in (g.FASTQ_MANIFEST.key, g.ALIGNMENTS.key, g.COHORTS.key, g.REFERENCES.key):
        for partition in settled.lake.state().partitions(key):
            before = settled.lake.version(key)
            settled.make(key, partition)
            assert settled.lake.version(key) == before + 1
    assert stale(settled.lake) == set()


def name_of(value: object) -> str | None:
    return value.name if isinstance(value, Dataset) else None


@pytest.mark.parametrize(
    ("dataset", "partition", "expected"),
    [
        (g.ALIGNMENTS, "A", {*((n, "A") for n in BY_SAMPLE), ("run_reports", "run1")}),
        (g.GVCFS, "A", {("sample_metrics", "A"), ("run_reports", "run1"), ("joint_calls", "fam")}),
        (g.GVCFS, "C", {("sample_metrics", "C"), ("run_reports", "run2"), ("joint_calls", "solo")}),
        (g.TARGET_COVERAGE, "B", {("sample_metrics", "B")}),
        (g.FASTQ_QC, "run2", {("run_reports", "run2")}),
        (g.JOINT_CALLS, "fam", {("variants", "fam"), ("genotypes", "fam")}),
        (g.GENOTYPES, "solo", {(n, "solo") for n in GOLD}),
        (g.GENE_BURDEN, "solo", set[tuple[str, str]]()),
    ],
    ids=name_of,
)  # fmt: skip
def test_changed_content_makes_exactly_its_dependents_stale(
    settled: Any, dataset: Dataset, partition: str, expected: set[tuple[str, str]]
) -> None:
    settled.make(dataset.key, partition, seed=1)
    assert {name for name, _ in expected} <= dependents(dataset)
    assert stale(settled.lake) == expected


def test_a_changed_reference_makes_all_stale_that_reads_it(settled: Any) -> None:
    settled.make(g.REFERENCES.key, "ref", seed=1)
    per_sample = {(n, s) for n in ("alignments", "gvcfs", "target_coverage") for s in "ABC"}
    per_cohort = {(n, c) for n in ("joint_calls", "variants") for c in ("fam", "solo")}
    assert stale(settled.lake) == per_sample | per_cohort | {("annotation_sources", "ref")}


def test_a_manifest_is_cut_by_the_rows_of_a_sample_and_not_by_the_run(settled: Any) -> None:
    """A new sample in a run leaves the other samples' alignments alone."""
    settled.runs["run1"].append("D")
    settled.deliver()
    settled.make(g.FASTQ_MANIFEST.key, "run1")
    frame = settled.lake.read(g.FASTQ_MANIFEST.key, ["run1"]).collect()
    assert frame["sample_id"].n_unique() == 3
    assert {s for s in stale(settled.lake) if s[0] in ("alignments", "sample_metrics")} == set()
    assert ("fastq_qc", "run1") in stale(settled.lake)


def test_a_sample_of_two_runs_is_made_from_the_rows_of_both(settled: Any) -> None:
    settled.runs["run2"] = ["C", "A"]
    settled.make(g.FASTQ_MANIFEST.key, "run2")
    resolved = Inputs(settled.lake).resolve(g.ALIGNMENTS, "A")
    (manifest,) = [i for i in resolved.inputs if i.key == g.FASTQ_MANIFEST.key]
    assert set(manifest.partitions) == {"run1", "run2"}
    assert ("alignments", "A") in stale(settled.lake)
    assert ("alignments", "B") not in stale(settled.lake)
    rows = Inputs(settled.lake).load(g.ALIGNMENTS, ["A"])["fastq_manifest"].collect()
    assert rows.select("run_id", "sample_id").sort("run_id").rows() == [("run1", "A"), ("run2", "A")]


def test_a_cohort_is_stale_when_its_members_change_and_only_that_cohort(settled: Any) -> None:
    settled.cohorts["fam"].append("C")
    settled.make(g.COHORTS.key)
    assert stale(settled.lake) == {("joint_calls", "fam")}


def test_a_member_taken_out_makes_the_cohort_stale(settled: Any) -> None:
    settled.cohorts["fam"] = ["A"]
    settled.make(g.COHORTS.key)
    resolved = Inputs(settled.lake).resolve(g.JOINT_CALLS, "fam")
    assert resolved.members[g.GVCFS.key] == ("A",)
    assert stale(settled.lake) == {("joint_calls", "fam")}


def test_an_optional_input_that_appears_makes_its_reader_stale(graph: Any) -> None:
    """Nothing was missing without it, and yet what was made without it is not what it would be now."""
    graph.register()
    for key, partition in [(g.REFERENCES.key, "ref"), (g.SEQUENCING_RUNS.key, ""), (g.FASTQ_MANIFEST.key, "run1")]:
        graph.make(key, partition)
    graph.make(g.ALIGNMENTS.key, "A")
    graph.make(g.TARGET_COVERAGE.key, "A")
    assert stale(graph.lake) == set()
    graph.make(g.ANNOTATION_SOURCES.key, "ref")
    assert stale(graph.lake) == {("target_coverage", "A")}


# ---------------------------------------------------------------- landing files


def test_a_file_that_lands_or_changes_makes_its_readers_stale(settled: Any) -> None:
    settled.land("sequencing/run1/late_R1.fastq.gz")
    assert stale(settled.lake) == {("sequencing_runs", ""), ("fastq_manifest", "run1")}
    settled.settle()
    os.utime(settled.lake.settings.path("landing") / "cohorts.csv", ns=(1, 1))
    assert stale(settled.lake) == {("cohorts", "")}


def test_the_landing_listing_is_seen_before_anything_is_read(settled: Any) -> None:
    """What lands while a partition is being made is not in its fingerprint, so the partition is stale afterwards."""
    resolved = Inputs(settled.lake).resolve(g.FASTQ_MANIFEST, "run1")
    settled.land("sequencing/run1/late_R1.fastq.gz")
    assert Inputs(settled.lake).resolve(g.FASTQ_MANIFEST, "run1").fingerprint != resolved.fingerprint
    assert [f.path for f in resolved.landed] == ["sequencing/run1/SampleSheet.csv"]


def test_one_resolution_is_one_answer(settled: Any) -> None:
    inputs = Inputs(settled.lake)
    first = inputs.resolve(g.FASTQ_MANIFEST, "run1")
    settled.land("sequencing/run1/late_R1.fastq.gz")
    assert inputs.resolve(g.FASTQ_MANIFEST, "run1") is first


def test_a_dataset_whose_files_have_not_landed_cannot_be_made(settled: Any) -> None:
    inputs = Inputs(settled.lake)
    assert inputs.resolve(g.SUBJECTS, "").missing == ("subjects.csv",)
    assert not inputs.stale(g.SUBJECTS, "")


# ---------------------------------------------------------------- what is recorded, what is loaded


def test_inputs_name_exact_versions_and_contents(settled: Any) -> None:
    state = settled.lake.state()
    told = state.publication(g.JOINT_CALLS.key, "fam")
    by_key = {i.key: i for i in told.inputs}
    assert set(by_key) == {u.key for u in g.JOINT_CALLS.upstream}
    for key, found in by_key.items():
        assert found.version == settled.lake.version(key)
        for partition, sha256 in found.partitions.items():
            assert state.publication(key, partition).sha256 == sha256
    assert set(by_key[g.GVCFS.key].partitions) == {"A", "B"}


def test_lineage_leads_from_gold_to_every_upstream_publication(settled: Any) -> None:
    state, seen = settled.lake.state(), set[str]()
    waiting = [(g.GENE_BURDEN.key, "fam", None)]
    while waiting:
        key, partition, version = waiting.pop()
        told = state.publication(key, partition, version)
        assert told is not None, (key, partition, version)
        seen.add(DATASETS[key].name)
        for found in told.inputs:
            parts = found.partitions or state.partitions(found.key)
            waiting += [(found.key, p, found.version) for p in parts]
    assert {"joint_calls", "gvcfs", "alignments", "fastq_manifest", "sequencing_runs", "references"} <= seen


def test_upstream_rows_are_those_of_the_partitions_asked_for(settled: Any) -> None:
    inputs = Inputs(settled.lake)
    loaded = {n: f.collect() for n, f in inputs.load(g.JOINT_CALLS, ["fam"]).items()}
    assert set(loaded) == {"cohorts", "gvcfs", "references", "annotation_sources"}
    assert set(loaded["cohorts"]["cohort_id"]) == {"fam"}
    assert set(loaded["gvcfs"]["sample_id"]) == {"A", "B"}
    both = inputs.load(g.JOINT_CALLS, ["fam", "solo"])
    assert set(both["gvcfs"].collect()["sample_id"]) == {"A", "B", "C"}
    assert set(inputs.load(g.GENOTYPES, ["solo"])["variants"].collect()["cohort_id"]) == {"solo"}


def test_rows_are_loaded_at_the_versions_that_were_resolved(settled: Any) -> None:
    """An upstream that is published in between must not be used under the old version's name."""
    inputs = Inputs(settled.lake)
    inputs.resolve(g.GENOTYPES, "fam")
    before = settled.lake.read(g.VARIANTS.key, ["fam"]).collect()
    settled.make(g.VARIANTS.key, "fam", seed=1)
    loaded = inputs.load(g.GENOTYPES, ["fam"])["variants"].collect()
    assert loaded.sort(g.VARIANTS.primary_key).equals(before.sort(g.VARIANTS.primary_key))


def test_an_upstream_that_was_emptied_is_not_missing(settled: Any, publish: Callable[..., Any]) -> None:
    from lsdata.derived import arrow
    from lsdata.lake.lake import Made

    publish(settled.lake, g.VARIANTS, arrow.empty(g.VARIANTS), {"fam": Made()})
    assert Inputs(settled.lake).resolve(g.GENOTYPES, "fam").missing == ()
    assert ("genotypes", "fam") in stale(settled.lake)


def test_a_dropped_upstream_is_missing(settled: Any) -> None:
    from lsdata.lake.lake import Act

    settled.lake.drop(g.VARIANTS.key, Act(operator="Ada", reason="test"))
    assert Inputs(settled.lake).resolve(g.GENOTYPES, "fam").missing == (g.VARIANTS.key,)
    assert not Inputs(settled.lake).stale(g.GENOTYPES, "fam")


# ---------------------------------------------------------------- partition keys


def test_partition_keys_come_sorted_from_where_the_declaration_says(settled: Any) -> None:
    inputs = Inputs(settled.lake)
    assert inputs.partitions(g.BY_RUN) == ("run1", "run2")
    assert inputs.partitions(g.BY_SAMPLE) == ("A", "B", "C")
    assert inputs.partitions(g.BY_COHORT) == ("fam", "solo")
    assert inputs.partitions(g.BY_REFERENCE) == ("ref",)


def test_only_ready_runs_are_partitions(lake: Lake, sample_frame: Frames, publish: Callable[..., Any]) -> None:
    states = g.SEQUENCING_RUNS.column("state").codelist or ()
    frame = sample_frame(g.SEQUENCING_RUNS, len(states)).with_columns(state=pl.Series(states), run_id=pl.Series(states))
    publish(lake, g.SEQUENCING_RUNS, frame)
    assert Inputs(lake).partitions(g.BY_RUN) == ("ready",)


def test_there_are_no_keys_in_an_empty_lake(lake: Lake) -> None:
    inputs = Inputs(lake)
    assert [inputs.partitions(p) for p in (g.BY_RUN, g.BY_SAMPLE, g.BY_COHORT, g.BY_REFERENCE)] == [()] * 4


def test_nothing_can_be_made_in_an_empty_lake_but_what_has_landed(graph: Any) -> None:
    inputs = Inputs(graph.lake)
    unpartitioned = [d for d in DATASETS.values() if d.domain == "genomics" and d.partition is None]
    assert [d.name for d in unpartitioned if inputs.stale(d, "")] == ["sequencing_runs", "cohorts"]
    others = [d for d in DATASETS.values() if d.partition and d.partition.landing is None]
    assert not any(inputs.stale(d, "x") for d in others)
    assert all(inputs.resolve(d, "x").missing for d in others)
