-- Distinct reports of each pair, drug and event as of each quarter (DuMouchel 1999, doi:10.1080/00031305.1999.10474456).
-- Every pair has its margins: the joins are outer ones so that none is made between margins first, which is a product.
-- Expected counts are n_drug * n_event / n_total; `adjusted` sums that over sex, age group and year.
with quarters as (
    select distinct source, as_of
    from (
        select source, known_from as as_of from {{ source('silver_pharmacovigilance', 'cases') }}
        union all
        select source, valid_from as as_of from {{ source('silver_pharmacovigilance', 'cases') }}
        union all
        select source, valid_until as as_of from {{ source('silver_pharmacovigilance', 'cases') }}
        where valid_until is not null
    ) told
),
rows_of as (
    select
        source, delivery, report_id, valid_from, valid_until, drug, event, sex, age_group, year,
        concat(coalesce(sex, '-'), '/', coalesce(age_group, '-'), '/', coalesce(year, '-')) as cell
    from {{ source('silver_pharmacovigilance', 'report_pairs') }}
),
pairs as (
    select source, 'all' as stratum, delivery, report_id, valid_from, valid_until, drug, event from rows_of
    union all
    select source, concat('sex=', sex), delivery, report_id, valid_from, valid_until, drug, event
    from rows_of where sex is not null
    union all
    select source, concat('age_group=', age_group), delivery, report_id, valid_from, valid_until, drug, event
    from rows_of where age_group is not null
    union all
    select source, concat('year=', year), delivery, report_id, valid_from, valid_until, drug, event
    from rows_of where year is not null
),
with_drug as (select distinct source, stratum, delivery, report_id, valid_from, valid_until, drug from pairs),
with_event as (select distinct source, stratum, delivery, report_id, valid_from, valid_until, event from pairs),
with_any as (select distinct source, stratum, delivery, report_id, valid_from, valid_until from pairs),
n_pair as ({{ counted_as_of('pairs', ['stratum', 'drug', 'event']) }}),
n_drug as ({{ counted_as_of('with_drug', ['stratum', 'drug']) }}),
n_event as ({{ counted_as_of('with_event', ['stratum', 'event']) }}),
n_total as ({{ counted_as_of('with_any', ['stratum']) }}),
cell_drug as (select distinct source, cell, delivery, report_id, valid_from, valid_until, drug from rows_of),
cell_event as (select distinct source, cell, delivery, report_id, valid_from, valid_until, event from rows_of),
cell_any as (select distinct source, cell, delivery, report_id, valid_from, valid_until from rows_of),
n_cell_drug as ({{ counted_as_of('cell_drug', ['cell', 'drug']) }}),
n_cell_event as ({{ counted_as_of('cell_event', ['cell', 'event']) }}),
n_cell as ({{ counted_as_of('cell_any', ['cell']) }}),
counted as (
    select
        p.source, p.as_of, p.stratum, p.drug, p.event, p.n, d.n as n_drug, e.n as n_event, t.n as n_total
    from n_pair p
    left join n_drug d on d.source = p.source and d.as_of = p.as_of and d.stratum = p.stratum and d.drug = p.drug
    left join n_event e on e.source = p.source and e.as_of = p.as_of and e.stratum = p.stratum and e.event = p.event
    left join n_total t on t.source = p.source and t.as_of = p.as_of and t.stratum = p.stratum
),
adjusted as (
    select
        c.source, c.as_of, c.drug, c.event,
        round(sum(cast(d.n as double) * cast(e.n as double) / cast(t.n as double)), 9) as expected
    from counted c
    left join n_cell_drug d on d.source = c.source and d.as_of = c.as_of and d.drug = c.drug
    left join n_cell_event e on e.source = c.source and e.as_of = c.as_of and e.cell = d.cell and e.event = c.event
    left join n_cell t on t.source = c.source and t.as_of = c.as_of and t.cell = d.cell
    where c.stratum = 'all'
    group by c.source, c.as_of, c.drug, c.event
)
select
    source, as_of, stratum, drug, event, n, n_drug, n_event, n_total,
    cast(n_drug as double) * cast(n_event as double) / cast(n_total as double) as expected
from counted
union all
select
    c.source, c.as_of, 'adjusted' as stratum, c.drug, c.event, c.n, c.n_drug, c.n_event, c.n_total, a.expected
from counted c
join adjusted a on a.source = c.source and a.as_of = c.as_of and a.drug = c.drug and a.event = c.event
where c.stratum = 'all'
