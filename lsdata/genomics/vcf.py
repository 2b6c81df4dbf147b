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
    rows = read_genotypes(work.file(VARIANTS.key, work.partition, "annotated.vcf.gz"))
    return Outcome(rows=arrow.typed(GENOTYPES, rows.with_columns(cohort_id=pl.lit(work.partition))))


_TYPES = arrow.polars_schema(GENOTYPES)
_RECORD = {**{n: _TYPES[n] for n in ("chrom", "pos", "ref", "alt")}, "old": pl.String()}
_RECORD_QUERY = r"%CHROM\t%POS\t%REF\t%ALT\t%INFO/OLD_REC\n"
_CALL = {n: _TYPES[n] for n in ("gt", "dp", "gq", "ad_ref", "ad_alt", "ps")}
_CALL_QUERY = r"[%GT\t%DP\t%GQ\t%AD{0}\t%AD{1}\t%PS\n]"
_AS_WRITTEN = ("chrom", "ref", "alt", "gt")
"""Where '.' is a value; elsewhere it is a missing one."""
_OLD = r"^(.*)\|(\d+)\|([^|]*)\|([^|]*?)(?:\|(\d+))?$"
BATCH = 1 << 22
"""Bytes of text taken at a time."""


def read_genotypes(path: Path) -> pl.DataFrame:
    """Genotype rows of a split VCF, a row per record and sample, in the order of the key of genotypes.

    Records and calls are queried apart: what stands once in the file is parsed, and put in order, once.

    Raises:
        InvalidInput: htslib cannot read the file.
    """
    names = _open(path).samples
    samples = pl.DataFrame({"sample_id": names}, schema={"sample_id": pl.String}).with_row_index("column")
    records = _records(_queried(path, _RECORD_QUERY, _RECORD) if names else pl.DataFrame(schema=_RECORD))
    calls = _queried(path, _CALL_QUERY, _CALL) if names else pl.DataFrame(schema=_CALL)
    calls = calls.with_columns(gt_site=site_genotypes(records, calls["gt"], len(names)))
    ordered = samples.sort("sample_id"), records.sort("chrom", "pos", "ref", "alt", "site")
    if not (ordered[0]["column"].is_sorted() and ordered[1]["line"].is_sorted()):
        samples, records = ordered
        places = records.select("line").join(samples.select("column"), how="cross", maintain_order="left_right")
        calls = calls.select(pl.all().gather(places.select(_place(len(names))).to_series()))
    alleles = records.select("chrom", "pos", "ref", "alt", "site")
    alleles = alleles.join(samples.select("sample_id"), how="cross", maintain_order="left_right")
    return pl.concat([alleles, calls], how="horizontal")


def _place(samples: int) -> pl.Expr:
    """The place of a call: of the sample in a column of the file, in the record in a line."""
    return pl.col("line").cast(pl.Int64) * samples + pl.col("column")


def _records(read: pl.DataFrame) -> pl.DataFrame:
    """Records with their place in the file; `allele` is the number of the alternate at a site that had several."""
    old = pl.col("old")
    site_ = pl.coalesce(
        old.str.replace(_OLD, "${1}:${2}:${3}:${4}"), pl.format("{}:{}:{}:{}", "chrom", "pos", "ref", "alt")
    )
    records = read.select("chrom", "pos", "ref", "alt", site=site_, allele=old.str.extract(_OLD, 5).cast(pl.Int32))
    return records.with_row_index("line")


def _queried(path: Path, form: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """What `bcftools query` prints."""
    missing = {n: "." for n in schema if n not in _AS_WRITTEN}
    read = [
        pl.read_csv(text, separator="\t", has_header=False, schema=schema, null_values=missing, quote_char=None)
        for text in _printed(path, ["bcftools", "query", "--allow-undef-tags", "--format", form, str(path)])
    ]
    return pl.concat([pl.DataFrame(schema=schema), *read], rechunk=True)


def _printed(path: Path, command: Sequence[str]) -> Iterator[bytes]:
    """What bcftools prints, in pieces of whole lines."""
    with TemporaryFile() as told, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told) as process:
        begun = b""
        while text := cast("IO[bytes]", process.stdout).read(BATCH):
            text = begun + text
            end = text.rfind(b"\n") + 1
            if end:
                yield text[:end]
            begun = text[end:]
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


def site_genotypes(records: pl.DataFrame, gt: pl.Series, samples: int) -> pl.Series:
    """GT of each call at its site before that was split, put together from its alleles; null where it had one.

    Args:
        records: `line`, `site`, `allele`.
        gt: of all samples at all records, in the order of the file.
    """
    sites = records.filter(pl.col("allele").is_not_null()).group_by("site").agg("line", "allele")
    columns = pl.DataFrame({"column": range(samples)}, schema={"column": pl.UInt32})
    calls = sites.drop("site").join(columns, how="cross")
    told: list[pl.Series] = []
    for nth in range(sites["line"].list.len().max() or 0):  # pyright: ignore[reportArgumentType] - of numbers
        split = calls.select(pl.col("line", "allele").list.get(nth, null_on_oob=True), "column")
        split = split.select("allele", gt=gt.gather(split.select(_place(samples)).to_series()))
        told.append(split.select(pl.format("{}:{}", "allele", "gt")).to_series())
    if not told:
        return gt.clear(gt.len())
    found = pl.select(pl.concat_str(told, separator=" ", ignore_nulls=True)).to_series()
    distinct = found.unique()
    whole = found.replace_strict(distinct, [_unsplit(one) for one in distinct], return_dtype=pl.String)
    calls = calls.with_columns(whole=whole).explode("line", empty_as_null=False)
    return gt.clear(gt.len()).scatter(calls.select(_place(samples)).to_series(), calls["whole"])


def _unsplit(alleles: str) -> str:
    """One genotype from those of the split records, each after the number of its alternate.

    In a split record 1 is its own alternate and 0 any other allele; what is missing, the order and the phase stay.

    >>> _unsplit("1:0|1 2:1|0")
    '2|1'
    """
    split = [(number, re.split("([/|])", gt)) for number, _, gt in (one.partition(":") for one in alleles.split(" "))]
    first, places = split[0][1], range(len(split[0][1]))
    return "".join(next((number for number, gt in split if gt[at] == "1"), first[at]) for at in places)
