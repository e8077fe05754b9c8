"""Goes once through what the jobs do, on input of our own, so that every child forked later finds all of it loaded.

Called by the zygote before its first fork; starts no thread (Arrow and OpenCV are told to use none).
"""

from __future__ import annotations

import io
from datetime import date

from exchanged.batch import Checks

_ROW = "甲,1,1990-01-01,2020-01-01,2014000000100001,201,110000199001010000,电工,无,1,甲,乙\r\n"


def _sheet() -> bytes:
    from exchanged.standard.fields import FIELDS

    return (",".join(field.name for field in FIELDS) + "\r\n" + 3 * _ROW).encode()


def sheets() -> None:
    """Check a sheet and write its table."""
    from exchanged import checking

    text = _sheet()
    checks = Checks(date.today().isoformat())
    checking.check([("a.csv", io.BytesIO(text))], checks, index=True)
    b"".join(checking.table([("a.csv", io.BytesIO(text))], checks))


def workbooks() -> None:
    """Annotate a sheet."""
    from exchanged import marking

    text = _sheet()
    told = {"language": "zh", "given_back": True, "more": []}
    marking.annotate(io.BytesIO(), [("a.csv", io.BytesIO(text))], 0, Checks(date.today().isoformat()), told)


def scans() -> None:
    """Look at a scan."""
    import cv2
    import pikepdf
    from PIL import Image

    from exchanged.stages import confirm

    cv2.setNumThreads(0)
    picture, file = io.BytesIO(), io.BytesIO()
    page = Image.new("L", (800, 1100), 255)
    page.paste(0, (100, 100, 500, 300))  # a blank page would not be searched for a code
    page.save(picture, "JPEG")
    with pikepdf.new() as pdf:
        sheet = pdf.add_blank_page(page_size=(288, 396))
        image = pdf.make_stream(picture.getvalue(), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image)
        image.Width, image.Height, image.BitsPerComponent = 800, 1100, 8
        image.ColorSpace, image.Filter = pikepdf.Name.DeviceGray, pikepdf.Name.DCTDecode
        sheet.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(I=image))
        sheet.Contents = pdf.make_stream(b"q 288 0 0 396 0 0 cm /I Do Q")
        pdf.save(file)
    confirm.examine(io.BytesIO(file.getvalue()), 1)
