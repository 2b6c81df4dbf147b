{#- Roles of the drugs that are counted, as SQL texts: the setting LSDATA_PV_ROLES. -#}
{% macro counted_roles() -%}
  '{{ var('pv_roles', ['PS', 'SS']) | join("', '") }}'
{%- endmacro %}

{#- Reports by quarter and some keys: what came in and what went out, summed up to the quarter. -#}
{% macro counted_as_of(reports, keys) -%}
  select c.source, a.as_of, {{ 'c.' ~ (keys | join(', c.')) }},
    cast(sum(c.change) as bigint) as n
  from (
    select source, {{ keys | join(', ') }}, quarter, sum(change) as change
    from (
      select source, {{ keys | join(', ') }}, valid_from as quarter, 1 as change from {{ reports }}
      union all
      select source, {{ keys | join(', ') }}, valid_until as quarter, -1 as change from {{ reports }}
      where valid_until is not null
    ) changes
    group by source, {{ keys | join(', ') }}, quarter
  ) c
  join quarters a on a.source = c.source and c.quarter <= a.as_of
  group by c.source, a.as_of, {{ 'c.' ~ (keys | join(', c.')) }}
  having sum(c.change) > 0
{%- endmacro %}
