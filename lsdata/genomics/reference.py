"""Registering a reference genome and what is known about it."""

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lsdata.catalog.genomics import ANNOTATION_SOURCES, REFERENCES, VQSR_ROLES
from lsdata.compute import Job
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, JobFailed, MissingData, SettingError
from lsdata.genomics import tools
from lsdata.genomics.sample_sheet import PLAIN_NAME, PLAIN_NAME_RULE
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work

_FASTA = re.compile(r"\.(?:fa|fasta|fna)(?:\.gz)?$", re.IGNORECASE)
_CONTIG = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""Source: Sequence Alignment/Map Format Specification, section 1.2.1."""


def register(work: Work) -> Outcome:
    """Unpack and index `reference/<name>/<name>.fa(.gz)`: samtools faidx and dict, and what the aligner needs.

    Raises:
        InvalidInput: it is not a FASTA that these tools accept.
    """
    name = work.partition
    delivered = _delivered(work, name)
    indexes = tools.indexes(work.settings)
    job = Job(
        name="index_reference",
        image=tools.IMAGE,
        command=(
            "case {inputs.fasta} in *.gz) unpack='gzip -dc';; *) unpack=cat;; esac\n"
            "$unpack {inputs.fasta} > {outputs.fasta}\n"
            # samtools would index a FASTQ too.
            "head -c 1 {outputs.fasta} | grep -qF '>' || { echo 'It does not start with >' >&2; exit 1; }\n"
            "samtools faidx {outputs.fasta}\n"
            "samtools dict --uri {outputs.fasta} -o {outputs.dict} {outputs.fasta}\n"
            + "".join(f"{index.command}\n" for index in indexes.values())
        ),
        inputs={"fasta": str(delivered)},
        outputs={
            "fasta": f"{name}.fa",
            "fai": f"{name}.fa.fai",
            "dict": f"{name}.dict",
            **{suffix: f"{name}.fa.{suffix}" for index in indexes.values() for suffix in index.suffixes},
        },
        tools={**tools.SAMTOOLS, **{t: c for index in indexes.values() for t, c in index.tools.items()}},
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
            allowed=f"a FASTA, plain, gzipped or bgzipped, that samtools and {' and '.join(indexes)} can index",
            do=f"Deliver it again. {error.do}",
        ) from error
    contigs = list(_dictionary(work.destination / f"{name}.dict"))
    times = Counter(told["SN"] for told in contigs)
    if odd := [contig for contig, n in times.items() if n > 1 or not _CONTIG.fullmatch(contig)]:
        raise InvalidInput(
            f"reference/{name}/{delivered.name}",
            code="contig_names",
            found=f"contigs {', '.join(odd[:10])}, named more than once or with characters that SAM does not allow",
            allowed="distinct names as in section 1.2.1 of the SAM specification",
            do="Deliver a FASTA with such names.",
        )
    rows = [
        {
            "reference": name,
            "contig": told["SN"],
            "length_bp": int(told["LN"]),
            "md5": told["M5"],
            "fasta_sha256": made.outputs["fasta"].sha256,
        }
        for told in contigs
    ]
    return Outcome(
        rows=pl.DataFrame(rows, schema=arrow.polars_schema(REFERENCES)),
        files=tuple(job.outputs.values()),
        landed={f"reference/{name}/{delivered.name}": _sha256(delivered)},
    )


def _delivered(work: Work, name: str) -> Path:
    if not PLAIN_NAME.fullmatch(name):
        raise InvalidInput(
            f"reference/{name}",
            code="bad_folder_name",
            found="a folder name that cannot be a file name",
            allowed=PLAIN_NAME_RULE,
            do="Rename the folder and its FASTA.",
        )
    paths = [work.landing.local(f.path) for f in work.landed]
    for wanted in (f"{name}.fa.gz", f"{name}.fa", f"{name}.fasta.gz", f"{name}.fasta"):
        for path in paths:
            if path.name == wanted:
                return path
    others = [path for path in paths if _FASTA.search(path.name)]
    names = ", ".join(path.name for path in others[:10]) + (f" and {len(others) - 10} more" if others[10:] else "")
    raise InvalidInput(
        f"reference/{name}",
        code="reference_missing",
        found=f"no {name}.fa or {name}.fa.gz" + (f", but {names}" if others else " and no other FASTA"),
        allowed="a folder with a FASTA of its own name: .fa, .fa.gz, .fasta or .fasta.gz",
        do="Name the FASTA like its folder." if others else "Deliver the FASTA, or remove the folder.",
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

_SITES = ("clinvar", "known_sites", *VQSR_ROLES)
_INDEX = (".tbi", ".csi", ".md5")

_MOST_MISMATCHES = 0.1
"""Share of sites whose REF is not the reference's, above which a file is of another genome build: there about three of
four differ, on the right one next to none."""


def register_annotation(work: Work, references: pl.LazyFrame) -> Outcome:
    """Make the delivered gene model, sites and targets usable: own contigs only, sorted, indexed.

    What cannot be used is rejected; the other sources go on.
    """
    name = work.partition
    genome = dict(references.filter(pl.col("reference") == name).select("contig", "length_bp").collect().iter_rows())
    fasta = work.file(REFERENCES.key, name, f"{name}.fa")
    rows: list[dict[str, object]] = []
    files: list[str] = []
    landed: dict[str, str] = {}
    rejects: list[Reject] = []
    for where in sorted(f.path for f in work.landed if not f.path.endswith(_INDEX)):
        path = work.landing.local(where)
        role = path.name.split(".")[0]
        landed[where] = _sha256(path)
        try:
            if role in [row["role"] for row in rows]:
                raise InvalidInput(
                    where,
                    code="source_twice",
                    found=f"a second file of {role}",
                    allowed="one file of each source",
                    do="Remove one of them.",
                )
            if role.startswith("vqsr_") and role not in VQSR_ROLES:
                raise InvalidInput(
                    where,
                    code="unknown_resource",
                    found="a resource of VQSR that has no known, training and truth values",
                    allowed=", ".join(f"{r}.vcf.gz" for r in VQSR_ROLES),
                    do="Rename the file, or remove it.",
                )
            if role == "genes":
                made, records, off = _genes(work, path, list(genome), fasta, name)
            elif role in _SITES:
                made, records, off = _sites(work, path, fasta, name, role)
            else:
                made, records, off = _targets(work, path, genome)
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
touch norm.txt
trap 'cat norm.txt >&2' EXIT
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
    on++
    print
  }
  END { print "off", off + 0 > "left_out.txt"; print "on", on + 0 > "left_out.txt" }
' "$fasta".fai - \
  | bcftools norm --no-version --multiallelics -any --check-ref x --fasta-ref "$fasta" 2> norm.txt \
  | bcftools sort --temp-dir . -Oz -o {outputs.vcf}
bcftools index --tbi {outputs.vcf}
# "Lines   total/split/realigned/skipped:	9/0/0/1"; newer versions tell mismatches apart.
awk '/^Lines/ { n = split($2, names, "/"); split($3, counts, "/")
  for (i = 1; i <= n; i++) if (names[i] ~ /skipped|mismatch/) bad += counts[i] } END { print "mismatch", bad + 0 }' \
  norm.txt >> left_out.txt
cp left_out.txt {outputs.told}
""",
        inputs={"vcf": str(path), "fasta": tools.fasta(str(fasta), reference)},
        outputs={"vcf": f"{role}.vcf.gz", "tbi": f"{role}.vcf.gz.tbi", "told": f"{role}.left_out.txt"},
        tools=tools.BCFTOOLS,
        cores=1,
        memory_mib=2_000,
        minutes=10,
    )
    work.run(job)
    left_out = work.destination / job.outputs["told"]
    told = {kind: int(n) for kind, n in map(str.split, left_out.read_text().splitlines())}
    left_out.unlink()
    if told["mismatch"] > _MOST_MISMATCHES * told["on"]:
        raise InvalidInput(
            path.name,
            code="sites_of_another_reference",
            found=f"REF of {told['mismatch']} of {told['on']} records is not the reference's",
            allowed="sites of this reference",
            do="Deliver the file of this genome build.",
        )
    if told["mismatch"]:
        work.log(f"{path.name}: left out {told['mismatch']} records whose REF is not the reference's")
    return [job.outputs["vcf"], job.outputs["tbi"]], _vcf_records(work.destination / job.outputs["vcf"]), told["off"]


def _vcf_records(path: Path) -> int:
    from cyvcf2 import VCF  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - it has none

    reader = VCF(str(path))  # pyright: ignore[reportUnknownVariableType]
    return sum(1 for _ in reader)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _targets(work: Work, path: Path, genome: Mapping[str, int]) -> tuple[list[str], int, int]:
    kept: list[tuple[str, int, int, str]] = []
    bad: list[int] = []
    off = 0
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip() or re.match(r"#|track\b|browser\b", line):
            continue
        told = re.fullmatch(r"([^\t]+)\t([0-9]+)\t([0-9]+)(?:\t([^\t]*).*)?", line.rstrip())
        if told is None or int(told[2]) >= int(told[3]):
            bad.append(number)
            continue
        contig, start, end = _on(told[1], genome), int(told[2]), int(told[3])
        if contig is None:
            off += 1
        elif end > genome[contig]:
            bad.append(number)
        else:
            kept.append((contig, start, end, told[4] or f"{contig}:{start}-{end}"))
    if bad:
        raise InvalidInput(
            path.name,
            code="targets_not_bed",
            found=f"lines {', '.join(map(str, bad[:20]))}" + (f" and {len(bad) - 20} more" if len(bad) > 20 else ""),
            allowed="BED: tab-separated chrom, start, end; 0-based start < end, within the contig",
            do="Correct the lines.",
        )
    if not kept:
        raise InvalidInput(
            path.name,
            code="targets_off_reference",
            found=f"no target on the reference ({off} elsewhere)",
            allowed=f"contigs {', '.join(list(genome)[:10])}",
            do="Deliver targets of this reference.",
        )
    order = {c: i for i, c in enumerate(genome)}
    kept.sort(key=lambda target: (order[target[0]], *target[1:]))
    (work.destination / "targets.bed").write_text("".join(f"{c}\t{s}\t{e}\t{name}\n" for c, s, e, name in kept))
    return ["targets.bed"], len(kept), off


# -- gene models -------------------------------------------------------------------------------------------------------

_TRANSCRIPT = re.compile(r"transcript|.*RNA|.*_gene_segment|pseudogenic_transcript")
_GENE = re.compile(r".*gene")
_CODING = ("CDS", "stop_codon")
_UNTRANSLATED = ("five_prime_UTR", "three_prime_UTR", "five_prime_utr", "three_prime_utr", "UTR")
_BIOTYPES = {"transcript": "misc_RNA", "lnc_RNA": "lincRNA", "lncRNA": "lincRNA"}
"""Feature types of RefSeq, and a biotype Ensembl has renamed, as bcftools csq (to 1.16) knows them."""


def _genes(work: Work, path: Path, contigs: list[str], fasta: Path, reference: str) -> tuple[list[str], int, int]:
    """A GFF3 or GTF as the Ensembl GFF3 that bcftools csq reads, tried on a call set without records."""
    with gzip.open(path, "rt", errors="replace") if path.name.endswith(".gz") else path.open(errors="replace") as lines:
        try:
            text, records, off = ensembl_gff3(lines, contigs)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
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
        command=r"""
fasta={inputs.fasta}
(grep '^#' {inputs.gff} || true; grep -v '^#' {inputs.gff} | sort -s -k1,1 -k4,4n) | bgzip > {outputs.gff}
tabix -p gff {outputs.gff}
{ echo '##fileformat=VCFv4.2'; awk '{ print "##contig=<ID=" $1 ",length=" $2 ">" }' "$fasta".fai
  printf '#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n'; } > none.vcf
bcftools csq --force --phase a -f "$fasta" --gff-annot {outputs.gff} none.vcf > /dev/null 2> csq.txt || bad=1
cat csq.txt >&2
! grep '^Indexed 0 transcripts' csq.txt && [[ -z "${bad:-}" ]]
""",
        inputs={"gff": str(plain), "fasta": tools.fasta(str(fasta), reference)},
        outputs={"gff": "genes.gff3.gz", "tbi": "genes.gff3.gz.tbi"},
        tools=tools.TABIX | tools.BCFTOOLS,
        cores=1,
        memory_mib=2_000,
        minutes=5,
    )
    work.run(job)
    return list(job.outputs.values()), records, off


@dataclass
class _Transcript:
    """A transcript as it is gathered; intervals are 1-based closed."""

    contig: str
    source: str
    strand: str
    gene: str = ""
    kind: str = ""
    biotype: str = ""
    span: tuple[int, int] | None = None
    exons: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    untranslated: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    coding: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    stops: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])

    def records(self, ident: str) -> Iterator[str]:
        """The transcript and its parts. A stop codon is CDS, which GTF leaves out; UTR is exon outside of the CDS,
        which GENCODE's GTF does not tell apart and RefSeq leaves out."""
        coding = sorted(self.coding)
        for start, end, phase in self.stops if coding else ():
            whole = [(i, s, e, p) for i, (s, e, p) in enumerate(coding) if s <= end + 1 and start <= e + 1]
            if whole:
                i, s, e, p = whole[0]
                coding[i] = (min(s, start), max(e, end), p)
            else:
                coding = sorted([*coding, (start, end, phase)])
        exons = sorted(set(self.exons) or {(s, e) for s, e, _ in coding} | set(self.untranslated))
        span = self.span or (exons[0][0], max(e for _, e in exons))
        biotype = self.biotype or ("protein_coding" if coding else _BIOTYPES.get(self.kind, self.kind))
        told = f"ID=transcript:{ident};Parent=gene:{self.gene};biotype={biotype}"
        yield self._line("transcript", *span, ".", told)
        owner = f"Parent=transcript:{ident}"
        yield from (self._line("exon", s, e, ".", owner) for s, e in exons)
        yield from (self._line("CDS", s, e, phase, owner) for s, e, phase in coding)
        if coding:
            first, last = coding[0][0], max(e for _, e, _ in coding)
            left, right = ("five_prime_UTR", "three_prime_UTR")[:: -1 if self.strand == "-" else 1]
            yield from (self._line(left, s, min(e, first - 1), ".", owner) for s, e in exons if s < first)
            yield from (self._line(right, max(s, last + 1), e, ".", owner) for s, e in exons if e > last)

    def _line(self, kind: str, start: int, end: int, phase: str, told: str) -> str:
        return "\t".join([self.contig, self.source, kind, str(start), str(end), ".", self.strand, phase, told])


def ensembl_gff3(lines: Iterable[str], contigs: Sequence[str]) -> tuple[str, int, int]:
    """Rewrite a gene model (Ensembl, GENCODE or RefSeq GFF3; Ensembl or GENCODE GTF) in Ensembl's GFF3 form.

    Parts whose transcript, and transcripts whose exons, are nowhere in the file are left out.

    Returns:
        The text, its records, and the records left out because their contig is not in the reference.
    """
    known = set(contigs)
    genes: dict[str, str] = {}
    transcripts: dict[str, _Transcript] = {}
    off = 0
    for line in lines:
        fields = line.rstrip("\r\n").split("\t")
        if line.startswith("#") or len(fields) != 9 or not (fields[3].isdecimal() and fields[4].isdecimal()):
            continue
        contig, source, kind, start, end, _, strand, phase, told = fields
        contig = _on(contig, known)
        if contig is None:
            off += 1
            continue
        about, place = _attributes(told), (int(start), int(end))
        if _GENE.fullmatch(kind):
            ident = _bare(about.get("ID") or about.get("gene_id", ""))
            symbol = about.get("Name") or about.get("gene_name") or about.get("gene") or ident
            genes[ident] = (
                "\t".join([contig, source, "gene", start, end, ".", strand, ".", f"ID=gene:{ident};Name={symbol};"])
                + f"biotype={_biotype(about, 'gene') or 'protein_coding'}"
            )
            continue
        is_transcript = _TRANSCRIPT.fullmatch(kind)
        if not is_transcript and kind not in ("exon", *_CODING, *_UNTRANSLATED):
            continue
        # GFF3 names itself and its parent; GTF names gene and transcript on every line.
        own = about.get("ID") if is_transcript else about.get("Parent")
        for ident in (_bare(one) for one in (own or about.get("transcript_id", "")).split(",")):
            made = transcripts.setdefault(ident, _Transcript(contig, source, strand))
            if is_transcript:
                made.gene = _bare(about.get("Parent") or about.get("gene_id", ""))
                made.kind, made.biotype, made.span = kind, _biotype(about, "transcript"), place
            elif kind == "exon":
                made.exons.append(place)
            elif kind in _UNTRANSLATED:
                made.untranslated.append(place)
            else:
                (made.coding if kind == "CDS" else made.stops).append((*place, phase))
    whole = {i: t for i, t in transcripts.items() if t.gene in genes and (t.exons or t.coding)}
    body = [*genes.values(), *(line for i, t in whole.items() for line in t.records(i))] if whole else []
    return "\n".join(["##gff-version 3", *body]) + "\n", len(body), off


def _on(contig: str, known: Container[str]) -> str | None:
    """The contig as the reference names it: `chr` added or removed where only that differs."""
    other = contig.removeprefix("chr") if contig.startswith("chr") else f"chr{contig}"
    return next((name for name in (contig, other) if name in known), None)


def _attributes(told: str) -> dict[str, str]:
    if re.match(r'\s*\w+ "', told):  # GTF: key "value";
        return {m[1]: m[2] for m in re.finditer(r'(\w+) "?([^";]*)"?', told)}
    return dict(part.strip().split("=", 1) for part in told.split(";") if "=" in part)


def _bare(ident: str) -> str:
    """An id without the prefixes of Ensembl (`gene:`, `transcript:`) and RefSeq (`gene-`, `rna-`)."""
    return re.sub(r"^(gene[:-]|transcript:|rna-)", "", ident.strip())


def _biotype(about: Mapping[str, str], level: str) -> str:
    told = next((about[name] for name in ("biotype", f"{level}_biotype", f"{level}_type") if about.get(name)), "")
    return _BIOTYPES.get(told, told)
