"""Errors reach whoever started the work, also from another process."""

import pickle

from lsdata.errors import InvalidInput, JobFailed, LsdataError, SettingError


def test_an_error_survives_the_way_home_from_a_worker() -> None:
    told = {"found": "1", "allowed": "2", "do": "3"}
    errors: list[LsdataError] = [
        SettingError("x", **told),
        InvalidInput("x", code="bad", **told),
        JobFailed("x", passing=True, **told),
    ]
    for error in errors:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))
