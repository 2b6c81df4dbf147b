-- AC, AN, AF as VCF 4.3 defines them, and the exact test of Hardy-Weinberg equilibrium over diploid genotypes:
-- Wigginton, Cutler & Abecasis 2005, doi:10.1086/429864. P(h heterozygotes | rare alleles) is proportional to
-- n! / (rare_hom! h! common_hom!) * 2^h; the p value sums all h that are no more probable than the observed.
with counted as (
    select * from {{ ref('int_genotype_counts') }}
),
tables as (
    select distinct
        diploid_hom_ref + diploid_het + diploid_hom_alt as n,
        diploid_het as het,
        2 * least(diploid_hom_ref, diploid_hom_alt) + diploid_het as rare
    from counted
    where diploid_hom_ref + diploid_het + diploid_hom_alt > 0
),
factorials as (
    select n, sum(case when n = 0 then 0.0 else ln(n) end) over (order by n) as ln_factorial
    from ({{ numbers('select coalesce(max(n), 0) from tables') }}) numbered
),
possible as (
    select t.n, t.het, t.rare, h.n as h, (t.rare - h.n) / 2 as rare_hom, t.n - h.n - (t.rare - h.n) / 2 as common_hom
    from tables t
    join factorials h on h.n <= t.rare and h.n <= t.n and (t.rare - h.n) % 2 = 0
),
weighed as (
    select p.n, p.het, p.rare, p.h, p.h * ln(2.0) - fr.ln_factorial - fh.ln_factorial - fc.ln_factorial as ln_weight
    from possible p
    join factorials fr on fr.n = p.rare_hom
    join factorials fh on fh.n = p.h
    join factorials fc on fc.n = p.common_hom
),
relative as (
    select w.n, w.het, w.rare, exp(w.ln_weight - o.ln_weight) as weight
    from weighed w
    join weighed o on o.n = w.n and o.het = w.het and o.rare = w.rare and o.h = o.het
),
tested as (
    select n, het, rare, sum(case when weight <= 1.0 + 1e-9 then weight else 0.0 end) / sum(weight) as p
    from relative
    group by n, het, rare
)
select
    c.cohort_id, c.chrom, c.pos, c.ref, c.alt, c.site, v.filter,
    cast(c.ac as bigint) as ac,
    cast(c.an as bigint) as an,
    case when c.an > 0 then cast(c.ac as double) / cast(c.an as double) end as af,
    cast(c.n_hom_ref as bigint) as n_hom_ref,
    cast(c.n_het as bigint) as n_het,
    cast(c.n_hom_alt as bigint) as n_hom_alt,
    cast(c.n_missing as bigint) as n_missing,
    -- Rounded: the last digits of a sum depend on its order, which differs between engines. Not `least`, which would
    -- make 1 of no genotypes, as if they had been tested.
    round(case when t.p > 1.0 then cast(1.0 as double) else t.p end, 10) as hwe
from counted c
join {{ source('silver_genomics', 'variants') }} v
    on v.cohort_id = c.cohort_id and v.chrom = c.chrom and v.pos = c.pos and v.ref = c.ref and v.alt = c.alt
    and v.site = c.site
left join tested t
    on t.n = c.diploid_hom_ref + c.diploid_het + c.diploid_hom_alt and t.het = c.diploid_het
    and t.rare = 2 * least(c.diploid_hom_ref, c.diploid_hom_alt) + c.diploid_het
