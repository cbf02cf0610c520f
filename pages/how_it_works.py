"""How faces are found and classified, step by step, on a photo of the visitor's own."""

import streamlit as st

from core.language import mark, tr
from pages.components.compat import part_of_the_app
from pages.components.state import choose_next, view_switch

part_of_the_app()
st.title(tr("How it works"))

# Only now, with the words on the screen, is anything heavy imported.
from pages.views.how_it_works import classifying, detecting, learning, seeing  # noqa: E402
from pages.views.how_it_works.subject import choose_subject  # noqa: E402

STEPS = {
    mark("Light"): seeing.show_light,
    mark("Haar features"): seeing.show_features,
    mark("Cascade"): seeing.show_cascade,
    mark("Neighbours"): seeing.show_neighbours,
    mark("Crop"): classifying.show_crop,
    mark("Filters"): classifying.show_filters,
    mark("Decision"): classifying.show_decision,
    mark("Dropout"): classifying.show_dropout,
    mark("Augmentation"): classifying.show_augmentation,
    mark("Learning"): learning.show_descent,
    mark("Over-fitting"): learning.show_overfitting,
    mark("Detector"): detecting.show_detector,
    mark("Where both fail"): detecting.show_failures,
}
STEP = "step"  # in the address

st.markdown(
    tr("From a photo to *mask* or *no mask*: every picture and number here is what this server really computes.")
)
subject = choose_subject()
names = list(STEPS)
step = view_switch(STEP, names)
place = names.index(step)
with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
    heading = tr("{number} of {steps} · {step}").format(number=place + 1, steps=len(names), step=tr(step))
    st.header(heading, anchor=False, width="content")
    with st.container(horizontal=True, width="content"):
        for words, other in ((mark("Back"), place - 1), (mark("Next"), place + 1)):
            known = 0 <= other < len(names)
            st.button(
                tr(words),
                icon=":material/arrow_forward:" if words == "Next" else ":material/arrow_back:",
                icon_position="right" if words == "Next" else "left",
                type="primary" if words == "Next" else "secondary",
                disabled=not known,
                help=tr(names[other]) if known else None,
                key=f"how_{words.lower()}",
                on_click=choose_next,
                args=(STEP, names[other] if known else step),
            )
if subject is None:
    st.info(tr("Choose a photo first, or one of the two examples."))
else:
    STEPS[step](subject)
    if subject.note:
        st.caption(subject.note)

with st.expander(tr("Where this comes from")):
    sources = (
        tr(
            "P. Viola, M. Jones: *Rapid object detection using a boosted cascade of simple features*. CVPR 2001. "
            "(features, integral image, cascade)"
        ),
        tr(
            "M. D. Zeiler, R. Fergus: *Visualizing and understanding convolutional networks*. ECCV 2014. (feature maps)"
        ),
        tr(
            "N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov: *Dropout: a simple way to "
            "prevent neural networks from overfitting*. Journal of Machine Learning Research 15, 2014."
        ),
        tr(
            "M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen: *MobileNetV2: inverted residuals and linear "
            "bottlenecks*. CVPR 2018. (the classifier)"
        ),
        tr("X. Zhou, D. Wang, P. Krähenbühl: *Objects as points*. arXiv:1904.07850, 2019. (the detector)"),
    )
    st.markdown("\n".join(f"- {source}" for source in sources))
