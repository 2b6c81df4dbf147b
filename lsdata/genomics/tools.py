"""The external programs of this room: container image, how to ask their versions, indexes, and what JVMs need."""

from collections.abc import Mapping
from dataclasses import dataclass

from lsdata.compute import Input
from lsdata.settings import Settings

IMAGE = "lsdata/genomics-tools:0.1.0"
"""Image of remote runners; `docs/operations.md` says how it is built."""

BWA = {"bwa": "bwa 2>&1 | sed -n 's/^Version: //p'"}
SAMTOOLS = {"samtools": "samtools --version | sed -n '1s/samtools //p'"}
BCFTOOLS = {"bcftools": "bcftools --version | sed -n '1s/bcftools //p'"}
GATK = {"gatk": "gatk --version 2>/dev/null | sed -n 's/.*(GATK) v//p'"}
FASTQC = {"fastqc": "fastqc --version | sed 's/FastQC v//'"}
MULTIQC = {"multiqc": "multiqc --version | sed 's/.*version //'"}
TABIX = {"bgzip": "bgzip --version | sed -n '1s/bgzip (htslib) //p'", "tabix": "tabix --version | sed -n '1s/.*) //p'"}

BWA_MEM2 = {"bwa-mem2": "bwa-mem2 version 2>/dev/null"}
BWA_MEM3 = {"bwa-mem3": "bwa-mem3 version 2>/dev/null"}
SENTIEON = {"sentieon": "sentieon driver --version 2>&1 | sed 's/^sentieon-genomics-//'"}
DRAGEN = {"dragen": "dragen --version 2>&1 | sed -n 's/^dragen Version //p'"}
DEEPVARIANT = {"run_deepvariant": "run_deepvariant --version 2>/dev/null | sed 's/^.*version //'"}
GLNEXUS = {"glnexus_cli": "glnexus_cli --help 2>&1 | grep -om1 'v[0-9][0-9.]*'"}
VEP = {"vep": "vep --help 2>&1 | sed -n 's/.*ensembl-vep *: *//p'"}


@dataclass(frozen=True)
class Index:
    """An aligner's index of a reference: files beside the FASTA, `<fasta>.<suffix>`, and how they are made."""

    suffixes: tuple[str, ...]
    command: str
    tools: Mapping[str, str]


_BWA_INDEX = ("amb", "ann", "bwt", "pac", "sa")
_MEM2_INDEX = ("amb", "ann", "bwt.2bit.64", "pac")
INDEXES: Mapping[str, Index] = {
    "bwa": Index(_BWA_INDEX, "bwa index {outputs.fasta}", BWA),
    "bwa-mem2": Index((*_MEM2_INDEX, "0123"), "bwa-mem2 index {outputs.fasta}", BWA_MEM2),
    "bwa-mem3": Index(_MEM2_INDEX, "bwa-mem3 index {outputs.fasta}", BWA_MEM3),
    "sentieon": Index(_BWA_INDEX, "sentieon bwa index {outputs.fasta}", SENTIEON),
    "dragen": Index(
        ("dragen.tar",),
        "mkdir hash; dragen --build-hash-table true --ht-reference {outputs.fasta} --output-directory hash\n"
        "tar -cf {outputs.fasta}.dragen.tar -C hash .",
        DRAGEN,
    ),
}
"""By tool. Source: each tool's manual; DRAGEN: "Build Reference/Hash Table" in its host software guide."""


def indexes(settings: Settings) -> dict[str, Index]:
    """The indexes that the configured aligner and caller read; DRAGEN's caller needs its own, too."""
    return {tool: INDEXES[tool] for tool in (settings.aligner, settings.caller) if tool in (settings.aligner, "dragen")}


def fasta(path: str, name: str, index: str | None = None) -> Input:
    """A registered reference with what lies beside it, and a tool's index of it."""
    suffixes = INDEXES[index].suffixes if index else ()
    return Input(path, companions=(f"{name}.fa.fai", f"{name}.dict", *(f"{name}.fa.{s}" for s in suffixes)))


SHORT_JVM_BP = 50_000_000
"""Reference size under which a GATK tool runs for less than a minute, in which the optimizing compiler (C2) costs more
than it saves: on a 1.1 Mb reference HaplotypeCaller took 22.6 CPU-s with it and 11.5 without, with equal output."""


def java(memory_mib: int, reference_bp: int) -> str:
    """JVM options for `gatk --java-options`."""
    short = " -XX:TieredStopAtLevel=1" if reference_bp < SHORT_JVM_BP else ""
    return f"-Xmx{memory_mib}m -XX:+UseSerialGC{short}"
