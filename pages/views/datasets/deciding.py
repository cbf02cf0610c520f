"""What keys and buttons do to the faces and images of a set: give a class, not sure, no face, undo."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from core.datasets.duplicates import other_copies
from core.datasets.edits import Edits, NewFace, step_words
from core.datasets.index import Index
from core.datasets.missing import Suggestion
from core.datasets.store import class_order
from core.language import mark, tr
from core.vision.classes import CLASS_NAMES, NO_PREDICTION, styles_of
from pages.components.acts import Action
from pages.components.messages import plain, show_problem, tried
from pages.components.state import UNDONE

LABEL, UNSURE, REMOVE, KEEP, EXCLUDE, REVERT, UNDO = "label:", "unsure", "remove", "keep", "exclude", "revert", "undo"
ALONE, KEEP_ALL = "alone", "all-right"
# A key for each of the first classes.
MOST_KEYS = 9
UNDO_IT = Action(UNDO, "z", mark("Undo"), "↶", always=True)
OF_FACES = (Action(UNSURE, "u", NO_PREDICTION.english, NO_PREDICTION.sign), Action(REMOVE, "x", mark("No face")))
OF_IMAGES = (Action(EXCLUDE, "x", mark("Exclude")), Action(REVERT, "o", mark("As in the files")))
KEEP_ALONE = Action(ALONE, "k", mark("Keep, exclude its copies"))
ALL_RIGHT = Action(KEEP_ALL, "r", mark("Labels of the group are right"))
RIGHT = Action(KEEP, "k", mark("Label is right"))


def classes_to_give(index: Index) -> tuple[str, ...]:
    """The classes of the set; where some are the project's own, all three: a set of two may get the third."""
    ours = not index.classes or set(index.classes) & set(CLASS_NAMES)
    return class_order([*index.classes, *(CLASS_NAMES if ours else ())])


def actions_for(index: Index, *more: Action) -> list[Action]:
    """The keys that give a class, and others, in the visitor's language."""
    classes = classes_to_give(index)
    labels = [
        Action(f"{LABEL}{name}", str(number), style.words, style.sign, style.color_hex)
        for number, (name, style) in enumerate(zip(classes, styles_of(classes), strict=True), 1)
    ]
    return [*labels[:MOST_KEYS], *other_actions(*more)]


def other_actions(*more: Action) -> list[Action]:
    """Keys that give no class, and that which takes back, in the visitor's language."""
    return [replace(action, words=tr(action.words)) for action in (*more, UNDO_IT)]


@tried
def decide(index: Index, action: str, ids: Sequence[str], suggested: Mapping[str, Suggestion] | None = None) -> None:
    """Do what a key asks for, as one step that can be undone.

    Args:
        index: of the set.
        action: id of one of ``actions_for``.
        ids: items of edits, or ids of suggestions.
        suggested: suggestions by id.
    """
    edits = Edits.load(index.dataset.folder)
    new = [suggested[each] for each in ids if each in suggested] if suggested else []
    items = [each for each in ids if not suggested or each not in suggested]
    if action == UNDO:
        st.session_state[UNDONE] = edits.undo() or mark("nothing")
    elif action.startswith(LABEL):
        label = action.removeprefix(LABEL)
        if items and index.dataset.layout == "class_folders":
            edits.change_label(items, label)
        elif items:
            edits.accept(items, label)
        if new:
            edits.add_faces([NewFace(each.picture, each.box, label) for each in new])
    elif action == KEEP:
        labels = dict(zip(index.faces.items, index.faces.label.tolist(), strict=True))
        edits.confirm({item: labels[item] for item in items if item in labels})
    elif action == KEEP_ALL:
        now = index.with_edits()
        group = {*items, *other_copies(now, items)}
        edits.confirm_copies({each.key: each.labels for each in now.pictures if each.key in group})
    elif action in (UNSURE, REMOVE):
        classes = classes_to_give(index)
        faces = [
            NewFace(
                each.picture,
                each.box,
                each.label if each.label in classes else classes[0],
                action == UNSURE,
                action == REMOVE,
            )
            for each in new
        ]
        if faces:
            edits.add_faces(faces)
        if items:
            (edits.exclude if action == UNSURE else edits.remove)(items)
    elif action == ALONE:
        edits.keep_alone(items, other_copies(index.with_edits(), items))
    elif action == EXCLUDE:
        edits.exclude(items)
    elif action == REVERT:
        edits.revert(items)


def undo_button(edits: Edits) -> None:
    """Takes the latest change of a set back; nothing if there is none. ``tell`` says what was undone."""

    @tried
    def undo() -> None:
        # Told by ``tell``: within a dialog a callback must not show anything itself.
        st.session_state[UNDONE] = edits.undo() or mark("nothing")

    if edits.history:
        last = tr("The latest change: {change}.").format(change=plain(step_words(edits.history[-1])))
        st.button(tr("Undo"), icon=":material/undo:", on_click=undo, help=last)


def tell() -> None:
    """What was undone, or why something could not be done."""
    show_problem()
    if undone := st.session_state.pop(UNDONE, None):
        st.toast(tr("Undone: {change}.").format(change=plain(tr(undone))))
