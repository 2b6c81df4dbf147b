{#- A source is read from the lake, restricted to the partitions of the run. The caller gives one scan per source. -#}
{% macro source(source_name, table_name) -%}
  {%- set relation = builtins.source(source_name, table_name) -%}
  {%- set scans = var('scans', {}) -%}
  {%- if execute and scans -%}
    {{ return('(' ~ scans[source_name ~ '.' ~ table_name] ~ ')') }}
  {%- endif -%}
  {{ return(relation) }}
{%- endmacro %}
