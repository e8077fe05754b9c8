"""Dates in the forms that real spreadsheets hold."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanged.standard import dates, deadlines
from exchanged.standard.dates import DateProblem
from tests.support import oracle

SAME_DAY = [
    "2018-05-11",
    "2018-5-11",
    "2018/5/11",
    "2018/05/11",
    "2018.05.11",
    "2018.5.11",
    "20180511",
    "2018年5月11日",
    "2018年05月11日",
    "2018 年 5 月 11 日",
    "2018年5月11",
    "2018年5月11号",
    "二〇一八年五月十一日",
    "二○一八年五月十一日",
    "二零一八年五月十一日",
    "二O一八年五月十一日",
    "贰零壹捌年伍月拾壹日",
    "2018年五月十一日",
    "2018-05-11 00:00:00",
    "2018/5/11 0:00",
    "2018/5/11 0:00:00",
    "2018-05-11T00:00:00",
    "2018-05-11T00:00:00.000Z",
    "2018-05-11 00:00:00.000000",
    "2018年5月11日 00:00:00",
    "2018/5/11 12:00:00 AM",
    "2018/5/11 上午12:00:00",
    "20180511000000",
    "20180511 00:00:00",
    "20180511.0",
    "43231",
    "43231.0",
    "43231.00",
    "２０１８－０５－１１",
    "２０１８／５／１１",
    "２０１８．０５．１１",
    "２０１８０５１１",
    "2018\u201305\u201311",
    "2018—05—11",
    "2018\u221205\u221211",
    " 2018-05-11\u3000",
    "2018- 05 -11",
    "2018 5 11",
    "'2018-05-11",
    "\u20192018/5/11",
    '="2018-05-11"',
    "\ufeff2018-05-11\n",
    "2018-05-11" + " " * 500,
]


@pytest.mark.parametrize("written", SAME_DAY)
def test_every_accepted_form_means_the_same_day(written: str) -> None:
    assert dates.parse(written) == "2018-05-11"


BAD = [
    "",
    " ",
    "2018",
    "2018-05",
    "201805",
    "2018年5月",
    "18-05-11",
    "18/5/11",
    "180511",
    "77年5月11日",
    "03/04/05",
    "2018-02-30",
    "2018-02-29",
    "2018-13-01",
    "2018-00-10",
    "2018-01-00",
    "20180230",
    "20181301",
    "0000-00-00",
    "2018年2月30日",
    "二〇一八年十三月一日",
    "二〇一八年二月三十日",
    "2018-05/11",
    "2018-05-11 08:30:00",
    "2018/5/11 12:00",
    "43231.5",
    "4323",
    "432310",
    "1977128",
    "00043",
    "-43231",
    "4.3231E+04",
    "13/04/2018",
    "04/13/2018",
    "05/05/2018",
    "11-May-2018",
    "2018-05-11至2018-06-11",
    "2O18-05-11",
    "1977年1O月1日",
    "长期",
    "#N/A",
    "99/99/2018",
    "2018\\05\\11",
    "٢٠١٨-٠٥-١١",
]


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_date_in_an_accepted_form_is_bad(written: str) -> None:
    assert dates.parse(written) is DateProblem.BAD


@pytest.mark.parametrize(
    "written", ["03/04/2018", "3-4-2018", "11.05.2018", "０３／０４／２０１８", "03/04/2018 00:00:00", "12/1/1990"]
)
def test_day_and_month_that_cannot_be_told_apart_are_never_guessed(written: str) -> None:
    assert dates.parse(written) is DateProblem.AMBIGUOUS


def test_problems_carry_the_names_of_their_rules() -> None:
    assert {problem.value for problem in DateProblem} == {"bad-date", "date-ambiguous"}


def test_serials_of_the_1904_system_are_four_years_and_a_day_off() -> None:
    assert dates.parse("41769", epoch_1904=True) == "2018-05-11"
    assert dates.parse("2018-05-11", epoch_1904=True) == "2018-05-11"


@given(st.dates(date(1927, 5, 18), date(2173, 10, 13)))
def test_a_serial_is_the_days_since_the_end_of_1899(day: date) -> None:
    assert dates.parse(str((day - date(1899, 12, 30)).days)) == day.isoformat()


@given(
    st.dates(date(1000, 1, 1)),
    st.sampled_from(["{y}-{m}-{d}", "{y}/{m:02}/{d:02}", "{y}.{m}.{d}", "{y}年{m}月{d}日", "{y}{m:02}{d:02}"]),
)
def test_every_day_survives_every_form(day: date, form: str) -> None:
    assert dates.parse(form.format(y=day.year, m=day.month, d=day.day)) == day.isoformat()


TENS = ["", "十", "二十", "三十"]


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_every_day_survives_chinese_numerals(day: date) -> None:
    def words(number: int) -> str:
        return TENS[number // 10] + ("〇一二三四五六七八九"[number % 10] if number % 10 else "")

    year = "".join("〇一二三四五六七八九"[int(digit)] for digit in str(day.year))
    assert dates.parse(f"{year}年{words(day.month)}月{words(day.day)}日") == day.isoformat()


@given(st.text(st.sampled_from("0123456789-/. 年月日:T")))
def test_any_text_is_a_real_day_or_a_problem(value: str) -> None:
    parsed = dates.parse(value)
    assert isinstance(parsed, DateProblem) or date.fromisoformat(parsed).isoformat() == parsed


def test_out_of_range_is_before_1900_or_after_today() -> None:
    assert oracle.out_of_range("1899-12-31", "2026-01-10")
    assert oracle.out_of_range("2026-01-11", "2026-01-10")
    assert not oracle.out_of_range("1900-01-01", "2026-01-10")
    assert not oracle.out_of_range("2026-01-10", "2026-01-10")


@pytest.mark.parametrize(
    ("birth", "issue", "under"),
    [
        ("2002-05-11", "2018-05-11", False),
        ("2002-05-12", "2018-05-11", True),
        ("2000-02-29", "2016-02-28", True),
        ("2000-02-29", "2016-02-29", False),
        ("2019-01-01", "2018-05-11", True),
    ],
)
def test_sixteen_is_reached_on_the_birthday(birth: str, issue: str, under: bool) -> None:
    assert oracle.under_16(birth, issue) is under


@pytest.mark.parametrize(
    ("days", "rule"),
    [(-1, None), (0, None), (24, None), (25, "deadline-near"), (30, "deadline-near"), (31, "deadline-missed")],
)
def test_the_deadline_counts_natural_days_without_the_day_of_issue(days: int, rule: str | None) -> None:
    issue = date(2025, 12, 20)
    today = (issue + timedelta(days=days)).isoformat()
    assert deadlines.days_since(issue.isoformat(), today) == days
    assert oracle.deadline(issue.isoformat(), today) == rule
