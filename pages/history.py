"""The record of live video over days and weeks: people, what they wore, comparison, download, deletion."""

import streamlit as st

from pages.components.access import operators_only
from pages.components.compat import part_of_the_app

part_of_the_app()
operators_only()  # how many people come to a place is not for every visitor of a public page

from core.language import mark, tr  # noqa: E402
from core.video.record import RecordError, cameras, delete_old, span_s  # noqa: E402
from pages.components.clock import visitors_zone  # noqa: E402
from pages.components.messages import plain, show_problem  # noqa: E402
from pages.components.state import kept  # noqa: E402
from pages.views.live.history import compare_weeks, deletion, downloads, empty, show_period  # noqa: E402

st.title(tr("History"))
show_problem()
zone = visitors_zone()
delete_old()
try:
    span, names = span_s(), cameras()
    if span is None:
        empty()
        st.stop()
    camera = None
    if len(names) > 1:
        everywhere = mark("All cameras")
        chosen = st.selectbox(
            tr("Camera"),
            [everywhere, *names],
            format_func=lambda name: tr(name) if name == everywhere else name,
            **kept("history_camera", everywhere, [everywhere, *names]),
        )
        camera = None if chosen == everywhere else chosen
    show_period(camera, span, zone)
    compare_weeks(camera, span, zone)
    downloads(zone)
except RecordError as error:
    st.error(plain(str(error)))
    span = None
deletion(span, zone)
