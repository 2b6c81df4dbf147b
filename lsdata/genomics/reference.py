"""Registering a reference genome and what is known about it."""

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from lsdata.catalog.genomics import ANNOTATION_SOURCES, REFERENCES
from lsdata.compute import Input, Job
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, JobFailed, MissingData, SettingError
from lsdata.genomics import tools
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work


def register(work: Work) -> Outcome:
    """Unpack and index `reference/<name>/<name>.fa(.gz)`: samtools faidx and dict, bwa index.

    Raises:
        InvalidInput: it is not a FASTA that these tools accept.
    """
    name = work.partition
    delivered = _delivered(work, name)
    job = Job(
        name="index_reference",
        image=tools.IMAGE,
        command=(
            "case {inputs.fasta} in *.gz) unpack='gzip -dc';; *) unpack=cat;; esac\n"
            "$unpack {inputs.fasta} > {outputs.fasta}\n"
            "samtools faidx {outputs.fasta}\n"
            "samtools dict --uri {outputs.fasta} -o {outputs.dict} {outputs.fasta}\n"
            "bwa index {outputs.fasta}\n"
        ),
        inputs={"fasta": str(delivered)},
        outputs={
            "fasta": f"{name}.fa",
            "fai": f"{name}.fa.fai",
            "dict": f"{name}.dict",
            **{e: f"{name}.fa.{e}" for e in tools.BWA_INDEX},
        },
        tools=tools.BWA | tools.SAMTOOLS,
        cores=1,
        memory_mib=6_000,
        minutes=90,
    )
    try:
        made = work.run(job)
    except JobFailed as error:
        raise InvalidInput(
            f"reference/{name}/{delivered.name}",
            code="reference_not_usable",
            found=error.found,
            allowed="a FASTA, plain, gzipped or bgzipped, that samtools and bwa can index",
            do=f"Deliver it again. {error.do}",
        ) from error
    rows = [
        {
            "reference": name,
            "contig": told["SN"],
            "length_bp": int(told["LN"]),
            "md5": told["M5"],
            "fasta_sha256": made.outputs["fasta"].sha256,
        }
        for told in _dictionary(work.destination / f"{name}.dict")
    ]
    return Outcome(
        rows=pl.DataFrame(rows, schema=arrow.polars_schema(REFERENCES)),
        files=tuple(job.outputs.values()),
        landed={f"reference/{name}/{delivered.name}": _sha256(delivered)},
    )


def _delivered(work: Work, name: str) -> Path:
    paths = [work.landing / f.path for f in work.landed]
    for wanted in (f"{name}.fa.gz", f"{name}.fa", f"{name}.fasta.gz", f"{name}.fasta"):
        for path in paths:
            if path.name == wanted:
                return path
    raise InvalidInput(
        f"reference/{name}",
        code="reference_missing",
        found=f"no {name}.fa or {name}.fa.gz",
        allowed="a folder with a FASTA of its own name",
        do="Name the FASTA like its folder.",
    )


def _dictionary(path: Path) -> Iterator[dict[str, str]]:
    for line in path.read_text().splitlines():
        if line.startswith("@SQ"):
            yield dict(field.split(":", 1) for field in line.split("\t")[1:])


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def chosen(references: pl.DataFrame, named: list[str], default: str | None) -> str:
    """The reference a sample is aligned to: the one its runs name, else the configured, else the only one.

    Raises:
        SettingError: there are several and none is named, or the named one is not registered.
        InvalidInput: the runs of one sample name different ones.
    """
    registered = references["reference"].unique().sort().to_list()
    if len(set(named)) > 1:
        raise InvalidInput(
            "run.yaml",
            code="references_differ",
            found=f"runs of one sample name {', '.join(sorted(set(named)))}",
            allowed="one reference per sample",
            do="Correct run.yaml of one of the runs.",
        )
    wanted = named[0] if named else default
    if wanted is None and len(registered) == 1:
        return registered[0]
    if wanted is None or wanted not in registered:
        raise SettingError(
            "LSDATA_REFERENCE",
            found=wanted or f"not set, and {len(registered)} references are registered",
            allowed=", ".join(registered),
            do="Set it, or name a reference in run.yaml of the run.",
        )
    return wanted


def facts(references: pl.DataFrame, name: str) -> tuple[str, int]:
    """SHA-256 of a registered FASTA and its length in bp."""
    rows = references.filter(pl.col("reference") == name)
    if rows.is_empty():
        raise MissingData(
            f"{REFERENCES.key} [{name}]",
            found="not registered",
            allowed="a folder in landing/reference",
            do="Deliver the reference.",
        )
    return rows["fasta_sha256"][0], int(rows["length_bp"].sum())


# -- what is known about a reference -----------------------------------------------------------------------------------

_SITES = ("clinvar", "known_sites")


def register_annotation(work: Work, references: pl.LazyFrame) -> Outcome:
    """Make the delivered gene model, ClinVar, known sites and targets usable: own contigs only, sorted, indexed.

    What cannot be used is rejected; the other sources go on.
    """
    name = work.partition
    contigs = references.filter(pl.col("reference") == name).select("contig").collect().to_series().to_list()
    fasta = work.file(REFERENCES.key, name, f"{name}.fa")
    rows: list[dict[str, object]] = []
    files: list[str] = []
    landed: dict[str, str] = {}
    rejects: list[Reject] = []
    for path in sorted(work.landing / f.path for f in work.landed):
        role = path.name.split(".")[0]
        where = path.relative_to(work.landing).as_posix()
        landed[where] = _sha256(path)
        try:
            if role == "genes":
                made, records, off = _genes(work, path, contigs)
            elif role in _SITES:
                made, records, off = _sites(work, path, fasta, name, role)
            else:
                made, records, off = _targets(work, path, contigs)
        except (InvalidInput, JobFailed) as error:
            code = error.code if isinstance(error, InvalidInput) else f"{role}_not_usable"
            refused = InvalidInput(where, code=code, found=error.found, allowed=error.allowed, do=error.do)
            rejects.append(Reject.of(refused, path.name, [path]))
            continue
        files += made
        rows.append(
            {
                "reference": name,
                "role": role,
                "file": made[0],
                "records": records,
                "records_off_reference": off,
                "delivered_sha256": landed[where],
            }
        )
    return Outcome(
        rows=pl.DataFrame(rows, schema=arrow.polars_schema(ANNOTATION_SOURCES)),
        files=tuple(files),
        landed=landed,
        rejects=tuple(rejects),
    )


def _sites(work: Work, path: Path, fasta: Path, reference: str, role: str) -> tuple[list[str], int, int]:
    """A VCF on the contigs of the reference (`chr` added or removed where only that differs), split, left-aligned."""
    job = Job(
        name=f"register_{role}",
        image=tools.IMAGE,
        command=r"""
fasta={inputs.fasta}
bcftools view --no-version {inputs.vcf} | awk -v OFS='\t' '
  NR == FNR { known[$1] = 1; print "##contig=<ID=" $1 ",length=" $2 ">" > "contigs.txt"; next }
  /^##contig/ { next }
  /^#CHROM/ { while ((getline line < "contigs.txt") > 0) print line; print; next }
  /^#/ { print; if (FNR == 1) close("contigs.txt"); next }
  {
    if (!($1 in known)) {
      other = $1 ~ /^chr/ ? substr($1, 4) : "chr" $1
      if (!(other in known)) { off++; next }
      $1 = other
    }
    print
  }
  END { print off + 0 > "off.txt" }
' "$fasta".fai - \
  | bcftools norm --no-version --multiallelics -any --check-ref x --fasta-ref "$fasta" \
  | bcftools sort --temp-dir . -Oz -o {outputs.vcf}
bcftools index --tbi {outputs.vcf}
cp off.txt {outputs.off}
""",
        inputs={"vcf": str(path), "fasta": tools.fasta(str(fasta), reference)},
        outputs={"vcf": f"{role}.vcf.gz", "tbi": f"{role}.vcf.gz.tbi", "off": f"{role}.off.txt"},
        tools=tools.BCFTOOLS,
        cores=1,
        memory_mib=2_000,
        minutes=10,
    )
    work.run(job)
    off = work.destination / f"{role}.off.txt"
    dropped = int(off.read_text())
    off.unlink()
    return [job.outputs["vcf"], job.outputs["tbi"]], _vcf_records(work.destination / job.outputs["vcf"]), dropped


def _vcf_records(path: Path) -> int:
    from cyvcf2 import VCF  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - it has none

    reader = VCF(str(path))  # pyright: ignore[reportUnknownVariableType]
    return sum(1 for _ in reader)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _targets(work: Work, path: Path, contigs: list[str]) -> tuple[list[str], int, int]:
    kept: list[str] = []
    off = 0
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.rstrip().split("\t")
        if len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit() and int(fields[1]) < int(fields[2])):
            raise InvalidInput(
                f"{path.name} line {number}",
                code="targets_not_bed",
                found="not chrom, start, end",
                allowed="BED: tab-separated, 0-based start < end",
                do="Correct the line.",
            )
        if fields[0] in contigs:
            kept.append(
                "\t".join([*fields[:3], fields[3] if len(fields) > 3 else f"{fields[0]}:{fields[1]}-{fields[2]}"])
            )
        else:
            off += 1
    if not kept:
        raise InvalidInput(
            path.name,
            code="targets_off_reference",
            found="no target on the reference",
            allowed=f"contigs {', '.join(contigs[:10])}",
            do="Deliver targets of this reference.",
        )
    order = {c: i for i, c in enumerate(contigs)}
    kept.sort(key=lambda t: (order[t.split("\t")[0]], int(t.split("\t")[1]), int(t.split("\t")[2])))
    (work.destination / "targets.bed").write_text("\n".join(kept) + "\n")
    return ["targets.bed"], len(kept), off


# -- gene models -------------------------------------------------------------------------------------------------------

_PARTS = {
    "exon": "exon",
    "CDS": "CDS",
    "five_prime_UTR": "five_prime_UTR",
    "three_prime_UTR": "three_prime_UTR",
    "five_prime_utr": "five_prime_UTR",
    "three_prime_utr": "three_prime_UTR",
    "stop_codon": "stop_codon",
}
_TRANSCRIPTS = re.compile(r"transcript|.*RNA|.*_gene_segment|pseudogenic_transcript")
_GENES = re.compile(r".*gene")


def _genes(work: Work, path: Path, contigs: list[str]) -> tuple[list[str], int, int]:
    """A GFF3 or GTF as the Ensembl GFF3 that bcftools csq reads: ID=gene:, ID=transcript:, Parent=, biotype=."""
    with gzip.open(path, "rt", errors="replace") if path.name.endswith(".gz") else path.open(errors="replace") as lines:
        try:
            text, records, off = ensembl_gff3(lines, contigs)
        except (EOFError, gzip.BadGzipFile) as error:
            raise InvalidInput(
                path.name,
                code="genes_not_usable",
                found=f"gzip that cannot be read ({type(error).__name__})",
                allowed="a whole file",
                do="Deliver it again.",
            ) from error
    if not records:
        raise InvalidInput(
            path.name,
            code="genes_off_reference",
            found=f"no transcript on the reference ({off} records elsewhere)",
            allowed=f"GFF3 or GTF with genes, transcripts and CDS on contigs {', '.join(contigs[:10])}",
            do="Deliver the gene model of this reference.",
        )
    plain = work.staging.rows / "genes.gff3"
    plain.write_text(text)
    job = Job(
        name="register_genes",
        image=tools.IMAGE,
        command=(
            "(grep '^#' {inputs.gff} || true; grep -v '^#' {inputs.gff} | sort -s -k1,1 -k4,4n) "
            "| bgzip > {outputs.gff}\n"
            "tabix -p gff {outputs.gff}"
        ),
        inputs={"gff": Input(str(plain))},
        outputs={"gff": "genes.gff3.gz", "tbi": "genes.gff3.gz.tbi"},
        tools=tools.TABIX,
        cores=1,
        memory_mib=1_000,
        minutes=5,
    )
    work.run(job)
    return list(job.outputs.values()), records, off


def ensembl_gff3(lines: Iterator[str] | object, contigs: list[str]) -> tuple[str, int, int]:
    """Rewrite a gene model (Ensembl, GENCODE or RefSeq GFF3; Ensembl or GENCODE GTF) in Ensembl's GFF3 form.

    Returns:
        The text, its records, and the records left out because their contig is not in the reference.
    """
    known = set(contigs)
    genes: dict[str, str] = {}
    transcripts: dict[str, str] = {}
    parts: list[str] = []
    off = 0
    for line in lines:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType] - any iterable of lines
        fields = str(line).rstrip("\r\n").split("\t")  # pyright: ignore[reportUnknownArgumentType]
        if str(line).startswith("#") or len(fields) != 9:  # pyright: ignore[reportUnknownArgumentType]
            continue
        contig, source, kind, start, end, score, strand, phase, told = fields
        if contig not in known:
            other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
            if other not in known:
                off += 1
                continue
            contig = other
        about = _attributes(told)
        place = (contig, source, start, end, score, strand)
        gene = _bare(about.get("gene_id") or about.get("Parent") or about.get("ID", ""), "gene")
        if kind in _PARTS:
            parent = about.get("transcript_id") or about.get("Parent", "")
            for one in parent.split(","):
                ident = _bare(one, "transcript")
                parts.append(_gff(place, _PARTS[kind], phase, f"Parent=transcript:{ident}"))
                if "transcript_id" in about and "gene_id" in about and ident not in transcripts:
                    transcripts.setdefault(ident, "")
        elif _GENES.fullmatch(kind) and not _TRANSCRIPTS.fullmatch(kind):
            ident = _bare(about.get("gene_id") or about.get("ID", ""), "gene")
            symbol = about.get("Name") or about.get("gene_name") or about.get("gene") or ident
            genes[ident] = _gff(place, "gene", ".", f"ID=gene:{ident};Name={symbol};biotype={_biotype(about, 'gene')}")
        elif _TRANSCRIPTS.fullmatch(kind):
            ident = _bare(about.get("ID") or about.get("transcript_id", ""), "transcript")
            if "transcript_id" in about and "ID" not in about:
                ident = _bare(about["transcript_id"], "transcript")
            owner = _bare(about.get("Parent", ""), "gene") or gene
            transcripts[ident] = _gff(
                place,
                "transcript",
                ".",
                f"ID=transcript:{ident};Parent=gene:{owner};biotype={_biotype(about, 'transcript')}",
            )
    whole = [t for t in transcripts.values() if t]
    body = [*genes.values(), *whole, *parts] if whole else []
    return "\n".join(["##gff-version 3", *body]) + "\n", len(body), off


def _gff(place: tuple[str, ...], kind: str, phase: str, told: str) -> str:
    contig, source, start, end, score, strand = place
    return "\t".join([contig, source, kind, start, end, score, strand, phase, told])


def _attributes(told: str) -> dict[str, str]:
    if re.match(r'\s*\w+ "', told):  # GTF: key "value";
        return {m[1]: m[2] for m in re.finditer(r'(\w+) "?([^";]*)"?', told)}
    return dict(part.split("=", 1) for part in told.strip().strip(";").split(";") if "=" in part)


def _bare(ident: str, kind: str) -> str:
    return ident.strip().removeprefix(f"{kind}:").removeprefix(f"{kind}-").removeprefix("rna-")


def _biotype(about: dict[str, str], level: str) -> str:
    for name in ("biotype", f"{level}_biotype", f"{level}_type", "gene_biotype", "gene_type"):
        if about.get(name):
            return about[name]
    return "protein_coding"
