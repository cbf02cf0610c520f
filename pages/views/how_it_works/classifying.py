"""The steps inside the classifier: one face, from its crop to a decision, and how training made it hard to fool."""

from pathlib import Path
from random import randrange

import cv2
import numpy as np
import streamlit as st

from core.datasets.faces import Sample, cut_face
from core.language import number, tr
from core.vision.boxes import square_boxes
from core.vision.classes import CLASS_NAMES, WITH_MASK, styles_of
from core.vision.steps import (
    FOUND_BGR,
    OTHER_BGR,
    filter_tiles,
    in_rows,
    map_tiles,
    numbered,
    outlined,
    values_as_tiles,
)
from core.vision.trace import Trace, dropped_out, strongest, with_dropout
from pages.components.figure import show_figure
from pages.components.messages import plain
from pages.views.datasets.augmentation import RECIPE_NAMES
from pages.views.how_it_works.parts import explain, no_face, picture_and_words, show_picture
from pages.views.how_it_works.subject import Subject, classic, explainer
from train.augment import RECIPES, varied_view

MAPS, DRAWS, VIEWS = 12, 50, 8
SEED = "how_seed"


def chosen_face(subject: Subject) -> int | None:
    """Which face is followed; ``None``, and a sentence, if there is none."""
    faces = len(subject.found)
    if not faces:
        no_face()
        return None
    if faces == 1:
        return 0
    return st.selectbox(
        tr("Face"), range(faces), format_func=lambda i: tr("Face {number}").format(number=i + 1), key="how_face"
    )


def mask_share(probabilities: np.ndarray) -> np.ndarray:
    """Of the shipped classifier's probabilities (…, k), that of a mask."""
    return probabilities[..., explainer().card.classes.index(CLASS_NAMES[WITH_MASK])]


def show_crop(subject: Subject) -> None:
    """From the box to the classifier's input."""
    face = chosen_face(subject)
    if face is None:
        return
    card, box = explainer().card, subject.found.xyxy[face : face + 1]
    square, crop = square_boxes(box, card.margin), subject.trace(face).crop_rgb
    picture, words = picture_and_words()
    left, right = picture.columns(2)
    drawn = outlined(outlined(subject.frame_bgr, square, OTHER_BGR), box, FOUND_BGR)
    show_picture(left, drawn, tr("Green: the face. Orange: the square that is cut out"))
    caption = tr("The classifier's input: {side} × {side} pixels").format(side=card.input_size)
    show_picture(right, crop[..., ::-1], caption)
    explain(
        words,
        tr(
            "The classifier always gets a square of {side} × {side} pixels, whatever the face's size; {margin} more on "
            "every side keep hair, chin and the mask's straps in the picture. From here on, the face is {count} "
            "numbers: red, green and blue of every pixel, each from 0 to 255."
        ).format(side=card.input_size, margin=number(card.margin, ".0%"), count=number(crop.size, ",")),
        {tr("Classifier"): tr("A network that says which of some classes a picture belongs to: here mask or no mask.")},
    )
    side = square[0, 2] - square[0, 0]
    reduced = tr("This square is {side} pixels wide in the photo, so it is made smaller.")
    enlarged = tr("This square is {side} pixels wide in the photo, so it is enlarged: no detail comes back that way.")
    words.markdown((reduced if side > card.input_size else enlarged).format(side=number(side, ".0f")))
    middle = crop.shape[0] // 2
    words.markdown(tr("The 5 × 5 pixels in its middle, red only:"))
    words.table(crop[middle - 2 : middle + 3, middle - 2 : middle + 3, 0])


def show_filters(subject: Subject) -> None:
    """Feature maps, from the first layer to the last."""
    face = chosen_face(subject)
    if face is None:
        return
    seen = subject.trace(face)
    sizes = [f"{maps.shape[0]} × {maps.shape[1]}" for maps in seen.maps]
    picture, words = picture_and_words()
    size = words.select_slider(tr("Size of the maps"), sizes, key="how_depth")
    depth = sizes.index(size)
    maps = seen.maps[depth]
    places = strongest(maps, MAPS)
    show_picture(
        picture,
        map_tiles(maps, places),
        tr("{shown} of the {maps} feature maps, {size} each: the brighter, the more of its pattern is there").format(
            shown=MAPS, maps=maps.shape[2], size=size
        ),
        exact=True,
    )
    explain(
        words,
        tr(
            "A *filter* slides over the picture and answers strongly where it meets its pattern; its answers at every "
            "place are a *feature map*. The first filters see edges and colours; deeper ones see maps of maps, which "
            "get smaller and more: fewer places, more meaning."
        ),
        {
            tr("Filter"): tr(
                "A few weights, learned in training, that are multiplied with the pixels under them and added."
            ),
            "MobileNetV2": tr(
                "The network used here, built for phones: its filters are split so that they cost little."
            ),
            tr("Layer"): tr("Filters that all look at the same input; the next layer looks at their maps."),
        },
    )
    words.table(
        [{tr("Size"): name, tr("Maps"): number(m.shape[2], ",")} for name, m in zip(sizes, seen.maps, strict=True)]
    )
    if depth == 0:
        show_picture(
            words,
            filter_tiles(seen.filters, places, side=60, columns=6),
            tr("The weights of these {filters} filters, 3 × 3 pixels in red, green and blue; grey is 0").format(
                filters=MAPS
            ),
            exact=True,
        )


def show_decision(subject: Subject) -> None:
    """Pooling, dense layer, softmax, with this face's numbers."""
    from pages.components import charts

    face = chosen_face(subject)
    if face is None:
        return
    seen, styles = subject.trace(face), styles_of(explainer().card.classes)
    names = [f"{style.sign} {style.words}" for style in styles]
    shares = [exact_share(float(probability)) for probability in seen.probabilities]
    picture, words = picture_and_words()
    rows, columns, maps = seen.maps[-1].shape
    show_picture(
        picture,
        values_as_tiles(seen.pooled, 64, side=10),
        tr("{maps} means, one for each map of {rows} × {columns}").format(
            maps=number(maps, ","), rows=rows, columns=columns
        ),
        exact=True,
    )
    show_picture(
        picture,
        values_as_tiles(seen.hidden, 32, side=20),
        tr("{numbers} numbers of the dense layer; {positive} are above 0").format(
            numbers=len(seen.hidden), positive=int((seen.hidden > 0).sum())
        ),
        exact=True,
    )
    show_figure(
        charts.bars(
            tr("Probability"),
            {plain(name): float(share) for name, share in zip(names, seen.probabilities, strict=True)},
            "",
            [style.color_hex for style in styles],
            shares,
        ),
        place=picture,
        alt=", ".join(f"{name}: {share}" for name, share in zip(names, shares, strict=True)),
    )
    explain(
        words,
        tr(
            "Each map is averaged to one number, so that it no longer matters where in the picture something is. A "
            "dense layer weighs these numbers against each other and ends with one *logit* for each class; softmax "
            "makes probabilities of them."
        ),
        {
            tr("Average pooling"): tr("The mean of a map's values."),
            tr("Dense layer"): tr("Every number out is a weighted sum of all numbers in; below 0 it becomes 0 (ReLU)."),
            tr("Logit"): tr("A class's points, of any size, above or below 0."),
            tr("Softmax"): tr("e to the power of each logit, divided by the sum of all of these: they add up to 1."),
        },
    )
    powers = np.exp(seen.logits.astype(np.float64))
    words.table(
        [
            {
                tr("Class"): name,
                tr("Logit"): number(logit, ".3f"),
                tr("e to the logit"): number(power, ",.3f"),
                tr("Probability"): share,
            }
            for name, logit, power, share in zip(names, seen.logits, powers, shares, strict=True)
        ]
    )
    words.markdown(
        f"{number(powers.max(), ',.3f')} ÷ ({' + '.join(number(power, ',.3f') for power in powers)}) = "
        f"**{shares[powers.argmax()]}**"
    )
    words.caption(tr("The app shows {share} at most: no model is ever certain.").format(share=number(0.99, ".0%")))


def exact_share(probability: float) -> str:
    """A probability with more digits than the app shows elsewhere; never 0 or 1, which softmax cannot give."""
    if probability > 0.999999:
        return tr("over {share}").format(share=number(0.999999, ".4%"))
    if probability < 0.000001:
        return tr("under {share}").format(share=number(0.000001, ".4%"))
    return number(probability, ".4%")


def show_dropout(subject: Subject) -> None:
    """Some of the dense layer's numbers switched off by chance."""
    from pages.components import charts

    face = chosen_face(subject)
    if face is None:
        return
    seen: Trace = subject.trace(face)
    trained = float(explainer().card.training.get("dropout", 0.5))
    picture, words = picture_and_words()
    share = words.slider(tr("Switched off"), 0, 95, round(100 * trained), 5, format=tr("%d%%"), key="how_dropout") / 100
    seed, answer = st.session_state.get(SEED, 0), int(seen.probabilities.argmax())
    drawn = with_dropout(seen.hidden, explainer().head, share, DRAWS, seed)[:, answer]
    words.button(tr("Draw again"), icon=":material/casino:", on_click=other_seed, key="how_dropout_again")
    kept = dropped_out(len(seen.hidden), share, DRAWS, seed)[0]
    left, right = picture.columns(2)
    show_picture(left, values_as_tiles(seen.hidden, 16, side=20), tr("The dense layer's numbers, all on"), exact=True)
    show_picture(
        right,
        values_as_tiles(seen.hidden * kept, 16, side=20),
        tr("The same in one draw, {share} off").format(share=number(share, ".0%")),
        exact=True,
    )
    style = styles_of(explainer().card.classes)[answer]
    lowest, highest = number(drawn.min(), ".1%"), number(drawn.max(), ".1%")
    curve = {style.words: np.sort(100 * drawn)[::-1].tolist()}
    show_figure(
        charts.lines(
            tr("In {draws} draws").format(draws=DRAWS),
            curve,
            tr("Draw, sorted"),
            tr("{name} in %").format(name=plain(style.words)),
            percent=True,
        ),
        place=picture,
        alt=tr("The probability of {name} in {draws} draws, from {lowest} to {highest}").format(
            name=style.words, draws=DRAWS, lowest=lowest, highest=highest
        ),
    )
    explain(
        words,
        tr(
            "In training, {share} of these numbers were switched off by chance at every step, others each time, so "
            "that no single one could become indispensable. In use, all are on; here you can switch some off again and "
            "see how firm the answer is."
        ).format(share=number(trained, ".0%")),
        {tr("Dropout"): tr("Switching numbers off by chance while training, against learning by heart.")},
    )
    words.markdown(
        tr(
            "In {draws} draws, the probability of *{name}* lies between **{lowest}** and **{highest}**; with "
            "everything on it is {share}."
        ).format(
            draws=DRAWS,
            name=plain(style.words),
            lowest=lowest,
            highest=highest,
            share=exact_share(float(seen.probabilities[answer])),
        )
    )


def other_seed() -> None:
    """Another seed for all that chance decides."""
    st.session_state[SEED] = randrange(2**31)


def show_augmentation(subject: Subject) -> None:
    """Varied views of the face, with what the classifier says of each."""
    face = chosen_face(subject)
    if face is None:
        return
    picture, words = picture_and_words()
    recipe = words.segmented_control(
        tr("Recipe"),
        list(RECIPES),
        format_func=lambda name: tr(RECIPE_NAMES.get(name, str(name))),
        default=next(iter(RECIPES)),
        required=True,
        key="how_recipe",
    )
    words.button(tr("Draw again"), icon=":material/casino:", on_click=other_seed, key="how_views_again")
    card, rng = explainer().card, np.random.default_rng(st.session_state.get(SEED, 0))
    patch, crop = cut_face(subject.frame_bgr, subject.found.xyxy[face], card.margin)
    sample = Sample("", Path(), CLASS_NAMES[WITH_MASK], patch, crop, face_px=0)
    views = np.array([varied_view(sample, card.input_size, RECIPES[recipe], rng) for _ in range(VIEWS)])
    said = mask_share(classic().classifier.probabilities(views))
    tiles = [numbered(cv2.cvtColor(view, cv2.COLOR_RGB2BGR), str(i + 1)) for i, view in enumerate(views)]
    show_picture(
        picture, in_rows(tiles, 4), tr("{views} views of this face as training varies them").format(views=VIEWS)
    )
    explain(
        words,
        tr(
            "In every round of training the network sees each face a little turned, moved, brighter or blurred, never "
            "the same twice. So it must learn what a mask is, and cannot learn the pictures by heart."
        ),
        {tr("Augmentation"): tr("Varying training pictures by chance, in ways that do not change what is in them.")},
    )
    words.table([{tr("View"): i + 1, tr("Probability of a mask"): exact_share(float(p))} for i, p in enumerate(said)])
