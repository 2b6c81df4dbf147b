"""What Dagster's instance knows of the runs that sensors have asked for."""

from collections.abc import Iterator

import dagster as dg
import pytest

from sensors import runs


@dg.op
def work(context: dg.OpExecutionContext) -> None:
    if context.run.tags.get("fails"):
        raise dg.Failure("on purpose", allow_retries=False)


@dg.job(executor_def=dg.in_process_executor)
def asked() -> None:
    work()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.mark.parametrize("fails", ["", "yes"])
def test_a_run_has_ended_whether_it_made_something_or_not(fails: str, instance: dg.DagsterInstance) -> None:
    """A run whose input is refused succeeds and publishes nothing: who waited for it would wait for ever."""
    before = runs.ended(instance)
    asked.execute_in_process(instance=instance, tags={runs.RUN_KEY: "key", "fails": fails}, raise_on_error=False)
    after = runs.ended(instance)
    assert after("key")
    assert not after("another key")
    assert not before("key"), "what it has published may not be in a listing made before its end"


def test_a_run_that_is_under_way_has_not_ended(instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(asked, tags={runs.RUN_KEY: "key"}, status=dg.DagsterRunStatus.STARTED)
    assert not runs.ended(instance)("key")


def test_only_the_newest_run_of_a_key_counts(instance: dg.DagsterInstance) -> None:
    asked.execute_in_process(instance=instance, tags={runs.RUN_KEY: "key", "fails": "yes"}, raise_on_error=False)
    instance.create_run_for_job(asked, tags={runs.RUN_KEY: "key"}, status=dg.DagsterRunStatus.STARTED)
    assert not runs.ended(instance)("key")
