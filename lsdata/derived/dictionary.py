"""The data dictionary, as markdown."""

from collections.abc import Iterator

from lsdata.catalog import DATASETS, Column, Dataset, Partition, Phi
from lsdata.derived.expectations import checks


def markdown() -> str:
    """All datasets, one section each."""
    lines = ["<!-- Rendered from lsdata.catalog by `lsdata render`; do not edit. -->", "# Data dictionary", ""]
    lines += [f"- [{key}](#{key.replace('/', '')}): {d.doc}" for key, d in DATASETS.items()]
    for dataset in DATASETS.values():
        lines += ["", *section(dataset)]
    return "\n".join(lines) + "\n"


def section(dataset: Dataset) -> Iterator[str]:
    """One dataset."""
    yield f"## {dataset.key}"
    yield ""
    yield dataset.doc
    yield ""
    yield f"- **Grain:** {dataset.grain}; key `{', '.join(dataset.primary_key)}`"
    yield f"- **Partition:** {_partition(dataset.partition)}"
    upstream = [f"`{u.key}`" for u in dataset.upstream] + [f"landing `{place.pattern}`" for place in dataset.landing]
    yield f"- **From:** {', '.join(upstream) or 'the platform itself'}"
    yield f"- **Sensitivity:** {dataset.sensitivity}; **GxP:** {dataset.gxp}; **residency:** {dataset.residency}"
    yield f"- **Kept:** {dataset.retention.years} years ({dataset.retention.basis}); **owner:** {dataset.owner}"
    for kind in dataset.files:
        yield f"- **File** `{kind.name}` ({kind.format}): {kind.doc}"
    yield ""
    yield "| column | type | unit | null | PHI | meaning |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for column in dataset.columns:
        yield _row(column)
    yield ""
    yield "| check | blocks | what it expects |"
    yield "| --- | --- | --- |"
    for check in checks(dataset):
        yield f"| {check.name} | {'yes' if check.blocking else 'no'} | {_cell(check.doc)} |"


def _partition(p: Partition | None) -> str:
    if p is None:
        return "none"
    return f"`{p.column}`" + (f" (partitions definition `{p.name}`)" if p.name != p.column else "")


def _row(c: Column) -> str:
    allowed = f" One of {', '.join(c.codelist)}." if c.codelist else ""
    vocabulary = f" Vocabulary: {c.vocabulary}." if c.vocabulary else ""
    phi = str(c.phi) if c.phi is not Phi.NONE else ""
    doc = _cell(c.doc + allowed + vocabulary)
    return f"| `{c.name}` | {c.type} | {c.unit or ''} | {'yes' if c.nullable else 'no'} | {phi} | {doc} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
