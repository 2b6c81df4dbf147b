-- Genotypes at alleles that pass. Filters not applied ('.') count as passed; '*' is another record's deletion.
select
    c.*,
    v.gene, v.impact,
    length(c.ref) = 1 and length(c.alt) = 1 as is_snv,
    concat(least(c.ref, c.alt), greatest(c.ref, c.alt)) in ('AG', 'CT') as is_transition
from {{ ref('int_allele_copies') }} c
join {{ source('silver_genomics', 'variants') }} v
    on v.cohort_id = c.cohort_id and v.chrom = c.chrom and v.pos = c.pos and v.ref = c.ref and v.alt = c.alt
    and v.site = c.site
where coalesce(v.filter, 'PASS') = 'PASS' and c.alt <> '*'
