"""VCF to columns, through htslib: lossless for PASS versus '.', phase, missing values and '*' alleles.

Sites are read by cyvcf2; genotypes, which are many more, by `bcftools query`, whose text polars takes in bulk.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, cast

import polars as pl

from lsdata.catalog.genomics import GENOTYPES, VARIANTS
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.work import Outcome, Work


def _open(path: Path) -> Any:
    from cyvcf2 import VCF  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - it has none

    return cast("Any", VCF(str(path)))


def _alt(record: Any) -> str:
    return ",".join(record.ALT) or "."


def _filter(record: Any) -> str | None:
    """FILTER as written: PASS and '.' are both None in cyvcf2, so the list of filters decides."""
    filters = record.FILTERS
    return ";".join(filters) if filters else None


_INFO: Mapping[str, str] = {
    "ac": "AC",
    "an": "AN",
    "info_dp": "DP",
    "qd": "QD",
    "fs": "FS",
    "sor": "SOR",
    "mq": "MQ",
    "mq_rank_sum": "MQRankSum",
    "read_pos_rank_sum": "ReadPosRankSum",
    "bcsq": "BCSQ",
}
_INTEGERS = ("ac", "an", "info_dp")


def read_sites(path: Path) -> pl.DataFrame:
    """The site columns of a split VCF, a row per record, in file order."""
    columns: dict[str, list[Any]] = {n: [] for n in ("chrom", "pos", "ref", "alt", "site", "qual", "filter", *_INFO)}
    for record in _open(path):
        columns["chrom"].append(record.CHROM)
        columns["pos"].append(record.POS)
        columns["ref"].append(record.REF)
        columns["alt"].append(_alt(record))
        columns["site"].append(site(record))
        columns["qual"].append(record.QUAL)
        columns["filter"].append(_filter(record))
        for name, tag in _INFO.items():
            value = record.INFO.get(tag)
            columns[name].append(value[0] if isinstance(value, tuple) else value)
    types: dict[str, Any] = {
        "pos": pl.Int64,
        "qual": pl.Float64,
        "bcsq": pl.String,
        **{n: pl.Int64 if n in _INTEGERS else pl.Float64 for n in _INFO if n != "bcsq"},
    }
    return pl.DataFrame(columns, schema_overrides={**dict.fromkeys(columns, pl.String), **types})


def site(record: Any) -> str:
    """The record as it was before splitting and left alignment, from bcftools norm --old-rec-tag.

    The tag is `chrom|pos|ref|alt,alt|index of this alternate`, without the index where nothing was split; absent where
    nothing was changed. A contig's name may have a `|` itself.
    """
    told = record.INFO.get("OLD_REC")
    if told:
        fields = str(told).split("|")
        chrom, (pos, ref, alts) = fields[:-3], fields[-3:]
        if alts.isdecimal():
            chrom, (pos, ref, alts) = fields[:-4], fields[-4:-1]
        return f"{'|'.join(chrom)}:{pos}:{ref}:{alts}"
    return f"{record.CHROM}:{record.POS}:{record.REF}:{_alt(record)}"


def read_lookup(path: Path, fields: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Alleles of a split VCF with the first filled of some INFO tags (or the ID) for each wanted column."""
    columns: dict[str, list[Any]] = {n: [] for n in ("chrom", "pos", "ref", "alt", *fields)}
    for record in _open(path):
        columns["chrom"].append(record.CHROM)
        columns["pos"].append(record.POS)
        columns["ref"].append(record.REF)
        columns["alt"].append(_alt(record))
        for name, tags in fields.items():
            values = (record.ID if tag == "ID" else record.INFO.get(tag) for tag in tags)
            filled = next((v for v in values if v not in (None, ".")), None)
            columns[name].append(None if filled is None else str(filled))
    return pl.DataFrame(columns, schema_overrides={**dict.fromkeys(columns, pl.String), "pos": pl.Int64})


# -- genotypes ---------------------------------------------------------------------------------------------------------


def genotypes(work: Work, variants: pl.LazyFrame, joint_calls: pl.LazyFrame) -> Outcome:
    """What each sample carries at each allele, and at the site before it was split."""
    del variants, joint_calls  # the call set is read as a file; declared so that their versions are recorded
    cohort = work.partition
    annotated = work.file(VARIANTS.key, cohort, "annotated.vcf.gz")
    rows = pl.concat([_NO_ROWS, *read_genotypes(annotated)])
    rows = rows.with_columns(pl.lit(cohort).alias("cohort_id"), site_genotypes(rows))
    return Outcome(rows=arrow.typed(GENOTYPES, rows))


_TYPES = arrow.polars_schema(GENOTYPES)
_RECORD = {**{n: _TYPES[n] for n in ("chrom", "pos", "ref", "alt", "site")}, "allele": pl.Int32()}
_CALL = {n: _TYPES[n] for n in ("gt", "dp", "gq", "ad_ref", "ad_alt", "ps")}
_NO_ROWS = pl.DataFrame(schema={**_RECORD, "sample_id": pl.String(), **_CALL})

_QUERY = r"*%CHROM\t%POS\t.\t.\t.\t.\t%REF\t%ALT\t%INFO/OLD_REC\n[%GT\t%DP\t%GQ\t%AD{0}\t%AD{1}\t%PS\n]"
"""A line per record, then one per sample: in one table, a record's CHROM stands under `gt` and its POS under `dp`. The
star, with which neither a contig's name nor a genotype begins, tells a record's line.
"""
_LINE = {**_CALL, "ref": pl.String(), "alt": pl.String(), "old": pl.String()}
_MISSING = {n: "." for n in _LINE if n not in ("gt", "ref", "alt")}
_OLD = r"^(.*)\|(\d+)\|([^|]*)\|([^|]*?)(?:\|(\d+))?$"
BATCH = 1 << 22
"""Bytes of text taken at a time."""


def read_genotypes(path: Path) -> Iterator[pl.DataFrame]:
    """Genotype rows of a split VCF in batches; a row per record and sample, in file order.

    `allele` is the number of the alternate at a site that had several; null at others.

    Raises:
        InvalidInput: htslib cannot read the file.
    """
    samples = pl.DataFrame({"sample_id": _open(path).samples}, schema={"sample_id": pl.String})
    lines = samples.height + 1
    for text in _queried(path) if samples.height else ():
        read = pl.read_csv(text, separator="\t", has_header=False, schema=_LINE, null_values=_MISSING, quote_char=None)
        records = _records(read.gather_every(lines)).join(samples, how="cross", maintain_order="left_right")
        calls = read.select(*_CALL).filter(pl.int_range(pl.len()) % lines > 0)
        yield pl.concat([records, calls], how="horizontal")


def _records(read: pl.DataFrame) -> pl.DataFrame:
    chrom, pos, old = pl.col("gt").str.slice(1), pl.col("dp"), pl.col("old")
    site_ = pl.coalesce(
        old.str.replace(_OLD, "${1}:${2}:${3}:${4}"), pl.format("{}:{}:{}:{}", chrom, pos, "ref", "alt")
    )
    allele = old.str.extract(_OLD, 5).cast(pl.Int32)
    return read.select(chrom=chrom, pos=pos, ref="ref", alt="alt", site=site_, allele=allele)


def _queried(path: Path) -> Iterator[bytes]:
    """What `bcftools query` prints, in pieces of whole records."""
    command = ["bcftools", "query", "--allow-undef-tags", "--format", _QUERY, str(path)]
    with TemporaryFile() as told, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told) as process:
        begun = b""
        while text := cast("IO[bytes]", process.stdout).read(BATCH):
            text = begun + text
            last = text.rfind(b"\n*") + 1
            if last:
                yield text[:last]
            begun = text[last:]
        if begun:
            yield begun
        code = process.wait()
        told.seek(0)
        said = told.read().decode(errors="replace").strip()
        if code or "[E::" in said or "truncated" in said:  # a file that is cut off is exit code 0 to bcftools query
            raise InvalidInput(
                path.name,
                code="unreadable_vcf",
                found=said or f"exit code {code} of bcftools query",
                allowed="a VCF that htslib reads to its end",
                do="Make the call set again.",
            )


def site_genotypes(rows: pl.DataFrame) -> pl.Series:
    """GT at each row's site before it was split, put together from its alleles; null where it had one alternate.

    Args:
        rows: of `read_genotypes`.
    """
    several = rows["allele"].is_not_null()
    told = pl.concat_str("allele", pl.lit(":"), "gt").str.join(" ").over("site", "sample_id")
    alleles = rows.filter(several).select(told).to_series()
    distinct = alleles.unique()
    whole = alleles.replace_strict(distinct, [_unsplit(one) for one in distinct], return_dtype=pl.String)
    return whole.gather((several.cum_sum() - 1).set(~several, None)).alias("gt_site")


def _unsplit(alleles: str) -> str:
    """One genotype from those of the split records, each after the number of its alternate.

    In a split record 1 is its own alternate and 0 any other allele; what is missing, the order and the phase stay.

    >>> _unsplit("1:0|1 2:1|0")
    '2|1'
    """
    split = [(number, re.split("([/|])", gt)) for number, _, gt in (one.partition(":") for one in alleles.split(" "))]
    first, places = split[0][1], range(len(split[0][1]))
    return "".join(next((number for number, gt in split if gt[at] == "1"), first[at]) for at in places)
