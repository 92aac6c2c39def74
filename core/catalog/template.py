"""The tables a person can fill in."""

from __future__ import annotations

import io
import zipfile

README = """Fill in items.csv (one row a product) and interactions.csv (who met what; may be left out) in place of the
example rows, put the photos into the folders that the rows name, pack all of it as a zip and import that.

items.csv           item_id is required and unique; title and description are the words; price is a plain number;
                    images, audio, video hold paths inside this folder, several separated by |; other columns are kept.
interactions.csv    user_id and item_id are required; an empty rating means unrated; timestamp is ISO 8601 or seconds.
photos.csv          more photos of known items; may be left out.
"""


def template_csv() -> dict[str, str]:
    """File name -> text with a header and example rows."""
    return {
        "items.csv": "item_id,title,description,category,price,images\r\n"
        'lamp-1,Blue desk lamp,"Warm light, bends in every direction.",Home > Lamps,39.90,'
        "photos/lamp-1_a.jpg|photos/lamp-1_b.jpg\r\n"
        "mug-1,Green mug,Holds heat and fits the hand.,Kitchen > Mugs,,photos/mug-1.jpg\r\n",
        "interactions.csv": "user_id,item_id,rating,timestamp,review_title,review_text,images\r\n"
        'anna,lamp-1,5,2024-03-01T10:00:00Z,Lovely light,"Warm, and the arm stays where I put it.",\r\n'
        "ben,lamp-1,,2024-03-02T09:30:00Z,,,\r\n"
        "ben,mug-1,4,2024-03-05T18:12:00Z,,Keeps tea hot.,customer/mug-1_ben.jpg\r\n",
        "photos.csv": "image,item_id,split\r\nmore/lamp-1_evening.jpg,lamp-1,test\r\n",
    }


def template_zip() -> bytes:
    """The same tables and a README as the bytes of a zip; the same bytes every time."""
    page = io.BytesIO()
    with zipfile.ZipFile(page, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"README.txt": README, **template_csv()}.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text)
    return page.getvalue()
