-- Carriers of PASS alleles by gene and impact, as a burden test (e.g. CAST, doi:10.1016/j.mrfmmm.2006.09.003) counts them.
with samples as (
    select cohort_id, count(distinct sample_id) as n_samples from {{ ref('int_allele_copies') }} group by cohort_id
),
carried as (
    select
        cohort_id, gene, impact,
        count(distinct concat(chrom, ':', pos, ':', ref, ':', alt, ':', site)) as n_variants,
        count(distinct case when copies > 0 then sample_id end) as n_carriers,
        count(distinct case when copies >= 2 then sample_id end) as n_hom_carriers
    from {{ ref('int_passing_calls') }}
    where gene is not null and impact is not null
    group by cohort_id, gene, impact
)
select
    c.cohort_id, c.gene, c.impact,
    cast(c.n_variants as bigint) as n_variants,
    cast(c.n_carriers as bigint) as n_carriers,
    cast(c.n_hom_carriers as bigint) as n_hom_carriers,
    cast(s.n_samples as bigint) as n_samples,
    cast(c.n_carriers as double) / cast(s.n_samples as double) as carrier_fraction
from carried c
join samples s on s.cohort_id = c.cohort_id
