import pytest
from streamlit.testing.v1 import AppTest

from pages.components.style import FOLDER, use_style


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.css")))
def test_every_style_is_used_and_whole(name):
    rules = (FOLDER / f"{name}.css").read_text(encoding="utf-8")
    assert rules.count("{") == rules.count("}") > 0
    code = [*FOLDER.parent.rglob("*.py"), FOLDER.parents[1] / "streamlit_app.py"]
    assert name == "style" or any(f'"{name}"' in file.read_text(encoding="utf-8") for file in code)


def test_a_style_comes_with_its_values_and_takes_no_room():
    def page():
        from pages.components.style import use_style

        use_style("live_example", {"example-ratio": "4 / 3"})

    body = AppTest.from_function(page).run().get("html")[0].proto.body
    assert body.startswith('<span class="page_style"></span><style>') and "--example-ratio: 4 / 3;" in body
    assert "display: none" in body and ".st-key-live_stage" in body


def test_a_style_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        use_style("none")
