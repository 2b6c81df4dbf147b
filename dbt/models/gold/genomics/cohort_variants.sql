-- The alleles of a cohort with annotation and carriers. VCF 4.3, section 1.6.1 for ref and alt.
select
    v.cohort_id, v.chrom, v.pos, v.ref, v.alt, v.site,
    case
        when v.alt = '*' then 'other'
        when length(v.ref) = 1 and length(v.alt) = 1 then 'SNV'
        when length(v.alt) > length(v.ref) and substr(v.alt, 1, length(v.ref)) = v.ref then 'insertion'
        when length(v.ref) > length(v.alt) and substr(v.ref, 1, length(v.alt)) = v.alt then 'deletion'
        else 'other'
    end as variant_type,
    v.qual, v.filter, v.gene, v.consequence, v.impact, v.clinvar_significance, v.known_id,
    cast(g.n_hom_ref as bigint) as n_hom_ref,
    cast(g.n_het as bigint) as n_het,
    cast(g.n_hom_alt as bigint) as n_hom_alt,
    cast(g.n_missing as bigint) as n_missing,
    cast(g.n_carriers as bigint) as n_carriers,
    g.carriers
from {{ source('silver_genomics', 'variants') }} v
join {{ ref('int_genotype_counts') }} g
    on g.cohort_id = v.cohort_id and g.chrom = v.chrom and g.pos = v.pos and g.ref = v.ref and g.alt = v.alt
    and g.site = v.site
