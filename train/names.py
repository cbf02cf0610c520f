"""File names that are safe on every system, from names that somebody else chose."""

import hashlib
import re
import unicodedata

MAX_BYTES = 80
# Windows opens devices under these names, whatever the extension.
DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}


def safe_part(text: str) -> str:
    """One part of a path, without extension: any script's letters stay, everything with a meaning to a disk goes.

    The same text always gives the same part; a long one is cut and ends with a checksum, so that it stays its own.
    """
    part = unicodedata.normalize("NFC", text)
    part = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in part).strip(" ").strip(".").strip()
    if len(part.encode("utf-8", "replace")) > MAX_BYTES:
        checksum = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
        part = part.encode("utf-8", "replace")[: MAX_BYTES - 9].decode("utf-8", "ignore").strip() + "~" + checksum
    if part.casefold().split(".")[0] in DEVICES:
        part = f"_{part}"
    return part or "_"


def split_suffix(name: str) -> tuple[str, str]:
    """``("a.b", ".jpg")`` of ``a.b.jpg``; a suffix of other characters than letters and digits counts as none."""
    match = re.fullmatch(r"(.+?)(\.[A-Za-z0-9]{1,8})", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")
