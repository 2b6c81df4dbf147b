"""Pharmacovigilance: from spontaneous reports to signals (contract B4)."""

from lsdata.catalog.columns import BYTES, SHA256
from lsdata.catalog.declaration import (
    Column,
    Dataset,
    Engine,
    Expectation,
    FileKind,
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
        Column(
            name="unaccounted_lines",
            type="int64",
            phi=_none,
            unit="count",
            doc="lines + split_records - rows - quarantined_lines - header_lines - blank_lines - joined_lines.",
            source=(*_FILE_SHA, *(f"{d.key}.source_file" for d in FAERS.values())),
        ),
    ),
    expectations=(
        Expectation(
            name="lines_reconcile",
            doc="Every line is a row, or refused, or a header, blank or a continuation.",
            rule="unaccounted_lines = 0",
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
    upstream=(Upstream(key=DELIVERIES.key),),
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

# -- silver: reports of all sources in one form ----------------------------------------------------------------------


def _of(*datasets: Dataset) -> tuple[Upstream, ...]:
    """All that a source has of these: its quarters, its messages or its lines."""
    by = {BY_QUARTER.name: "quarter", BY_ICSR.name: "delivery"}
    return tuple(
        Upstream(key=d.key, by=by[d.partition.name], through=DELIVERIES.key, required=False)
        if d.partition and d.partition.name in by
        else Upstream(key=d.key, by="source", required=False)
        for d in datasets
    )


def _from(*columns: str) -> _From:
    return tuple(f"bronze/pharmacovigilance/{column}" for column in columns)


_REPORT_KEY = ("source", "delivery", "report_id")


def _report(table: str = "") -> tuple[Column, ...]:
    """What names a report; read from that FAERS file, from messages and listings. Without it, from upstream."""

    def of(*columns: str) -> _From:
        return _from(*(c.format(table) for c in columns)) if table else ()

    return (
        SOURCE.but(source=of("deliveries.source")),
        _text("delivery", "The zip, message file or listing it came in.", nullable=False,
              source=of("faers_{}.source_file", "icsr.delivery", "report_lines.delivery")),
        _text("report_id", "PRIMARYID or ISR; message identifier (N.2.r.1); case number of a listing.", nullable=False,
              source=of("faers_{}.primaryid", "faers_{}.isr", "icsr.value", "report_lines.case_id")),
    )  # fmt: skip


def _found(table: str) -> tuple[Column, ...]:
    """Where a row of a report was read."""
    return (
        SOURCE_FILE.but(source=_from(f"faers_{table}.source_file", "icsr.delivery", "report_lines.source_file")),
        _line("Line of that file, or number of the message.",
              source=_from(f"faers_{table}.source_line", "icsr.message", "report_lines.source_line")),
    )  # fmt: skip


def _vocabulary(*found: str) -> tuple[Column, ...]:
    """Which vocabulary a standard name is of."""
    return (
        _text("vocabulary", "What the standard name is taken from.", nullable=False, source=_from(*found),
              codelist=("as reported", "ingredient as given", "FDA MedDRA", "RxNorm", "MedDRA")),
        _text("vocabulary_version", "Its release; of what FDA publishes and of names as reported, the delivery.",
              nullable=False, source=_from(*found, "deliveries.delivery")),
    )  # fmt: skip


_DRUG_NAMES = _from("faers_drug.drugname", "faers_drug.prod_ai", "icsr.value", "report_lines.drug", "rxnorm.ingredient")

DRUG_NAMES = _safety(
    "silver/pharmacovigilance/drug_names",
    doc="Each drug name as reported and what it stands for, with a confidence; those to be looked at are marked.",
    grain="one row per reported name, given ingredients and standard name",
    primary_key=("source", "drug_name", "ingredients_given", "drug"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=DELIVERIES.key, by="source"), *_of(FAERS_DRUG, ICSR, REPORT_LINES),
              Upstream(key=RXNORM.key, required=False)),
    columns=(
        SOURCE,
        _text("drug_name", "Name as reported, spaces collapsed; empty where only ingredients are given.",
              nullable=False, source=_DRUG_NAMES),
        _text("ingredients_given", "Ingredients as reported (PROD_AI, G.k.2.3.r.1), separated by a backslash; else "
            "empty.", nullable=False, source=_DRUG_NAMES),
        _text("drug", "Standard name: an ingredient without its salt, else the name.", nullable=False,
            source=_DRUG_NAMES),
        _text("method", "How it was found: given ingredients; equal name, or similar name, in RxNorm; as reported.",
              nullable=False, codelist=("given", "rxnorm", "similar", "reported"), source=_DRUG_NAMES),
        Column(name="confidence", type="float64", phi=_none, unit="fraction", minimum=0, maximum=1, source=_DRUG_NAMES,
               doc="1 where equal; similarity of the names else; 0 as reported."),
        _text("suggestion", "What a similar name would lead to, where it is not similar enough.", source=_DRUG_NAMES),
        Column(name="review", type="bool", phi=_none, source=_DRUG_NAMES,
               doc="Whether a person should look: taken by similarity, or nearly."),
        _count("mentions", "Times it was reported, in all deliveries.", source=_DRUG_NAMES),
        _text("vocabulary", "What the standard name is taken from.", nullable=False,
              codelist=("as reported", "ingredient as given", "RxNorm"), source=_DRUG_NAMES),
        _text("vocabulary_version", "Release of RxNorm.", source=_from("rxnorm.version")),
    ),
)  # fmt: skip

CASE_DRUGS = _safety(
    "silver/pharmacovigilance/case_drugs",
    doc="Drugs of each report under their standard names.",
    grain="one row per report, drug and ingredient",
    primary_key=(*_REPORT_KEY, "drug_seq", "drug"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=DELIVERIES.key, by="source"), *_of(FAERS_DRUG, ICSR, REPORT_LINES),
              Upstream(key=DRUG_NAMES.key, by="source")),
    columns=(
        *_report("drug"),
        _text("drug_seq", "Number of the drug in the report.", nullable=False,
              source=_from("faers_drug.drug_seq", "icsr.item")),
        _text("drug", "Standard name.", nullable=False, source=("silver/pharmacovigilance/drug_names.drug",)),
        _text("role", "Role: PS primary suspect, SS secondary suspect, I interacting, C concomitant, DN not taken.",
              nullable=False, codelist=("PS", "SS", "I", "C", "DN"), source=_from("faers_drug.role_cod", "icsr.value")),
        _text("drug_name", "Name as reported.", nullable=False, source=_DRUG_NAMES),
        _text("method", "How the standard name was found.", nullable=False,
              codelist=("given", "rxnorm", "similar", "reported"),
              source=("silver/pharmacovigilance/drug_names.method",)),
        *_vocabulary("rxnorm.version"),
        *_found("drug"),
    ),
)  # fmt: skip

_PT = _from("faers_reac.pt", "icsr.value", "report_lines.event", "meddra.pt")
CASE_REACTIONS = _safety(
    "silver/pharmacovigilance/case_reactions",
    doc="Reactions of each report, as MedDRA preferred terms; with a MedDRA drop, their place in its hierarchy.",
    grain="one row per report and reaction",
    primary_key=(*_REPORT_KEY, "event"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=DELIVERIES.key, by="source"), *_of(FAERS_REAC, ICSR, REPORT_LINES),
              Upstream(key=MEDDRA.key, required=False), Upstream(key=MEDDRA_SMQ.key, required=False)),
    columns=(
        *_report("reac"),
        _text("event", "Preferred term; `MedDRA <code>` where only a code is given and no drop has landed.",
              nullable=False, vocabulary="MedDRA", source=_PT),
        _text("event_name", "Term or code as reported.", nullable=False, source=_PT),
        _text("hlt", "High level term.", source=_from("meddra.hlt")),
        _text("hlgt", "High level group term.", source=_from("meddra.hlgt")),
        _text("soc", "System organ class.", source=_from("meddra.soc")),
        Column(name="smqs", type="list<string>", phi=_none, nullable=True, source=_from("meddra_smq.smq"),
               doc="Standardised queries that hold the term in their narrow scope."),
        Column(name="event_date", type="date", phi=_none, nullable=True, doc="Day this reaction began (E.i.4).",
               source=_from("icsr.value", "report_lines.event_date")),
        *_vocabulary("meddra.version"),
        *_found("reac"),
    ),
)  # fmt: skip

CASE_INDICATIONS = _safety(
    "silver/pharmacovigilance/case_indications",
    doc="What the drugs of each report were taken for.",
    grain="one row per report, drug and indication",
    primary_key=(*_REPORT_KEY, "drug_seq", "indication"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=DELIVERIES.key, by="source"), *_of(FAERS_INDI, ICSR, REPORT_LINES)),
    columns=(
        *_report("indi"),
        _text("drug_seq", "Number of the drug in the report.", nullable=False,
              source=_from("faers_indi.indi_drug_seq", "icsr.item")),
        _text("indication", "Preferred term, or words of the reporter.", nullable=False,
              source=_from("faers_indi.indi_pt", "icsr.value", "report_lines.indication")),
        *_found("indi"),
    ),
)  # fmt: skip

CASE_THERAPIES = _safety(
    "silver/pharmacovigilance/case_therapies",
    doc="When the drugs of each report were taken; days only where the day is known.",
    grain="one row per report, drug and course",
    primary_key=(*_REPORT_KEY, "drug_seq", "course"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=DELIVERIES.key, by="source"), *_of(FAERS_THER, ICSR, REPORT_LINES)),
    columns=(
        *_report("ther"),
        _text("drug_seq", "Number of the drug in the report.", nullable=False,
              source=_from("faers_ther.dsg_drug_seq", "icsr.item")),
        Column(name="course", type="int32", phi=_none, unit="1-based number", minimum=1, doc="Number of the course.",
               source=_from("faers_ther.source_line", "icsr.part")),
        _text("start", "Start as reported.", source=_from("faers_ther.start_dt", "icsr.value",
            "report_lines.start_date")),
        _text("end", "End as reported.", source=_from("faers_ther.end_dt", "icsr.value")),
        Column(name="start_date", type="date", phi=_none, nullable=True, doc="First day, where it is one.",
               source=_from("faers_ther.start_dt", "icsr.value", "report_lines.start_date")),
        Column(name="end_date", type="date", phi=_none, nullable=True, doc="Last day, where it is one.",
               source=_from("faers_ther.end_dt", "icsr.value")),
        _quantity("duration_days", "d", "Duration as reported.", minimum=0, source=_from("faers_ther.dur",
            "faers_ther.dur_cod")),
        *_found("ther"),
    ),
)  # fmt: skip

AGE_GROUPS = ("0-1", "2-11", "12-17", "18-44", "45-64", "65-74", "75+")
"""Years; the groups of WHO's VigiBase, newborns with infants."""
_STANDING = (*_from("faers_demo.caseid", "faers_demo.caseversion", "faers_demo.fda_dt", "faers_demo.primaryid"),
             *_from("faers_deleted.case_id", "icsr.value", "report_lines.case_id"))  # fmt: skip
_DUPLICATES = (*_STANDING, "silver/pharmacovigilance/case_drugs.drug", "silver/pharmacovigilance/case_reactions.event")
_VALID = (
    _text("valid_from", "First quarter as of which the report counts.", nullable=False, source=_STANDING),
    _text("valid_until", "Quarter as of which it no longer counts; null while it does.", source=_DUPLICATES),
)
SEX = _text("sex", "Sex.", codelist=("F", "M"), source=_from("faers_demo.sex", "icsr.value", "report_lines.sex"))
AGE_GROUP = _text(
    "age_group", "Years of age, in groups.", codelist=AGE_GROUPS,
    source=_from("faers_demo.age", "faers_demo.age_cod", "icsr.value", "report_lines.age"),
)  # fmt: skip

CASES = _safety(
    "silver/pharmacovigilance/cases",
    doc="Every report and when it counts: as of a quarter, the current version of each case that is no duplicate. "
    "Reports that do not count any more stay, with the reason.",
    grain="one row per report and period in which it counts; a report that never counts has one row",
    primary_key=(*_REPORT_KEY, "valid_from"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(
        Upstream(key=DELIVERIES.key, by="source"),
        *_of(FAERS_DEMO, FAERS_OUTC, ICSR, REPORT_LINES),
        Upstream(key=FAERS_DELETED.key, required=False),
        Upstream(key=CASE_DRUGS.key, by="source", required=False),
        Upstream(key=CASE_REACTIONS.key, by="source", required=False),
    ),
    columns=(
        *_report("demo"),
        *_VALID,
        _text("superseded_reason", "Why it stopped counting.", source=_DUPLICATES,
              codelist=("newer_version", "deleted", "nullified", "duplicate_of")),
        _text("superseded_by", "Report that counts instead.", source=_DUPLICATES),
        _quantity("duplicate_probability", "fraction", "Probability that the two are of one event.", minimum=0,
            source=_DUPLICATES),
        _text("case_id", "Case number; null where a legacy report has none.", source=_STANDING),
        Column(name="case_version", type="int64", phi=_none, unit="version number", nullable=True,
               doc="Version of the case.", source=_from("faers_demo.caseversion")),
        Column(name="received_date", type="date", phi=_none, nullable=True,
               doc="FDA_DT; most recent information (C.1.5); report date.",
               source=_from("faers_demo.fda_dt", "icsr.value", "report_lines.report_date")),
        _text("known_from", "Quarter in which the report became known.", nullable=False, source=_STANDING),
        SEX,
        _quantity("age_years", "a", "Age at the event.", minimum=0, source=AGE_GROUP.source),
        AGE_GROUP,
        _text("country", "Country of the event, else of the reporter.",
              source=_from("faers_demo.occr_country", "faers_demo.reporter_country", "icsr.value")),
        Column(name="event_date", type="date", phi=_none, nullable=True,
            doc="Day the first event began, where it is one.",
               source=_from("faers_demo.event_dt", "icsr.value", "report_lines.event_date")),
        _text("report_type", "REPT_COD, or type of report (C.1.3).", source=_from("faers_demo.rept_cod", "icsr.value")),
        _text("reporter", "OCCP_COD, or qualification (C.2.r.4).", source=_from("faers_demo.occp_cod", "icsr.value")),
        _text("outcomes", "Outcome codes DE, LT, HO, DS, CA, RI, OT, sorted, joined by a comma.",
              source=_from("faers_outc.outc_cod", "icsr.value")),
        *_found("demo"),
    ),
    expectations=(
        Expectation(name="ends_with_a_reason", doc="A report that does not count any more says why.",
                    rule="(valid_until IS NULL) = (superseded_reason IS NULL)", blocking=True),
    ),
)  # fmt: skip

# -- counts, and what follows from them ------------------------------------------------------------------------------

_CASES = "silver/pharmacovigilance/cases"
_COUNTED: _From = (f"{_CASES}.valid_from", f"{_CASES}.valid_until")
_BY_SEX_AND_AGE: _From = (f"{_CASES}.sex", f"{_CASES}.age_group", f"{_CASES}.received_date")
DRUG = _text("drug", "Standard name of the drug.", nullable=False)
EVENT = _text("event", "Preferred term of the event.", nullable=False)

REPORT_PAIRS = _safety(
    "silver/pharmacovigilance/report_pairs",
    doc="The drug-event pairs of each report and when they count: suspect drugs with all reactions.",
    grain="one row per report, period, drug and event",
    primary_key=(*_REPORT_KEY, "valid_from", "drug", "event"),
    engine=Engine.DBT,
    partition=BY_SOURCE,
    upstream=tuple(Upstream(key=d.key, by="source") for d in (CASES, CASE_DRUGS, CASE_REACTIONS)),
    columns=(
        *(c.but(source=()) for c in (*_report(), *_VALID)),
        DRUG,
        EVENT,
        SEX.but(source=()),
        AGE_GROUP.but(source=()),
        _text("year", "Year the report was received.", source=(f"{_CASES}.received_date",)),
    ),
)

AS_OF = _text("as_of", "Quarter as of which reports are counted.", nullable=False, source=_COUNTED)
STRATUM = _text(
    "stratum",
    "Reports counted: `all`; `sex=F`, `age_group=18-44`, `year=2017`: those alone; `adjusted`: all, with expected "
    "counts summed over sex, age group and year (Mantel-Haenszel).",
    nullable=False,
    source=_BY_SEX_AND_AGE,
)
_PAIRS: _From = tuple(f"{REPORT_PAIRS.key}.{name}" for name in ("report_id", "valid_from", "valid_until"))
_CONTRACT_COUNTS = (
    _count("n", "Reports of the pair.", source=_PAIRS),
    _count("n_drug", "Reports of the drug.", source=(*_PAIRS, f"{REPORT_PAIRS.key}.drug")),
    _count("n_event", "Reports of the event.", source=(*_PAIRS, f"{REPORT_PAIRS.key}.event")),
    _count("n_total", "All reports with a pair.", source=_PAIRS),
    _quantity("expected", "count", "Expected reports of the pair.", nullable=False, minimum=0,
              source=(*_PAIRS, f"{REPORT_PAIRS.key}.drug", f"{REPORT_PAIRS.key}.event")),
)  # fmt: skip

PAIR_COUNTS = _safety(
    "gold/pharmacovigilance/pair_counts",
    doc="How many reports name each pair of a drug and an event, as of each quarter, in each stratum.",
    grain="one row per source, quarter, stratum, drug and event",
    primary_key=("source", "as_of", "stratum", "drug", "event"),
    engine=Engine.DBT,
    partition=BY_SOURCE,
    upstream=(Upstream(key=REPORT_PAIRS.key, by="source"), Upstream(key=CASES.key, by="source")),
    columns=(SOURCE.but(source=()), AS_OF, STRATUM, DRUG, EVENT, *_CONTRACT_COUNTS),
)

_N: _From = tuple(f"{PAIR_COUNTS.key}.{name}" for name in ("n", "expected"))
_TABLE: _From = tuple(f"{PAIR_COUNTS.key}.{name}" for name in ("n", "n_drug", "n_event", "n_total"))
PRIOR_FITS = _safety(
    "gold/pharmacovigilance/prior_fits",
    doc="The prior of the empirical Bayes screening (MGPS): two gammas fitted to each stratum's pairs.",
    grain="one row per source, quarter and stratum",
    primary_key=("source", "as_of", "stratum"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=PAIR_COUNTS.key, by="source"),),
    columns=(
        SOURCE.but(source=()),
        AS_OF.but(source=()),
        STRATUM.but(source=()),
        _quantity("alpha1", "shape", "Shape of the component with the heavier tail.", minimum=0, source=_N),
        _quantity("beta1", "rate", "Its rate.", minimum=0, source=_N),
        _quantity("alpha2", "shape", "Shape of the other component.", minimum=0, source=_N),
        _quantity("beta2", "rate", "Its rate.", minimum=0, source=_N),
        _quantity("p", "fraction", "Weight of the first component.", minimum=0, source=_N),
        _quantity("neg_log_likelihood", "nat", "Negative log-likelihood at the fit.", source=_N),
        Column(name="converged", type="bool", phi=_none, doc="Whether the search ended; else no EBGM and no alert.",
            source=_N),
        Column(name="at_boundary", type="bool", phi=_none, doc="Whether a component lies at the edge of what it may "
            "be.", source=_N),
        _count("n_pairs", "Pairs fitted.", source=_N),
    ),
    expectations=(
        Expectation(name="prior_converged", doc="The prior over all reports has converged; otherwise its alerts are "
            "held back.",
                    rule="converged", blocking=False),
    ),
)  # fmt: skip

_PRIOR: _From = tuple(f"{PRIOR_FITS.key}.{name}" for name in ("alpha1", "beta1", "alpha2", "beta2", "p"))
SIGNALS = _safety(
    "gold/pharmacovigilance/signals",
    doc="Disproportionality of each drug-event pair as of each quarter. Association in reports: not incidence, not "
        "cause.",
    grain="one row per source, quarter, stratum, drug and event",
    primary_key=("source", "as_of", "stratum", "drug", "event"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=PAIR_COUNTS.key, by="source"), Upstream(key=PRIOR_FITS.key, by="source")),
    columns=(
        SOURCE.but(source=()),
        AS_OF.but(source=()),
        STRATUM.but(source=()),
        DRUG,
        EVENT,
        *(c.but(source=()) for c in _CONTRACT_COUNTS),
        _quantity("rr", "ratio", "Relative reporting ratio n / expected.", source=_N),
        _quantity("prr", "ratio", "Proportional reporting ratio (Evans 2001, doi:10.1002/pds.677).", source=_TABLE),
        _quantity("prr_lower", "ratio", "Lower 95 % bound.", source=_TABLE),
        _quantity("prr_upper", "ratio", "Upper 95 % bound.", source=_TABLE),
        _quantity("chi2", "chi-squared", "Pearson's, 1 degree of freedom.", source=_TABLE),
        _quantity("chi2_yates", "chi-squared", "With Yates' correction.", source=_TABLE),
        _quantity("ror", "ratio", "Reporting odds ratio (van Puijenbroek 2002, doi:10.1002/pds.668).", source=_TABLE),
        _quantity("ror_lower", "ratio", "Lower 95 % bound.", source=_TABLE),
        _quantity("ror_upper", "ratio", "Upper 95 % bound.", source=_TABLE),
        _quantity("ic", "log2 ratio", "Information component (Norén 2013, doi:10.1177/0962280211403604).", source=_N),
        _quantity("ic025", "log2 ratio", "Its 2.5 % quantile.", source=_N),
        _quantity("ic975", "log2 ratio", "Its 97.5 % quantile.", source=_N),
        _quantity("ebgm", "ratio", "Empirical Bayes geometric mean (DuMouchel 1999, "
            "doi:10.1080/00031305.1999.10474456).",
                  source=(*_N, *_PRIOR)),
        _quantity("eb05", "ratio", "Its 5 % quantile.", source=(*_N, *_PRIOR)),
        _quantity("eb95", "ratio", "Its 95 % quantile.", source=(*_N, *_PRIOR)),
        _text("undefined_reason", "Why measures are null.", source=(*_TABLE, f"{PRIOR_FITS.key}.converged")),
    ),
    expectations=(
        Expectation(name="margins_hold", doc="No pair has more reports than its drug or its event.",
                    rule="n <= n_drug AND n <= n_event", blocking=True),
    ),
)  # fmt: skip

_SIGNAL: _From = tuple(f"{SIGNALS.key}.{name}" for name in ("n", "ebgm", "eb05", "ic025", "prr", "chi2_yates"))
ALERTS = _safety(
    "gold/pharmacovigilance/alerts",
    doc="Pairs over the limit as of each quarter: new, persisting, or lost since the quarter before.",
    grain="one row per source, quarter, rule, drug and event",
    primary_key=("source", "as_of", "rule", "drug", "event"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=SIGNALS.key, by="source"), Upstream(key=PRIOR_FITS.key, by="source")),
    columns=(
        SOURCE.but(source=()),
        AS_OF.but(source=()),
        _text("rule", "ebgm: EBGM > 2 and n > 3; eb05: EB05 >= 2; ic025: IC025 > 0; prr: PRR >= 2, chi2_yates >= 4, "
            "n >= 3.",
              nullable=False, codelist=("ebgm", "eb05", "ic025", "prr"), source=_SIGNAL),
        DRUG,
        EVENT,
        _text("status", "Since the quarter before, or the last one whose prior converged.", nullable=False,
              codelist=("new", "persisting", "lost"), source=_SIGNAL),
        _text("previous_as_of", "That quarter.", source=_SIGNAL),
        _count("n", "Reports of the pair; null where none is left.", nullable=True),
        _quantity("prr", "ratio", "Proportional reporting ratio."),
        _quantity("ror_lower", "ratio", "Lower 95 % bound of the reporting odds ratio."),
        _quantity("ic025", "log2 ratio", "IC025."),
        _quantity("ebgm", "ratio", "EBGM."),
        _quantity("eb05", "ratio", "EB05."),
        _quantity("ebgm_previous", "ratio", "EBGM then.", source=_SIGNAL),
        _count("n_previous", "Reports then.", nullable=True, source=_SIGNAL),
    ),
)  # fmt: skip

ALERT_CASES = _safety(
    "gold/pharmacovigilance/alert_cases",
    doc="The reports behind each alert, down to the lines of the delivered files. As of a quarter: "
    "valid_from <= as_of, and as_of < valid_until where there is one.",
    grain="one row per pair that is or was an alert, report and period",
    primary_key=("source", "drug", "event", "delivery", "report_id", "valid_from"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=tuple(Upstream(key=d.key, by="source") for d in (ALERTS, REPORT_PAIRS, CASES, CASE_DRUGS, CASE_REACTIONS)),
    columns=(
        SOURCE.but(source=()),
        DRUG,
        EVENT,
        *(c.but(source=()) for c in (*_report()[1:], *_VALID)),
        _text("case_id", "Case number."),
        _text("report_file", "File of the report.", nullable=False, source=(f"{_CASES}.source_file",)),
        _line("Its line.", name="report_line", source=(f"{_CASES}.source_line",)),
        _text("drug_file", "File of the drug.", nullable=False, source=(f"{CASE_DRUGS.key}.source_file",)),
        _line("Its first line.", name="drug_line", source=(f"{CASE_DRUGS.key}.source_line",)),
        _text("reaction_file", "File of the reaction.", nullable=False, source=(f"{CASE_REACTIONS.key}.source_file",)),
        _line("Its line.", name="reaction_line", source=(f"{CASE_REACTIONS.key}.source_line",)),
    ),
)

_MASK: _From = (f"{REPORT_PAIRS.key}.drug", f"{REPORT_PAIRS.key}.event", *_PAIRS)
MASKING = _safety(
    "gold/pharmacovigilance/masking",
    doc="Pairs that a drug with many reports of the event makes look ordinary, and what shows without its reports.",
    grain="one row per source, quarter and masked pair",
    primary_key=("source", "as_of", "drug", "event"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=(Upstream(key=REPORT_PAIRS.key, by="source"), Upstream(key=CASES.key, by="source")),
    columns=(
        SOURCE.but(source=()),
        AS_OF,
        DRUG,
        EVENT,
        _text("masked_by", "The masking drug.", nullable=False, source=_MASK),
        _quantity("masking_ratio", "ratio", "Share of the event with all reports, by that without the masking drug's "
                  "(Maignen 2014, doi:10.1002/pds.3529).", nullable=False, source=_MASK),
        _count("n", "Reports of the pair.", source=_MASK),
        _quantity("expected", "count", "Expected reports.", source=_MASK),
        _quantity("prr", "ratio", "PRR.", source=_MASK),
        _quantity("ror", "ratio", "ROR.", source=_MASK),
        _quantity("ic", "log2 ratio", "IC.", source=_MASK),
        _quantity("ic025", "log2 ratio", "IC025.", source=_MASK),
        _count("n_without", "Reports of the pair without the masking drug.", source=_MASK),
        _quantity("expected_without", "count", "Expected without.", source=_MASK),
        _quantity("prr_without", "ratio", "PRR without.", source=_MASK),
        _quantity("ror_without", "ratio", "ROR without.", source=_MASK),
        _quantity("ic_without", "log2 ratio", "IC without.", source=_MASK),
        _quantity("ic025_without", "log2 ratio", "IC025 without.", source=_MASK),
        Column(name="unmasked", type="bool", phi=_none, doc="IC025 is above 0 only without.", source=_MASK),
    ),
)  # fmt: skip

_ONSET: _From = (
    "silver/pharmacovigilance/case_therapies.start_date",
    f"{_CASES}.event_date",
    f"{CASE_REACTIONS.key}.event_date",
)
TIME_TO_ONSET = _safety(
    "gold/pharmacovigilance/time_to_onset",
    doc="How long after the first dose the event began: Weibull fit of each pair with three or more onsets, newest "
        "quarter.",
    grain="one row per source, drug and event",
    primary_key=("source", "as_of", "drug", "event"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=tuple(
        Upstream(key=d.key, by="source") for d in (REPORT_PAIRS, CASES, CASE_DRUGS, CASE_REACTIONS, CASE_THERAPIES)
    ),
    columns=(
        SOURCE.but(source=()),
        AS_OF,
        DRUG,
        EVENT,
        _count("n", "Onsets.", source=_ONSET),
        _quantity("median_days", "d", "Median.", minimum=0, source=_ONSET),
        _quantity("shape", "shape", "Weibull shape.", minimum=0, source=_ONSET),
        _quantity("shape_lower", "shape", "Lower 95 % bound.", minimum=0, source=_ONSET),
        _quantity("shape_upper", "shape", "Upper 95 % bound.", minimum=0, source=_ONSET),
        _quantity("scale_days", "d", "Weibull scale.", minimum=0, source=_ONSET),
        _quantity("scale_days_lower", "d", "Lower 95 % bound.", minimum=0, source=_ONSET),
        _quantity("scale_days_upper", "d", "Upper 95 % bound.", minimum=0, source=_ONSET),
        _text("pattern", "Hazard falls, is constant, or rises.", codelist=("early", "random", "wear_out"),
            source=_ONSET),
        _text("undefined_reason", "Why there is no fit.", source=_ONSET),
    ),
)  # fmt: skip

_ADJUSTED: _From = (*_MASK, f"{_CASES}.age_years", f"{_CASES}.sex", f"{CASE_INDICATIONS.key}.indication")
ADJUSTED_ROR = _safety(
    "gold/pharmacovigilance/adjusted_ror",
    doc="Reporting odds ratios of the strongest alerts of the newest quarter, adjusted for age, sex, indication and "
    "co-medication by logistic regression.",
    grain="one row per source, drug and event",
    primary_key=("source", "as_of", "drug", "event"),
    engine=Engine.POLARS,
    partition=BY_SOURCE,
    upstream=tuple(
        Upstream(key=d.key, by="source") for d in (REPORT_PAIRS, CASES, CASE_INDICATIONS, ALERTS)
    ),
    columns=(
        SOURCE.but(source=()),
        AS_OF,
        DRUG,
        EVENT,
        _count("n", "Reports of the pair.", source=_ADJUSTED),
        _quantity("ror", "ratio", "Crude reporting odds ratio.", source=_ADJUSTED),
        _quantity("adjusted_ror", "ratio", "Adjusted.", source=_ADJUSTED),
        _quantity("adjusted_lower", "ratio", "Lower 95 % bound.", source=_ADJUSTED),
        _quantity("adjusted_upper", "ratio", "Upper 95 % bound.", source=_ADJUSTED),
        _count("parameters", "Parameters of the regression.", nullable=True, source=_ADJUSTED),
        _text("method", "How it was fitted.", codelist=("maximum_likelihood", "firth"), source=_ADJUSTED),
        _text("undefined_reason", "Why there is no estimate.", source=_ADJUSTED),
    ),
)  # fmt: skip
SIGNAL_REPORT = _safety(
    "gold/pharmacovigilance/signal_report",
    doc="A page for reviewers: signals, trends, alerts, prior, masking and time to onset of a source.",
    grain="one row per source",
    primary_key=("source",),
    engine=Engine.POLARS,
    kinds=("html",),
    partition=BY_SOURCE,
    upstream=tuple(
        Upstream(key=d.key, by="source") for d in (SIGNALS, PRIOR_FITS, ALERTS, MASKING, TIME_TO_ONSET, ADJUSTED_ROR)
    ),
    columns=(
        SOURCE.but(source=()),
        AS_OF.but(doc="Newest quarter.", nullable=True, source=(f"{SIGNALS.key}.as_of",)),
        _count("pairs", "Pairs as of then.", source=(f"{SIGNALS.key}.drug",)),
        _count("alerts", "Alerts as of then.", source=(f"{ALERTS.key}.status",)),
        _count("new_alerts", "Of them new.", source=(f"{ALERTS.key}.status",)),
    ),
    files=(FileKind(name="signal_report.html", format="HTML", doc="The page, self-contained."),),
)
