"""Alternative aligners and callers: refused where they cannot run, and what their Jobs do with stand-ins.

The stand-ins take the arguments that the tools' manuals document and do the work with bwa and GATK, so what is tested
is everything around the tools: indexes, read groups, headers, joint genotyping. The tools themselves need licences,
hardware or an image; bwa-mem3 alone can be had, and is compared with bwa where it is installed.
"""

import gzip
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest

from lsdata.catalog.genomics import ALIGNMENTS, COHORTS, FASTQ_MANIFEST, GVCFS, JOINT_CALLS, REFERENCES, SEQUENCING_RUNS
from lsdata.derived import arrow
from lsdata.errors import InvalidInput, SettingError
from lsdata.genomics import alignment, calling, intake, reference, tools
from lsdata.genomics.calling import CALLERS
from lsdata.lake.work import Outcome
from lsdata.settings import ALTERNATIVES, Aligner, Annotator, Caller, Settings

# ---------------------------------------------------------------- refused when the settings are read

CHOICES = [
    (f"LSDATA_{name}", value)
    for name, values in (("ALIGNER", Aligner), ("CALLER", Caller), ("ANNOTATOR", Annotator))
    for value in get_args(values)[1:]
]


def test_the_defaults_need_nothing_and_every_other_choice_says_what_it_needs() -> None:
    assert {value for _, value in CHOICES} == set(ALTERNATIVES)
    assert not {get_args(values)[0] for values in (Aligner, Caller, Annotator)} & set(ALTERNATIVES)
    assert set(get_args(Aligner)) == set(tools.INDEXES)
    assert set(get_args(Caller)) == set(CALLERS)


@pytest.mark.parametrize(("variable", "value"), CHOICES)
def test_what_cannot_run_here_is_refused_when_settings_are_read(variable: str, value: str, tmp_path: Path) -> None:
    environ = {variable: value, "PATH": str(tmp_path), "LSDATA_TOOLS": str(tmp_path)}
    with pytest.raises(SettingError) as caught:
        Settings.read(environ)
    error = caught.value
    assert error.where == f"{variable}={value}"
    assert all(f"no executable {e} on PATH" in error.found for e in ALTERNATIVES[value].executables)
    assert all(f"{v} not set" in error.found for v in ALTERNATIVES[value].variables)
    assert error.allowed
    assert f"Unset {variable}" in error.do
    # Where jobs run elsewhere, this machine need not have it.
    assert Settings.read({**environ, "LSDATA_COMPUTE": "batch"}).compute == "batch"


@pytest.mark.parametrize(("variable", "value"), CHOICES)
def test_what_is_there_is_accepted(variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ALTERNATIVES[value]
    for executable in needs.executables:
        (tmp_path / executable).write_text("#!/bin/sh\n")
        (tmp_path / executable).chmod(0o755)
    environ = {variable: value, "PATH": str(tmp_path), **dict.fromkeys(needs.variables, str(tmp_path))}
    if value == "dragen":
        with pytest.raises(SettingError, match="no folder /opt/edico"):
            Settings.read(environ)
        monkeypatch.setitem(ALTERNATIVES, value, replace(needs, folders=(str(tmp_path),)))  # type: ignore[arg-type]
    settings = Settings.read(environ)
    assert value in (settings.aligner, settings.caller, settings.annotator)


def test_a_cache_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vep").write_text("#!/bin/sh\n")
    (tmp_path / "vep").chmod(0o755)
    environ = {"LSDATA_ANNOTATOR": "vep", "PATH": str(tmp_path)}
    with pytest.raises(SettingError, match="LSDATA_VEP_CACHE not set"):
        Settings.read(environ)
    with pytest.raises(SettingError, match=r"no folder .*missing \(LSDATA_VEP_CACHE\)"):
        Settings.read({**environ, "LSDATA_VEP_CACHE": str(tmp_path / "missing")})


# ---------------------------------------------------------------- stand-ins

BWA_LIKE = """case "$1" in
  version) echo 2.2.1; exit;;
  index) bwa index "$2"; echo x > "$2.0123"; tar -cf "$2.bwt.2bit.64" -C "$(dirname "$2")" hg.fa.bwt hg.fa.sa; exit;;
esac
[[ -f hg.fa.bwt ]] || tar -xf hg.fa.bwt.2bit.64
shift; [[ "$1" != --compat=* ]] || shift
"""
STAND_INS: Mapping[str, str] = {
    "bwa-mem2": BWA_LIKE + 'exec bwa mem "$@"',
    "bwa-mem3": BWA_LIKE + 'exec bwa mem "$@"',
    "sentieon": """case "$1 $2" in
  "bwa "*) shift; exec bwa "$@";;
  "driver --version") echo sentieon-genomics-202308.03; exit;;
  "driver -t"*) [[ "$*" == *"--algo Haplotyper --emit_mode gvcf"* ]]; cp CALLED "${@: -1}"; exit;;
esac
exit 2
""",
    "dragen": """declare -A o
[[ "$1" != --version ]] || { echo dragen Version 4.3.6; exit; }
while (($#)); do o[${1#--}]=$2; shift 2; done
[[ -d ${o[output-directory]} ]]
if [[ ${o[build-hash-table]:-} ]]; then cp "${o[ht-reference]}" "${o[output-directory]}"/reference.fa; exit; fi
if [[ ${o[enable-gvcf-genotyper-iterative]:-} ]]; then
  bcftools merge -l "${o[variant-list]}" --force-samples -Oz -o "${o[output-directory]}/joint.vcf.gz"; exit
fi
if [[ ${o[enable-variant-caller]:-} ]]; then
  [[ ${o[vc-emit-ref-confidence]} == GVCF && -f ${o[cram-input]} ]]
  cp CALLED "${o[output-directory]}/called.hard-filtered.gvcf.gz"; exit
fi
bwa index "${o[ref-dir]}"/reference.fa
first=1
while IFS=, read -r id sample _ _ one two; do
  [[ $id != RGID ]] || continue
  [[ $sample == "${o[fastq-list-sample-id]}" ]]
  bwa mem -Y -K 10000000 -R "@RG\\tID:$id\\tSM:$sample" "${o[ref-dir]}"/reference.fa "$one" $two \
    | if ((first)); then cat; else grep -v '^@'; fi
  first=0
done < "${o[fastq-list]}" | samtools view -b -o "${o[output-directory]}/mapped.bam" -
""",
    "run_deepvariant": """[[ "$1" != --version ]] || { echo DeepVariant version 1.10.0; exit; }
for a in "$@"; do case "$a" in --output_gvcf=*) out=${a#*=};; --model_type=*) model=${a#*=};; esac; done
[[ $model == WGS || $model == WES ]]
bcftools view CALLED | sed 's/<NON_REF>/<*>/g' | bgzip > "$out"
""",
    "glnexus_cli": """[[ "$1" != --help ]] || { echo "glnexus_cli v1.4.1-0-g68e25e5"; exit; }
[[ "$1 $2" == "--config DeepVariantW"[GE]S ]]
files=(); while (($#)); do case "$1" in --*) shift 2;; *) files+=("$1"); shift;; esac; done
mkdir t
for f in "${files[@]}"; do
  bcftools view -i 'N_ALT > 1' "$f" | sed 's/,<\\*>//' | bcftools annotate -x INFO,FILTER,^FORMAT/GT \
    | bgzip > "t/$(basename "$f")"; bcftools index "t/$(basename "$f")"
done
bcftools merge --force-samples --no-index t/*.gz -Ob 2> /dev/null || bcftools view t/*.gz -Ob
""",
}


@pytest.fixture
def stage(desk: Any, tmp_path: Path) -> Any:
    """A desk with stand-ins on its PATH, a reference, and a sample on two lanes with ten real differences."""
    place = tmp_path / "stand-ins"
    place.mkdir()
    called = tmp_path / "called.g.vcf.gz"
    for name, script in STAND_INS.items():
        (place / name).write_text("#!/bin/bash\nset -euo pipefail\n" + script.replace("CALLED", str(called)))
        (place / name).chmod(0o755)
    desk.runner = replace(desk.runner, path=f"{place}:{desk.runner.path}")
    desk.called = called
    draw = random.Random(5)
    genome = "".join(draw.choices("ACGT", k=6_000))
    person = list(genome)
    for at in range(300, 5_700, 540):
        person[at] = next(b for b in "ACGT" if b != genome[at])
    desk.land("reference/hg/hg.fa", f">1\n{genome}\n")
    for lane in (1, 2):
        mates: tuple[list[str], list[str]] = ([], [])
        for i in range(500):
            start = draw.randrange(len(genome) - 300)
            fragment = "".join((person if draw.random() < 0.5 else genome)[start : start + 300])
            turned = fragment.translate(str.maketrans("ACGT", "TGCA"))[::-1]
            for mate, sequence in zip(mates, (fragment[:100], turned[:100]), strict=True):
                mate.append(f"@r{lane}.{i}\n{sequence}\n+\n{'F' * 100}\n")
        for number, mate in enumerate(mates, 1):
            desk.land(f"sequencing/run/S_S1_L00{lane}_R{number}_001.fastq.gz", gzip.compress("".join(mate).encode()))
    desk.land("sequencing/run/SampleSheet.csv", "[Data]\nLane,Sample_ID\n1,S\n2,S\n")
    desk.land("sequencing/run/CopyComplete.txt", "")
    desk.land("cohorts.csv", "cohort_id,sample_id\nfam,S\n")
    desk.run(SEQUENCING_RUNS, intake.sequencing_runs)
    desk.run(FASTQ_MANIFEST, intake.fastq_manifest, "run")
    desk.run(COHORTS, intake.cohorts)
    assert desk.codes() == []
    return desk


def configured(desk: Any, **settings: Any) -> None:
    desk.lake.settings = replace(desk.lake.settings, **settings)


def aligned(desk: Any, aligner: str) -> tuple[list[str], list[str]]:
    """Header and records of the sample's CRAM."""
    configured(desk, aligner=aligner)
    assert isinstance(desk.run(REFERENCES, reference.register, "hg"), Outcome)
    assert isinstance(desk.run(ALIGNMENTS, alignment.align, "S"), Outcome)
    cram = desk.lake.file(ALIGNMENTS.key, "S", "S.cram")
    fasta = desk.lake.file(REFERENCES.key, "hg", "hg.fa")
    told = subprocess.run(
        ["samtools", "view", "--no-PG", "-h", "-T", fasta, cram], capture_output=True, text=True, check=True
    )
    lines = told.stdout.splitlines()
    return [x for x in lines if x.startswith("@")], [x for x in lines if not x.startswith("@")]


def test_every_aligner_gives_the_same_pipe_its_reads(stage: Any) -> None:
    head, records = aligned(stage, "bwa")
    assert len(records) == 2_000
    for aligner in get_args(Aligner)[1:]:
        other_head, other = aligned(stage, aligner)
        # DRAGEN gives reads back in an order of its own; those at one place may change places.
        assert sorted(other) == sorted(records), aligner
        for kind in ("@SQ", "@RG"):
            told, ours = (
                sorted(sorted(x.split("\t")) for x in lines if x.startswith(kind)) for lines in (other_head, head)
            )
            assert told == ours, aligner
        assert str(stage.lake.settings.home) not in "\n".join(other_head)
        row = stage.lake.read(ALIGNMENTS.key).collect().row(0, named=True)
        assert row["aligner"].startswith(("bwa-mem", "dragen", "samtools"))
        assert aligner in row["aligner"]


def test_bwa_mem3_writes_the_records_of_bwa(data: Path, tmp_path: Path, desk: Any) -> None:
    """On real reads, byte for byte, in the mode that the Job asks for."""
    program = shutil.which("bwa-mem3", path=desk.runner.path)
    if program is None:
        pytest.skip("bwa-mem3 is not installed: setup/bwa-mem3.sh")
    fasta = tmp_path / "r.fa"
    fasta.write_bytes(gzip.decompress((data / "reference/chr20w.fa.gz").read_bytes()))
    reads = [data / f"reads/HG002_R{mate}.fastq.gz" for mate in (1, 2)]
    records: list[list[bytes]] = []
    for index, mem in ((["bwa", "index"], ["bwa", "mem"]), ([program, "index"], [program, "mem", "--compat=bwa-mem2"])):
        subprocess.run([*index, fasta], capture_output=True, check=True)
        command = [*mem, "-Y", "-K", "10000000", "-t", "2", "-v", "1", fasta]
        for given in (reads, reads[:1]):
            told = subprocess.run([*command, *given], capture_output=True, check=True).stdout.splitlines()
            records.append([line for line in told if not line.startswith(b"@")])
    assert records[0] == records[2]
    assert records[1] == records[3]
    assert len(records[0]) > 10_000


def test_an_aligner_without_its_index_says_how_to_get_it(stage: Any) -> None:
    assert isinstance(stage.run(REFERENCES, reference.register, "hg"), Outcome)
    configured(stage, aligner="bwa-mem2")
    with pytest.raises(SettingError) as caught:
        stage.run(ALIGNMENTS, alignment.align, "S")
    assert caught.value.where == "LSDATA_ALIGNER=bwa-mem2"
    assert "Materialize bronze/genomics/references [hg] again" in caught.value.do


def test_every_caller_ends_in_a_call_set(stage: Any) -> None:
    aligned(stage, "bwa")
    found: dict[str, list[str]] = {}
    for caller in get_args(Caller):
        configured(stage, caller=caller)
        if caller == "dragen":
            assert isinstance(stage.run(REFERENCES, reference.register, "hg"), Outcome)
        assert isinstance(stage.run(GVCFS, calling.gvcf, "S"), Outcome)
        gvcf = stage.lake.file(GVCFS.key, "S", "S.g.vcf.gz")
        if caller == "gatk":
            shutil.copy(gvcf, stage.called)
            shutil.copy(f"{gvcf}.tbi", f"{stage.called}.tbi")
        row = stage.lake.read(GVCFS.key).collect().row(0, named=True)
        assert row["caller"].startswith(f"{CALLERS[caller].name} ")
        assert (row["variant_records"], row["reference_blocks"] > 0) == (10, True), caller
        made = stage.run(JOINT_CALLS, calling.joint_calls, "fam")
        assert isinstance(made, Outcome)
        told = made.rows.row(0, named=True)
        assert told["filter_method"] == ("hard_filters" if CALLERS[caller].joint == "GATK" else "caller")
        joint = stage.lake.file(JOINT_CALLS.key, "fam", "joint.vcf.gz")
        look = subprocess.run(
            ["bcftools", "query", "-f", "%POS %REF %FILTER %INFO/AN\n", joint],
            capture_output=True,
            text=True,
            check=True,
        )
        found[caller] = look.stdout.splitlines()
        assert told["records"] == len(found[caller])
    assert len(found["gatk"]) == 10
    assert all(line.split()[2:] == ["PASS", "2"] for line in found["gatk"])
    assert found["sentieon"] == found["deepvariant"] == found["deepvariant-wes"] == found["gatk"]


def test_a_cohort_of_two_callers_is_refused(stage: Any) -> None:
    rows = [
        ("A", "hg", "GATK HaplotypeCaller 4.6.2.0", 1, 1, "0" * 64),
        ("B", "hg", "DeepVariant WGS 1.10.0", 1, 1, "1" * 64),
    ]
    stage.land("cohorts.csv", "cohort_id,sample_id\nfam,A\nfam,B\n")
    stage.run(COHORTS, intake.cohorts)
    stage.run(REFERENCES, reference.register, "hg")
    for row in rows:
        stage.put(GVCFS, pl.DataFrame([row], schema=arrow.polars_schema(GVCFS), orient="row"), row[0])
    refused = stage.run(JOINT_CALLS, calling.joint_calls, "fam")
    assert isinstance(refused, InvalidInput)
    assert refused.code == "callers_differ"
    assert "DeepVariant WGS, GATK HaplotypeCaller" in refused.found
