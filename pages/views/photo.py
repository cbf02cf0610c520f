"""Parts of the photo page: examples, the gallery of many photos, one photo large, downloads."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial

import numpy as np
import streamlit as st
import supervision as sv
from streamlit.delta_generator import DeltaGenerator

from core.language import current, in_this_language, mark, number, tr, trn
from core.synthetic.examples import EXAMPLES, example_file
from core.vision.annotate import percentage
from core.vision.classes import NO_PREDICTION, style_of, styles_of, vocabulary
from core.vision.crops import fit_within
from core.vision.detections import PREDICTED, face_styles, fitted, resized
from core.vision.detector import MaskDetector
from core.vision.explain import overlay_centers
from core.vision.images import ImageError, LoadedImage, decode_image, encode_image
from core.vision.photos import THUMBNAIL_SIDE, Photo, PhotoSet, draw_photo
from core.vision.pipeline import DetectionSettings, Method
from core.vision.stats import FrameStats, describe, summarize
from core.vision.tables import UNKNOWN, detection_rows, rows_to_csv, rows_to_json
from pages.components.clock import visitors_zone
from pages.components.faces import show_faces_table, show_hidden_faces, show_reasons
from pages.components.gallery import PER_PAGE, Tile, TileBox, page_of, show_tiles
from pages.components.html_report import MIME, HtmlReport
from pages.components.messages import plain
from pages.components.resources import photo_sets
from pages.components.server import address, own_cookie
from pages.components.state import PHOTO_CHOSEN, PHOTO_GALLERY_PAGE, kept, made_once

# The photo on the page, longer side; the download has every pixel. Streamlit would encode a larger one again.
DISPLAY_SIDE = (640, 1460)
# Of many photos, so long is worked before the first results are on the page, and then between two looks at it.
FIRST_S, SLICE_S = 1.5, 4.0
GALLERY_PX = 330
"""Height of the gallery; more of it is reached by scrolling."""
MOST_LINES = 4
"""More refused files than this are in a box that scrolls."""
REPORT_PHOTOS, REPORT_FACES, REPORT_SIDE = 60, 40, 900
"""A report shows so many photos, of each a row for so many faces, in so many pixels."""
ALL, NO_FACE = "", "no_face"
"""Filters of the gallery, beside the names of classes and ``UNKNOWN``."""


def show_refused(photos: Sequence[Photo]) -> None:
    """The name of each file that cannot be used, and why."""
    says = tr("{name}: {words}")
    refused = [says.format(name=plain(photo.name), words=photo.problem) for photo in photos if photo.problem]
    if refused:
        many = len(refused) > MOST_LINES
        head = [tr("**{count} files cannot be used.**").format(count=number(len(refused), ","))] if many else []
        with st.container(height=200 if many else "content", border=False):
            st.error("\n\n".join(head + refused))


@st.cache_data(show_spinner=False)
def _example_tile(name: str) -> tuple[bytes, tuple[int, int]]:
    small, _ = fit_within(decode_image(example_file(name)), THUMBNAIL_SIDE)
    return encode_image(small), small.shape[1::-1]


def show_examples(key: str) -> None:
    """Photos for those who brought none; a click takes one, and its name is in the session under the key."""
    st.markdown(tr("No photo at hand? Take one of these:"))
    chosen = st.session_state.get(key)
    tiles = [
        Tile(
            *(name, tr("Example: {name}").format(name=tr(name)), *_example_tile(name)),
            notes=(tr(name),),
            current=name == chosen,
        )
        for name in EXAMPLES
    ]
    show_tiles(f"{key}s", [("", tiles)], lambda name: st.session_state.update({key: name}))
    st.caption(tr("Eileen Collins (NASA, public domain); masks and the group are drawn."))


def example(key: str) -> list[tuple[str, str, Callable[[], bytes]]]:
    """The example that was taken, if any: key, name, and what reads it."""
    name = st.session_state.get(key)
    return [(f"example {name}", f"{name}.jpg", partial(example_file, name))] if name in EXAMPLES else []


def filtered(stats: Mapping[str, FrameStats], classes: tuple[str, ...]) -> list[str]:
    """A row of filters, with how many photos there are of each; the keys of those that the chosen one shows.

    Args:
        stats: what was counted in each photo.
        classes: what the pipeline tells apart.
    """
    spoken, numbers = vocabulary(classes), Counter[str]()
    for each in stats.values():
        numbers.update(_kinds(each))
    words = {ALL: tr("All"), UNKNOWN: f"{NO_PREDICTION.icon} {NO_PREDICTION.words}", NO_FACE: tr("No face")}
    for name in spoken:
        style = style_of(name, spoken)
        words[name] = f"{style.icon} {plain(style.words)}"
    numbers[ALL] = len(stats)
    options = [name for name in (ALL, *spoken, UNKNOWN, NO_FACE) if numbers[name]]
    wanted = st.segmented_control(
        *(tr("Photos with"), options),
        required=True,
        format_func=lambda name: f"{words[name]} ({number(numbers[name], ',')})",
        help=tr("Photos in which there is at least one such face; the downloads follow."),
        **kept("photo_filter", ALL, options),
    )
    return [key for key, each in stats.items() if wanted == ALL or wanted in _kinds(each)]


def _kinds(stats: FrameStats) -> list[str]:
    kinds = [name for name in stats.classes if stats.count(name)] + [UNKNOWN] * bool(stats.unknown)
    return kinds or [NO_FACE]


def show_gallery(photo_set: PhotoSet, photos: Sequence[Photo], names: Mapping[str, str], chosen: str) -> None:
    """A thumbnail per photo with its results; a click shows it large."""
    keys = [photo.key for photo in photos]
    with st.container(height=GALLERY_PX if len(photos) > 6 else "content", border=False):
        shown = photos[page_of(PHOTO_GALLERY_PAGE, len(photos), what="photos")]
        tiles = [_tile(photo, photo_set.shown(photo), names[photo.key], photo.key == chosen) for photo in shown]
        show_tiles("photo_gallery", [("", tiles)], lambda key: _choose(key, keys))


def _choose(key: str, keys: Sequence[str]) -> None:
    st.session_state[PHOTO_CHOSEN] = key
    st.session_state[PHOTO_GALLERY_PAGE] = keys.index(key) // PER_PAGE if key in keys else 0


def _tile(photo: Photo, found: sv.Detections, name: str, current: bool) -> Tile:
    styles = face_styles(found)
    numbers = Counter(styles)
    shares = found.xyxy / np.array(photo.size_wh * 2, np.float32)
    return Tile(
        photo.key,
        name,
        photo.thumbnail,
        photo.size_wh,
        marks=tuple((style, f" {count}" if count > 1 else "") for style, count in numbers.items()),
        notes=(name,) if styles else (tr("No face"), name),
        boxes=tuple(
            TileBox(tuple(np.clip(xyxy, 0, 1).tolist()), style) for xyxy, style in zip(shares, styles, strict=True)
        ),
        current=current,
    )


def show_neighbours(keys: Sequence[str], name: str, chosen: str) -> None:
    """Buttons to the photo before and the one after, also by the arrow keys, and where one is."""
    place = keys.index(chosen)
    with st.container(horizontal=True, vertical_alignment="center"):
        for words, icon, to, by in (
            (tr("Previous"), ":material/chevron_left:", place - 1, "Left"),
            (tr("Next"), ":material/chevron_right:", place + 1, "Right"),
        ):
            there = 0 <= to < len(keys)
            target = keys[to] if there else chosen
            st.button(words, icon=icon, disabled=not there, on_click=_choose, args=(target, keys), shortcut=by)
        words = tr("{place} of {count}: **{name}**")
        filled = words.format(place=number(place + 1, ","), count=number(len(keys), ","), name=plain(name))
        st.markdown(filled, width="content")


def page_image(image: LoadedImage, detections: sv.Detections) -> bytes:
    """The annotated photo in a size for the page, as a JPEG file."""
    in_frame = fitted(detections, image.size_wh, image.frame_bgr.shape[1::-1])
    longest = max(image.frame_bgr.shape[:2])
    # Labels on a tiny photo would hide it: enlarge it first.
    scale = float(np.clip(longest, *DISPLAY_SIDE)) / longest
    size_wh = tuple(max(1, round(scale * side)) for side in image.frame_bgr.shape[1::-1])
    return encode_image(draw_photo(*resized(image.frame_bgr, in_frame, size_wh)))


def show_words(photo_set: PhotoSet, photo: Photo) -> None:
    """The result of one photo in words, and what a limit hides."""
    seen = summarize(photo_set.shown(photo))
    if seen.faces or not seen.hidden:
        st.markdown(f"**{plain(describe(replace(seen, hidden=0)))}**")
    if seen.hidden:
        show_hidden_faces("photo", seen, photo_set.min_face_px)


def show_photo(
    photo_set: PhotoSet,
    photo: Photo,
    image: LoadedImage,
    made_with: tuple,
    method: Method,
    picture: DeltaGenerator,
    beside: DeltaGenerator,
) -> None:
    """One photo large, and beside it a row per face."""
    found = photo_set.shown(photo)
    depends_on = photo.key, photo.turned, made_with, photo_set.min_face_px, current()
    annotated = made_once("photo_annotated", depends_on, partial(page_image, image, found))
    with picture:
        st.image(annotated, output_format="JPEG", width="stretch", alt=tr("The photo with a box per face"))
        if photo.note:
            st.caption(photo.note)
        if photo.found_turned:
            st.caption(tr("No face was clear as this photo is stored, so it was turned."))
        with st.container(horizontal=True):
            st.download_button(
                tr("Annotated photo"),
                in_this_language(partial(photo_set.annotated, photo)),
                file_name="faces.jpg",
                mime="image/jpeg",
                icon=":material/download:",
                on_click="ignore",
            )
            st.button(
                tr("Turn"),
                icon=":material/rotate_right:",
                help=tr("By a quarter to the right: faces are found best when they are upright."),
                on_click=photo.turn,
            )
    if len(found):
        with beside:
            show_faces_table(image, found)
            show_reasons(image.frame_bgr, fitted(found, image.size_wh, image.frame_bgr.shape[1::-1]), method)


def show_heat_map(image: LoadedImage, detector: MaskDetector, settings: DetectionSettings) -> None:
    """How likely every place is the centre of a face, over the photo."""
    st.markdown(tr("**The brighter, the likelier the centre of a face.** A box is drawn around each bright spot."))
    small, _ = fit_within(image.frame_bgr, DISPLAY_SIDE[1])
    seen = overlay_centers(small, detector.center_map(image.frame_bgr, settings.preset))
    alt = tr("The photo with its face heat map")
    st.image(seen, channels="BGR", output_format="JPEG", width="stretch", alt=alt)


ZIPS = {
    "one": mark("This photo, annotated (ZIP)"),
    "all": mark("All photos, annotated (ZIP)"),
    "some": mark("These {count} photos, annotated (ZIP)"),
}
TABLES = {
    "one": mark("Results of this photo ({kind})"),
    "all": mark("Results of all photos ({kind})"),
    "some": mark("Results of these {count} photos ({kind})"),
}
REPORTS = {
    "one": mark("Report of this photo (HTML)"),
    "all": mark("Report of all photos (HTML)"),
    "some": mark("Report of these {count} photos (HTML)"),
}


def show_downloads(photo_set: PhotoSet, photos: Sequence[Photo], names: Mapping[str, str], of_all: bool) -> None:
    """The table of these photos and, of several, a zip; faces are blurred if that is wanted."""
    photo_set.blur = st.toggle(
        tr("Blur faces in the downloads"),
        help=tr("In annotated photos, nobody whose face was found can be recognized."),
        **kept("photo_blur", False),
    )
    photo_set.chosen = tuple(photo.key for photo in photos)
    whose = "one" if len(photos) == 1 else "all" if of_all else "some"
    icon = ":material/download:"
    with st.container(horizontal=True):
        if len(names) > 1:
            cookie = own_cookie()
            photo_sets[cookie, photo_set.key] = photo_set
            words = _said(ZIPS, whose, len(photos))
            st.link_button(words, address("photo", f"photos/{photo_set.key}"), icon=icon)
        for kind, write, mime in (("csv", rows_to_csv, "text/csv"), ("json", rows_to_json, "application/json")):
            data = partial(_table, photo_set, photos, names, write)
            words = _said(TABLES, whose, len(photos)).format(kind=kind.upper())
            st.download_button(words, data, f"faces.{kind}", mime, icon=icon, on_click="ignore")
        st.download_button(
            _said(REPORTS, whose, len(photos)),
            in_this_language(partial(photos_report, photo_set, photos, names, visitors_zone())),
            "report.html",
            MIME,
            icon=":material/description:",
            on_click="ignore",
            help=tr("Counts, annotated photos and faces as one file, to send on or to print."),
        )


def _table(
    photo_set: PhotoSet, photos: Sequence[Photo], names: Mapping[str, str], write: Callable[[list[dict]], str]
) -> str:
    return write([row for photo in photos for row in detection_rows(names[photo.key], photo_set.shown(photo))])


def _said(texts: Mapping[str, str], whose: str, count: int) -> str:
    return tr(texts[whose]).replace("{count}", number(count, ","))


def photos_report(photo_set: PhotoSet, photos: Sequence[Photo], names: Mapping[str, str], zone: tzinfo) -> bytes:
    """What was found in photos as an HTML file; of very many, the first are shown and all are counted."""
    stats = {photo.key: summarize(photo_set.shown(photo)) for photo in photos}
    everybody = sum(stats.values(), FrameStats())
    title = trn("Who wears a mask in {count} photo", "Who wears a mask in {count} photos", len(photos))
    report = HtmlReport(title.format(count=number(len(photos), ",")), zone)
    report.figures(
        {tr("Photos"): number(len(photos), ","), tr("Faces"): number(everybody.faces, ",")}
        | {
            style.words: number(everybody.count(name), ",")
            for name, style in zip(everybody.classes, styles_of(everybody.classes), strict=True)
        }
        | {NO_PREDICTION.words: number(everybody.unknown, ",")}
        | ({} if everybody.mask_share is None else {tr("Wear a mask well"): number(everybody.mask_share, ".0%")})
    )
    for photo in photos[:REPORT_PHOTOS]:
        words = describe(stats[photo.key])
        try:
            report.picture(photo_set.reduced(photo, REPORT_SIDE), words, f"{names[photo.key]}. {words}")
        except ImageError as error:
            report.text(tr("{name}: {words}").format(name=names[photo.key], words=error))
        found = photo_set.shown(photo)
        report.table(
            [
                {
                    tr("No."): i + 1,
                    tr("Result"): style.words,
                    tr("Confidence"): percentage(float(found.confidence[i])) if found.data[PREDICTED][i] else "–",
                    tr("Size in pixels"): "{:.0f} × {:.0f}".format(*(found.xyxy[i, 2:] - found.xyxy[i, :2])),
                }
                for i, style in enumerate(face_styles(found)[:REPORT_FACES])
            ]
        )
        if len(found) > REPORT_FACES:
            more = len(found) - REPORT_FACES
            words = trn(
                "{count} more face is in the table of results.", "{count} more faces are in the table of results.", more
            )
            report.text(words.format(count=number(more, ",")))
    if len(photos) > REPORT_PHOTOS:
        words = tr("The first {shown} photos are shown; the numbers above count all {count}.")
        report.text(words.format(shown=number(REPORT_PHOTOS), count=number(len(photos), ",")))
    return report.file()
