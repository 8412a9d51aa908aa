"""Places of statements in policy texts."""

from __future__ import annotations

import json

from localcloud.spans import Span, statement_spans

ONE = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}


def test_a_statement_in_one_line_begins_and_ends_at_its_braces() -> None:
    """Columns count from 1, the end is the closing brace."""
    text = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'

    (span,) = statement_spans(text)

    begin, end = span.start[1] - 1, span.end[1]
    assert span.start[0] == span.end[0] == 1
    assert json.loads(text[begin:end]) == {"Effect": "Allow", "Action": "*", "Resource": "*"}


def test_statements_over_several_lines_keep_their_order() -> None:
    """Lines count from 1; what stands behind Statement does not matter."""
    text = json.dumps({"Statement": [ONE, {**ONE, "Sid": "]}"}], "Version": "2012-10-17"}, indent=2)

    found = statement_spans(text)

    lines = text.splitlines()
    assert [lines[span.start[0] - 1][span.start[1] - 1] for span in found] == ["{", "{"]
    assert [lines[span.end[0] - 1][span.end[1] - 1] for span in found] == ["}", "}"]
    assert found[0].end < found[1].start
    assert "]}" in "\n".join(lines[found[1].start[0] : found[1].end[0]])


def test_a_policy_without_statements_has_no_places() -> None:
    """An empty list is legal JSON, if no policy."""
    assert statement_spans('{"Statement": [ ]}') == ()
    assert statement_spans("{ }") == ()
    assert statement_spans('{"Statement":{}}') == (Span((1, 14), (1, 15)),)
