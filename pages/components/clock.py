"""The visitor's time of day."""

from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo

import streamlit as st


def visitors_zone() -> tzinfo:
    """The time zone of the visitor's browser; UTC where that says none."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ValueError, OSError):  # a name that this server does not know
        return timezone.utc
