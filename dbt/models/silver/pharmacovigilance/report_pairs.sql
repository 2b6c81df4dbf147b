-- Suspect drugs (or the roles of LSDATA_PV_ROLES) of each report with all of its reactions, for the periods in which the report counts.
with drugs as (
    select distinct source, delivery, report_id, drug
    from {{ source('silver_pharmacovigilance', 'case_drugs') }}
    where role in ({{ counted_roles() }})
),
reactions as (
    select distinct source, delivery, report_id, event
    from {{ source('silver_pharmacovigilance', 'case_reactions') }}
)
select
    c.source, c.delivery, c.report_id, c.valid_from, c.valid_until, d.drug, r.event, c.sex, c.age_group,
    cast(year(c.received_date) as string) as year
from {{ source('silver_pharmacovigilance', 'cases') }} c
join drugs d on d.source = c.source and d.delivery = c.delivery and d.report_id = c.report_id
join reactions r on r.source = c.source and r.delivery = c.delivery and r.report_id = c.report_id
where c.valid_until is null or c.valid_until > c.valid_from
