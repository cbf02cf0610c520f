"""Other spellings of this project's classes: ``WithMask`` and ``with mask`` are ``with_mask``.

What plainly means one of the three is read as that. What may mean one is only offered to be joined with it.
"""

import re
import unicodedata
from collections.abc import Collection

from core.vision.classes import CLASS_NAMES, WITH_MASK, WITHOUT_MASK, WORN_INCORRECTLY

# Without capitals, spaces and signs.
PLAIN = {
    WITH_MASK: "withmask withmasks withamask withfacemask wearingmask wearingamask wearsmask wearmask masked maskon "
    "hasmask maskworn correctmask maskcorrect correctlymasked maskworncorrectly maskworncorrect maskwearedcorrect "
    "maskwearedcorrectly correctlywornmask facewithmask avecmasque avecunmasque porteunmasque portelemasque",
    WITHOUT_MASK: "withoutmask withoutmasks withoutamask withoutfacemask nomask nomasks nofacemask unmasked notmasked "
    "maskoff notwearingmask notwearingamask facewithoutmask facenomask nonmask nonmasked sansmasque sansunmasque "
    "pasdemasque nonmasque",
    WORN_INCORRECTLY: "maskwearedincorrect maskwearedincorrectly maskwornincorrectly maskwornincorrect incorrectmask "
    "maskincorrect incorrectlymasked incorrectlywornmask incorrectlyworn improperlywornmask maskwornimproperly "
    "improperlymasked wrongmask maskwrong wrongwearingmask maskwornwrong",
}
# These mean a class only beside another name that plainly means one.
BESIDE_OTHERS = {
    WITH_MASK: "mask masks facemask with masque",
    WITHOUT_MASK: "without bare bareface barefaced",
    WORN_INCORRECTLY: "incorrect incorrectly improper improperly",
}
PERHAPS = {
    WITH_MASK: "mask masks facemask with masque correct correctly proper properly cmfd yes ok",
    WITHOUT_MASK: "without bare bareface barefaced none no face",
    WORN_INCORRECTLY: "incorrect incorrectly improper improperly wrong partial partially imfd",
}


def _by_word(lists: dict[int, str]) -> dict[str, str]:
    return {word: CLASS_NAMES[index] for index, words in lists.items() for word in words.split()}


_PLAIN, _BESIDE, _PERHAPS = _by_word(PLAIN), _by_word(BESIDE_OTHERS), _by_word(PERHAPS)


def _bare(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[\W_]+", "", "".join(c for c in decomposed if not unicodedata.combining(c)))


def plain_meanings(names: Collection[str]) -> dict[str, str]:
    """For each of a set's class names that plainly means one of this project's, but is spelt otherwise, that one.

    >>> sorted(plain_meanings(["Mask", "No-Mask", "helmet"]).items())
    [('Mask', 'with_mask'), ('No-Mask', 'without_mask')]
    >>> plain_meanings(["Mask", "helmet"])
    {}
    """
    words = {name: _bare(name) for name in sorted(names)}
    found = {name: _PLAIN[word] for name, word in words.items() if word in _PLAIN}
    for name, word in words.items():
        if word in _BESIDE and any(meaning != _BESIDE[word] for meaning in found.values()):
            found[name] = _BESIDE[word]
    return {name: meaning for name, meaning in found.items() if name != meaning}


def likely_meanings(names: Collection[str]) -> dict[str, str]:
    """The same for names that may mean one of this project's classes, each of which a person has to say.

    >>> likely_meanings(["Correct", "Incorrect", "N95"])
    {'Correct': 'with_mask', 'Incorrect': 'mask_weared_incorrect'}
    """
    plain = plain_meanings(names)
    words = {name: _bare(name) for name in sorted(names) if name not in plain and name not in CLASS_NAMES}
    return {name: _PERHAPS[word] for name, word in words.items() if word in _PERHAPS}
