{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as n_rows
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{% test rule(model, holds) %}
select * from {{ model }} where not ({{ holds }})
{% endtest %}
