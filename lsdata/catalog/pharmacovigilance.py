"""Pharmacovigilance: from spontaneous reports to signals (contract B4)."""

from lsdata.catalog.columns import BYTES, SHA256
from lsdata.catalog.declaration import (
    Column,
    Dataset,
    Engine,
    Expectation,
    Gxp,
    Landing,
    Partition,
    Phi,
    Residency,
    Retention,
    Sensitivity,
    Type,
    Upstream,
)

_none = Phi.NONE
_SAFETY = Retention(
    years=30,
    basis="Regulation (EU) 520/2012 Art. 12(2): ten years after the authorisation ceases; longer where law says",
)
_From = tuple[str, ...]

BY_QUARTER = Partition(
    name="faers_quarter",
    column="quarter",
    doc="Quarters of FAERS deliveries that can be read.",
    listed_in="bronze/pharmacovigilance/deliveries",
    listed_as="quarter",
    where=(("kind", "faers"), ("state", "ready")),
)
BY_ICSR = Partition(
    name="icsr_delivery",
    column="delivery",
    doc="Files of ICH E2B(R3) messages.",
    listed_in="bronze/pharmacovigilance/deliveries",
    listed_as="delivery",
    where=(("kind", "icsr"), ("state", "ready")),
)
BY_SOURCE = Partition(
    name="pv_source",
    column="source",
    doc="Sources of reports: faers, icsr, and the folders of landing/reports.",
    listed_in="bronze/pharmacovigilance/deliveries",
    listed_as="source",
    where=(("state", "ready"),),
)


def _safety(key: str, **declared: object) -> Dataset:
    """A dataset of the safety group: reports without a direct identifier."""
    common = {
        "sensitivity": Sensitivity.CODED,
        "gxp": Gxp.GVP,
        "retention": _SAFETY,
        "residency": Residency.ANY,
        "owner": "safety",
    }
    return Dataset(key=f"{key}", **{**common, **declared})  # pyright: ignore[reportArgumentType] - Dataset checks them


def _text(
    name: str,
    doc: str,
    *,
    nullable: bool = True,
    codelist: tuple[str, ...] | None = None,
    vocabulary: str | None = None,
    pattern: str | None = None,
    source: _From = (),
    phi: Phi = _none,
    type: Type = "string",
) -> Column:
    return Column(
        name=name, type=type, phi=phi, doc=doc, nullable=nullable, codelist=codelist, vocabulary=vocabulary,
        pattern=pattern, source=source,
    )  # fmt: skip


def _count(name: str, doc: str, *, nullable: bool = False, source: _From = ()) -> Column:
    return Column(
        name=name, type="int64", phi=_none, unit="count", minimum=0, doc=doc, nullable=nullable, source=source
    )


def _quantity(
    name: str, unit: str, doc: str, *, nullable: bool = True, minimum: float | None = None, source: _From = ()
) -> Column:
    return Column(
        name=name, type="float64", phi=_none, unit=unit, doc=doc, nullable=nullable, minimum=minimum, source=source
    )


def _line(doc: str, *, nullable: bool = False, name: str = "source_line", source: _From = ()) -> Column:
    return Column(
        name=name, type="int64", phi=_none, unit="1-based line", minimum=1, doc=doc, nullable=nullable, source=source
    )


SOURCE = _text("source", "faers, icsr, or the folder of landing/reports.", nullable=False)
QUARTER = _text("quarter", "Quarter of the delivery.", nullable=False)
SOURCE_FILE = _text("source_file", "The file below the landing folder; of a zip, zip/member.", nullable=False)
SOURCE_LINE = _line("Physical line of that file the row begins on.")

# -- what has landed -------------------------------------------------------------------------------------------------

DELIVERIES = _safety(
    "bronze/pharmacovigilance/deliveries",
    doc="Every file of reports seen in the landing zone, what was decided about it and why.",
    grain="one row per file",
    primary_key=("kind", "source", "delivery"),
    sensitivity=Sensitivity.PUBLIC,
    engine=Engine.POLARS,
    kinds=("faers",),
    landing=(
        Landing(pattern="faers/*", doc="FAERS or AERS quarterly ASCII zips."),
        Landing(pattern="icsr/*", doc="ICH E2B(R3) XML messages."),
        Landing(pattern="reports/*/*", doc="Line listings of other sources, csv or csv.gz."),
    ),
    columns=(
        SOURCE,
        _text("delivery", "Name of the file.", nullable=False),
        _text("kind", "How it is read.", nullable=False, codelist=("faers", "icsr", "reports")),
        _text("quarter", "Quarter of a FAERS zip, from the names of its members."),
        _text(
            "as_of",
            "Quarter in which its reports are known at the latest: that of the zip, that in the file's name, else "
            "that of the file's arrival.",
        ),
        _text("layout", "Layout of a FAERS zip: aers until 2012q3, faers since.", codelist=("aers", "faers")),
        BYTES,
        SHA256,
        _text("state", "Whether it is read.", nullable=False, codelist=("ready", "quarantined")),
        _text("code", "Short reason code of a quarantined file."),
        _text("reason", "Why it stands there and what a person can do.", nullable=False),
    ),
    expectations=(
        Expectation(
            name="no_delivery_quarantined",
            doc="No delivery is quarantined.",
            rule="state <> 'quarantined'",
            blocking=False,
        ),
    ),
)

_KEYS = (
    ("primaryid", "Report: case number and version (FAERS)."),
    ("caseid", "Case number (FAERS)."),
    ("isr", "Individual safety report number (AERS)."),
)
FAERS_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "demo": (
        ("primaryid", "Report: case number and version (FAERS)."),
        ("caseid", "Case number (FAERS)."),
        ("caseversion", "Version of the case (FAERS)."),
        ("isr", "Individual safety report number (AERS)."),
        ("case", "Case number (AERS)."),
        ("i_f_code", "I initial or F follow-up; AERS: i_f_cod."),
        ("foll_seq", "Sequence number of a follow-up (AERS)."),
        ("image", "Image of the report (AERS)."),
        ("event_dt", "Day, month or year the event began: YYYYMMDD, YYYYMM or YYYY."),
        ("mfr_dt", "Day the manufacturer learned of it."),
        ("init_fda_dt", "Day FDA received the first version."),
        ("fda_dt", "Day FDA received this version."),
        ("rept_cod", "Type of report: EXP, PER, DIR, 5DAY, 30DAY."),
        ("auth_num", "Regulatory authority's case number."),
        ("mfr_num", "Manufacturer's report number."),
        ("mfr_sndr", "Manufacturer that sent it."),
        ("lit_ref", "Literature reference."),
        ("age", "Age at the event, in age_cod."),
        ("age_cod", "Unit of age: DEC, YR, MON, WK, DY, HR."),
        ("age_grp", "Age group: N, I, C, T, A, E."),
        ("sex", "Sex; AERS and FAERS before 2014q3: gndr_cod."),
        ("e_sub", "Whether sent electronically."),
        ("wt", "Weight, in wt_cod."),
        ("wt_cod", "Unit of weight: KG, LBS, GMS."),
        ("rept_dt", "Day the report was sent."),
        ("to_mfr", "Whether the manufacturer was told."),
        ("occp_cod", "Reporter's occupation: MD, PH, OT, LW, CN, HP."),
        ("death_dt", "Day of death (AERS)."),
        ("confid", "Whether the reporter wants to stay unnamed (AERS)."),
        ("reporter_country", "Reporter's country."),
        ("occr_country", "Country where the event occurred."),
    ),
    "drug": (
        *_KEYS,
        ("drug_seq", "Number of the drug in the report."),
        ("role_cod", "Role: PS primary suspect, SS secondary suspect, C concomitant, I interacting, DN not taken."),
        ("drugname", "Name as reported."),
        ("prod_ai", "Active ingredients, separated by a backslash; since 2014q3."),
        ("val_vbm", "1 validated trade name, 2 verbatim."),
        ("route", "Route of administration."),
        ("dose_vbm", "Dose as reported."),
        ("cum_dose_chr", "Cumulative dose."),
        ("cum_dose_unit", "Its unit."),
        ("dechal", "Whether the event abated when the drug was stopped: Y, N, U, D."),
        ("rechal", "Whether it came back with the drug: Y, N, U, D."),
        ("lot_num", "Lot number; FAERS 2012q4: lot_nbr."),
        ("exp_dt", "Expiry date."),
        ("nda_num", "NDA number."),
        ("dose_amt", "Amount of a dose."),
        ("dose_unit", "Its unit."),
        ("dose_form", "Dose form."),
        ("dose_freq", "Frequency."),
    ),
    "reac": (
        *_KEYS,
        ("pt", "MedDRA preferred term of the reaction."),
        ("drug_rec_act", "Preferred term of what recurred on rechallenge."),
    ),
    "outc": (*_KEYS, ("outc_cod", "Outcome: DE, LT, HO, DS, CA, RI, OT; FAERS 2012q4: outc_code.")),
    "rpsr": (*_KEYS, ("rpsr_cod", "Source of the report: FGN, SDY, LIT, CSM, HP, UF, CR, DT, OTH.")),
    "ther": (
        *_KEYS,
        ("dsg_drug_seq", "Number of the drug; AERS: drug_seq."),
        ("start_dt", "Start: YYYYMMDD, YYYYMM or YYYY."),
        ("end_dt", "End, likewise."),
        ("dur", "Duration, in dur_cod."),
        ("dur_cod", "Unit of duration: YR, MON, WK, DAY, HR, MIN, SEC."),
    ),
    "indi": (
        *_KEYS,
        ("indi_drug_seq", "Number of the drug; AERS: drug_seq."),
        ("indi_pt", "MedDRA preferred term of the indication."),
    ),
}
"""By file: field names of the current layout, and those that only the legacy one has; ASC_NTS.doc of the deliveries."""

FAERS_SYNONYMS = {
    ("demo", "i_f_cod"): "i_f_code",
    ("demo", "gndr_cod"): "sex",
    ("drug", "lot_nbr"): "lot_num",
    ("outc", "outc_code"): "outc_cod",
    ("ther", "drug_seq"): "dsg_drug_seq",
    ("indi", "drug_seq"): "indi_drug_seq",
}
"""Earlier names of a field."""


def _faers(table: str, doc: str) -> Dataset:
    return _safety(
        f"bronze/pharmacovigilance/faers_{table}",
        doc=f"{doc}, as received.",
        grain="one row per record",
        primary_key=("quarter", "source_file", "source_line", "record"),
        sensitivity=Sensitivity.PUBLIC,
        engine=Engine.POLARS,
        kinds=("faers",),
        partition=BY_QUARTER,
        landing=(Landing(pattern="faers/*{partition}*", doc="Zips named by the quarter; others come by deliveries."),),
        upstream=(Upstream(key=DELIVERIES.key, by="quarter"),),
        columns=(
            QUARTER,
            SOURCE_FILE.but(source=(f"{DELIVERIES.key}.sha256",)),
            SOURCE_LINE.but(
                source=(f"{DELIVERIES.key}.sha256",),
                doc="Physical line of that file the record begins on.",
            ),
            Column(
                name="record",
                type="int32",
                phi=_none,
                unit="1-based number",
                minimum=1,
                source=(f"{DELIVERIES.key}.sha256",),
                doc="Number of the record in that line: 2 where a line break was lost.",
            ),
            *(_text(name, doc, source=(f"{DELIVERIES.key}.sha256",)) for name, doc in FAERS_FIELDS[table]),
            _text("extras", "Fields that no layout knows, as JSON.", source=(f"{DELIVERIES.key}.sha256",)),
        ),
    )


FAERS_DEMO = _faers("demo", "Reports: patient and administrative data")
FAERS_DRUG = _faers("drug", "Drugs of the reports")
FAERS_REAC = _faers("reac", "Reactions of the reports")
FAERS_OUTC = _faers("outc", "Outcomes of the reports")
FAERS_RPSR = _faers("rpsr", "Sources of the reports")
FAERS_THER = _faers("ther", "Therapy dates of the reports' drugs")
FAERS_INDI = _faers("indi", "Indications of the reports' drugs")
FAERS = {d.name.removeprefix("faers_"): d for d in (
    FAERS_DEMO, FAERS_DRUG, FAERS_REAC, FAERS_OUTC, FAERS_RPSR, FAERS_THER, FAERS_INDI,
)}  # fmt: skip
_FILE_SHA: _From = (f"{DELIVERIES.key}.sha256",)

FAERS_FILES = _safety(
    "bronze/pharmacovigilance/faers_files",
    doc="Where each line of a FAERS file went: lines in are rows out, or refused with a reason.",
    grain="one row per member file",
    primary_key=("quarter", "source_file"),
    sensitivity=Sensitivity.PUBLIC,
    engine=Engine.POLARS,
    kinds=("faers",),
    partition=BY_QUARTER,
    upstream=(
        Upstream(key=DELIVERIES.key, by="quarter"),
        *(Upstream(key=d.key, by="quarter", required=False) for d in FAERS.values()),
    ),
    columns=(
        QUARTER,
        SOURCE_FILE.but(source=_FILE_SHA),
        _text("table", "Which of the seven files it is.", nullable=False, codelist=tuple(FAERS), source=_FILE_SHA),
        _count("lines", "Physical lines of the file.", source=_FILE_SHA),
        _count("header_lines", "Lines with field names: 1.", source=_FILE_SHA),
        _count("blank_lines", "Lines without a character.", source=_FILE_SHA),
        _count("joined_lines", "Lines that continue the record of the line before.", source=_FILE_SHA),
        _count("split_records", "Records beyond the first in a line that lacks a line break.", source=_FILE_SHA),
        _count("recoded_lines", "Lines that are not UTF-8 and were read as cp1252.", source=_FILE_SHA),
        _count("quarantined_lines", "Lines refused.", source=_FILE_SHA),
        _count("rows", "Rows published of this file.", source=tuple(f"{d.key}.source_file" for d in FAERS.values())),
    ),
    expectations=(
        Expectation(
            name="lines_reconcile",
            doc="Every line is a row, or refused, or a header, blank or a continuation.",
            rule="lines + split_records = rows + quarantined_lines + header_lines + blank_lines + joined_lines",
            blocking=True,
        ),
        Expectation(
            name="no_line_quarantined", doc="No line was refused.", rule="quarantined_lines = 0", blocking=False
        ),
    ),
)

FAERS_DELETED = _safety(
    "bronze/pharmacovigilance/faers_deleted",
    doc="Cases that FDA or the manufacturer has deleted, from lists of their own and from those inside the zips.",
    grain="one row per list and case",
    primary_key=("case_id", "quarter", "source_file", "source_line"),
    sensitivity=Sensitivity.PUBLIC,
    engine=Engine.POLARS,
    kinds=("faers",),
    landing=(Landing(pattern="faers/deleted/*", doc="Lists of deleted cases; the name holds the quarter (24Q4)."),),
    upstream=(Upstream(key=DELIVERIES.key, required=False),),
    columns=(
        _text("case_id", "Case number.", nullable=False, source=_FILE_SHA),
        QUARTER.but(doc="Quarter the list came with: the case is gone from there on.", source=_FILE_SHA),
        SOURCE_FILE.but(source=_FILE_SHA),
        SOURCE_LINE.but(source=_FILE_SHA),
    ),
)

_MESSAGE = Column(
    name="message",
    type="int32",
    phi=_none,
    unit="1-based number",
    minimum=1,
    doc="Number of the message in the file.",
    source=_FILE_SHA,
)
_ICSR_COLUMNS = (
    _text("delivery", "Name of the file.", nullable=False),
    _MESSAGE,
    _text("element", "E2B(R3) data element, e.g. E.i.2.1b.", nullable=False, source=_FILE_SHA),
    Column(name="item", type="int32", phi=_none, unit="number", minimum=0, source=_FILE_SHA,
           doc="Number of the reaction, drug or reporter it belongs to; 0 for the case."),
    Column(name="part", type="int32", phi=_none, unit="number", minimum=0, source=_FILE_SHA,
           doc="Number of the part of that: ingredient, dosage or indication of a drug; 0 without."),
)  # fmt: skip

ICSR = _safety(
    "bronze/pharmacovigilance/icsr",
    doc="Individual case safety reports (ICH E2B(R3)), data element by data element, without identifying ones.",
    grain="one row per message and data element",
    primary_key=("delivery", "message", "element", "item", "part"),
    engine=Engine.POLARS,
    kinds=("xml",),
    partition=BY_ICSR,
    landing=(Landing(pattern="icsr/{partition}", doc="ICH E2B(R3) XML, one or many messages."),),
    upstream=(Upstream(key=DELIVERIES.key, by="delivery"),),
    columns=(
        *_ICSR_COLUMNS,
        _text("value", "Its value, as received; null with a null flavor.", source=_FILE_SHA),
        _text("unit", "Unit of the value (UCUM).", source=_FILE_SHA),
        _text("version", "Version of the value's code system.", source=_FILE_SHA),
    ),
)

ICSR_NARRATIVES = _safety(
    "silver_phi/pharmacovigilance/icsr_narratives",
    doc="What a message says of a person in words or in full: narrative, comments, initials, date of birth.",
    grain="one row per message and data element",
    primary_key=("delivery", "message", "element", "item", "part"),
    sensitivity=Sensitivity.PHI,
    owner="privacy",
    engine=Engine.POLARS,
    kinds=("xml",),
    partition=BY_ICSR,
    landing=(Landing(pattern="icsr/{partition}", doc="ICH E2B(R3) XML, one or many messages."),),
    upstream=(Upstream(key=DELIVERIES.key, by="delivery"),),
    columns=(*_ICSR_COLUMNS, _text("value", "Its text, as received.", phi=Phi.FREE_TEXT, source=_FILE_SHA)),
)

REPORT_LINES = _safety(
    "bronze/pharmacovigilance/report_lines",
    doc="Line listings of other sources, as received: a row per case, drug and event.",
    grain="one row per line",
    primary_key=("source", "source_file", "source_line"),
    engine=Engine.POLARS,
    kinds=("csv",),
    partition=BY_SOURCE,
    landing=(Landing(pattern="reports/{partition}/*", doc="csv or csv.gz."),),
    upstream=(Upstream(key=DELIVERIES.key, by="source"),),
    columns=(
        SOURCE,
        _text("delivery", "Name of the file.", nullable=False, source=_FILE_SHA),
        SOURCE_FILE.but(source=_FILE_SHA),
        SOURCE_LINE.but(source=_FILE_SHA, doc="Record of that file, the header being 1."),
        _text("case_id", "The source's case number.", nullable=False, source=_FILE_SHA),
        _text("drug", "Drug.", nullable=False, source=_FILE_SHA),
        _text("event", "Event.", nullable=False, source=_FILE_SHA),
        _text("sex", "Sex.", source=_FILE_SHA),
        _text("age", "Age in years.", source=_FILE_SHA),
        _text("report_date", "Day of the report.", source=_FILE_SHA),
        _text("event_date", "Day the event began.", source=_FILE_SHA),
        _text("start_date", "Day the drug was first taken.", source=_FILE_SHA),
        _text("indication", "What the drug was taken for.", source=_FILE_SHA),
    ),
)

# -- vocabularies ----------------------------------------------------------------------------------------------------

RXNORM = _safety(
    "bronze/pharmacovigilance/rxnorm",
    doc="Names of drugs and the ingredients they stand for, from the newest RxNorm drop.",
    grain="one row per name and ingredient",
    primary_key=("name_key", "ingredient"),
    sensitivity=Sensitivity.PUBLIC,
    engine=Engine.POLARS,
    kinds=("rxnorm",),
    landing=(Landing(pattern="vocabulary/rxnorm/*/*", doc="RXNCONSO.RRF and RXNREL.RRF of a release."),),
    columns=(
        _text("name_key", "The name, upper case, spaces collapsed.", nullable=False),
        _text("rxcui", "RxNorm concept of the name; the lowest of several.", nullable=False),
        _text("ingredient", "Name of the ingredient (TTY IN), upper case.", nullable=False, vocabulary="RxNorm"),
        _text("version", "Release: the drop's folder.", nullable=False),
    ),
)

MEDDRA = _safety(
    "bronze/pharmacovigilance/meddra",
    doc="Terms of the newest MedDRA drop with their place in the primary hierarchy. Licensed: not to be passed on.",
    grain="one row per lowest level term",
    primary_key=("llt_code",),
    engine=Engine.POLARS,
    kinds=("meddra",),
    landing=(Landing(pattern="vocabulary/meddra/*/**", doc="mdhier.asc, llt.asc, pt.asc of a release."),),
    columns=(
        _text("llt_code", "Code of the lowest level term.", nullable=False),
        _text("llt", "Lowest level term.", nullable=False),
        _text("pt_code", "Code of its preferred term.", nullable=False),
        _text("pt", "Preferred term.", nullable=False),
        _text("hlt", "High level term."),
        _text("hlgt", "High level group term."),
        _text("soc", "System organ class."),
        _text("version", "Release: the drop's folder.", nullable=False),
    ),
)

MEDDRA_SMQ = _safety(
    "bronze/pharmacovigilance/meddra_smq",
    doc="Standardised MedDRA queries of the newest drop: which preferred terms they hold. Licensed.",
    grain="one row per query and preferred term",
    primary_key=("smq_code", "pt_code"),
    engine=Engine.POLARS,
    kinds=("meddra",),
    landing=(Landing(pattern="vocabulary/meddra/*/**", doc="smq_list.asc and smq_content.asc of a release."),),
    columns=(
        _text("smq_code", "Code of the query.", nullable=False),
        _text("smq", "Its name.", nullable=False),
        _text("pt_code", "Code of a term in it.", nullable=False),
        _text("scope", "Narrow, or broad only.", nullable=False, codelist=("narrow", "broad")),
        _text("version", "Release: the drop's folder.", nullable=False),
    ),
)
