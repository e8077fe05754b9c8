"""What a value may be: fields, codes, rules, catalogues, identity numbers, dates, text.

Pure functions over single values of text, fast enough to be called once for every distinct value of a column.
They never see a file of the clerk's and never raise because of a value; the data files lie in `data/`.
"""
