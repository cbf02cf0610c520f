"""What trains now, what waits, what stopped, and how the last one ended."""

import time
from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from core.io import is_number
from core.language import mark, number, tr
from pages.components.compat import page_part
from pages.components.messages import plain, try_to
from pages.components.state import FOLLOWED_RUN
from pages.views.training.curves import show_log, show_run_curves
from pages.views.training.result import show_result
from pages.views.training.words import STAGES, STATES, minutes_words
from train import runs as run_states
from train.run_folder import read_log, read_progress
from train.runs import RunManager

RECENT_S = 7 * 24 * 3600


def show(manager: RunManager) -> None:
    """What trains, what waits, what stopped, and the result of what was followed."""
    if manager.problem:
        st.error(plain(manager.problem))
    states = {run.id: run.state for run in manager.runs()}
    # Places of their own: what is gone must not fade away in the place of what comes next.
    now_running, have_stopped = st.container(), st.container()
    if {run_states.RUNNING, run_states.QUEUED} & set(states.values()):
        with now_running:
            running_now(manager, states)
    runs = manager.runs()
    now = datetime.now().timestamp()
    stopped = [run for run in runs if run.can_resume and now - run.ended < RECENT_S]
    # What nobody wanted to happen comes first.
    stopped.sort(key=lambda run: (run.state == run_states.CANCELLED, -run.ended))
    for run in stopped[:4]:
        with have_stopped.container(border=True):
            icon, words = STATES[run.state]
            st.markdown(f"{icon} **{plain(run.name)}** ({tr(words)}). {plain(run.sentence)}")
            if st.button(tr("Resume"), icon=":material/resume:", key=f"training_resume_{run.id}",
                         help=tr("Resumes after its last finished epoch, with the same settings.")):  # fmt: skip
                st.session_state[FOLLOWED_RUN] = run.id
                try_to(manager.resume, run.id)
    done = [run for run in runs if run.state == run_states.DONE]
    followed = st.session_state.get(FOLLOWED_RUN)
    last = next((run for run in done if run.id == followed), max(done, key=lambda run: run.ended, default=None))
    if last and run_states.RUNNING not in states.values():
        st.header(tr("{name} is done").format(name=plain(last.name)))
        show_result(manager, last)
    elif not runs:
        st.info(tr("Nothing has been trained here yet; start with *New training*."))


@page_part(run_every=1.0)
def running_now(manager: RunManager, before: dict[str, str]) -> None:
    """The training that runs and the queue, looked at every second; the whole page runs again when a state changes."""
    runs = manager.runs()
    if {run.id: run.state for run in runs} != before:
        st.rerun()
    for run in runs:
        if run.state == run_states.RUNNING:
            show_progress(run.name, read_progress(run.folder), run.stopping)
            if not run.from_command_line and st.button(
                tr("Cancel"), icon=":material/stop_circle:", disabled=run.stopping, key=f"training_cancel_{run.id}"
            ):
                try_to(manager.cancel, run.id)
            show_run_curves(f"training_now_{run.id}", run)
            show_log(read_log(run.folder))
    queue = sorted((run for run in runs if run.state == run_states.QUEUED), key=lambda run: run.queued)
    if queue:
        st.markdown(tr("**Next in the queue**"))
    for place, run in enumerate(queue, start=1):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{place}. {plain(run.name)}", width="content")
            if st.button(tr("Remove from the queue"), icon=":material/close:", key=f"training_take_out_{run.id}"):
                try_to(manager.cancel, run.id)


SILENT_AFTER_S = 30


def stage_words(progress: Mapping) -> str:
    """What a training does at the moment, in plain words."""
    stage = progress.get("stage")
    english = str(progress.get("text") or STAGES.get(str(stage), mark("Starting")))
    words = tr(english)
    epoch, epochs = progress.get("epoch"), progress.get("epochs")
    if stage in ("head", "fine-tune") and is_number(epoch) and is_number(epochs) and "epoch" not in english.lower():
        words = tr("{stage}, epoch {epoch} of {epochs}").format(
            stage=words, epoch=number(min(int(epoch), int(epochs)), ","), epochs=number(int(epochs), ",")
        )
    return words


def share_done(progress: Mapping, now: float) -> float | None:
    """Part of the whole run that is done, 0..1, ``None`` if nobody knows."""
    left, started = progress.get("left_s"), progress.get("started")
    if is_number(left) and is_number(started) and now > started and now - started + left > 0:
        return max(0.0, min(1.0, (now - started) / (now - started + left)))
    return None


def show_progress(name: str, progress: Mapping, stopping: bool) -> None:
    """A bar with what happens and how long it will still take."""
    now = time.time()
    words = stage_words(progress)
    left = progress.get("left_s")
    if is_number(left):
        form = tr("{stage} · about {time} left") if left >= 5 else tr("{stage} · nearly done")
        words = form.format(stage=words, time=minutes_words(left))
    if stopping:
        words = tr("Stopping after this step …")
    st.progress(share_done(progress, now) or 0.0, f"**{plain(name)}.** {plain(words)}")
    silent = now - last if is_number(last := progress.get("time")) else 0
    if silent > SILENT_AFTER_S and not stopping:
        st.caption(tr("No news for {time}; some steps take long.").format(time=minutes_words(silent)))
