"""The external programs of this room: container image, how to ask their versions, and what JVMs need."""

from lsdata.compute import Input

IMAGE = "lsdata/genomics-tools:0.1.0"
"""Image of remote runners; `docs/operations.md` says how it is built."""

BWA = {"bwa": "bwa 2>&1 | sed -n 's/^Version: //p'"}
SAMTOOLS = {"samtools": "samtools --version | sed -n '1s/samtools //p'"}
BCFTOOLS = {"bcftools": "bcftools --version | sed -n '1s/bcftools //p'"}
GATK = {"gatk": "gatk --version 2>/dev/null | sed -n 's/.*(GATK) v//p'"}
FASTQC = {"fastqc": "fastqc --version | sed 's/FastQC v//'"}
MULTIQC = {"multiqc": "multiqc --version | sed 's/.*version //'"}
TABIX = {"bgzip": "bgzip --version | sed -n '1s/bgzip (htslib) //p'", "tabix": "tabix --version | sed -n '1s/.*) //p'"}

BWA_INDEX = ("amb", "ann", "bwt", "pac", "sa")


def fasta(path: str, name: str, *, bwa: bool = False) -> Input:
    """A registered reference with the indexes that lie beside it."""
    companions = [f"{name}.fa.fai", f"{name}.dict"]
    return Input(path, companions=(*companions, *(f"{name}.fa.{e}" for e in BWA_INDEX if bwa)))


SHORT_JVM_BP = 50_000_000
"""Reference size under which a GATK tool runs for less than a minute, in which the optimizing compiler (C2) costs more
than it saves: on a 1.1 Mb reference HaplotypeCaller took 22.6 CPU-s with it and 11.5 without, with equal output."""


def java(memory_mib: int, reference_bp: int) -> str:
    """JVM options for `gatk --java-options`."""
    short = " -XX:TieredStopAtLevel=1" if reference_bp < SHORT_JVM_BP else ""
    return f"-Xmx{memory_mib}m -XX:+UseSerialGC{short}"
