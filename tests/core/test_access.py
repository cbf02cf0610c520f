"""Roles: whom the operator's list makes one of them."""

import pytest

from core.access import AccessError, Role, as_now, for_operators, role, role_of
from core.config import OPEN, PUBLIC, Settings

SETTINGS = Settings(PUBLIC, ("olga@example.org", "*@staff.example.org"))
LOGGED_IN = {"is_logged_in": True, "email": "olga@example.org"}


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        pytest.param(LOGGED_IN, Role.OPERATOR, id="in the list"),
        pytest.param(LOGGED_IN | {"email": " OLGA@Example.ORG"}, Role.OPERATOR, id="capitals do not matter"),
        pytest.param(LOGGED_IN | {"email": "x@staff.example.org"}, Role.OPERATOR, id="of a domain in the list"),
        pytest.param(LOGGED_IN | {"email_verified": True}, Role.OPERATOR, id="verified"),
        pytest.param(LOGGED_IN | {"email_verified": "true"}, Role.OPERATOR, id="verified, as text"),
        pytest.param(LOGGED_IN | {"email_verified": False}, Role.VISITOR, id="not verified"),
        pytest.param(LOGGED_IN | {"email_verified": "false"}, Role.VISITOR, id="not verified, as text"),
        pytest.param(LOGGED_IN | {"email_verified": None}, Role.VISITOR, id="verified by nothing"),
        pytest.param({"is_logged_in": True, "email": "vera@example.org"}, Role.VISITOR, id="not in the list"),
        pytest.param(LOGGED_IN | {"email": "x@example.org"}, Role.VISITOR, id="another of the domain"),
        pytest.param(LOGGED_IN | {"email": "x@staff.example.org.evil.com"}, Role.VISITOR, id="a longer domain"),
        pytest.param(LOGGED_IN | {"email": "x@sub.staff.example.org"}, Role.VISITOR, id="a domain below"),
        pytest.param(LOGGED_IN | {"email": "*@staff.example.org.x"}, Role.VISITOR, id="a pattern for an address"),
        pytest.param(LOGGED_IN | {"email": ""}, Role.VISITOR, id="no address"),
        pytest.param(LOGGED_IN | {"email": ["olga@example.org"]}, Role.VISITOR, id="a list"),
        pytest.param(LOGGED_IN | {"is_logged_in": False}, Role.VISITOR, id="logged out"),
        pytest.param(LOGGED_IN | {"is_logged_in": "yes"}, Role.VISITOR, id="a text"),
        pytest.param({}, Role.VISITOR, id="nobody"),
    ],
)
def test_the_role_of_a_person(person, expected):
    assert role_of(person, SETTINGS) == expected
    assert role_of(person, Settings(OPEN)) == Role.OPERATOR
    assert role_of(person, Settings(PUBLIC)) == Role.VISITOR, "a list without entries has no operators"


def test_work_of_another_thread_keeps_the_role_of_who_started_it(monkeypatch):
    monkeypatch.setattr("core.access._ask", lambda: Role.OPERATOR)
    work = as_now(for_operators(role))
    monkeypatch.setattr("core.access._ask", lambda: Role.VISITOR)
    assert work() == Role.OPERATOR
    assert role() == Role.VISITOR, "that work alone has it"
    with pytest.raises(AccessError):
        as_now(for_operators(role))()
