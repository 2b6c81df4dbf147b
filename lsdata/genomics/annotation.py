"""Alleles with their consequences, clinical significance and known identifiers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from lsdata.catalog.genomics import ANNOTATION_SOURCES, JOINT_CALLS, REFERENCES, VARIANTS
from lsdata.compute import Input, Job
from lsdata.derived import arrow
from lsdata.genomics import tools, vcf
from lsdata.lake.work import Outcome, Work

SEVERITY: dict[str, str] = {
    "transcript_ablation": "HIGH",
    "splice_acceptor": "HIGH",
    "splice_donor": "HIGH",
    "stop_gained": "HIGH",
    "frameshift": "HIGH",
    "stop_lost": "HIGH",
    "start_lost": "HIGH",
    "transcript_amplification": "HIGH",
    "feature_elongation": "HIGH",
    "feature_truncation": "HIGH",
    "inframe_insertion": "MODERATE",
    "inframe_deletion": "MODERATE",
    "inframe_altering": "MODERATE",
    "missense": "MODERATE",
    "protein_altering": "MODERATE",
    "splice_donor_5th_base": "LOW",
    "splice_region": "LOW",
    "splice_donor_region": "LOW",
    "splice_polypyrimidine_tract": "LOW",
    "incomplete_terminal_codon": "LOW",
    "stop_retained": "LOW",
    "start_retained": "LOW",
    "synonymous": "LOW",
    "coding_sequence": "MODIFIER",
    "mature_mirna": "MODIFIER",
    "5_prime_utr": "MODIFIER",
    "3_prime_utr": "MODIFIER",
    "non_coding": "MODIFIER",
    "non_coding_transcript_exon": "MODIFIER",
    "intron": "MODIFIER",
    "nmd_transcript": "MODIFIER",
    "non_coding_transcript": "MODIFIER",
    "coding_transcript": "MODIFIER",
    "intergenic": "MODIFIER",
}
"""Consequence terms, most severe first, with the impact Ensembl VEP gives the Sequence Ontology term.

The names are those of bcftools csq, which are Sequence Ontology's without `_variant`.

Source: Ensembl, "Calculated variant consequences"; term names: bcftools csq (Danecek & McCarthy 2017,
doi:10.1093/bioinformatics/btx100).
"""
_RANK = {term: rank for rank, term in enumerate(SEVERITY)}


def variants(
    work: Work, joint_calls: pl.LazyFrame, references: pl.LazyFrame, annotation_sources: pl.LazyFrame
) -> Outcome:
    """Split and left-align the call set, predict consequences, and look alleles up in registered sites.

    Without a gene model (VEP has its own), ClinVar or known sites the columns they fill are null.
    """
    del references  # the FASTA is a file of it; declared so that a new reference makes the variants stale
    cohort = work.partition
    name: str = joint_calls.select(pl.col("reference").first()).collect().item()
    sources = annotation_sources.filter(pl.col("reference") == name).select("role", "file").collect()
    roles = dict(sources.iter_rows())
    job = _annotate(work, cohort, name, roles)
    made = work.run(job)
    path = work.destination / "annotated.vcf.gz"
    frame = vcf.read_sites(path)
    predicted = vep_consequences(path) if work.settings.annotator == "vep" else _csq_consequences(frame)
    columns = [pl.Series(n, [p[i] for p in predicted], dtype=pl.String) for i, n in enumerate(_PREDICTED)]
    rows = frame.with_columns(pl.lit(cohort).alias("cohort_id"), *columns)
    rows = _looked_up(rows, work, name, roles)
    notes: dict[str, str | float] = {
        f"{role}_registered": "yes" if role in roles else "no: its columns are null"
        for role in ("clinvar", "known_sites", *(() if work.settings.annotator == "vep" else ("genes",)))
    }
    if work.settings.annotator == "vep":
        notes["consequences"] = f"Ensembl VEP {made.tool_versions['vep']}"
    return Outcome(
        rows=arrow.typed(VARIANTS, rows),
        files=tuple(job.outputs.values()),
        notes=notes,
    )


def _annotate(work: Work, cohort: str, name: str, roles: dict[str, str]) -> Job:
    joint = work.file(JOINT_CALLS.key, cohort, "joint.vcf.gz")
    inputs: dict[str, str | Input | Sequence[str | Input]] = {
        "vcf": Input(str(joint), companions=(f"{joint.name}.tbi",)),
        "reference": tools.fasta(str(work.file(REFERENCES.key, name, f"{name}.fa")), name),
    }
    predict, versions, parameters = "", {**tools.BCFTOOLS, **tools.TABIX}, dict[str, str]()
    if work.settings.annotator == "vep":
        predict, versions = f" | {_VEP}", {**tools.VEP, **versions}
        parameters = {"cache": str(work.settings.vep_cache)}
    elif "genes" in roles:
        inputs["genes"] = str(work.file(ANNOTATION_SOURCES.key, name, roles["genes"]))
        # Unphased genotypes are taken as they stand (`--phase a`), as bcftools csq's manual does for unphased calls.
        # Without --force it stops at the first transcript with a ribosomal slippage or an odd phase, and real gene
        # models have both; with it, it skips or warns.
        predict = (
            " | bcftools csq --no-version --force --phase a --ncsq 64 -f {inputs.reference}"
            " --gff-annot {inputs.genes} -"
        )
    return Job(
        name="annotate",
        image=tools.IMAGE,
        command=(
            "bcftools norm --no-version --multiallelics -any --old-rec-tag OLD_REC --check-ref e "
            "--fasta-ref {inputs.reference} {inputs.vcf} | bcftools sort --temp-dir . -Ov -"
            + predict
            + " | grep -v '^##bcftools_\\|^##VEP' | bgzip > {outputs.vcf}\nbcftools index --tbi {outputs.vcf}\n"
        ),
        inputs=inputs,
        outputs={"vcf": "annotated.vcf.gz", "tbi": "annotated.vcf.gz.tbi"},
        parameters=parameters,
        tools=versions,
        cores=work.settings.cores if work.settings.annotator == "vep" else 1,
        memory_mib=4_000,
        minutes=30,
    )


_VEP = (
    "vep --offline --cache --dir_cache {parameters.cache} --fasta {inputs.reference} --format vcf --vcf --symbol "
    "--distance 0 --flag_pick_allele "
    "--pick_order rank,mane_select,mane_plus_clinical,canonical,appris,tsl,biotype,ccds,length "
    "--fork {cores} --no_stats --force_overwrite --input_file STDIN --output_file STDOUT"
)
"""Among equally severe consequences the picked one counts; without --distance 0 a neighbouring gene would, too.

Source: Ensembl VEP, "Running VEP: options". The cache is a folder of the machine that runs it.
"""

_PREDICTED = ("gene", "transcript", "consequence", "impact", "amino_acid_change")


def _csq_consequences(frame: pl.DataFrame) -> list[tuple[str | None, ...]]:
    """gene, transcript, consequence, impact, amino_acid_change from the BCSQ strings of the whole call set.

    A compound change is written once, at one of its records; the others point there as `@pos`. Several alleles may
    lie at that position: theirs is the string that names them.
    """
    written: dict[tuple[str, str], list[str]] = {}
    for chrom, pos, bcsq in frame.select("chrom", "pos", "bcsq").iter_rows():
        for one in (bcsq or "").split(","):
            if one and not one.startswith("@"):
                written.setdefault((chrom, str(pos)), []).append(one)
    return [
        most_severe([o for one in (bcsq or "").split(",") if one for o in _resolved(one, chrom, change, written)])
        for chrom, change, bcsq in frame.select(
            "chrom", pl.format("{}{}>{}", "pos", "ref", "alt").alias("change"), "bcsq"
        ).iter_rows()
    ]


def _resolved(one: str, chrom: str, change: str, written: dict[tuple[str, str], list[str]]) -> list[str]:
    if not one.startswith("@"):
        return [one]
    return [told for told in written.get((chrom, one[1:]), []) if change in told.rpartition("|")[2].split("+")]


def vep_consequences(path: Path) -> list[tuple[str | None, ...]]:
    """gene, transcript, consequence, impact, amino_acid_change of each record of a split VCF that VEP annotated.

    The fields of CSQ are those that its header line names. Source: Ensembl VEP, "Data formats", "VCF output".
    """
    from cyvcf2 import VCF  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - it has none

    reader = cast("Any", VCF(str(path)))
    names = reader.get_header_type("CSQ")["Description"].strip('"').rpartition("Format: ")[2].split("|")
    return [
        most_severe_vep([dict(zip(names, one.split("|"), strict=True)) for one in told.split(",")] if told else [])
        for told in (record.INFO.get("CSQ") for record in reader)
    ]


def most_severe_vep(consequences: Sequence[Mapping[str, str]]) -> tuple[str | None, ...]:
    """gene, transcript, consequence, impact and amino acid change of the most severe of VEP's, as `most_severe`.

    >>> told = {"Gene": "ENSG1", "SYMBOL": "A", "Feature": "T1", "Consequence": "missense_variant"}
    >>> most_severe_vep([{**told, "IMPACT": "MODERATE", "Amino_acids": "F/C", "Protein_position": "5"}])
    ('A', 'T1', 'missense', 'MODERATE', '5F>5C')
    """
    in_genes = [told for told in consequences if told["Gene"]]
    if not in_genes:
        return (None,) * 5
    terms = [[t.lower().removesuffix("_variant") for t in told["Consequence"].split("&")] for told in in_genes]
    # A consequence that VEP picked goes before its equals.
    best = min(range(len(in_genes)), key=lambda i: (min(map(_rank, terms[i])), in_genes[i].get("PICK") != "1"))
    told = in_genes[best]
    place, (before, _, after) = told.get("Protein_position", ""), told.get("Amino_acids", "").partition("/")
    change = f"{place}{before}" + (f">{place}{after}" if after else "") if place and before else None
    return told["SYMBOL"] or told["Gene"], told["Feature"] or None, "&".join(terms[best]), told["IMPACT"], change


def most_severe(consequences: Sequence[str]) -> tuple[str | None, ...]:
    """gene, transcript, consequence, impact and amino acid change of the most severe of BCSQ strings.

    >>> most_severe(["intron|B|T2|protein_coding", "missense|A|T1|protein_coding|+|5F>5C|12455T>G"])
    ('A', 'T1', 'missense', 'MODERATE', '5F>5C')
    >>> most_severe([])
    (None, None, None, None, None)
    """
    ranked = [(min(_rank(t) for t in _terms(c)), c) for c in consequences]
    if not ranked:
        return (None,) * 5
    rank, best = min(ranked, key=lambda told: told[0])
    fields: list[Any] = [*best.split("|"), *[""] * 7]
    impact = list(SEVERITY.values())[rank] if rank < len(SEVERITY) else "MODIFIER"
    # '*' marks a change behind an earlier stop in the same haplotype.
    return (fields[1] or None, fields[2] or None, fields[0].lstrip("*"), impact, fields[5] or None)


def _terms(consequence: str) -> list[str]:
    return consequence.split("|", 1)[0].lstrip("*").split("&")


def _rank(term: str) -> int:
    return _RANK.get(term.lower(), len(_RANK))


def _looked_up(rows: pl.DataFrame, work: Work, name: str, roles: dict[str, str]) -> pl.DataFrame:
    key = ["chrom", "pos", "ref", "alt"]
    clinvar = pl.DataFrame(schema=dict.fromkeys([*key, "clinvar_id", "clinvar_significance"], pl.String))
    known = pl.DataFrame(schema=dict.fromkeys([*key, "known_id"], pl.String))
    if "clinvar" in roles:
        path = work.file(ANNOTATION_SOURCES.key, name, roles["clinvar"])
        clinvar = vcf.read_lookup(path, {"clinvar_id": ("ID", "VARIATION_ID"), "clinvar_significance": _SIGNIFICANCE})
    if "known_sites" in roles:
        path = work.file(ANNOTATION_SOURCES.key, name, roles["known_sites"])
        known = vcf.read_lookup(path, {"known_id": ("ID",)})
    for table in (clinvar, known):
        table = table.with_columns(pl.col("pos").cast(pl.Int64))
        rows = rows.join(table.unique(subset=key, keep="first", maintain_order=True), on=key, how="left")
    return rows


_SIGNIFICANCE = ("CLNSIG", "CLINICAL_SIGNIFICANCE")
"""ClinVar's own name, and that of the older flattened release."""
