-- Genotypes of each allele, counted. A genotype with a missing allele is missing; its other allele still counts in AC/AN.
select
    cohort_id, chrom, pos, ref, alt, site,
    sum(copies) as ac,
    sum(called) as an,
    sum(case when called = ploidy and copies = 0 then 1 else 0 end) as n_hom_ref,
    sum(case when called = ploidy and copies > 0 and copies < ploidy then 1 else 0 end) as n_het,
    sum(case when called = ploidy and copies = ploidy then 1 else 0 end) as n_hom_alt,
    sum(case when called < ploidy then 1 else 0 end) as n_missing,
    sum(case when ploidy = 2 and called = 2 and copies = 0 then 1 else 0 end) as diploid_hom_ref,
    sum(case when ploidy = 2 and called = 2 and copies = 1 then 1 else 0 end) as diploid_het,
    sum(case when ploidy = 2 and called = 2 and copies = 2 then 1 else 0 end) as diploid_hom_alt,
    sum(case when copies > 0 then 1 else 0 end) as n_carriers,
    {{ sorted_list("case when copies > 0 then sample_id end") }} as carriers
from {{ ref('int_allele_copies') }}
group by cohort_id, chrom, pos, ref, alt, site
