{#- What DuckDB and Spark say differently. -#}

{#- Whole numbers from 0 to a bound, as rows with the column `n`. -#}
{% macro numbers(bound) -%}
  {{ return(adapter.dispatch('numbers')(bound)) }}
{%- endmacro %}
{% macro default__numbers(bound) -%}
  select cast(unnest(generate_series(0, cast(({{ bound }}) as bigint))) as bigint) as n
{%- endmacro %}
{% macro spark__numbers(bound) -%}
  select cast(n as bigint) as n
  from (select cast(({{ bound }}) as int) as most) bounds lateral view explode(sequence(0, most)) numbered as n
{%- endmacro %}

{#- The values of a group, sorted, joined by ','; null for none. -#}
{% macro sorted_list(column) -%}
  {{ return(adapter.dispatch('sorted_list')(column)) }}
{%- endmacro %}
{% macro default__sorted_list(column) -%}
  string_agg({{ column }}, ',' order by {{ column }})
{%- endmacro %}
{% macro spark__sorted_list(column) -%}
  nullif(array_join(sort_array(collect_list({{ column }})), ','), '')
{%- endmacro %}
