"""Every column of silver and gold can be followed, column by column, down to what has landed."""

from dataclasses import replace

import pytest

from lsdata.catalog import DATASETS, Dataset, Layer
from lsdata.catalog.genomics import SAMPLE_METRICS, VARIANTS
from lsdata.derived.lineage import column_sources
from lsdata.errors import DeclarationError

MADE = [d for d in DATASETS.values() if d.layer in (Layer.SILVER, Layer.GOLD) or not d.landing]


def loose_ends(key: str, name: str) -> set[str]:
    """Columns on the way down from a column that follow from nothing, neither landing files nor a constant."""
    dataset = DATASETS[key]
    if dataset.column(name).constant:
        return set()
    sources = column_sources(dataset).get(name, [])
    if not sources:
        return set() if dataset.landing else {f"{key}.{name}"}
    return {end for source in sources for end in loose_ends(*source)}


@pytest.mark.parametrize("dataset", [d for d in MADE if d.domain != "core"], ids=lambda d: d.key)
def test_every_column_goes_back_to_landing_files_or_says_what_it_follows_from(dataset: Dataset) -> None:
    assert {name: found for name in dataset.names if (found := loose_ends(dataset.key, name))} == {}


def test_gold_goes_back_to_the_reads_the_reference_and_what_is_known_of_it() -> None:
    def landed(key: str, name: str) -> set[str]:
        sources = column_sources(DATASETS[key]).get(name, [])
        return {key} if not sources else set().union(*(landed(*source) for source in sources))

    assert landed("gold/genomics/variant_frequencies", "af") == {
        "bronze/genomics/fastq_manifest",
        "bronze/genomics/references",
    }
    assert "bronze/genomics/annotation_sources" in landed("gold/genomics/gene_burden", "n_carriers")


def test_a_constant_has_no_source_although_an_upstream_has_a_column_of_its_name() -> None:
    assert "caller" not in column_sources(DATASETS["silver/genomics/joint_calls"])
    assert "metric" not in column_sources(SAMPLE_METRICS)


def test_a_column_is_not_both_constant_and_derived() -> None:
    wrong = replace(VARIANTS.column("qual"), constant="the tool that ran")
    with pytest.raises(DeclarationError, match="qual is constant and has a source"):
        replace(VARIANTS, columns=tuple(wrong if c.name == "qual" else c for c in VARIANTS.columns))
