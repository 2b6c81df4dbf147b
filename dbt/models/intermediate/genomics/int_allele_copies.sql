-- Copies of the allele in each genotype. A split record has the alleles 0, 1 and '.', each one character.
select
    cohort_id, chrom, pos, ref, alt, site, sample_id, gt, dp, gq,
    length(gt) - length(replace(gt, '1', '')) as copies,
    length(replace(replace(replace(gt, '.', ''), '/', ''), '|', '')) as called,
    length(gt) - length(replace(replace(gt, '/', ''), '|', '')) + 1 as ploidy
from {{ source('silver_genomics', 'genotypes') }}
