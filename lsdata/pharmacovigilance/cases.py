"""Reports of all sources in one form, and when each of them counts."""

import polars as pl

from lsdata.catalog.pharmacovigilance import AGE_GROUPS, CASE_THERAPIES, CASES
from lsdata.derived import arrow
from lsdata.pharmacovigilance.drugs import faers_report, icsr_ids, icsr_items, listed_seq
from lsdata.pharmacovigilance.reactions import day

_YEARS = {"DEC": 10.0, "YR": 1.0, "MON": 1 / 12, "WK": 7 / 365.25, "DY": 1 / 365.25, "HR": 1 / 8766}
_UCUM_YEARS = {"a": 1.0, "mo": 1 / 12, "wk": 7 / 365.25, "d": 1 / 365.25, "h": 1 / 8766, "10.a": 10.0, "{decade}": 10.0}
_OLDEST = 125
"""Years above which an age is taken for an error."""
_SERIOUS = {"E.i.3.2a": "DE", "E.i.3.2b": "LT", "E.i.3.2c": "HO", "E.i.3.2d": "DS", "E.i.3.2e": "CA", "E.i.3.2f": "OT"}
_QUALIFICATION = {"1": "MD", "2": "PH", "3": "OT", "4": "LW", "5": "CN"}
_ORDER = ("case_version", "received_date", "order", "known_from", "delivery")
"""What makes a report of a case the newer one; null comes before any value."""


def quarter(date: pl.Expr) -> pl.Expr:
    """The quarter of a date, e.g. 2017q2."""
    return pl.format("{}q{}", date.dt.year(), date.dt.quarter())


def age_group(age_years: pl.Expr) -> pl.Expr:
    """The group of an age in years."""
    group: pl.Expr = pl.when(age_years.is_not_null()).then(pl.lit(AGE_GROUPS[-1]))
    for first, name in zip((2, 12, 18, 45, 65, 75)[::-1], AGE_GROUPS[-2::-1], strict=True):
        group = pl.when(age_years < first).then(pl.lit(name)).otherwise(group)
    return group


def reports(
    deliveries: pl.LazyFrame,
    faers_demo: pl.LazyFrame,
    faers_outc: pl.LazyFrame,
    icsr: pl.LazyFrame,
    report_lines: pl.LazyFrame,
) -> pl.DataFrame:
    """A row per report and delivery, with what makes it newer than another of its case (`order`) and `nullified`."""
    frame = pl.concat([_faers(faers_demo, faers_outc), _messages(icsr, deliveries), _listed(report_lines, deliveries)])
    age = pl.when(pl.col("age_years").is_between(0, _OLDEST)).then(pl.col("age_years"))
    return (
        frame.with_columns(age_years=age)
        .with_columns(age_group=age_group(pl.col("age_years")))
        .sort("source", "delivery", "report_id", *_ORDER[:3], "source_file", "source_line", nulls_last=False)
        .unique(("source", "delivery", "report_id"), keep="last", maintain_order=True)
        .collect()
    )


def _faers(demo: pl.LazyFrame, outc: pl.LazyFrame) -> pl.LazyFrame:
    outcomes = (
        outc.select(**faers_report(), code=pl.col("outc_cod").str.to_uppercase())
        .group_by("delivery", "report_id")
        .agg(outcomes=pl.col("code").drop_nulls().unique().sort().str.join(","))
    )
    sex = pl.col("sex").str.to_uppercase()
    years = pl.col("age").cast(pl.Float64, strict=False)
    return (
        demo.select(
            source=pl.lit("faers"),
            **faers_report(),
            case_id=pl.coalesce("caseid", "case"),
            case_version=pl.col("caseversion").cast(pl.Int64, strict=False),
            received_date=day("fda_dt"),
            order=pl.coalesce("primaryid", "isr").str.zfill(20),
            nullified=pl.lit(value=False),
            known_from="quarter",
            sex=pl.when(sex.is_in(["F", "M"])).then(sex),
            age_years=years * pl.col("age_cod").str.to_uppercase().replace_strict(_YEARS, default=None,
                return_dtype=pl.Float64),
            country=pl.coalesce("occr_country", "reporter_country"),
            event_date=day("event_dt"),
            report_type="rept_cod",
            reporter="occp_cod",
            source_file="source_file",
            source_line="source_line",
        )
        .join(outcomes, on=["delivery", "report_id"], how="left")
        .select(_FORM)
    )  # fmt: skip


_FORM = ("source", "delivery", "report_id", "case_id", "case_version", "received_date", "order", "nullified",
    "known_from",
         "sex", "age_years", "country", "event_date", "report_type", "reporter", "outcomes", "source_file",
             "source_line")  # fmt: skip


def _messages(icsr: pl.LazyFrame, deliveries: pl.LazyFrame) -> pl.LazyFrame:
    """The quarter is that of the transmission (N.1.5), else of the message or the case."""
    told = {
        "safety": "C.1.1", "world": "C.1.8.1", "created": "C.1.2", "recent": "C.1.5", "batch": "N.1.5",
        "sent": "N.2.r.4", "code": "C.1.11.1", "sex": "D.5", "age": "D.2.2", "report_type": "C.1.3",
    }  # fmt: skip
    case = icsr_items(icsr.filter(pl.col("item") == 0), "", told)
    unit = icsr.filter(pl.col("element") == "D.2.2").select("delivery", "message", age_unit="unit")
    events = (
        icsr_items(icsr, "E.i.", {"start": "E.i.4", "place": "E.i.9"})
        .with_columns(start_date=day("start"))
        .sort("item")
        .group_by("delivery", "message", maintain_order=True)
        .agg(event_date=pl.col("start_date").min(), place=pl.col("place").drop_nulls().first())
    )
    reporters = (
        icsr_items(icsr, "C.2.", {"home": "C.2.r.3", "reporter": "C.2.r.4", "primary": "C.2.r.5"})
        .sort("delivery", "message", pl.col("primary") != "1", "item", nulls_last=True)
        .group_by("delivery", "message", maintain_order=True)
        .agg(pl.col("home").first(), pl.col("reporter").first())
    )
    outcomes = (
        icsr.filter(pl.col("element").is_in(list(_SERIOUS)), pl.col("value") == "true")
        .group_by("delivery", "message")
        .agg(outcomes=pl.col("element").replace_strict(_SERIOUS).unique().sort().str.join(","))
    )
    on = ["delivery", "message"]
    known = pl.coalesce(day("batch"), day("sent"), day("created"), day("recent"))
    arrived = deliveries.filter(pl.col("kind") == "icsr").select("delivery", "as_of")
    return (
        case.join(icsr_ids(icsr), on=on)
        .join(unit, on=on, how="left")
        .join(events, on=on, how="left")
        .join(reporters, on=on, how="left")
        .join(outcomes, on=on, how="left")
        .join(arrived, on="delivery", how="left")
        .select(
            source=pl.lit("icsr"),
            delivery="delivery",
            report_id="report_id",
            case_id=pl.coalesce("world", "safety"),
            case_version=pl.lit(None, pl.Int64),
            received_date=day("recent"),
            order=pl.concat_str("recent", "created", "sent", separator="|", ignore_nulls=True),
            nullified=(pl.col("code") == "1").fill_null(value=False),
            known_from=pl.coalesce(quarter(known), "as_of"),
            sex=pl.col("sex").replace_strict({"1": "M", "2": "F"}, default=None, return_dtype=pl.String),
            age_years=pl.col("age").cast(pl.Float64, strict=False)
            * pl.col("age_unit").replace_strict(_UCUM_YEARS, default=None, return_dtype=pl.Float64),
            country=pl.coalesce("place", "home"),
            event_date="event_date",
            report_type="report_type",
            reporter=pl.col("reporter").replace_strict(_QUALIFICATION, default=None, return_dtype=pl.String),
            outcomes="outcomes",
            source_file="delivery",
            source_line=pl.col("message").cast(pl.Int64),
        )
        .select(_FORM)
    )


def _listed(lines: pl.LazyFrame, deliveries: pl.LazyFrame) -> pl.LazyFrame:
    """A case of a listing: known since its report date, or since its delivery."""
    sex = pl.col("sex").str.to_uppercase().str.slice(0, 1)
    arrived = deliveries.filter(pl.col("kind") == "reports").select("source", "delivery", "as_of")
    return (
        lines.with_columns(reported=day("report_date"), began=day("event_date"))
        .group_by("source", "delivery", "case_id")
        .agg(
            received_date=pl.col("reported").max(),
            sex=pl.when(sex.is_in(["F", "M"])).then(sex).drop_nulls().sort().first(),
            age_years=pl.col("age").cast(pl.Float64, strict=False).min(),
            event_date=pl.col("began").min(),
            source_file=pl.col("source_file").first(),
            source_line=pl.col("source_line").min(),
        )
        .join(arrived, on=["source", "delivery"], how="left")
        .with_columns(
            report_id="case_id",
            case_version=pl.lit(None, pl.Int64),
            order=pl.col("as_of"),
            nullified=pl.lit(value=False),
            known_from=pl.coalesce(quarter(pl.col("received_date")), "as_of"),
            **{name: pl.lit(None, pl.String) for name in ("country", "report_type", "reporter", "outcomes")},
        )
        .select(_FORM)
    )


def versions(found: pl.DataFrame, deleted: pl.DataFrame) -> pl.DataFrame:
    """When each report counts, by versions of its case, deletions and nullifications alone.

    A report counts from the quarter in which it became known, until a newer one of its case became known or the case
    was deleted. The newer one has the higher case version, then the later FDA_DT, then the higher PRIMARYID (FDA's
    rule); which quarter was loaded first does not matter. A report that comes after the case's deletion starts it
    anew. A report without a case number is a case of its own.

    Args:
        found: `reports`.
        deleted: case_id, quarter of deleted FAERS cases.

    Returns:
        The reports with `ends` (quarter or null), superseded_reason and superseded_by.
    """
    own = pl.format("report {}", pl.col("report_id"))
    gone = deleted.select(pl.lit("faers").alias("source"), case="case_id", deleted_in="quarter").unique()
    frame = found.with_columns(case=pl.coalesce("case_id", own)).with_row_index("row")
    until = (
        frame.select("row", "source", "case", "known_from")
        .join(gone, on=["source", "case"])
        .filter(pl.col("deleted_in") >= pl.col("known_from"))
        .group_by("row")
        .agg(pl.col("deleted_in").min())
    )
    of_case = ("source", "case", "deleted_in")
    frame = (
        frame.join(until, on="row", how="left")
        .sort(*_ORDER, nulls_last=False)
        .with_columns(rank=pl.int_range(pl.len()))
    )
    # Of the newer reports, the one known first ends this one; of several in that quarter, the newest.
    quarters = frame["known_from"].unique().sort()
    place = pl.col("known_from").replace_strict(
        quarters, pl.int_range(len(quarters), eager=True), return_dtype=pl.Int64
    )
    code = place * frame.height + (frame.height - 1 - pl.col("rank"))
    first_newer = pl.col("code").shift(-1).reverse().cum_min().reverse()
    frame = frame.with_columns(code=code).with_columns(ender=first_newer.over(of_case))
    enders = frame.select(ender="code", by="report_id", since="known_from", by_nullified="nullified")
    return (
        frame.join(enders, on="ender", how="left")
        .with_columns(since=pl.max_horizontal("since", "known_from"))
        .with_columns(in_time=(pl.col("since") <= pl.col("deleted_in")).fill_null(value=True))
        .with_columns(newer=pl.col("by").is_not_null() & pl.col("in_time"))
        .with_columns(
            ends=pl.when("nullified").then("known_from").when("newer").then("since").otherwise("deleted_in"),
            superseded_reason=pl.when("nullified").then(pl.lit("nullified"))
            .when(pl.col("newer") & pl.col("by_nullified")).then(pl.lit("nullified"))
            .when("newer").then(pl.lit("newer_version"))
            .when(pl.col("deleted_in").is_not_null()).then(pl.lit("deleted")),
            superseded_by=pl.when(pl.col("newer") & ~pl.col("nullified")).then("by"),
        )
        .sort("row")
        .select(*found.columns, "case", "ends", "superseded_reason", "superseded_by")
    )  # fmt: skip


def cases(
    deliveries: pl.LazyFrame,
    faers_demo: pl.LazyFrame,
    faers_outc: pl.LazyFrame,
    icsr: pl.LazyFrame,
    report_lines: pl.LazyFrame,
    faers_deleted: pl.LazyFrame,
    case_drugs: pl.LazyFrame,
    case_reactions: pl.LazyFrame,
) -> pl.DataFrame:
    """Every report and when it counts: versions, deletions, then duplicates among those that count."""
    from lsdata.pharmacovigilance import deduplication

    found = reports(deliveries, faers_demo, faers_outc, icsr, report_lines)
    deleted = faers_deleted.select("case_id", "quarter").collect()
    told = versions(found, deleted)
    quarters = sorted({*told["known_from"], *deleted["quarter"]}) if "faers" in told["source"] else sorted(
        set(told["known_from"])
    )  # fmt: skip
    links = deduplication.links(told, case_drugs, case_reactions)
    return deduplication.periods(told, links, quarters).select(CASES.names).cast(arrow.polars_schema(CASES))


def case_therapies(
    deliveries: pl.LazyFrame, faers_ther: pl.LazyFrame, icsr: pl.LazyFrame, report_lines: pl.LazyFrame
) -> pl.LazyFrame:
    """When drugs were taken. Days only where the day is known: a month is not the first of it."""
    del deliveries
    days = {"YR": 365.25, "MON": 365.25 / 12, "WK": 7.0, "DAY": 1.0, "HR": 1 / 24, "MIN": 1 / 1440, "SEC": 1 / 86400}
    faers = faers_ther.select(
        source=pl.lit("faers"),
        **faers_report(),
        drug_seq=pl.col("dsg_drug_seq").fill_null("0"),
        start="start_dt",
        end="end_dt",
        duration_days=pl.col("dur").cast(pl.Float64, strict=False)
        * pl.col("dur_cod").str.to_uppercase().replace_strict(days, default=None, return_dtype=pl.Float64),
        source_file="source_file",
        source_line="source_line",
    )
    none = pl.lit(None, pl.Float64)
    messages = (
        icsr.filter(pl.col("element").is_in(["G.k.4.r.4", "G.k.4.r.5"]))
        .group_by("delivery", "message", "item", "part")
        .agg(
            start=pl.col("value").filter(pl.col("element") == "G.k.4.r.4").first(),
            end=pl.col("value").filter(pl.col("element") == "G.k.4.r.5").first(),
        )
        .join(icsr_ids(icsr), on=["delivery", "message"])
        .select(
            source=pl.lit("icsr"), delivery="delivery", report_id="report_id",
            drug_seq=pl.col("item").cast(pl.String), start="start", end="end", duration_days=none,
            source_file="delivery", source_line=pl.col("message").cast(pl.Int64),
        )
    )  # fmt: skip
    listed = report_lines.filter(pl.col("start_date").is_not_null()).select(
        "source", "delivery", report_id="case_id", drug_seq=listed_seq(), start="start_date",
        end=pl.lit(None, pl.String), duration_days=none, source_file="source_file", source_line="source_line",
    )  # fmt: skip
    key = ("source", "delivery", "report_id", "drug_seq")
    return (
        pl.concat([faers, messages, listed])
        .drop_nulls("report_id")
        .with_columns(
            start_date=day("start"),
            end_date=day("end"),
            duration_days=pl.when(pl.col("duration_days") >= 0).then(pl.col("duration_days")),
        )
        .unique((*key, "start", "end", "duration_days"), keep="any")
        .sort(*key, "start", "end", "duration_days", "source_line", nulls_last=True)
        .with_columns(course=(pl.int_range(pl.len(), dtype=pl.Int32) + 1).over(key))
        .select(CASE_THERAPIES.names)
    )
