"""The platform's own datasets: what files there are, and what was done by whom."""

from lsdata.catalog.columns import BYTES, SHA256, URI
from lsdata.catalog.declaration import Column, Dataset, Engine, Gxp, Phi, Residency, Retention, Sensitivity, Store

_none = Phi.NONE
_FOR_AUDIT = Retention(years=25, basis="ICH E6(R3) essential records; 21 CFR 11.10(c), (e)")

FILE_INDEX = Dataset(
    key="bronze/core/file_index",
    doc="Every file of the lake that is not a table, with its checksum and the run that made it.",
    grain="one row per file",
    primary_key=("dataset", "partition", "uri"),
    sensitivity=Sensitivity.CODED,
    gxp=Gxp.GCP,
    retention=_FOR_AUDIT,
    residency=Residency.ANY,
    owner="platform",
    engine=Engine.POLARS,
    columns=(
        Column(name="dataset", type="string", phi=_none, doc="Key of the dataset the file belongs to."),
        Column(name="partition", type="string", phi=_none, doc="Partition key; empty for an unpartitioned dataset."),
        URI,
        Column(name="format", type="string", phi=_none, doc="Format as declared, e.g. CRAM, VCF, HTML."),
        BYTES,
        SHA256,
        Column(name="run_id", type="string", phi=_none, doc="Dagster run that published it; empty outside Dagster."),
        Column(name="published_at", type="timestamp", phi=_none, doc="When it was published (UTC)."),
    ),
)

LEDGER = Dataset(
    key="bronze/core/ledger",
    doc="Append-only Merkle log of every publish, deletion, grant, signature and key destruction.",
    grain="one entry per act",
    primary_key=("id",),
    sensitivity=Sensitivity.CODED,
    gxp=Gxp.GCP,
    retention=_FOR_AUDIT,
    residency=Residency.ANY,
    owner="platform",
    engine=Engine.POLARS,
    store=Store.LEDGER,
    columns=(
        Column(name="id", type="string", phi=_none, doc="Identity of the act; the Delta commit carries the same."),
        Column(name="at", type="string", phi=_none, doc="When, UTC, ISO 8601 with microseconds."),
        Column(name="actor", type="string", phi=_none, doc="Who: the operator of the run."),
        Column(name="action", type="string", phi=_none, doc="What was done: publish, delete, grant, sign, ..."),
        Column(name="subject", type="string", phi=_none, doc="To what: a dataset key or another object."),
        Column(name="old_version", type="int64", phi=_none, nullable=True, unit="Delta version", doc="Version before."),
        Column(name="new_version", type="int64", phi=_none, nullable=True, unit="Delta version", doc="Version after."),
        Column(name="reason", type="string", phi=_none, doc="Why, as the operator gave it."),
        SHA256.but(name="content_sha256", nullable=True, doc="Hash of the content the act is about."),
        Column(name="detail", type="string", phi=_none, doc="JSON: partitions, inputs with versions, code, run."),
    ),
)
