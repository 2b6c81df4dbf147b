"""What is asked for: all that is out of date, nothing else, each once, in runs that Dagster can make."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets import specs
from lsdata.catalog import DATASETS, Engine
from lsdata.catalog import genomics as g
from lsdata.lake.lake import Act, Lake, Made
from sensors import plan as plan_module
from sensors.plan import BATCH, Request, definitions, plan

Frames = Callable[..., pl.DataFrame]
LIGHT_BY_COHORT = {
    g.GENOTYPES.key, g.COHORT_VARIANTS.key, g.VARIANT_FREQUENCIES.key, g.SAMPLE_QC.key, g.GENE_BURDEN.key,
}  # fmt: skip


def wanted(requests: Sequence[Request]) -> set[tuple[str, str]]:
    return {(DATASETS[key].name, partition) for r in requests for key in r.assets for partition in r.partitions}


# ---------------------------------------------------------------- the whole way


def test_an_empty_lake_with_nothing_landed_asks_for_nothing(lake: Lake) -> None:
    assert plan(lake, lambda _: [], lambda _: False) == []


def test_new_data_flows_to_gold_and_then_nothing_is_asked_for(graph: Any) -> None:
    done = graph.settle()
    state = graph.lake.state()
    made = {(DATASETS[k].name, p) for k in DATASETS for p in state.partitions(k)}
    assert made == wanted(done)
    assert {name for name, _ in made} == {d.name for d in DATASETS.values() if d.domain == "genomics"} - {"subjects"}
    assert graph.plan() == []


def test_each_partition_is_made_once_on_its_way(graph: Any) -> None:
    """Nobody runs before what it waits for: a first pass that has to be made again costs hours of GATK."""
    graph.runs["run2"] = ["C"]
    graph.cohorts["solo"] = ["C"]
    graph.deliver()
    done = graph.settle()
    made = Counter((key, partition) for r in done for key in r.assets for partition in r.partitions)
    assert {what: n for what, n in made.items() if n > 1} == {}


def test_the_plan_is_the_same_answer_twice(graph: Any) -> None:
    graph.register()
    for _ in range(6):
        size, requests = graph.lake.ledger.size(), graph.plan()
        assert graph.plan() == requests
        assert graph.lake.ledger.size() == size
        for request in requests:
            graph.run(request)


def test_the_plan_survives_the_loss_of_every_memory(graph: Any) -> None:
    """Another process with another view of the lake finds the same."""
    for request in graph.plan():
        graph.run(request)
    again = plan(Lake(graph.lake.settings), lambda n: graph.registered[n], lambda _: False)
    graph.register()
    assert {r.run_key for r in again} <= {r.run_key for r in graph.plan()}


def test_requests_name_assets_of_one_definition_upstream_first(graph: Any) -> None:
    order = list(DATASETS)
    for request in graph.settle():
        assert list(request.assets) == sorted(request.assets, key=order.index)
        for key in request.assets:
            partition = DATASETS[key].partition
            assert (partition.name if partition else None) == request.definition


def test_heavy_datasets_are_asked_for_one_partition_at_a_time(graph: Any) -> None:
    done = graph.settle()
    heavy = [r for r in done if any(DATASETS[k].engine is Engine.TOOL for k in r.assets)]
    assert heavy
    assert all(len(r.partitions) == 1 for r in heavy)


def test_a_domain_can_be_asked_for_alone(graph: Any) -> None:
    assert plan(graph.lake, lambda _: [], lambda _: False, ["clinical"]) == []
    assert plan(graph.lake, lambda _: [], lambda _: False, ["genomics"]) != []


def test_only_registered_keys_are_asked_for(settled: Any) -> None:
    settled.cohorts["new"] = ["A"]
    settled.deliver()
    settled.make(g.COHORTS.key)
    known = {name: list(keys) for name, keys in settled.registered.items()}
    assert [r for r in plan(settled.lake, lambda n: known[n], lambda _: False) if r.definition == "cohort_id"] == []
    assert ("joint_calls", "new") in wanted(settled.plan())


def test_a_key_that_no_longer_exists_is_not_asked_for(settled: Any) -> None:
    settled.registered["cohort_id"].insert(0, "gone")
    settled.make(g.GVCFS.key, "A", seed=1)
    assert "gone" not in {p for _, p in wanted(settled.plan())}


# ---------------------------------------------------------------- changes


def test_a_changed_upstream_asks_for_its_dependents_step_by_step(settled: Any) -> None:
    settled.make(g.GVCFS.key, "A", seed=1)
    assert wanted(settled.plan()) == {("sample_metrics", "A"), ("run_reports", "run1"), ("joint_calls", "fam")}
    done = settled.settle()
    # The call set came out equal, so nothing behind it was made again.
    assert wanted(done) == {("sample_metrics", "A"), ("run_reports", "run1"), ("joint_calls", "fam")}


def test_a_rerun_with_the_same_result_asks_for_nothing(settled: Any) -> None:
    for key in (g.FASTQ_MANIFEST.key, g.GVCFS.key, g.VARIANTS.key):
        for partition in settled.lake.state().partitions(key):
            settled.make(key, partition)
    assert settled.plan() == []


def test_a_new_sample_asks_for_its_own_work_and_its_cohort(settled: Any) -> None:
    settled.runs["run3"] = ["D"]
    settled.cohorts["fam"].append("D")
    settled.deliver()
    touched = wanted(settled.settle())
    assert {p for name, p in touched if name in ("alignments", "gvcfs", "sample_metrics")} == {"D"}
    assert {p for name, p in touched if name in ("fastq_manifest", "fastq_qc", "run_reports")} == {"run3"}
    assert {p for name, p in touched if name in ("joint_calls", "gene_burden")} <= {"fam"}
    assert ("joint_calls", "fam") in touched


# ---------------------------------------------------------------- run keys


def test_run_keys_are_equal_for_the_same_work_and_differ_otherwise(graph: Any) -> None:
    done = graph.settle()
    assert len({r.run_key for r in done}) == len(done)
    graph.make(g.GVCFS.key, "A", seed=1)
    keys = {r.run_key for r in graph.plan()}
    assert keys == {r.run_key for r in graph.plan()}
    assert not keys & {r.run_key for r in done}


def test_going_back_to_an_earlier_input_is_new_work(settled: Any) -> None:
    """A member joins a cohort and withdraws, twice. Dagster makes no run of a key it knows, so each needs its own."""
    seen: list[str] = []
    for members in (["A", "B", "C"], ["A", "B"]) * 2:
        settled.cohorts["fam"] = members
        settled.make(g.COHORTS.key)
        (request,) = [r for r in settled.plan() if g.JOINT_CALLS.key in r.assets]
        seen.append(request.run_key)
        settled.run(request)
    assert len(set(seen)) == 4


def test_making_it_again_after_a_drop_is_new_work(settled: Any) -> None:
    seen: list[str] = []
    for _ in range(2):
        settled.lake.drop(g.GENE_BURDEN.key, Act(operator="Ada", reason="test"))
        for request in settled.plan():
            assert request.assets == (g.GENE_BURDEN.key,)
            seen.append(request.run_key)
            settled.run(request)
    assert len(set(seen)) == len(seen)


def test_a_run_that_made_nothing_is_asked_for_with_the_same_key(graph: Any) -> None:
    """A run that has failed changes nothing, so it is the same work: no storm of new runs."""
    first = graph.plan()
    assert graph.plan() == first


# ---------------------------------------------------------------- cohorts wait


def family(graph: Any) -> Any:
    """Up to where all samples are asked for."""
    while not any(g.GVCFS.key in r.assets for r in graph.plan()):
        for request in graph.plan():
            graph.run(request)
    return {r.partitions[0]: r for r in graph.plan() if g.GVCFS.key in r.assets}


def test_a_cohort_waits_for_members_that_are_about_to_be_made(graph: Any) -> None:
    samples = family(graph)
    assert set(samples) == {"A", "B"}
    graph.run(samples["A"])
    assert "fam" not in {p for _, p in wanted(graph.plan())}
    graph.run(samples["B"])
    assert ("joint_calls", "fam") in wanted(graph.plan())


def test_a_cohort_does_not_wait_for_members_that_have_failed(graph: Any) -> None:
    samples = family(graph)
    graph.run(samples["A"])
    graph.failed.add(samples["B"].run_key)
    assert ("joint_calls", "fam") in wanted(graph.plan())


def test_a_cohort_waits_for_a_member_that_is_made_anew(settled: Any) -> None:
    settled.make(g.ALIGNMENTS.key, "A", seed=1)
    asked = wanted(settled.plan())
    assert ("gvcfs", "A") in asked
    assert ("joint_calls", "fam") not in asked


def test_a_cohort_does_not_wait_for_samples_of_others(graph: Any) -> None:
    graph.cohorts["solo"] = ["A"]
    graph.deliver()
    samples = family(graph)
    graph.run(samples["A"])
    asked = wanted(graph.plan())
    assert ("joint_calls", "solo") in asked
    assert ("joint_calls", "fam") not in asked


def test_an_unknown_sample_never_blocks_a_cohort(graph: Any) -> None:
    graph.cohorts["fam"].append("never sequenced")
    graph.deliver()
    assert ("joint_calls", "fam") in wanted(graph.settle())
    assert graph.plan() == []


def test_a_cohort_without_any_known_sample_waits_without_noise(graph: Any) -> None:
    graph.cohorts["ghosts"] = ["X", "Y"]
    graph.deliver()
    assert "ghosts" not in {p for _, p in wanted(graph.settle())}


def test_samples_wait_for_their_reference_that_is_about_to_be_registered_anew(graph: Any) -> None:
    """Aligned to what there was before, everything would be aligned twice."""
    for key in (g.SEQUENCING_RUNS.key, g.COHORTS.key):
        graph.make(key)
    graph.make(g.FASTQ_MANIFEST.key, "run1")
    graph.make(g.REFERENCES.key, "ref")
    graph.land("reference/ref/ref.fa", ">1\nACGTACGTAC\n")
    asked = wanted(graph.plan())
    assert ("references", "ref") in asked
    assert not [a for a in asked if a[0] == "alignments"]


def test_another_reference_does_not_make_samples_stale(graph: Any) -> None:
    graph.deliver()
    graph.settle()
    settings = replace(graph.lake.settings, reference="ref")
    graph.lake = Lake(settings)
    graph.land("reference/other/other.fa", ">1\nACGT\n")
    graph.settle()
    assert not {a for a, _ in wanted(graph.plan())} & {"alignments", "gvcfs"}
    assert len(graph.lake.state().history(g.ALIGNMENTS.key, "A")) == 1


def test_samples_do_not_wait_for_a_reference_that_failed(graph: Any) -> None:
    for key in (g.SEQUENCING_RUNS.key, g.COHORTS.key):
        graph.make(key)
    graph.make(g.FASTQ_MANIFEST.key, "run1")
    graph.make(g.REFERENCES.key, "ref")
    graph.make(g.ANNOTATION_SOURCES.key, "ref")
    graph.land("reference/other/other.fa", ">1\nACGT\n")
    graph.failed |= {r.run_key for r in graph.plan() if r.definition == "reference"}
    assert ("alignments", "A") in wanted(graph.plan())


def test_a_run_report_waits_for_the_samples_of_its_run(graph: Any) -> None:
    samples = family(graph)
    graph.run(samples["A"])
    assert ("run_reports", "run1") not in wanted(graph.plan())
    graph.run(samples["B"])
    assert ("run_reports", "run1") in wanted(graph.plan())


# ---------------------------------------------------------------- batches


def cohort_calls(lake: Lake, frames: Frames, cohorts: Sequence[str], publish: Callable[..., Any]) -> None:
    """As far as everything light by cohort is due, for many cohorts."""
    n = len(cohorts)
    names = pl.Series("cohort_id", cohorts)
    members = frames(g.COHORTS, n).with_columns(names)
    publish(lake, g.COHORTS, members)
    for dataset in (g.JOINT_CALLS, g.VARIANTS):
        frame = frames(dataset, n).with_columns(names)
        publish(lake, dataset, frame, {c: Made(fingerprint=f"print of {c}") for c in cohorts})


def light(
    lake: Lake, order: Sequence[str], monkeypatch: pytest.MonkeyPatch, failed: Callable[[str], bool] = lambda _: False
) -> list[Request]:
    """The plan with joint calls and variants taken as up to date: what is left by cohort is light."""
    settled = (g.JOINT_CALLS, g.VARIANTS)
    inputs = plan_module.Inputs
    resolve = inputs.resolve

    def resolved(self: Any, dataset: Any, partition: str) -> Any:
        found = resolve(self, dataset, partition)
        if dataset in settled and self.state.publication(dataset.key, partition):
            return replace(found, fingerprint=f"print of {partition}", missing=())
        return found

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "resolve", resolved)
        found = plan(lake, lambda name: order if name == "cohort_id" else [], failed)
    assert {r.definition for r in found} <= {None, "cohort_id"}
    return [r for r in found if r.definition]


def assert_ranges(requests: Sequence[Request], order: Sequence[str]) -> None:
    """Dagster names a range by its ends: it must hold the partitions of the request and no others."""
    for request in requests:
        first, last = order.index(request.partitions[0]), order.index(request.partitions[-1])
        assert tuple(order[first : last + 1]) == request.partitions
        assert len(request.partitions) <= BATCH


def test_light_partitions_go_into_one_run(
    lake: Lake, sample_frame: Frames, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [f"c{i}" for i in range(9)]
    cohort_calls(lake, sample_frame, order, publish)
    (request,) = light(lake, order, monkeypatch)
    assert set(request.assets) == LIGHT_BY_COHORT
    assert request.partitions == tuple(order)


def test_ranges_follow_the_order_of_registration_and_not_the_alphabet(
    lake: Lake, sample_frame: Frames, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ["c3", "c1", "c2", "c10"]
    cohort_calls(lake, sample_frame, order, publish)
    requests = light(lake, order, monkeypatch)
    assert_ranges(requests, order)
    assert [r.partitions for r in requests] == [("c3", "c1", "c2", "c10")]


def test_a_range_does_not_reach_over_partitions_that_are_up_to_date(
    lake: Lake, sample_frame: Frames, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [f"c{i}" for i in range(7)]
    cohort_calls(lake, sample_frame, [c for c in order if c not in ("c2", "c5")], publish)
    cohorts = sample_frame(g.COHORTS, 7).with_columns(pl.Series("cohort_id", order))
    publish(lake, g.COHORTS, cohorts)
    requests = light(lake, order, monkeypatch)
    assert_ranges(requests, order)
    assert [r.partitions for r in requests] == [("c0", "c1"), ("c3", "c4"), ("c6",)]


def test_a_range_does_not_reach_over_registered_keys_that_no_longer_exist(
    lake: Lake, sample_frame: Frames, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered keys stay: a cohort that was taken out of cohorts.csv would be run, and fail all of its range."""
    order = ["c0", "c1", "gone", "c2"]
    cohort_calls(lake, sample_frame, ["c0", "c1", "c2"], publish)
    requests = light(lake, order, monkeypatch)
    assert_ranges(requests, order)
    assert [r.partitions for r in requests] == [("c0", "c1"), ("c2",)]


def test_no_run_has_more_partitions_than_a_batch(
    lake: Lake, sample_frame: Frames, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "BATCH", 4)
    order = [f"c{i}" for i in range(10)]
    cohort_calls(lake, sample_frame, order, publish)
    requests = light(lake, order, monkeypatch)
    assert [len(r.partitions) for r in requests] == [4, 4, 2]
    assert_ranges(requests, order)
    assert len({r.run_key for r in requests}) == 3


# ---------------------------------------------------------------- many partitions: counts, not times


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each table is read."""
    found: Counter[str] = Counter()
    read = Lake.read

    def counted(self: Lake, key: str, *arguments: Any, **named: Any) -> Any:
        found[key] += 1
        return read(self, key, *arguments, **named)

    monkeypatch.setattr(Lake, "read", counted)
    return found


def samples(graph: Any, n: int) -> list[str]:
    """A run of many samples whose manifest is published and whose alignments are due."""
    names = [f"S{i:04d}" for i in range(n)]
    graph.runs, graph.cohorts = {"run1": names}, {"fam": names[:3]}
    graph.deliver()
    for key, partition in [
        (g.SEQUENCING_RUNS.key, ""), (g.COHORTS.key, ""), (g.REFERENCES.key, "ref"), (g.ANNOTATION_SOURCES.key, "ref"),
        (g.FASTQ_MANIFEST.key, "run1"), (g.FASTQ_QC.key, "run1"),
    ]:  # fmt: skip
        graph.make(key, partition)
    return names


def test_tables_are_read_as_often_for_many_partitions_as_for_few(graph: Any, reads: Counter[str]) -> None:
    names = samples(graph, 60)
    reads.clear()
    requests = graph.plan()
    assert len([r for r in requests if r.definition == "sample_id"]) == len(names)
    assert max(reads.values()) < 12, reads


def test_the_instance_is_asked_once_for_each_run_key(graph: Any) -> None:
    """Whether a run has failed is a query to Dagster's database: pairs of partitions and runs are too many."""
    samples(graph, 30)
    graph.register()
    asked: Counter[str] = Counter()

    def failed(run_key: str) -> bool:
        asked[run_key] += 1
        return False

    requests = plan(graph.lake, lambda name: graph.registered[name], failed)
    assert len(requests) >= 30
    assert sum(asked.values()) <= len(requests), f"{sum(asked.values())} questions about {len(requests)} runs"


# ---------------------------------------------------------------- definitions


def test_definitions_are_those_of_the_declarations() -> None:
    assert set(definitions(["genomics"])) == {"run_id", "sample_id", "cohort_id", "reference"}
    assert definitions(["clinical"]) == {}
    for dataset in DATASETS.values():
        if dataset.partition:
            assert definitions()[dataset.partition.name] == dataset.partition


def test_two_domains_may_call_a_column_alike_whose_definitions_differ(
    graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DESIGN A5: `pv_source` and `rwe_source` are two definitions, and the column is `source` in both."""
    renamed = {
        d.key: replace(d, partition=d.partition and replace(d.partition, name=f"the_{d.partition.name}"))
        for d in DATASETS.values()
    }
    for module in [m for name, m in sys.modules.items() if name.startswith(("lsdata.", "sensors.", "assets."))]:
        if getattr(module, "DATASETS", None) is DATASETS:
            monkeypatch.setattr(module, "DATASETS", renamed)
    monkeypatch.setattr(sys.modules[type(graph).__module__], "DATASETS", renamed)
    asked = graph.settle()
    names = ("run_id", "sample_id", "cohort_id", "reference")
    assert {r.definition for r in asked} == {None, *(f"the_{name}" for name in names)}
    assert graph.plan() == []
    assert set(graph.lake.state().partitions(g.GENE_BURDEN.key)) == {"fam"}
    told = specs.asset_spec(renamed[g.GENE_BURDEN.key]).partitions_def
    assert isinstance(told, dg.DynamicPartitionsDefinition)
    assert told.name == "the_cohort_id"
