# SPDX-License-Identifier: Apache-2.0
"""Small sources that try one thing of the language each, by groups."""

VARIABLES = {"words": ["b", "a", "C"], "number": 7, "real": 2.5, "text": " Hello, World ",
             "table": {"b": 1, "a": [1, 2, {"k": None}], "": True}, "none": None,
             "rows": [{"n": 2, "k": "x"}, {"n": 1, "k": "y"}, {"k": "Z"}]}
PRINTED = ["none", "number", "real", "text", "table", "words", "rows", "missing", "true",
           "(1,)", "()", "(1, 'a')", "'it\\'s'", "1e16", "1e-7", "-0.0", "10 / 4", "7 // 2",
           "[none, true, 1.0]", "{1: 2, 'a': (3,)}", "'\u00e9\u65e5\\n'"]


def groups():
    yield "values printed", ["{{ %s }}" % p for p in PRINTED]
    yield "values as JSON", ["{{ %s|tojson }}" % p for p in PRINTED]
