"""Columns that occur in several datasets. Refine one with `.but(doc=...)`."""

from lsdata.catalog.declaration import Column, Phi

_none = Phi.NONE

RUN_ID = Column(name="run_id", type="string", phi=_none, doc="Sequencing run: the name of its run folder.")
SAMPLE_ID = Column(
    name="sample_id",
    type="string",
    phi=_none,
    pattern=r"[A-Za-z0-9_.\-]+",
    doc="Lab code of a sample, as in the sample sheet. Who it is stands only in subjects.",
)
COHORT_ID = Column(name="cohort_id", type="string", phi=_none, doc="Group of samples that are called together.")
REFERENCE = Column(name="reference", type="string", phi=_none, doc="Name of the registered reference genome.")
CHROM = Column(name="chrom", type="string", phi=_none, doc="Contig, as named in the reference (VCF CHROM).")
POS = Column(
    name="pos",
    type="int64",
    phi=_none,
    unit="1-based position",
    minimum=1,
    doc="First base of REF (VCF POS), after splitting and left alignment.",
)
REF = Column(name="ref", type="string", phi=_none, doc="Reference allele (VCF REF).")
ALT = Column(name="alt", type="string", phi=_none, doc="One alternate allele (VCF ALT); '*' is an upstream deletion.")
FILTER = Column(
    name="filter",
    type="string",
    phi=_none,
    nullable=True,
    doc="VCF FILTER: PASS, or the failed filters joined by ';'; null where it is '.', that is not applied.",
)
GENE = Column(name="gene", type="string", phi=_none, nullable=True, doc="Gene symbol of the most severe consequence.")
CONSEQUENCE = Column(
    name="consequence",
    type="string",
    phi=_none,
    nullable=True,
    vocabulary="Sequence Ontology (as in bcftools csq)",
    doc="Most severe consequence, terms joined by '&'; null outside genes or without a gene model.",
)
IMPACT = Column(
    name="impact",
    type="string",
    phi=_none,
    nullable=True,
    codelist=("HIGH", "MODERATE", "LOW", "MODIFIER"),
    vocabulary="Ensembl VEP impact",
    doc="Severity class of the consequence.",
)
URI = Column(name="uri", type="string", phi=_none, doc="Path of the file below the files root.")
BYTES = Column(name="bytes", type="int64", phi=_none, unit="bytes", minimum=0, doc="Size of the file.")
SHA256 = Column(
    name="sha256", type="string", phi=_none, pattern="[0-9a-f]{64}", doc="SHA-256 of the file's bytes, hex."
)
METRIC = Column(name="metric", type="string", phi=_none, doc="Name of a quality metric.")
VALUE = Column(name="value", type="float64", phi=_none, unit="as in column unit", nullable=True, doc="Its value.")
UNIT = Column(name="unit", type="string", phi=_none, doc="Unit of the value: count, fraction, bp, x, phred.")
