"""The one pass over a FASTQ file that the manifest is made of."""

from lsdata.genomics.fastq import FastqStats, fastq_stats

__all__ = ["FastqStats", "fastq_stats"]
