-- Call-set quality of each sample over PASS alleles. Kinship: KING-robust, doi:10.1093/bioinformatics/btq559, eq. 11,
-- written as 1/2 - sum((g_i - g_j)^2) / (4 * min(het_i, het_j)) over common biallelic SNVs.
with samples as (
    select distinct cohort_id, sample_id from {{ ref('int_allele_copies') }}
),
calls as (
    select * from {{ ref('int_passing_calls') }}
),
carried_once as (
    select cohort_id, chrom, pos, ref, alt, site, min(sample_id) as sample_id
    from calls
    where copies > 0
    group by cohort_id, chrom, pos, ref, alt, site
    having count(*) = 1
),
singletons as (
    select cohort_id, sample_id, count(*) as n_singleton from carried_once group by cohort_id, sample_id
),
counted as (
    select
        cohort_id, sample_id,
        count(*) as n_sites,
        sum(case when called = ploidy then 1 else 0 end) as n_called,
        sum(case when copies > 0 and is_snv then 1 else 0 end) as n_snv,
        sum(case when copies > 0 and not is_snv then 1 else 0 end) as n_indel,
        sum(case when called = ploidy and copies > 0 and copies < ploidy then 1 else 0 end) as n_het,
        sum(case when called = ploidy and copies = ploidy then 1 else 0 end) as n_hom_alt,
        sum(case when copies > 0 and is_snv and is_transition then 1 else 0 end) as n_transition,
        sum(case when copies > 0 and is_snv and not is_transition then 1 else 0 end) as n_transversion,
        avg(case when called = ploidy then cast(dp as double) end) as mean_dp_x,
        avg(case when called = ploidy then cast(gq as double) end) as mean_gq,
        sum(case when chrom in ('X', 'chrX') and copies > 0 then 1 else 0 end) as n_x,
        sum(case when chrom in ('X', 'chrX') and copies > 0 and copies < ploidy then 1 else 0 end) as n_x_het
    from calls
    group by cohort_id, sample_id
),
common as (
    select cohort_id, chrom, pos, ref, alt, site
    from calls
    where is_snv and ploidy = 2 and chrom not in ('X', 'chrX', 'Y', 'chrY', 'M', 'MT', 'chrM')
    group by cohort_id, chrom, pos, ref, alt, site
    having sum(copies) >= 0.05 * sum(called) and sum(copies) <= 0.95 * sum(called)
),
-- Pairs grow with the square of the samples: 20,000 sites, taken evenly by hash, are plenty for third-degree relatives.
thinned as (
    select * from (
        select c.*, row_number() over (
            partition by cohort_id order by md5(concat(chrom, ':', pos, ':', ref, ':', alt, ':', site))
        ) as nth
        from common c
    ) numbered
    where nth <= 20000
),
dosages as (
    select c.cohort_id, c.chrom, c.pos, c.ref, c.alt, c.site, c.sample_id, c.copies
    from calls c
    join thinned t
        on t.cohort_id = c.cohort_id and t.chrom = c.chrom and t.pos = c.pos and t.ref = c.ref and t.alt = c.alt
        and t.site = c.site
    where c.called = 2 and c.ploidy = 2
),
pairs as (
    select
        i.cohort_id, i.sample_id, j.sample_id as other,
        sum((i.copies - j.copies) * (i.copies - j.copies)) as squared,
        least(sum(case when i.copies = 1 then 1 else 0 end), sum(case when j.copies = 1 then 1 else 0 end)) as het
    from dosages i
    join dosages j
        on j.cohort_id = i.cohort_id and j.chrom = i.chrom and j.pos = i.pos and j.ref = i.ref and j.alt = i.alt
        and j.site = i.site and j.sample_id <> i.sample_id
    group by i.cohort_id, i.sample_id, j.sample_id
    -- On fewer sites the estimate is noise.
    having count(*) >= 200
),
ranked as (
    select
        cohort_id, sample_id, other,
        0.5 - cast(squared as double) / (4.0 * cast(het as double)) as kinship,
        row_number() over (
            partition by cohort_id, sample_id
            order by cast(squared as double) / cast(het as double), other
        ) as nth
    from pairs
    where het > 0
)
select
    s.cohort_id, s.sample_id,
    cast(coalesce(c.n_sites, 0) as bigint) as n_sites,
    cast(coalesce(c.n_called, 0) as bigint) as n_called,
    case when c.n_sites > 0 then cast(c.n_called as double) / cast(c.n_sites as double) end as call_rate,
    cast(coalesce(c.n_snv, 0) as bigint) as n_snv,
    cast(coalesce(c.n_indel, 0) as bigint) as n_indel,
    cast(coalesce(c.n_het, 0) as bigint) as n_het,
    cast(coalesce(c.n_hom_alt, 0) as bigint) as n_hom_alt,
    cast(coalesce(o.n_singleton, 0) as bigint) as n_singleton,
    cast(coalesce(c.n_transition, 0) as bigint) as n_transition,
    cast(coalesce(c.n_transversion, 0) as bigint) as n_transversion,
    case when c.n_transversion > 0 then cast(c.n_transition as double) / cast(c.n_transversion as double) end as titv,
    case when c.n_hom_alt > 0 then cast(c.n_het as double) / cast(c.n_hom_alt as double) end as het_hom,
    round(c.mean_dp_x, 10) as mean_dp_x,
    round(c.mean_gq, 10) as mean_gq,
    case when c.n_x > 0 then cast(c.n_x_het as double) / cast(c.n_x as double) end as x_het_fraction,
    case
        when c.n_x >= 20 and c.n_x_het > 0.2 * c.n_x then 'F'
        when c.n_x >= 20 then 'M'
    end as inferred_sex,
    r.other as closest_sample,
    r.kinship as closest_kinship
from samples s
left join counted c on c.cohort_id = s.cohort_id and c.sample_id = s.sample_id
left join singletons o on o.cohort_id = s.cohort_id and o.sample_id = s.sample_id
left join ranked r on r.cohort_id = s.cohort_id and r.sample_id = s.sample_id and r.nth = 1
