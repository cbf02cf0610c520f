import pytest

from core.config import (
    LIMITS,
    OPEN,
    PUBLIC,
    Camera,
    Limits,
    Settings,
    file_secrets,
    ice_servers,
    read_settings,
    settings,
)

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


class TestOperatorsSettings:
    def test_without_any_it_is_an_open_app_with_the_usual_limits(self):
        assert read_settings({}, {}) == Settings(OPEN, (), Limits(), ())

    def test_secrets_come_before_the_environment(self):
        secrets = {"access": "Public", "operators": ["Olga@Example.org", "*@example.com"], "limits": {"data_gb": 1.5}}
        environment = {"MASK_ACCESS": "open", "MASK_DATA_GB": "7", "MASK_LIVE_VIEWERS": "3", "MASK_RUNS_GB": ""}
        found = read_settings(secrets, environment)
        assert found.access == PUBLIC and found.operators == ("olga@example.org", "*@example.com")
        assert (found.limits.data_gb, found.limits.live_viewers, found.limits.runs_gb) == (1.5, 3, Limits.runs_gb)
        assert not found.problems

    def test_the_environment_alone(self):
        found = read_settings({}, {"MASK_ACCESS": "public", "MASK_OPERATORS": " a@example.org, *@example.com,"})
        assert found == Settings(PUBLIC, ("a@example.org", "*@example.com"))

    @pytest.mark.parametrize("name", LIMITS)
    @pytest.mark.parametrize("wrong", ["much", "nan", "inf", "-1", "1e99", True, [3], {"a": 1}, float("nan")])
    def test_a_limit_that_cannot_be_used_gives_one_sentence_and_the_usual_one(self, name, wrong):
        for found in (read_settings({"limits": {name: wrong}}, {}), read_settings({}, {f"MASK_{name.upper()}": wrong})):
            (problem,) = found.problems
            assert f"MASK_{name.upper()}" in problem and "until then it is" in problem
            assert found.limits == Limits()

    @pytest.mark.parametrize(
        ("secrets", "words"),
        [
            pytest.param({"access": "publik"}, "must be open or public", id="unknown mode"),
            pytest.param({"operators": "a@example.org"}, "must be a list", id="a text for a list"),
            pytest.param({"operators": 5}, "must be a list", id="a number for a list"),
            pytest.param({"operators": ["*"]}, "an address or", id="everybody"),
            pytest.param({"operators": ["*@*.org"]}, "an address or", id="a pattern in the domain"),
            pytest.param({"limits": 5}, "must be a table", id="a number for a table"),
            pytest.param({"limits": {"date_gb": 5}}, "no limit 'date_gb'", id="a name that is none"),
        ],
    )
    def test_other_mistakes(self, secrets, words):
        (problem,) = read_settings(secrets, {}).problems
        assert words in problem

    def test_of_two_guesses_the_stricter_one_holds(self):
        assert read_settings({"access": "publik"}, {}).access == PUBLIC
        assert read_settings({"operators": ["*"]}, {}).operators == ()

    def test_secrets_that_cannot_be_read_let_nobody_in(self, monkeypatch):
        def broken():
            raise ValueError("The file cannot be read.")

        monkeypatch.setattr("core.config._secrets", broken)
        assert settings().access == PUBLIC
        assert settings().problems == ("The file cannot be read.",)

    def test_every_limit_says_what_is_meant_and_what_happens(self):
        for name, limit in LIMITS.items():
            low, high = limit.metadata["bounds"]
            assert low <= limit.default <= high
            sentence = Limits().reached(name)
            assert sentence.endswith(".") and "{" not in sentence and len(limit.metadata["about"]) > 10

    def test_the_record_is_on_off_or_a_choice_and_off_in_doubt(self):
        assert read_settings({}, {}).record == ""
        assert read_settings({"record": "ON"}, {"MASK_RECORD": "off"}).record == "on"
        found = read_settings({}, {"MASK_RECORD": "yes"})
        assert found.record == "off" and "MASK_RECORD must be on or off" in found.problems[0]

    def test_faces_may_be_collected_unless_the_operator_says_otherwise_or_nothing_that_is_understood(self):
        assert read_settings({}, {}).collect
        assert not read_settings({"collect": "Off"}, {"MASK_COLLECT": "on"}).collect
        found = read_settings({}, {"MASK_COLLECT": "yes"})
        assert not found.collect and "MASK_COLLECT must be on or off" in found.problems[0]


class TestCameras:
    def test_of_the_environment_on_lines_or_with_semicolons(self):
        text = "Entrance=rtsp://door:a=b@192.0.2.7:554/1?x=1; Yard = http://192.0.2.8/video\n\nDesk=/dev/video0;Hall=/dev/v4l/by-id/usb-Cam_1.0-video-index0"
        found = read_settings({}, {"MASK_CAMERAS": text, "MASK_PUBLIC_CAMERAS": "Yard"})
        assert found.cameras == (
            Camera("Entrance", "rtsp://door:a=b@192.0.2.7:554/1?x=1"),
            Camera("Yard", "http://192.0.2.8/video", public=True),
            Camera("Desk", "/dev/video0"),
            Camera("Hall", "/dev/v4l/by-id/usb-Cam_1.0-video-index0"),
        )
        assert not found.problems and "192.0.2" not in repr(found)

    def test_of_the_secrets_which_come_first(self):
        secrets = {"cameras": {"Back door": "rtsps://h/x;y"}, "public_cameras": ["Back door"]}
        found = read_settings(secrets, {"MASK_CAMERAS": "Other=rtsp://h/"})
        assert found.cameras == (Camera("Back door", "rtsps://h/x;y", public=True),) and not found.problems

    @pytest.mark.parametrize(
        ("secrets", "environment", "words"),
        [
            ({}, "rtsp://u:hunter2@h/?a=b", "Camera 1 of MASK_CAMERAS is left out"),
            ({}, "rtsp://u:hunter2@h/", "Camera 1 of MASK_CAMERAS is left out"),
            ({}, "A=ftp://u:hunter2@h/", "its address must begin with rtsp, rtsps, http or https://"),
            ({}, "A=file:///etc/hunter2", "its address must begin"),
            ({}, "A=/etc/hunter2", "its address must begin"),
            ({}, "A=/dev/../etc/video", "its address must begin"),
            ({}, "A=rtsp://u:hunter2@h:port/", "its address must begin"),
            ({}, "A=rtsp:///hunter2", "its address must begin"),
            ({}, f"{'x' * 41}=rtsp://hunter2/", "A camera's name has 1 to 40 plain letters"),
            ({}, "=rtsp://hunter2/", "A camera's name has 1 to 40"),
            ({"cameras": {"A  B": "rtsp://hunter2/"}}, "", "A camera's name has 1 to 40"),
            ({"cameras": {"A": 5}}, "", "its address must begin"),
            ({"cameras": ["rtsp://hunter2/"]}, "", "must be a table of names and addresses"),
            ({"cameras": {}, "public_cameras": "A"}, "", "must be a list of names"),
            ({"public_cameras": ["Z"]}, "", "There is no camera 'Z' to be public"),
        ],
    )
    def test_each_mistake_is_one_sentence_without_the_address(self, secrets, environment, words):
        found = read_settings(secrets, {"MASK_CAMERAS": environment})
        (problem,) = found.problems
        assert words in problem and "hunter2" not in problem and found.cameras == ()

    @pytest.mark.parametrize("second", ["A", "a"])
    def test_of_two_with_the_same_name_the_first_is_used(self, second):
        found = read_settings({}, {"MASK_CAMERAS": f"A=rtsp://first/\n{second}=rtsp://second/"})
        assert found.cameras == (Camera("A", "rtsp://first/"),)
        assert found.problems == (f"There are two cameras {second!r}; the second is left out.",)


def test_a_command_line_reads_the_secrets_of_the_app(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(tmp_path / "secrets.toml"))
    assert file_secrets() == {}
    (tmp_path / "secrets.toml").write_text('[cameras]\nEntrance = "rtsp://h/"\n')
    assert read_settings(file_secrets(), {}).cameras == (Camera("Entrance", "rtsp://h/"),)
    (tmp_path / "secrets.toml").write_text("hunter2 = [")
    with pytest.raises(ValueError, match=r"^The file secrets.toml of secrets cannot be read\.$"):
        file_secrets()
