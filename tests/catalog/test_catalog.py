"""The declarations hold, alone and together; what cannot hold is refused with every fault at once."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lsdata.catalog as catalog
from lsdata.catalog import DATASETS, Column, Dataset, Engine, Expectation, Layer, Partition, Phi, Sensitivity
from lsdata.catalog.declaration import NUMERIC
from lsdata.catalog.genomics import COHORTS, GENOTYPES
from lsdata.catalog.twin import Twin
from lsdata.derived.expectations import checks
from lsdata.derived.lineage import column_sources
from lsdata.errors import DeclarationError

ROOT = Path(__file__).resolve().parents[2]
ORDER = list(DATASETS)


def ancestry(dataset: Dataset) -> set[str]:
    return {dataset.key}.union(*(ancestry(DATASETS[u.key]) for u in dataset.upstream))


# ---------------------------------------------------------------- together


def test_the_order_of_declaration_is_topological() -> None:
    """`sensors.plan` makes what is due in this order."""
    wrong = [(d.name, u.key) for d in DATASETS.values() for u in d.upstream if ORDER.index(u.key) > ORDER.index(d.key)]
    assert wrong == []


def test_no_dataset_is_its_own_ancestor() -> None:
    for dataset in DATASETS.values():
        assert dataset.key not in {k for u in dataset.upstream for k in ancestry(DATASETS[u.key])}


def test_no_two_datasets_have_one_key() -> None:
    rooms = [m for name, m in sys.modules.items() if name.startswith("lsdata.catalog.")]
    declared = {id(v): v for room in rooms for v in vars(room).values() if isinstance(v, Dataset)}
    assert sorted(d.key for d in declared.values()) == sorted(DATASETS)


def test_upstream_keys_and_columns_exist(every: Dataset) -> None:
    for upstream in every.upstream:
        source = DATASETS[upstream.key]
        if upstream.by and not upstream.through:
            assert every.partition
            assert source.column(upstream.by)
        if upstream.through:
            assert every.partition is not None
            assert upstream.by is not None
            membership = DATASETS[upstream.through]
            assert membership.column(every.partition.column)
            assert membership.column(upstream.by)
            assert source.partition is not None
            assert source.partition.column == upstream.by
            assert upstream.through in {u.key for u in every.upstream}, "the membership itself is an input"


def test_a_dataset_without_partitions_reads_whole_tables(every: Dataset) -> None:
    if every.partition is None:
        assert [u.key for u in every.upstream if u.by or u.through] == []


def test_column_sources_exist_and_are_upstream(every: Dataset) -> None:
    for sources in column_sources(every).values():
        for key, name in sources:
            assert DATASETS[key].column(name)
            assert key in ancestry(every) - {every.key}


def test_partition_keys_come_from_a_column_that_exists(every: Dataset) -> None:
    if (partition := every.partition) is None:
        return
    assert (partition.listed_in is None) != (partition.landing is None)
    if partition.listed_in:
        source = DATASETS[partition.listed_in]
        assert source.column(partition.listed_as or "")
        for name, value in partition.where:
            assert value in (source.column(name).codelist or (value,))
    assert every.partition.column in every.primary_key, "a key that is unique in a partition is unique in the table"


def test_one_name_is_one_partitions_definition() -> None:
    found: dict[str, Partition] = {}
    for dataset in DATASETS.values():
        if dataset.partition:
            assert found.setdefault(dataset.partition.name, dataset.partition) == dataset.partition


def test_the_column_is_called_like_the_definition_unless_it_is_said_otherwise() -> None:
    assert Partition(name="cohort_id", doc="Cohorts.").column == "cohort_id"
    assert Partition(name="pv_source", column="source", doc="Sources.").column == "source"


def test_gold_is_made_from_nothing_that_identifies_a_person() -> None:
    flows = [
        (d.key, key) for d in DATASETS.values() if d.layer is Layer.GOLD for key in ancestry(d)
        if DATASETS[key].sensitivity is Sensitivity.PHI or DATASETS[key].layer is Layer.SILVER_PHI
    ]  # fmt: skip
    assert flows == []


def test_nothing_flows_up_the_layers(every: Dataset) -> None:
    layers = list(Layer)
    for upstream in every.upstream:
        assert layers.index(DATASETS[upstream.key].layer) <= layers.index(every.layer)


def test_who_a_sample_is_stands_only_in_subjects() -> None:
    genomics = [d for d in DATASETS.values() if d.domain == "genomics"]
    assert {d.name for d in genomics if d.sensitivity is Sensitivity.PHI} == {"subjects"}
    assert {d.name for d in genomics if any(c.phi is not Phi.NONE for c in d.columns)} == {"subjects"}


# ---------------------------------------------------------------- each


def test_every_dataset_and_column_has_a_meaning_and_every_number_a_unit(every: Dataset) -> None:
    for text in (every.doc, every.grain, every.owner, every.retention.basis):
        assert text.strip()
    assert every.retention.years > 0
    for column in every.columns:
        assert column.doc.strip()
        assert column.type not in NUMERIC or column.unit
        assert column.type in NUMERIC or column.unit is None, f"{column.name} is no number and has a unit"


def test_bounds_belong_to_numbers_and_codelists_and_patterns_to_texts(every: Dataset) -> None:
    for column in every.columns:
        if column.minimum is not None or column.maximum is not None:
            assert column.type in NUMERIC
        if column.codelist or column.pattern:
            assert column.type == "string"
        if column.codelist:
            assert len(set(column.codelist)) == len(column.codelist)


def test_check_names_are_unique_and_can_be_asset_check_names(every: Dataset) -> None:
    names = [c.name for c in checks(every)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)
    assert all(c.doc.strip() for c in checks(every))


def test_contract_keys_and_partitions_are_declared() -> None:
    """DESIGN B2."""
    contract = {
        "bronze/genomics/sequencing_runs": None, "bronze/genomics/fastq_manifest": "run_id",
        "bronze/genomics/fastq_qc": "run_id", "silver/genomics/alignments": "sample_id",
        "silver/genomics/gvcfs": "sample_id", "silver/genomics/joint_calls": "cohort_id",
        "silver/genomics/variants": "cohort_id", "silver/genomics/genotypes": "cohort_id",
        "silver/genomics/sample_metrics": "sample_id", "bronze/genomics/subjects": None,
        "gold/genomics/cohort_variants": "cohort_id", "gold/genomics/variant_frequencies": "cohort_id",
        "gold/genomics/sample_qc": "cohort_id", "gold/genomics/gene_burden": "cohort_id",
    }  # fmt: skip
    for key, partition in contract.items():
        declared = DATASETS[key].partition
        assert (declared.name if declared else None) == partition


def test_a_dataset_is_found_by_key_and_a_wrong_key_says_which_there_are() -> None:
    assert catalog.dataset(COHORTS.key) is COHORTS
    with pytest.raises(DeclarationError, match="no such dataset") as caught:
        catalog.dataset("gold/genomics/nothing")
    assert COHORTS.key in caught.value.allowed


def test_a_wrong_column_says_which_there_are() -> None:
    assert COHORTS.column("sample_id").name == "sample_id"
    with pytest.raises(DeclarationError, match="column nothing"):
        COHORTS.column("nothing")


def test_a_column_can_be_refined_and_not_misspelled() -> None:
    assert COHORTS.column("sample_id").but(doc="Other.").doc == "Other."
    with pytest.raises(TypeError):
        COHORTS.column("sample_id").but(dok="Other.")


def test_declarations_do_not_change() -> None:
    with pytest.raises(AttributeError):
        COHORTS.doc = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        DATASETS["x/y/z"] = COHORTS  # type: ignore[index]


# ---------------------------------------------------------------- what cannot hold


def number(name: str, **more: Any) -> Column:
    return Column(name=name, type="int64", phi=Phi.NONE, doc="A number.", unit="count").but(**more)


def test_every_fault_of_a_declaration_is_listed_at_once() -> None:
    wrong = [
        number("count", unit=None), number("twice"), number("twice"), number("key", nullable=True),
        Column(name="name", type="string", phi=Phi.NAME, doc=""),
    ]  # fmt: skip
    with pytest.raises(DeclarationError) as caught:
        replace(
            COHORTS, key="platinum/cohorts", columns=tuple(wrong), primary_key=("key", "absent"),
            partition=Partition(name="elsewhere", doc="Nowhere."),
        )  # fmt: skip
    for fault in (
        "key is not layer/domain/dataset", "a column name occurs twice", "primary key absent is not a column",
        "count is a number without a unit", "key is in the primary key and nullable", "name has no meaning",
        "partition column elsewhere is not a column", "PHI columns name in a dataset declared coded",
    ):  # fmt: skip
        assert fault in caught.value.found


def test_identifying_data_cannot_be_declared_below_silver_phi() -> None:
    column = Column(name="name", type="string", phi=Phi.NAME, doc="Name.")
    for layer in ("silver", "gold"):
        with pytest.raises(DeclarationError, match=f"PHI in layer {layer}"):
            replace(COHORTS, key=f"{layer}/genomics/x", columns=(*COHORTS.columns, column), sensitivity=Sensitivity.PHI)


RULE = Expectation(name="positive", doc="Positive.", rule="n > 0", blocking=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"primary_key": ()},
        {"doc": ""},
        {"grain": " "},
        {"expectations": (RULE, RULE)},
        {"expectations": (replace(RULE, name="primary_key"),)},
        {"expectations": (replace(RULE, name="column_sample_id"),)},
        {"columns": (*COHORTS.columns, number("n", nullable=True)), "partition": Partition(name="n", doc="N.")},
        {"columns": (*COHORTS.columns, number("n", minimum=2, maximum=1))},
        {"columns": (*COHORTS.columns, Column(name="t", type="string", phi=Phi.NONE, doc="T.", minimum=1))},
        {"columns": (*COHORTS.columns, Column(name="t", type="string", phi=Phi.NONE, doc="T.", pattern="("))},
    ],
    ids=[
        "no key", "no doc", "no grain", "a rule twice", "a rule called primary_key", "a rule called as a column check",
        "a nullable partition", "bounds the wrong way round", "a text with bounds", "a pattern that is none",
    ],
)  # fmt: skip
def test_a_declaration_that_no_reader_could_use_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError):
        replace(COHORTS, **changes)


# ---------------------------------------------------------------- what Dagster is told


def test_every_dataset_has_an_asset_spec_with_all_its_facts(every: Dataset) -> None:
    from assets import specs

    if every.domain == "core":
        spec = next(s for s in specs.external_assets() if s.key == specs.key(every))
        assert spec.description == every.doc
        return
    spec = specs.asset_spec(every)
    assert spec.key.path == every.key.split("/")
    assert spec.group_name == every.domain
    assert {d.asset_key.to_user_string() for d in spec.deps} == {u.key for u in every.upstream}
    assert every.doc in (spec.description or "")
    assert spec.owners == [f"team:{every.owner}"]
    columns: Any = spec.metadata["dagster/column_schema"]
    assert [c.name for c in columns.columns] == list(every.names)
    assert [c.tags.get("phi", "none") for c in columns.columns] == [c.phi for c in every.columns]
    lineage: Any = spec.metadata["dagster/column_lineage"]
    assert set(lineage.deps_by_column) == set(column_sources(every))
    assert (spec.partitions_def.name if spec.partitions_def else None) == (  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        every.partition.name if every.partition else None
    )


def test_every_check_has_its_spec_and_blocks_as_declared(every: Dataset) -> None:
    from assets import specs

    found = {s.name: s for s in specs.check_specs(every)}
    wanted = {c.name: c for c in checks(every)}
    assert set(found) - set(wanted) == {
        *([specs.INPUT_ACCEPTED] if every.landing else []),
        *([specs.DBT_TESTS] if every.engine is Engine.DBT else []),
        *([specs.RISK] if isinstance(every, Twin) else []),
    }
    for name, check in wanted.items():
        assert found[name].blocking == check.blocking
        assert found[name].description == check.doc


def test_every_dataset_of_a_domain_is_bound_to_an_asset() -> None:
    import definitions

    graph = definitions.defs.resolve_asset_graph()
    made = {k.to_user_string() for k in graph.executable_asset_keys}
    assert made == {d.key for d in DATASETS.values() if d.domain != "core"}
    assert {k.to_user_string() for k in graph.get_all_asset_keys()} == set(DATASETS)


def test_loading_the_code_location_imports_nothing_heavy() -> None:
    heavy = ["pyspark", "presidio_analyzer", "spacy", "great_expectations", "pandas"]
    code = f"import sys, json, definitions; print(json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120,
    )  # fmt: skip
    assert json.loads(told.stdout.splitlines()[-1]) == []


def test_the_catalog_imports_nothing_but_the_standard_library() -> None:
    code = "import sys; before = set(sys.modules); import lsdata.catalog; print(*(set(sys.modules) - before))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert {name.split(".")[0] for name in told.stdout.split()} - sys.stdlib_module_names == {"lsdata"}


def test_a_dataset_is_partitioned_by_the_column_of_its_definition() -> None:
    assert GENOTYPES.partition is not None
    assert GENOTYPES.partition.name == "cohort_id"
