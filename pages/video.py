"""Who wears a mask in an uploaded video: the video with boxes, everybody in it, and what happens when."""

from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.config import limits
from core.language import number, tr
from core.synthetic.sample_film import write_sample_film
from core.video.film import Detect
from core.vision.pipeline import LIVE_SETTINGS, detect_masks
from pages.components.compat import forget_uploads, part_of_the_app, session_id
from pages.components.jobs import show_end_of_job, show_job
from pages.components.messages import plain, show_problem, told_apart, tried
from pages.components.resources import pipeline_or_stop, video_shelf
from pages.components.server import visitor
from pages.components.settings import settings_form
from pages.components.state import VIDEO_UPLOADER, kept
from pages.views.video import keep_while_open, show_preview, show_video

part_of_the_app()
st.title(tr("Video"))
above, beside = st.container(), st.container()
method, settings, _ = settings_form("video", LIVE_SETTINGS, beside)
shelf, me = video_shelf(), visitor()


def _write(file: UploadedFile, path: Path) -> None:
    path.write_bytes(file.getbuffer())


@tried
def start(files: list[UploadedFile], detect: Detect) -> None:
    """Take uploads in, and drop them from the server's memory."""
    try:
        for file in files:
            fill = partial(_write, file)
            shelf.add(me, file.name, fill, detect, blur, file.size)
    finally:
        st.session_state[VIDEO_UPLOADER] = st.session_state.get(VIDEO_UPLOADER, 0) + 1
        forget_uploads(session_id())


@tried
def start_sample(detect: Detect) -> None:
    """Take the sample in, which is made at once."""
    shelf.add(me, tr("Sample"), write_sample_film, detect, blur)


now = limits()
uploads = above.file_uploader(
    tr("Videos: MP4, MOV, WebM, AVI, MKV or GIF, up to {size} MB and {minutes} minutes").format(
        size=number(now.video_mb, ",g"), minutes=number(now.video_minutes, "g")
    ),
    accept_multiple_files=True,
    key=f"video_files_{st.session_state.get(VIDEO_UPLOADER, 0)}",
    max_upload_size=max(1, int(now.video_mb)),
)
blur = above.toggle(
    tr("Blur faces"),
    help=tr("In the annotated video and on the cards nobody can be recognized."),
    **kept("video_blur", False),
)
detect = partial(detect_masks, pipeline=pipeline_or_stop(method), settings=settings)
with st.container(horizontal=True):
    words = tr("Analyse {count} videos").format(count=number(len(uploads))) if len(uploads) > 1 else tr("Analyse")
    st.button(words, type="primary", disabled=not uploads, on_click=start, args=(uploads, detect), key="video_start")
    st.button(tr("Use a sample"), icon=":material/movie:", on_click=start_sample, args=(detect,), key="video_sample")
show_problem()

videos = shelf.videos(me)
if not videos:
    words = tr(
        "Videos are on this server for you alone, and go when you delete them, or {minutes} minutes after you "
        "have left."
    )
    st.caption(words.format(minutes=number(now.idle_minutes, "g")))
    st.stop()
keep_while_open(shelf, me)
done = {}
for video in videos:
    status = show_job(shelf.jobs, video.key, partial(show_preview, video))
    if video.result:
        done[video.key] = video
    elif status is None or status.state != "running":
        left, right = st.columns([5, 1], vertical_alignment="center")
        with left:
            if video.problem:
                st.error(tr("{name}: {words}").format(name=plain(video.name), words=plain(video.problem)))
            else:
                show_end_of_job(status)
        right.button(tr("Delete"), key=f"delete_{video.key}", on_click=shelf.delete, args=(me, video.key))
if done:
    newest = list(done)[::-1]
    key = newest[0]
    if len(done) > 1:
        names = told_apart({each: done[each].name for each in newest}, by_key=False)
        key = st.selectbox(tr("Video"), newest, format_func=names.__getitem__, key="video_chosen")
    show_video(shelf, me, done[key])
