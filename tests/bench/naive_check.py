"""What a script would check in one CSV file: read it, judge it row by row, write it again. Standard library only."""

import csv
import datetime
import re
import sys

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
SEX = {"1": "男", "2": "女", "男": "男", "女": "女"}


def problems(row, seen):
    number, wrong = row["证件号码"], []
    digits = re.fullmatch(r"[0-9]{17}[0-9X]", number)
    if not digits or "10X98765432"[sum(int(c) * w for c, w in zip(number, WEIGHTS)) % 11] != number[17]:  # noqa: B905
        wrong.append("证件号码")
    for key in ("出生日期", "发证日期"):
        try:
            datetime.datetime.strptime(row[key], "%Y-%m-%d")
        except ValueError:
            wrong.append(key)
    if number[6:14] != row["出生日期"].replace("-", ""):
        wrong.append("出生日期")
    row["性别"] = SEX.get(row["性别"], "")
    if not row["性别"] or (number[16:17] in "13579") != (row["性别"] == "男"):
        wrong.append("性别")
    if not re.fullmatch(r"[0-9]{16}", row["证书编号"]) or row["证书编号"] in seen:
        wrong.append("证书编号")
    seen.add(row["证书编号"])
    return wrong + [key for key in row if not row[key]]


def main(path):
    bad, seen = 0, set()
    with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
        rows = csv.DictReader(file)
        out = csv.DictWriter(sys.stdout, rows.fieldnames, lineterminator="\n")
        out.writeheader()
        for number, row in enumerate(rows, 2):
            row = {key: value.strip() for key, value in row.items()}
            row["证件号码"] = row["证件号码"].upper()
            wrong = problems(row, seen)
            if wrong:
                bad += 1
                print(f"{path}: row {number}: {', '.join(wrong)}", file=sys.stderr)
            out.writerow(row)
    return bool(bad)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.exit(main(sys.argv[1]))
