"""Labels in and out: what labelling tools export becomes one data set, captures become their tasks.

One module a format, each a pair of pure functions between frozen dataclasses and the tool's JSON.
Needs Pillow, numpy and PyYAML; no torch. The page ``docs/labelling.md`` has the formats.
"""
