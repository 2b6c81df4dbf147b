"""VCF to columns, through htslib (cyvcf2): lossless for PASS versus '.', phase, missing values and '*' alleles.

Phase is that of the whole genotype: of a polyploid that is phased in part, htslib's reader here tells no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from lsdata.catalog.genomics import GENOTYPES
from lsdata.derived import arrow
from lsdata.lake.work import Outcome, Work

if TYPE_CHECKING:
    import numpy as np

BATCH = 4_096
"""Records held as Python objects at a time."""


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
            filled = next((v for v in values if v is not None), None)
            columns[name].append(None if filled is None else str(filled))
    return pl.DataFrame(columns, schema_overrides={**dict.fromkeys(columns, pl.String), "pos": pl.Int64})


# -- genotypes ---------------------------------------------------------------------------------------------------------


def genotypes(work: Work, variants: pl.LazyFrame, joint_calls: pl.LazyFrame) -> Outcome:
    """What each sample carries at each allele, from the annotated call set and, for split sites, the original one."""
    del variants, joint_calls  # both are read as files; declared so that their versions are recorded
    cohort = work.partition
    annotated = work.file("silver/genomics/variants", cohort, "annotated.vcf.gz")
    joint = work.file("silver/genomics/joint_calls", cohort, "joint.vcf.gz")
    frames = list(read_genotypes(annotated))
    rows = pl.concat(frames) if frames else arrow.empty(GENOTYPES).drop("cohort_id", "gt_site")
    split = pl.concat([site_genotypes(joint), pl.DataFrame(schema=dict.fromkeys(_SITE_KEY, pl.String))], how="diagonal")
    rows = rows.join(split, on=["site", "sample_id"], how="left").with_columns(pl.lit(cohort).alias("cohort_id"))
    return Outcome(rows=arrow.typed(GENOTYPES, rows))


_SITE_KEY = ("site", "sample_id", "gt_site")


def site_genotypes(path: Path) -> pl.DataFrame:
    """Genotypes of the records with several alternates, as they are before splitting."""
    reader = _open(path)
    samples: list[str] = reader.samples
    rows: list[tuple[str, str, str]] = []
    for record in reader:
        if len(record.ALT) > 1:
            told = f"{record.CHROM}:{record.POS}:{record.REF}:{_alt(record)}"
            rows += [(told, s, gt) for s, gt in zip(samples, _gt_strings([record], len(samples))[0], strict=True)]
    return pl.DataFrame(rows, schema=dict.fromkeys(_SITE_KEY, pl.String), orient="row")


def read_genotypes(path: Path) -> Iterator[pl.DataFrame]:
    """Genotype rows of a split VCF in batches; a row per record and sample, in file order."""
    import numpy as np

    reader = _open(path)
    samples = pl.Series("sample_id", reader.samples, dtype=pl.String)
    n = len(samples)
    if not n:
        return
    records: Iterator[Any] = iter(reader)
    while batch := list(islice(records, BATCH)):
        size = len(batch)
        row = pl.DataFrame(
            {
                "chrom": [r.CHROM for r in batch],
                "pos": [r.POS for r in batch],
                "ref": [r.REF for r in batch],
                "alt": [_alt(r) for r in batch],
                "site": [site(r) for r in batch],
            },
            schema_overrides={"pos": pl.Int64},
        )
        repeated = pl.Series(np.repeat(np.arange(size), n))
        ad = _numbers(batch, "AD", n, 2)
        yield row.select(pl.all().gather(repeated)).with_columns(
            samples.gather(np.tile(np.arange(n), size)).alias("sample_id"),
            _genotype_column(batch, n),
            _integers("dp", _numbers(batch, "DP", n, 1)[:, 0], pl.Int64),
            _integers("gq", _numbers(batch, "GQ", n, 1)[:, 0], pl.Int32),
            _integers("ad_ref", ad[:, 0], pl.Int64),
            _integers("ad_alt", ad[:, 1], pl.Int64),
            _integers("ps", _numbers(batch, "PS", n, 1)[:, 0], pl.Int64),
        )


_MISSING = -(2**31)


def _numbers(batch: Sequence[Any], tag: str, samples: int, width: int) -> "np.ndarray[Any, Any]":
    """A FORMAT tag of a batch as (records x samples, width) of int32; missing and absent values are `_MISSING`."""
    import numpy as np

    out = np.full((len(batch) * samples, width), _MISSING, dtype=np.int32)
    for i, record in enumerate(batch):
        try:
            values = record.format(tag)
        except KeyError:  # the header does not know the tag, so no record has it
            break
        if values is not None:
            w = min(width, values.shape[1])
            out[i * samples : (i + 1) * samples, :w] = values[:, :w]
    return out


def _integers(name: str, values: "np.ndarray[Any, Any]", dtype: Any) -> pl.Series:
    # htslib marks a missing integer by the least int32 and the end of a vector by the next.
    series = pl.Series(name, values)
    return series.set(series <= _MISSING + 1, None).cast(dtype)


def _genotype_column(batch: Sequence[Any], samples: int) -> pl.Series:
    """GT of a batch as text. Distinct genotypes are few: each is written out once and looked up by its codes."""
    import numpy as np

    arrays = [record.genotype.array() if "GT" in record.FORMAT else None for record in batch]
    width = max((a.shape[1] for a in arrays if a is not None), default=2)
    codes = np.full((len(batch) * samples, width), _ABSENT, dtype=np.int16)
    for i, a in enumerate(arrays):
        if a is not None:
            block = codes[i * samples : (i + 1) * samples]
            block[:, : a.shape[1] - 1] = a[:, :-1]
            block[:, -1] = a[:, -1]
    # One integer per genotype: alleles and phase as digits.
    base = int(codes.max()) - _ABSENT + 1
    folded = np.zeros(len(codes), dtype=np.int64)
    for column in range(width):
        folded = folded * base + (codes[:, column].astype(np.int64) - _ABSENT)
    distinct, where = np.unique(folded, return_inverse=True)
    first = np.zeros(len(distinct), dtype=np.int64)
    first[where[::-1]] = np.arange(len(codes))[::-1]
    written = pl.Series("gt", [_written(codes[i]) for i in first], dtype=pl.String)
    return written.gather(where.astype(np.uint32))


_ABSENT = -2
"""cyvcf2's code for an allele beyond the ploidy; -1 is a missing allele."""


def _written(code: "np.ndarray[Any, Any]") -> str:
    alleles = [int(a) for a in code[:-1] if a != _ABSENT]
    return ("|" if code[-1] else "/").join("." if a == -1 else str(a) for a in alleles) or "."


def _gt_strings(batch: Sequence[Any], samples: int) -> list[list[str]]:
    flat = _genotype_column(batch, samples).to_list()
    return [flat[i * samples : (i + 1) * samples] for i in range(len(batch))]
