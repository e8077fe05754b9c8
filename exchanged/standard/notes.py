"""Rows among the data that are no certificates: totals, notes, lines of signatures. Told by the text they begin with.

Asked only of rows in which most fields are empty, so a record is never taken for one.
"""

from __future__ import annotations

import re

_OUTER = " *＊※★☆-—–_=·.。()（）[]【】<>《》〈〉\"'“”"
_TOTAL = (
    r".{0,6}(?:合计|总计|小计|共计|累计).*|(?:总人数|总数|人数)(?:\W.*|\d.*)?"
    r"|(?:以上|本页|本表|全表|本批|总)?共有?\d+.{0,20}|第\d+页.*"
    r"|(?:(?:grand|sub|page)-?)?total(?:\W.*|\d*)|sum(?:\W.*|\d*)"
)
_NOTE = (
    r"(?:备注|说明|注|附注|注意|注意事项|备考|提示|(?:填写|填表|填报|特别)说明|notes?|remarks?)\d*(?:\W.*)?"
    r"|.{0,4}以下(?:空白|为空|无内容|无正文|无数据).*"
)
_SIGNED = (
    r"(?:填表|制表|填报|审核|复核|核对|经办|报送|上报|负责人|单位负责人|信息管理员|联系人|联系电话)[^:：]{0,4}[:：].*"
    r"|.{0,12}(?:签字|签名|签章|盖章|公章)(?:\W.*)?"
)
_BEGINS = re.compile(f"{_TOTAL}|{_NOTE}|{_SIGNED}", re.DOTALL | re.IGNORECASE)
_LABEL = re.compile(r"[^\d:：][^:：]{0,14}[:：].*", re.DOTALL)
_SENTENCE = re.compile(r"[，。；！]")
_RUNNING = re.compile(r"[\W_]*(?:[A-Za-z]?[0-9]+(?:\.0+)?|[〇零一二三四五六七八九十百千]+)?[\W_]*")


def begins(first: str) -> bool:
    """Does a row whose first filled cell says this hold a total, a note or signatures?"""
    bare = first.replace(" ", "")
    return _BEGINS.fullmatch(bare.strip(_OUTER) or bare) is not None


def label(first: str, alone: bool) -> bool:
    """Is this a label with a colon, or a sentence in a cell `alone` in its row? No name or number looks like it."""
    return _LABEL.fullmatch(first) is not None or (alone and _SENTENCE.search(first) is not None)


def running(serial: str) -> bool:
    """Is this what stands in a column of running numbers: 12, 12., A12, 十二, or nothing but signs?"""
    return _RUNNING.fullmatch(serial) is not None
