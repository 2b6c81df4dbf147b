"""Reactions and indications of reports, in one form."""

import polars as pl

from lsdata.catalog.pharmacovigilance import CASE_INDICATIONS, CASE_REACTIONS
from lsdata.derived import arrow
from lsdata.pharmacovigilance.drugs import faers_report, icsr_ids, icsr_items, listed_seq

_MEDDRA_CODE = r"^\d{8}$"


def day(column: str) -> pl.Expr:
    """A date where the text is a whole day: YYYYMMDD with or without what follows, or YYYY-MM-DD; else null."""
    text = pl.col(column).str.strip_chars()
    compact = text.str.extract(r"^((?:18|19|20)\d{6})(?:\d{2,6}(?:\.\d+)?(?:[+-]\d{4})?|[+-]\d{4})?$", 1)
    iso = text.str.extract(r"^((?:18|19|20)\d{2}-\d{2}-\d{2})(?:[T ].*)?$", 1)
    return pl.coalesce(compact.str.to_date("%Y%m%d", strict=False), iso.str.to_date("%Y-%m-%d", strict=False))


def case_reactions(
    deliveries: pl.LazyFrame,
    faers_reac: pl.LazyFrame,
    icsr: pl.LazyFrame,
    report_lines: pl.LazyFrame,
    meddra: pl.LazyFrame,
    meddra_smq: pl.LazyFrame,
) -> pl.DataFrame:
    """Reactions under their preferred terms.

    With a MedDRA drop, codes and terms (lowest level or preferred) lead to the preferred term and its place; a term
    that the release does not have stays as reported. Letter case and spaces do not make another term: it is spelled
    as in MedDRA, else as in the earliest delivery.
    """
    spaces = pl.col("event_name").str.replace_all(r"\s+", " ").str.strip_chars()
    faers = faers_reac.select(
        source=pl.lit("faers"), **faers_report(), event_name="pt", code=pl.lit(None, pl.String),
        event_date=pl.lit(None, pl.Date), source_file="source_file", source_line="source_line",
    )  # fmt: skip
    told = {"code": "E.i.2.1b", "name": "E.i.2.1b.name", "words": "E.i.1.1a", "more": "E.i.1.2", "start": "E.i.4"}
    named = pl.coalesce("name", pl.format("MedDRA {}", pl.col("code")), "words", "more")
    messages = (
        icsr_items(icsr, "E.i.", told)
        .join(icsr_ids(icsr), on=["delivery", "message"])
        .select(
            source=pl.lit("icsr"), delivery="delivery", report_id="report_id", event_name=named, code="code",
            event_date=day("start"), source_file="delivery", source_line=pl.col("message").cast(pl.Int64),
        )
    )  # fmt: skip
    listed = report_lines.select(
        "source", "delivery", report_id="case_id", event_name="event", code=pl.lit(None, pl.String),
        event_date=day("event_date"), source_file="source_file", source_line="source_line",
    )  # fmt: skip
    both = (
        pl.concat([faers, messages, listed])
        .with_columns(event_name=spaces)
        .drop_nulls("event_name")
        .filter(pl.col("event_name") != "")
        .with_columns(term=pl.col("event_name").str.to_lowercase())
        .join(deliveries.select("source", "delivery", "as_of"), on=["source", "delivery"], how="left")
    )
    place = meddra.select(
        "pt_code", "pt", "hlt", "hlgt", "soc", "version", "llt_code", term=pl.col("llt").str.to_lowercase()
    )
    smqs = meddra_smq.filter(pl.col("scope") == "narrow").group_by("pt_code").agg(smqs=pl.col("smq").unique().sort())
    by_name = place.drop("llt_code").unique("term", keep="any").join(smqs, on="pt_code", how="left")
    by_code = place.drop("term").join(smqs, on="pt_code", how="left").rename({"llt_code": "code"})
    shown = ("pt", "hlt", "hlgt", "soc", "smqs", "version")
    spelled = pl.col("event_name").sort_by("as_of", "event_name").first().over("source", "term")
    return (
        both.join(by_code.select("code", *shown), on="code", how="left")
        .join(by_name.select("term", *shown), on="term", how="left", suffix="_named")
        .with_columns(pl.coalesce(name, f"{name}_named").alias(name) for name in shown)
        .with_columns(spelled=spelled)
        .with_columns(
            event=pl.coalesce("pt", "spelled"),
            vocabulary=pl.when(pl.col("pt").is_not_null()).then(pl.lit("MedDRA"))
            .when(pl.col("source") == "faers").then(pl.lit("FDA MedDRA")).otherwise(pl.lit("as reported")),
            vocabulary_version=pl.coalesce("version", "delivery"),
        )
        .sort("source_file", "source_line")
        .unique(CASE_REACTIONS.primary_key, keep="first", maintain_order=True)
        .select(CASE_REACTIONS.names)
        .cast(arrow.polars_schema(CASE_REACTIONS))
        .collect()
    )  # fmt: skip


def case_indications(
    deliveries: pl.LazyFrame, faers_indi: pl.LazyFrame, icsr: pl.LazyFrame, report_lines: pl.LazyFrame
) -> pl.LazyFrame:
    """What drugs were taken for; where FDA says `Product used for unknown indication` there is none."""
    del deliveries
    faers = faers_indi.select(
        source=pl.lit("faers"), **faers_report(), drug_seq=pl.col("indi_drug_seq").fill_null("0"),
        indication="indi_pt", source_file="source_file", source_line="source_line",
    )  # fmt: skip
    messages = (
        icsr.filter(pl.col("element").is_in(["G.k.7.r.1", "G.k.7.r.2b"]))
        .sort("element")
        .group_by("delivery", "message", "item", "part", maintain_order=True)
        .agg(indication=pl.col("value").first())
        .join(icsr_ids(icsr), on=["delivery", "message"])
        .select(
            source=pl.lit("icsr"), delivery="delivery", report_id="report_id",
            drug_seq=pl.col("item").cast(pl.String), indication="indication", source_file="delivery",
            source_line=pl.col("message").cast(pl.Int64),
        )
    )  # fmt: skip
    listed = report_lines.select(
        "source", "delivery", report_id="case_id", drug_seq=listed_seq(), indication="indication",
        source_file="source_file", source_line="source_line",
    )  # fmt: skip
    unknown = pl.col("indication").str.to_lowercase().is_in(["product used for unknown indication", "unknown", ""])
    return (
        pl.concat([faers, messages, listed])
        .with_columns(indication=pl.col("indication").str.replace_all(r"\s+", " ").str.strip_chars())
        .drop_nulls("indication")
        .filter(~unknown)
        .sort("source_file", "source_line")
        .unique(CASE_INDICATIONS.primary_key, keep="first", maintain_order=True)
        .select(CASE_INDICATIONS.names)
    )
