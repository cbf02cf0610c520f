"""What a visitor chose, kept."""

import pytest
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.testing.v1 import AppTest

from pages.components import state


def page():
    import streamlit as st

    from pages.components.state import choose_next, kept

    limit = st.slider("Limit", 0, 200, **kept("limit", 30))
    if st.button("Show all"):
        choose_next("limit", 0)
        st.rerun()
    st.write(f"The limit is {limit}.")


def test_a_choice_for_next_time_wins_over_an_old_value_from_the_browser():
    """As when a part of the page that runs again by itself was sent from the browser just before the click."""
    app = AppTest.from_function(page).run()
    app.slider[0].set_value(200).run()
    app.button[0].click()
    app.slider[0].set_value(200)
    app.run()
    assert app.slider[0].value == 0 and app.markdown[0].value == "The limit is 0."
    app.session_state["next_limit"] = 0
    app.slider[0].set_value(150)
    app.run()
    assert app.markdown[0].value == "The limit is 0."
    app.slider[0].set_value(150).run()
    assert app.markdown[0].value == "The limit is 150.", "once only"


def views():
    import streamlit as st

    from pages.components.state import view_switch

    st.write(f"This is {view_switch('part', ['Runs', 'Progress'])}.")


@pytest.mark.parametrize(("back", "shown"), [(False, "Progress"), (True, "Runs")])
def test_the_address_wins_at_the_first_visit_and_when_the_visitor_goes_back(monkeypatch, back, shown):
    app = AppTest.from_function(views)
    app.query_params["part"] = "Runs"
    assert app.run().markdown[0].value == "This is Runs."
    app.segmented_control[0].set_value("Progress").run()
    assert app.query_params["part"] == "Progress"
    monkeypatch.setattr(state, "came_by_history", lambda: back)
    app.query_params["part"] = "Runs"
    assert app.run().markdown[0].value == f"This is {shown}."


def test_streamlit_tells_when_the_visitor_went_back():
    assert "is_history_navigation" in ScriptRunContext.__dataclass_fields__
