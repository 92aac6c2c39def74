"""The tables a person can fill in."""

from __future__ import annotations


def template_csv() -> dict[str, str]:
    """The tables a person can fill in: file name -> text with a header and example rows."""
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
