import pytest

from core.config import ice_servers

TURN = {"urls": "turn:turn.example.org:3478", "username": "door", "credential": "secret"}


class NoSecrets(dict):
    """What Streamlit's secrets do without a file."""

    def get(self, key, default=None):
        raise FileNotFoundError


@pytest.mark.parametrize(
    ("secrets", "environment", "servers"),
    [
        pytest.param({}, {}, [], id="nothing set: no machine is asked"),
        pytest.param(NoSecrets(), {}, [], id="no secrets file"),
        pytest.param({"ice_servers": [{"urls": "stun:a:1"}]}, {}, [{"urls": ["stun:a:1"]}], id="STUN"),
        pytest.param({"ice_servers": [TURN]}, {}, [TURN | {"urls": [TURN["urls"]]}], id="TURN"),
        pytest.param(
            NoSecrets(), {"ICE_SERVERS": '[{"urls": ["stun:a:1", "stun:b:1"]}]'}, [{"urls": ["stun:a:1", "stun:b:1"]}],
            id="environment",
        ),
        pytest.param(
            {"ice_servers": []}, {"ICE_SERVERS": '[{"urls": "stun:a:1"}]'}, [], id="an empty list in the file wins"
        ),
    ],
)  # fmt: skip
def test_good_settings(secrets, environment, servers):
    assert ice_servers(secrets, environment) == (servers, [])


@pytest.mark.parametrize(
    ("secrets", "environment", "sentence"),
    [
        pytest.param({}, {"ICE_SERVERS": "stun:a"}, "not valid JSON", id="no JSON"),
        pytest.param({"ice_servers": {"urls": "stun:a"}}, {}, "list of tables", id="a table instead of a list"),
        pytest.param({"ice_servers": 5}, {}, "list of tables", id="a number"),
        pytest.param({"ice_servers": ["stun:a"]}, {}, "no `urls`", id="a string in the list"),
        pytest.param({"ice_servers": [{"urls": "http://a"}]}, {}, "stun: or turn:", id="wrong kind of address"),
        pytest.param({"ice_servers": [{"urls": 5}]}, {}, "stun: or turn:", id="a number for an address"),
        pytest.param({}, {"ICE_SERVERS": '[{"urls": null}]'}, "stun: or turn:", id="null for an address"),
        pytest.param({"ice_servers": [{"urls": "turn:a"}]}, {}, "`username` and `credential`", id="no credentials"),
        pytest.param({"ice_servers": [TURN | {"credential": ""}]}, {}, "`credential`", id="half of the credentials"),
    ],
)
def test_bad_settings_give_a_sentence_and_no_server(secrets, environment, sentence):
    servers, warnings = ice_servers(secrets, environment)
    assert servers == []
    (warning,) = warnings
    assert sentence in warning and "secret" not in warning.replace("secrets.toml", "")


def test_good_entries_survive_bad_ones():
    servers, warnings = ice_servers({"ice_servers": [{"urls": "ftp:a"}, TURN]}, {})
    assert len(servers) == len(warnings) == 1
