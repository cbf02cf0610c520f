"""What an import made of a person's files, and classes that are spelt in several ways."""

import streamlit as st

from core.datasets.account import Account
from core.datasets.edits import Edits
from core.datasets.index import Index
from core.datasets.parts import PARTS
from core.language import number, tr
from core.vision.classes import CLASS_NAMES, styles_of
from pages.components.messages import plain, try_to


def show_account(account: Account) -> None:
    """What a person should read before training on a new set."""
    words = dict(zip(account.faces, (style.words for style in styles_of(tuple(account.faces))), strict=True))
    faces = ", ".join(f"{plain(words[name])} {number(count, ',')}" for name, count in account.faces.items())
    lines = [
        tr("**Read as {format}**: {images} images.").format(
            format=plain(tr(account.format)), images=number(account.pictures, ",")
        ),
        tr("**Faces:** {faces}.").format(faces=faces) if faces else tr("**Faces:** none."),
    ]
    if account.without_faces:
        lines.append(tr("**Without a face:** {images} images.").format(images=number(account.without_faces, ",")))
    if account.split_from:
        parts = ", ".join(f"{tr(PARTS[part or ''])} {number(count, ',')}" for part, count in account.splits.items())
        lines.append(tr("**Split** by {what}: {parts}.").format(what=plain(tr(account.split_from)), parts=parts))
    else:
        lines.append(tr("**Split:** the set names none."))
    for spelling, name in account.joined.items():
        lines.append(tr("{spelling} is read as {name}.").format(spelling=plain(spelling), name=_words(name)))
    st.markdown("  \n".join([*lines, *(plain(tr(remark)) for remark in account.remarks)]))
    for warning in account.warnings:
        st.warning(plain(tr(warning)))
    if account.left_out_count:
        st.markdown(tr("**Left out:** {files}").format(files=number(account.left_out_count, ",")))
        st.dataframe([{tr("File"): file, tr("Why"): tr(why)} for file, why in account.left_out], hide_index=True)


def show_kept_account(card: dict) -> None:
    """The same again, folded, for a set that keeps it."""
    if account := Account.from_card(card):
        icon = ":material/warning:" if account.warnings or account.left_out_count else ":material/fact_check:"
        with st.expander(tr("What was imported"), icon=icon):
            show_account(account)


def join_classes(index: Index, offered: dict[str, str]) -> None:
    """Rename a class, or join it with another: an edit of all its faces, which can be undone as one.

    Args:
        index: of the set.
        offered: classes that may mean one of this project's, and which.
    """
    words = dict(zip(index.classes, (style.words for style in index.styles), strict=True))
    with st.expander(tr("Rename or join classes"), icon=":material/merge:"):
        for name, meaning in offered.items():
            if name in words:
                label = tr("{name} is {meaning}").format(name=plain(name), meaning=_words(meaning))
                if st.button(label, icon=":material/merge:", key=f"data_join_{name}"):
                    try_to(_rename, index, name, meaning)
        old = st.selectbox(tr("Class"), index.classes, format_func=words.__getitem__, key="data_rename_class")
        targets = [name for name in dict.fromkeys((*CLASS_NAMES, *index.classes)) if name != old]
        new = st.selectbox(
            tr("is"),
            targets,
            index=None,
            format_func=lambda name: words.get(name) or _words(name),
            accept_new_options=True,
            placeholder=tr("Choose or add an option"),
            key="data_rename_to",
            help=tr("Choose another class to join both, or type a new name. The files stay as they are."),
        )
        if st.button(tr("Change all its faces"), disabled=not new) and new:
            try_to(_rename, index, old, new)


def _rename(index: Index, old: str, new: str) -> None:
    faces = index.faces
    items = [item for item, label in zip(faces.items, faces.label, strict=True) if label == old]
    Edits.load(index.dataset.folder).change_label(items, new)


def _words(name: str) -> str:
    return plain(styles_of((name,))[0].words)
